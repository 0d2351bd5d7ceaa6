"""`glimmer show`: what it says of a run, a point and a claim, how it finds them, and the commands that make a run."""

import csv
import io
import json
import shlex
from types import SimpleNamespace

import pytest

from analysis.known import meant
from analysis.run_commands import NOT_GIVEN, commands_of
from glimmer import cli
from glimmer.errors import InputError
from glimmer.experiments import load_study, paper_values, runs_for
from glimmer.results import load_results
from workflow.layout import Layout
from workflow.options import study_of


def shown(capsys, *words):
    assert cli.main(["show", *map(str, words)]) in (0, None)
    return capsys.readouterr().out


def document(capsys, *words):
    return json.loads(shown(capsys, *words, "--json"))


def test_a_run_is_shown_with_its_file_and_its_place_in_the_study(capsys, invented):
    for planned in runs_for(load_study("smoke")).values():
        if planned.reader.reranker != "shared":
            break
    file = json.loads((invented / "smoke" / "runs" / f"{planned.id}.json").read_text())
    found = document(capsys, planned.id, "--study", "smoke", "--results", invented)
    assert (found["kind"], found["id"], list(found["studies"])) == ("run", planned.id, ["smoke"])
    run = found["studies"]["smoke"]
    assert run["status"] == "measured" and run["differs"] == planned.reader.differences(load_study("smoke").tasks)
    for task, scored in file["tasks"].items():
        assert run["tasks"][task]["percent"] == pytest.approx(100 * scored["score"])
        low, high = (run["tasks"][task][end] for end in ("low", "high"))
        assert [low, high] == pytest.approx([100 * bound for bound in scored["interval"]])
    last = file["learning_curve"][-1]
    assert run["curve_ends"]["step"] == last["step"] and run["curve_ends"]["loss"] == last["loss"]
    assert run["curve_ends"]["dev_average_percent"] == pytest.approx(100 * last["dev_average"])
    assert (run["machine"], run["code_version"]) == (file["device"], file["code_version"])
    assert run["seconds"]["total"] == pytest.approx(sum(file["wall_seconds"].values()))
    assert tuple(run["points"]) == planned.points
    text = shown(capsys, planned.id, "--study", "smoke", "--results", invented)
    assert planned.reader.reranker in text and f"{100 * file['average']['score']:.1f} %" in text


def test_studies_may_stand_before_what_is_asked_for(capsys, invented):
    point = "figure2/performance/GLIMMER"
    after = shown(capsys, point, "--study", "smoke", "--results", invented)
    assert shown(capsys, "--study", "smoke", point, "--results", invented) == after
    assert shown(capsys, "--results", invented, "--study", "smoke", "--", point) == after


@pytest.mark.parametrize("words", [[], ["--study", "smoke"], ["--study", "smoke", "sample"]])
def test_without_an_id_there_is_nothing_to_show(capsys, words):
    assert cli.main(["show", *words]) == 2
    assert "nothing to show; expected the id" in capsys.readouterr().err


def test_a_run_without_a_result_or_with_one_that_cannot_be_trusted_has_no_number(capsys, results):
    first, second, third = list(runs_for(load_study("smoke")))[:3]
    (results / "smoke" / "runs" / f"{first}.json").unlink()
    (results / "smoke" / "runs" / f"{second}.json").write_text("{}")
    (results / "smoke" / "runs" / f"{third}.json").unlink()
    (results / "smoke" / "failed").mkdir()
    (results / "smoke" / "failed" / f"{third}.json").write_text("{}")
    said = []
    for id in (first, second, third):
        run = document(capsys, id, "--study", "smoke", "--results", results)["studies"]["smoke"]
        assert not {"average", "tasks", "seconds"} & set(run) and run["commands"]
        said.append(run["status"])
    assert said[0] == "not measured" and said[1].startswith("left out: ") and said[2].startswith("failed: ")


@pytest.mark.parametrize(
    "change",
    [{"learning_curve": {"a": 1}}, {"learning_curve": [3]}, {"wall_seconds": {"train": "long"}}, {"average": 1}],
)
def test_a_run_file_of_another_form_is_left_out_with_its_reason(capsys, results, change):
    path = next(iter(sorted((results / "smoke" / "runs").glob("*.json"))))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    run = document(capsys, path.stem, "--study", "smoke", "--results", results)["studies"]["smoke"]
    assert run["status"].startswith("left out: ") and "average" not in run


def test_a_point_is_shown_with_its_interval_its_runs_and_the_papers_number(capsys, invented):
    paper = paper_values(invented / "paper" / "points.csv")
    for result in load_results("smoke", invented).points[::5]:
        found = document(capsys, result.id, "--study", "smoke", "--results", invented)
        point = found["studies"]["smoke"]
        assert (point["value"], point["low"], point["high"]) == (result.value, result.low, result.high)
        assert (point["interval_kind"] or "") == result.interval_kind
        assert set(point["runs"]) == set(result.point.run_ids)
        if result.id in paper:
            assert found["paper"]["value"] == paper[result.id].value
            assert point["difference"] == pytest.approx(result.value - paper[result.id].value)
        else:
            assert found["paper"]["value"] is None and point["difference"] is None


def test_a_missing_point_has_no_value_and_no_difference_and_names_the_runs_that_lack(capsys, results):
    result = load_results("smoke", results).points[0]
    for id in result.point.run_ids:
        (results / "smoke" / "runs" / f"{id}.json").unlink()
    point = document(capsys, result.id, "--study", "smoke", "--results", results)["studies"]["smoke"]
    assert (point["status"], point["value"], point["difference"]) == ("missing", None, None)
    assert point["absent"] == list(result.point.run_ids)


def test_a_claim_is_shown_as_the_ledger_has_it_recorded_or_not(capsys, results):
    words = ["lumen-above", "--study", "smoke", "--results", results]
    anew = document(capsys, *words)
    assert cli.main(["claims", "--study", "smoke", "--paper", "--results", str(results)]) in (0, None)
    capsys.readouterr()
    recorded = json.loads((results / "smoke" / "claims.json").read_text())
    row = next(row for row in recorded["claims"] if row["id"] == "lumen-above-fid")
    assert document(capsys, *words) == anew
    assert anew["statement"] == row["statement"] and anew["points"] == row["points"]
    for key in ("verdict", "effect", "interval", "n"):
        assert anew["studies"]["smoke"][key] == row[key]
    assert anew["rests_on"] == row["rests_on"] and "verdict" in anew["studies"]["paper"]


def test_a_record_of_other_runs_is_not_taken_for_this_one(capsys, results):
    words = ["lumen-above", "--study", "smoke", "--results", results]
    path = results / "smoke" / "claims.json"
    before = document(capsys, *words)["studies"]["smoke"]["verdict"]
    of_others = {"frozen": {"digest": "0", "runs": {"0": 16}}, "claims": [{"id": "lumen-above-fid", "verdict": "new"}]}
    for record in ({"claims": []}, of_others):
        path.write_text(json.dumps(record))
        assert document(capsys, *words)["studies"]["smoke"]["verdict"] == before


@pytest.mark.parametrize("form", ["csv", "md", "tex"])
def test_other_formats_have_a_row_for_everything(capsys, form):
    text = shown(capsys, "figure2/performance/GLIMMER", "--study", "sample", "--format", form)
    assert "34.8" in text
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        value = next(row["value"] for row in rows if (row["study"], row["name"]) == ("sample", "value"))
        assert float(value) == load_results("sample").of("figure2", "performance")[2].value


def test_without_a_study_all_are_searched_and_those_with_results_are_shown(capsys):
    id = next(iter(runs_for(load_study("sample"))))
    assert "sample" in document(capsys, id[:9])["studies"]
    point = document(capsys, "figure2/performance/GLIMMER")
    assert "sample" in point["studies"] and "kilt" not in point["studies"]


IDS = ["figure2/speed/FiD", "figure2/speed", "figure2/LUMEN", "0123456789ab", "0123ffffffff", "lumen-above-fid"]


@pytest.mark.parametrize(
    "typed, found", [("figure2/speed", "figure2/speed"), ("01234", "0123456789ab"), ("lumen", "lumen-above-fid")]
)
def test_an_id_is_found_whole_or_by_a_beginning_that_no_other_has(typed, found):
    assert meant(typed, IDS) == found


@pytest.mark.parametrize(
    "typed, near",
    [
        ("0123", "0123ffffffff"),
        ("lumen-over-fid", "lumen-above-fid"),
        ("", "lumen"),
        ("LUMEN", "figure2/LUMEN"),
        ("figure2/sped/FiD", "figure2/speed/FiD"),
    ],
)
def test_what_is_no_id_or_begins_several_names_the_nearest(typed, near):
    with pytest.raises(InputError, match=near):
        meant(typed, IDS)


@pytest.mark.parametrize("words", ["show nothing-like-it", "show figure2", "show figure2 --study nope", "show a\nb"])
def test_no_such_id_is_one_line_and_exit_code_2(capsys, words):
    assert cli.main(words.split(" ")) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1


@pytest.mark.parametrize("name", ["smoke", "pilot", "sample", "embedded"])
def test_the_commands_of_a_run_are_those_of_the_workflow(name, tmp_path):
    """The rules take their paths from Layout: what `show` says has the same."""
    given = {"data": tmp_path, "initial": tmp_path} if name == "sample" else {}
    study = load_study(name, given)
    layout = Layout(study=study, draws_only=False)
    for run in runs_for(study).values():
        at = layout.at(SimpleNamespace(run=run.id))
        commands = {key: shlex.split(text) for key, text in commands_of(study, run).items()}
        for command in ("train", "evaluate"):
            args = cli._parser(commands[command][1:]).parse_args(commands[command][1:])
            assert (args.data, args.init, args.work) == (at.data, at.initial_of(run.id), at.work)
            assert ["--replicate", str(args.replicate)] == at.option or args.replicate is None and not at.option
            assert args.run == (run.id if command == "evaluate" else run.trained_id)
            assert (args.trained if command == "evaluate" else args.out) == at.trained(run.id)
        assert commands["evaluate"][-1] == commands["workflow"][1] == str(study.result_file(run.id))


@pytest.mark.parametrize("name", ["kilt", "sample", "embedded"])
def test_the_workflow_takes_the_options_of_the_command(name):
    study = load_study(name)
    words_of = {commands_of(study, run)["workflow"].partition("--config")[2] for run in runs_for(study).values()}
    for words in words_of:
        options = dict(word.split("=") for word in shlex.split(words))
        assert study_of(options).name == name
        assert (NOT_GIVEN in options.values()) == (name != "embedded")
