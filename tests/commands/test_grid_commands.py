"""`glimmer macs`, `runs` and `plan`: what they print and how they fail."""

import json
import subprocess
import sys

import pytest

from glimmer.cli import main
from glimmer.experiments import load_study, points, runs_for


def printed(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_macs_gives_figure_2_s_speed(capsys):
    words = "macs --reader glimmer --size xxl --alpha 1/3 --beta 1/4 --k 25 --m 5 --tokens 384 --target-tokens 64"
    found = json.loads(printed(capsys, *words.split(), "--convention", "figure2", "--json"))
    assert found["samples_per_tflop"] == pytest.approx(0.1278586731, rel=1e-9)


@pytest.mark.parametrize(
    "words",
    [
        "macs --reader glimmer --alpha 1/3 --beta 1/4 --k 5 --m 25",
        "macs --reader lumen --k 5",
        "macs --reader lumen --alpha 3/2 --k 5",
        "macs --reader fid --k 5 --tokens 0",
        "runs --study nope",
        "runs --study smoke --set training.steps=0",
        "plan --study smoke --set scale.passages={25:1}",
    ],
)
def test_bad_input_exits_2_with_one_line(capsys, words):
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1


def test_runs_lists_every_run_with_its_settings_and_points(capsys):
    rows = json.loads(printed(capsys, "runs", "--study", "smoke", "--json"))
    expected = runs_for(load_study("smoke"))
    assert {row["id"]: tuple(row["points"]) for row in rows} == {id: run.points for id, run in expected.items()}
    assert all(row["settings"] == expected[row["id"]].settings for row in rows)


def test_runs_can_list_every_point(capsys):
    rows = json.loads(printed(capsys, "runs", "--study", "smoke", "--points", "--json"))
    assert {row["point"] for row in rows} == {point.id for point in points(load_study("smoke"))}
    assert "glimmer" in printed(capsys, "runs", "--study", "smoke", "--points")


def test_runs_says_which_results_exist(capsys, tmp_path):
    change = ["--set", f"results={tmp_path}"]
    rows = json.loads(printed(capsys, "runs", "--study", "smoke", *change, "--json"))
    assert not any(row["result"] for row in rows)
    (tmp_path / "smoke" / "runs").mkdir(parents=True)
    (tmp_path / "smoke" / "runs" / f"{rows[0]['id']}.json").write_text("{}")
    rows = json.loads(printed(capsys, "runs", "--study", "smoke", *change, "--json"))
    assert [row["result"] for row in rows].count(True) == 1


def test_plan_adds_up_and_training_costs_nothing_where_nothing_trains(capsys):
    found = json.loads(printed(capsys, "plan", "--study", "smoke", "--json"))
    assert found["total"]["runs"] == len(found["runs"])
    assert found["total"]["training_flops"] == sum(row["training_flops"] for row in found["runs"])
    runs = runs_for(load_study("smoke"))
    for row in found["runs"]:
        assert (row["training_flops"] > 0) == runs[row["id"]].reader.trained


def test_the_registry_and_its_commands_import_no_jax():
    code = (
        "import sys\nfrom glimmer.cli import main; main(['plan', '--study', 'smoke']); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
