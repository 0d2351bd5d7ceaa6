"""`glimmer macs`, `runs` and `plan`: what they print and how they fail."""

import json
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

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
        "runs --study smoke --where training.stepz=6",
        "runs --study smoke --where k",
        "plan --study smoke --set scale.passages={25:1}",
        "plan --study smoke --hours --from nowhere",
        "plan --study embedded --hours --cores 0",
        "plan --study sample --check seed",
        "plan --study sample --compare --hours",
        "plan --study smoke --compare --set results=nowhere --set work=nowhere",
        "plan --study smoke --device measured --set results=nowhere --set work=nowhere",
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


def test_runs_give_the_average_in_percent_of_results_that_can_be_trusted(capsys):
    rows = json.loads(printed(capsys, "runs", "--study", "sample", "--json"))
    measured = [row for row in rows if row["result"]]
    assert measured
    for row in measured:
        average = json.loads(Path(f"results/sample/runs/{row['id']}.json").read_text())["average"]["score"]
        assert row["average_percent"] == pytest.approx(100 * average)
    assert all(row["average_percent"] is None for row in rows if not row["result"])
    assert "average_percent" in printed(capsys, "runs", "--study", "sample").splitlines()[0]


def test_runs_say_which_result_is_not_trusted_and_give_no_number_of_it(capsys, tmp_path):
    change = ["--set", f"results={tmp_path}", "--json"]
    id = next(iter(runs_for(load_study("smoke"))))
    (tmp_path / "smoke" / "runs").mkdir(parents=True)
    (tmp_path / "smoke" / "runs" / f"{id}.json").write_text("{}")
    assert main(["runs", "--study", "smoke", *change]) == 0
    captured = capsys.readouterr()
    assert f"left out runs/{id}.json" in captured.err
    assert {row["average_percent"] for row in json.loads(captured.out)} == {None}


@pytest.mark.parametrize(
    ("words", "is_so"),
    [
        ("--reader glimmer", lambda run: run.reader.name == "glimmer"),
        ("--reader fid lumen", lambda run: run.reader.name != "glimmer"),
        ("--seed 1", lambda run: run.seed == 1),
        ("--where alpha=1/3", lambda run: run.reader.alpha == Fraction(1, 3)),
        ("--where alpha=1", lambda run: run.reader.alpha == 1),
        ("--where beta=null", lambda run: run.reader.beta is None),
        ("--where lambda=10", lambda run: run.reader.lambda_ == 10),
        ("--where memory=frozen", lambda run: run.reader.memory == "frozen"),
        ("--where memory=trained", lambda run: run.reader.memory == "trained"),
        ("--where trained=false", lambda run: not run.reader.trained),
        ("--where train_tasks=[nq]", lambda run: run.reader.train_tasks == ("nq",)),
        ("--where reader.k=4 --where m=2", lambda run: (run.reader.k, run.reader.m) == (4, 2)),
        ("--where training.steps=6", lambda run: run.settings["training"]["steps"] == 6),
        ("--where training.patience=null", lambda run: True),
        ("--where training.steps=7", lambda run: False),
        (
            "--reader glimmer --seed 0 --where m=2",
            lambda run: (run.reader.name, run.seed, run.reader.m) == ("glimmer", 0, 2),
        ),
    ],
)
def test_runs_can_be_asked_for_by_reader_seed_and_settings(capsys, words, is_so):
    """What a setting leaves out, since it is the default, is found by its value all the same."""
    rows = json.loads(printed(capsys, "runs", "--study", "smoke", "--set", "seeds=[0,1]", *words.split(), "--json"))
    runs = runs_for(load_study("smoke", {"seeds": [0, 1]}))
    assert [row["id"] for row in rows] == [run.id for run in runs.values() if is_so(run)]


def test_missing_runs_are_those_without_a_result_that_can_be_trusted(capsys, tmp_path):
    words = ["runs", "--study", "sample", "--missing", "--json"]
    rows = json.loads(printed(capsys, "runs", "--study", "sample", "--json"))
    assert json.loads(printed(capsys, *words)) == [row for row in rows if row["average_percent"] is None]
    shutil.copytree("results/sample", tmp_path / "sample")
    measured = next(row["id"] for row in rows if row["average_percent"] is not None)
    (tmp_path / "sample" / "runs" / f"{measured}.json").write_text("{}")
    now = json.loads(printed(capsys, *words, "--set", f"results={tmp_path}"))
    assert {row["id"] for row in now} == {row["id"] for row in rows if row["average_percent"] is None} | {measured}


def test_where_no_run_is_so_a_line_says_it(capsys):
    said = printed(capsys, "runs", "--study", "smoke", "--where", "k=999")
    assert said.startswith("none of the ") and said.count("\n") == 1


def test_plan_adds_up_and_training_costs_nothing_where_nothing_trains(capsys):
    found = json.loads(printed(capsys, "plan", "--study", "smoke", "--json"))
    assert found["total"]["runs"] == len(found["runs"])
    assert found["total"]["training_flops"] == sum(row["training_flops"] for row in found["runs"])
    runs = runs_for(load_study("smoke"))
    for row in found["runs"]:
        assert (row["training_flops"] > 0) == (
            runs[row["id"]].trained_id == row["id"] and runs[row["id"]].reader.trained
        )


@pytest.mark.parametrize("price", [[], ["--price", "2.5"]])
def test_a_plan_of_a_device_tells_jobs_and_money_of_the_study_apart_from_those_of_the_machine(capsys, price):
    found = json.loads(printed(capsys, *_PLAN, "--jobs", "3", *price, "--json"))
    total = found["total"]
    assert total["jobs"] == len(found["jobs"]) == sum(row["jobs"] for row in found["stages"])
    assert (total["jobs_at_a_time"], total["devices_a_job"]) == (3, 8)
    if price:
        assert total["price"] == pytest.approx(2.5 * total["device_hours"])
        assert total["price_of_a_device_hour"] == 2.5


def test_a_plan_names_parts_of_the_grid_and_each_costs_what_its_own_plan_says(capsys):
    found = json.loads(printed(capsys, *_PLAN, "--json"))
    parts = {row["part"]: row for row in found["parts"]}
    figures = ["figure2", "figure3"]
    assert list(parts) == [
        "everything",
        "one seed",
        "one seed, one checkpoint",
        *(f"one seed, {one}" for one in figures),
    ]
    assert parts["one seed, one checkpoint"] | {"part": ""} == parts["one seed, figure3"] | {"part": ""}
    assert parts["one seed, figure3"]["sizes"] == "Large" and "XXL" in parts["one seed, figure2"]["sizes"]
    for part in parts.values():
        alone = json.loads(printed(capsys, *_PLAN, *part["options"].split(), "--json"))
        for cost in ("longest_job_hours", "device_hours", "hours"):
            assert alone["total"][cost] == pytest.approx(part[cost]), part["part"]
        assert sum(job["stage"] == "train" for job in alone["jobs"]) == part["trainings"]


_PLAN = ("plan", "--study", "kilt", "--set", "artifacts=[figure2,figure3]", "--device", "H100")


def test_hours_of_runs_side_by_side_are_no_less_than_an_even_share_and_no_more_than_one_after_the_other(capsys):
    words = ["plan", "--study", "pilot", "--hours", "--start-up", "7", "--json"]
    two, one = (json.loads(printed(capsys, *words, "--cores", cores)) for cores in "21")
    seconds = [row["seconds"] for row in two["runs"]]
    assert one["total"]["hours"] == pytest.approx(sum(seconds) / 3600)
    assert sum(seconds) / 7200 <= two["total"]["hours"] <= (sum(seconds) + max(seconds)) / 7200
    parts = ("train_seconds", "memory_seconds", "evaluate_seconds", "other_seconds")
    assert all(row["seconds"] == pytest.approx(7 + sum(row[part] for part in parts)) for row in two["runs"])


@pytest.mark.parametrize(("study", "left_out"), [("sample", "reader"), ("pilot", "seed")])
def test_a_check_compares_with_what_result_files_say_and_tells_the_error_of_each_and_of_all(capsys, study, left_out):
    found = json.loads(printed(capsys, "plan", "--study", study, "--check", left_out, "--json"))
    files = {path.stem: json.loads(path.read_text()) for path in Path(f"results/{study}/runs").glob("*.json")}
    assert {row["id"]: row["seconds"] for row in found["runs"]} == {
        id: pytest.approx(sum(file["wall_seconds"].values())) for id, file in files.items()
    }
    for row in found["runs"]:
        assert row["predicted_seconds"] == pytest.approx(row["seconds"] * (1 + row["error_percent"] / 100))
    total = found["total"]
    assert total["predicted_hours"] == pytest.approx(sum(row["predicted_seconds"] for row in found["runs"]) / 3600)
    assert total["predicted_hours"] == pytest.approx(total["hours"] * (1 + total["error_percent"] / 100))


@pytest.mark.parametrize("device", [[], ["--device", "H100", "--start-up", "30"]])
def test_a_comparison_has_a_row_a_stage_and_tells_the_error_of_each_and_of_all(capsys, device):
    found = json.loads(printed(capsys, "plan", "--study", "sample", "--compare", "--json", *device))
    study = load_study("sample")
    done = {path.stem: json.loads(path.read_text()) for path in Path("results/sample/runs").glob("*.json")}
    rows = {row["stage"]: row for row in found["stages"]}
    assert rows["evaluate"]["measured"] == len(done) and rows["evaluate"]["jobs"] == len(runs_for(study))
    assert rows["evaluate"]["seconds"] == pytest.approx(
        sum(run["wall_seconds"][part] for run in done.values() for part in ("memory", "evaluate"))
    )
    off = [abs(one - other) for row in rows.values() for one, other in row["pairs"]]
    assert found["total"]["error_percent"] == pytest.approx(100 * sum(off) / found["total"]["seconds"])
    assert rows["chunk"]["says"] == "no measurement" and "chunk" in found["total"]["without_measurement"]


def test_the_registry_and_its_commands_import_no_jax():
    code = (
        "import sys\nfrom glimmer.cli import main; main(['plan', '--study', 'smoke']);"
        " main(['plan', '--study', 'sample', '--compare']);"
        " main(['runs', '--study', 'sample']); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
