"""Run files that cannot be trusted: named with the reason and left out; their points are missing, the audit fails."""

import dataclasses
import json
import math

import pytest

from analysis.report.reader_tables import readers
from glimmer.cli import main
from glimmer.experiments import load_study
from glimmer.experiments.settings import SCIENCE_VERSION, run_id
from glimmer.files import read_json
from glimmer.results import Runs, load_results, load_runs


def first_run(results):
    """The file of the run behind the first number of table 1."""
    id = load_results("smoke", results).of("table1")[0].point.run_ids[0]
    return results / "smoke" / "runs" / f"{id}.json"


def drop(*keys):
    def change(run):
        *parents, last = keys
        for key in parents:
            run = run[key]
        del run[last]

    return change


def without_a_task(run):
    """Consistent in itself: only the settings say that a task is missing."""
    del run["tasks"]["nq"]
    scores = [task["score"] for task in run["tasks"].values()]
    run["average"] |= {"score": sum(scores) / len(scores), "n_tasks": len(scores), "tasks": list(run["tasks"])}


def times_hundred(run):
    for scored in (*run["tasks"].values(), run["average"]):
        scored["score"] *= 100
        scored["interval"] = [100 * bound for bound in scored["interval"]]


BAD = {
    "score absent": (drop("tasks", "nq", "score"), "nq.score: expected a fraction in [0, 1], found None"),
    "score null": (lambda run: run["tasks"]["nq"].update(score=None), "nq.score: expected a fraction"),
    "average absent": (drop("average"), "average.score: expected a fraction"),
    "a task absent": (without_a_task, "nq: no score of it"),
    "no tasks": (lambda run: run.update(tasks={}), "no task scores"),
    "score NaN": (lambda run: run["tasks"]["nq"].update(score=math.nan), "nq.score: expected a fraction"),
    "interval NaN": (lambda run: run["average"].update(interval=[math.nan, 1.0]), "average.interval[0]"),
    "cost NaN": (lambda run: run["operation_counts"].update(figure2=math.nan), "operation_counts.figure2"),
    "infinite time": (lambda run: run["wall_seconds"].update(train=math.inf), "wall_seconds.train: expected a finite"),
    "percent": (times_hundred, "expected a fraction in [0, 1]"),
    "interval in percent": (lambda run: run["average"].update(interval=[40.0, 60.0]), "average.interval[0]"),
    "interval of one end": (lambda run: run["tasks"]["nq"].update(interval=[0.5]), "nq.interval[0]"),
    "unknown task": (lambda run: run["tasks"].update(squad=run["tasks"]["nq"]), "unknown task 'squad'"),
    "text for a task": (lambda run: run["tasks"].update(nq="0.5"), "nq: expected an object, found str"),
    "list for scores": (lambda run: run["tasks"]["nq"].update(per_example=[1.0]), "not in the form of a result file"),
    "an answer too few": (
        lambda run: run["tasks"]["nq"]["per_example"].update(answers=["0123abcd"]),
        "but digests of 1 answers are kept",
    ),
    "a rank too few": (
        lambda run: run["tasks"]["nq"]["per_example"]["retriever_rprec"].pop(),
        "values of retriever_rprec are kept",
    ),
    "an order in percent": (
        lambda run: run["tasks"]["nq"]["per_example"]["answer_at_m"].__setitem__(3, 100.0),
        "nq.per_example.answer_at_m[3]: expected a fraction in [0, 1], found 100.0",
    ),
    "another's id": (lambda run: run.update(id="0123456789ab"), "says id '0123456789ab'"),
    "other settings": (lambda run: run["settings"].update(seed=99), "digest to"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_run_file_is_named_left_out_and_fails_the_audit(results, capsys, case):
    change, reason = BAD[case]
    path = first_run(results)
    run = json.loads(path.read_text())
    change(run)
    path.write_text(json.dumps(run))
    main(["audit", "--study", "smoke", "--results", str(results), "--seal"])  # the checks find it, not the digest
    assert main(["audit", "--study", "smoke", "--results", str(results)]) == 1
    (one,) = [f for f in read_json(results / "smoke" / "audit.json")["findings"] if f["kind"] == "run-file"]
    assert one["severity"] == "failure" and one["points"]
    assert path.name in one["explanation"] and reason in one["explanation"]
    assert path.name in capsys.readouterr().out
    for point in load_results("smoke", results).points:
        assert (point.value is None) == (path.stem in point.point.run_ids), point.id


def left_out_of_the_mean(run, tasks):
    """The same run of a study whose mean leaves tasks out."""
    run["settings"]["evaluation"]["not_in_mean"] = tasks
    scores = {task: of["score"] for task, of in run["tasks"].items() if task not in tasks}
    mean = sum(scores.values()) / len(scores)
    run["average"] |= {"score": mean, "n_tasks": len(scores), "tasks": list(scores), "interval": [0.0, 1.0]}
    run["id"] = run_id(run["settings"])
    return run


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda run: None, None),
        (lambda run: run["average"].update(n_tasks=6), "average.n_tasks"),
        (lambda run: run["average"]["tasks"].__setitem__(0, "zsre"), "average.tasks"),
        (lambda run: run["average"].update(score=run["average"]["score"] / 2), "average.score"),
    ],
)
def test_a_mean_is_over_the_tasks_that_the_study_says(results, tmp_path, change, reason):
    run = left_out_of_the_mean(json.loads(first_run(results).read_text()), ["zsre", "fever"])
    change(run)
    path = tmp_path / "other" / "runs" / f"{run['id']}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(run))
    runs = load_runs(path.parents[1])
    assert [found.reason.split(" ")[0] for found in runs.refused] == ([reason] if reason else [])


def test_the_readers_table_says_which_tasks_are_not_in_the_mean(results):
    study = load_results("smoke", results)
    usual = readers(study).table
    assert usual.heads[1] == "Mean of 6 tasks (percent)" and not any("not in the mean" in head for head in usual.heads)
    left = {id: left_out_of_the_mean(run, ["zsre", "fever"]) for id, run in study.runs.by_id.items()}
    heads = readers(dataclasses.replace(study, runs=Runs(by_id=left))).table.heads
    assert heads[1] == "Mean of 4 tasks (percent)"
    assert [head.split()[0] for head in heads if "not in the mean" in head] == ["FEVER", "zsRE"]


def test_of_tasks_that_are_all_left_out_the_mean_is_over_all():
    evaluation = load_study("smoke", {"evaluation.not_in_mean": ["zsre", "nq"]}).evaluation
    assert evaluation.in_mean(["nq", "fever"]) == ["fever"] and evaluation.in_mean(["nq"]) == ["nq"]


def test_a_run_file_with_what_later_versions_record_is_used(results):
    path = first_run(results)
    run = json.loads(path.read_text())
    for scored in run["tasks"].values():
        scored["per_example"]["answers"] = ["0123abcd"] * scored["n"]
    units = {"sum_of_rates": 0.1, "scorer_sum_of_rates": None, "path": {"memory": 0, "scorer": None}}
    last = {"step": 8, "dev_average": 0.5}
    run |= {
        "claims": "0123456789ab",
        "training_units": units,
        "selection": {"keep": "best", "best": last, "last": last},
    }
    run |= {"other": {"which": "last", "step": 8, "tasks": {"nq": 0.5}, "average": 0.5}}
    path.write_text(json.dumps(run))
    assert path.stem in load_results("smoke", results).runs


def test_a_second_file_for_one_id_is_named_and_the_first_is_used(results):
    path = first_run(results)
    copy = path.with_name("0123456789ab.json")
    copy.write_text(path.read_text().replace("31.4", "31.5"))
    assert main(["audit", "--study", "smoke", "--results", str(results)]) == 1
    findings = read_json(results / "smoke" / "audit.json")["findings"]
    assert [copy.name in one["explanation"] for one in findings if one["kind"] == "run-file"] == [True]
    assert all(point.value is not None for point in load_results("smoke", results).points)


def test_a_key_given_twice_is_refused_and_not_silently_the_last_one(results):
    path = first_run(results)
    path.write_text(path.read_text().replace('"id":', '"id": "0123456789ab", "id":', 1))
    assert main(["audit", "--study", "smoke", "--results", str(results)]) == 1
    refused = load_results("smoke", results).runs.refused
    assert [(one.file, "given twice: id" in one.reason) for one in refused] == [(path.name, True)]


@pytest.mark.parametrize("renamed", [True, False])
def test_a_run_of_another_schema_version_is_refused_under_its_own_id_too(results, renamed):
    path = first_run(results)
    run = json.loads(path.read_text())
    run["settings"]["science_version"] += 1
    if renamed:
        run["id"] = run_id(run["settings"])
        path.rename(path := path.with_name(f"{run['id']}.json"))
    path.write_text(json.dumps(run))
    assert main(["audit", "--study", "smoke", "--results", str(results)]) == 1
    (refused,) = load_results("smoke", results).runs.refused
    assert refused.file == path.name
    other = f"expected science_version {SCIENCE_VERSION}, found {SCIENCE_VERSION + 1}"
    assert (other if renamed else "digest to") in refused.reason
    assert load_results("smoke", results).of("table1")[0].value is None


def test_nothing_else_stumbles_over_bad_run_files(results):
    """Drawing, claims, report and record go on with what can be trusted."""
    paths = sorted((results / "smoke" / "runs").glob("*.json"))
    for path, (change, _) in zip(paths, list(BAD.values())[-len(paths) :], strict=False):
        run = json.loads(path.read_text())
        change(run)
        path.write_text(json.dumps(run))
    options = ["--study", "smoke", "--results", str(results)]
    for command in ("figures", "claims", "report", "crate"):
        assert main([command, *options]) == 0
    assert "missing" in (results / "smoke" / "tables" / "table1.md").read_text()


@pytest.mark.parametrize(
    ("cells", "value"), [("nan,", None), ("x,", None), (",", None), ("170.0,", None), ("69.8,", 69.8)]
)
def test_a_reported_number_that_is_none_is_drawn_as_missing(results, cells, value):
    file = results / "paper" / "points.csv"
    id = "table1/GLIMMER (shared)"
    kept = [row for row in file.read_text().splitlines() if not row.startswith(f"{id},")]
    file.write_text("\n".join([*kept, f"{id},{cells},printed"]) + "\n")
    assert {p.id: p.value for p in load_results("paper", results).points}[id] == value
    assert main(["claims", "--paper", "--results", str(results)]) == 0
    assert main(["audit", "--paper", "--results", str(results)]) == int(value is None)


@pytest.mark.parametrize("line", ["table1/GLIMMER (shared),1.0,,printed", "table1/GLIMMER (shared),1.0"])
def test_a_reported_point_given_twice_or_of_other_columns_ends_in_one_line(results, line, capsys):
    file = results / "paper" / "points.csv"
    file.write_text(file.read_text() + line + "\n")
    assert main(["audit", "--paper", "--results", str(results)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "points.csv:75" in line and "GLIMMER (shared)" in line
