"""Points: joined from the registry and checked run files, in percent, never 0 for what is missing."""

import csv
import json
import math

import numpy as np
import pytest
from scipy import stats

from glimmer import experiments
from glimmer.errors import InputError
from glimmer.results import Runs, StudyResults, load_results, load_runs
from tests.analysis import synthetic


def _edit(path, change):
    run = json.loads(path.read_text())
    change(run)
    path.write_text(json.dumps(run))


def test_a_point_is_its_runs_score_in_percent(results):
    study = load_results("smoke", results)
    point = study.of("figure2", "performance")[0]
    run = study.runs.by_id[point.point.run_ids[0]]
    assert point.value == pytest.approx(100 * run["average"]["score"])
    assert [point.low, point.high] == pytest.approx([100 * bound for bound in run["average"]["interval"]])
    assert all(p.status == "present" for p in study.points)


def test_speed_is_ten_to_the_twelve_over_the_count_behind_figure_2(results):
    point = load_results("smoke", results).of("figure2", "speed")[0]
    run = json.loads((results / "smoke" / "runs" / f"{point.point.run_ids[0]}.json").read_text())
    macs = run["operation_counts"]["figure2"]
    assert point.value == pytest.approx(1e12 / macs) and point.point.measure.unit == "1/TFLOP"


def test_a_point_without_its_run_is_missing_and_not_zero(results):
    run_id = load_results("smoke", results).of("table1")[1].point.run_ids[0]
    (results / "smoke" / "runs" / f"{run_id}.json").unlink()
    point = load_results("smoke", results).of("table1")[1]
    assert point.value is None and point.status == "missing" and point.absent_ids == (run_id,)
    assert point.row()["value_percent"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda run: run["settings"].update(seed=1), "digest to"),
        (lambda run: run.update(id="0" * 12), "says id"),
        (lambda run: run["tasks"]["nq"].update(score=None), "nq.score: expected a fraction"),
        (lambda run: run["tasks"]["nq"].update(score=math.nan), "nq.score: expected a fraction"),
        (lambda run: run["tasks"]["nq"].update(score=62.5), "nq.score: expected a fraction"),
        (lambda run: run["tasks"]["nq"].update(score=0.0123), "per-example scores average"),
        (lambda run: run["tasks"]["nq"]["per_example"]["metric"].pop(), "per-example scores are kept"),
        (lambda run: run["tasks"].update(squad=run["tasks"]["nq"]), "unknown task 'squad'"),
        (lambda run: run["average"].update(score=0.0123), "the tasks average"),
        (lambda run: run["average"].update(n_tasks=5), "average.n_tasks"),
        (lambda run: run.pop("tasks"), "no task scores"),
    ],
)
def test_a_run_file_that_was_tampered_with_is_named_and_left_out(results, change, reason):
    path = sorted((results / "smoke" / "runs").glob("*.json"))[0]
    _edit(path, change)
    runs = load_runs(results / "smoke")
    assert path.stem not in runs
    assert [(refused.file, reason in refused.reason) for refused in runs.refused] == [(path.name, True)]
    assert any(point.value is None for point in load_results("smoke", results).points)


def test_a_file_copied_to_another_name_is_no_result(results):
    path = sorted((results / "smoke" / "runs").glob("*.json"))[0]
    path.rename(path.with_name("0123456789ab.json"))
    runs = load_runs(results / "smoke")
    assert "0123456789ab" not in runs and "0123456789ab" in runs.refused[0].reason


def test_a_truncated_run_file_is_refused(results):
    path = sorted((results / "smoke" / "runs").glob("*.json"))[0]
    path.write_text(path.read_text()[:100])
    assert "JSON" in load_runs(results / "smoke").refused[0].reason


def test_several_seeds_give_their_mean_and_an_interval_around_it(tmp_path):
    synthetic.write_study(tmp_path, "kilt", keep=lambda run: run.reader.name == "fid", n=20)
    study = load_results("kilt", tmp_path, "figure2")
    point = study.of("figure2", "performance")[0]
    scores = [100 * study.runs.by_id[run_id]["average"]["score"] for run_id in point.point.run_ids]
    assert len(scores) == 3 and point.seeds == (0, 1, 2)
    assert point.value == pytest.approx(sum(scores) / 3)
    assert point.low < point.value < point.high and "seeds" in point.interval_kind


def test_the_interval_over_replicates_is_students(tmp_path):
    synthetic.write_study(tmp_path, "kilt", keep=lambda run: run.reader.name == "fid", n=20)
    for path in (tmp_path / "kilt" / "runs").glob("*.json"):
        _edit(path, lambda run: run["settings"]["data"].update(seed=run["seed"]))
    runs = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "kilt" / "runs").glob("*.json")}
    study = StudyResults(
        study="kilt", artifacts=load_results("kilt", tmp_path, "figure2").artifacts, runs=Runs(by_id=runs)
    )
    point = study.of("figure2", "performance")[0]
    levels = [100 * runs[id]["average"]["score"] for id in point.point.run_ids]
    expected = stats.t.interval(0.95, 2, loc=np.mean(levels), scale=stats.sem(levels))
    assert study.replicated and (point.low, point.high) == pytest.approx(expected)
    assert "replicates" in point.interval_kind


def test_a_gain_is_the_difference_of_two_runs_with_a_paired_interval(tmp_path):
    synthetic.write_study(tmp_path, "kilt", keep=lambda run: run.seed == 0, n=20)
    study = load_results("kilt", tmp_path, "figure6")
    gain = study.of("figure6", "Multi-task gain")[0]
    several, single = (study.runs.by_id[gain.point.run_ids[i]]["tasks"]["nq"]["score"] for i in (0, 3))
    assert len(study.runs.by_id[gain.point.run_ids[3]]["tasks"]) == 1, "the fourth run is seed 0 of the NQ-only reader"
    assert gain.value == pytest.approx(100 * (several - single)) and gain.seeds == (0,)
    assert gain.low <= gain.value <= gain.high and "paired" in gain.interval_kind
    assert len(gain.absent_ids) == 4


RETRIEVERS = "order/answer_at_m/retriever"


def _other_score(results, change):
    """The retriever's answers among the kept, after `change` of what its run keeps of each example, by task."""
    id = load_results("smoke", results, "order").planned[RETRIEVERS].run_ids[0]
    _edit(results / "smoke" / "runs" / f"{id}.json", lambda run: change(run["tasks"]))
    study = load_results("smoke", results, "order")
    return next(point for point in study.points if point.id == RETRIEVERS), study.runs.by_id[id]["tasks"]


def test_a_score_beside_the_headline_is_averaged_over_the_tasks_that_have_it(results):
    point, tasks = _other_score(results, lambda tasks: tasks["fever"]["per_example"].pop("retriever_answer_at_m"))
    means = [sum(kept) / len(kept) for task in tasks.values()
             if (kept := task["per_example"].get("retriever_answer_at_m"))]  # fmt: skip
    assert point.value == pytest.approx(100 * sum(means) / 5) and point.n_tasks == len(means) == 5
    assert point.low < point.value < point.high
    assert load_results("smoke", results).of("figure2", "performance")[2].n_tasks == 6


def test_a_score_that_no_task_has_is_missing_and_not_zero(results):
    def forget(tasks):
        for task in tasks.values():
            del task["per_example"]["retriever_answer_at_m"]

    point, _ = _other_score(results, forget)
    assert (point.value, point.status, point.low) == (None, "missing", None)
    others = load_results("smoke", results, "order").points
    assert sum(other.value is None for other in others) == 1, "the run has its other scores"


def test_two_scores_of_one_run_are_two_numbers(results):
    def all_right(tasks):
        for task in tasks.values():
            task["per_example"]["retriever_answer_at_m"] = [1.0] * task["n"]
            task["per_example"]["answer_at_m"] = [0.0] * task["n"]

    point, _ = _other_score(results, all_right)
    values = {other.id: other.value for other in load_results("smoke", results, "order").points}
    assert point.value == 100.0 and values["order/answer_at_m/GLIMMER"] == 0.0


def test_the_papers_points_are_all_of_the_registry_with_the_values_of_the_file(results):
    with open(results / "paper" / "points.csv", newline="") as file:
        reported = {row["point"]: float(row["percent"] or row["samples_per_tflop"]) for row in csv.DictReader(file)}
    found = load_results("paper", results).points
    assert {point.id: point.value for point in found} == reported
    assert len(found) == len(experiments.load_registry().points()) == 73


def test_an_unknown_study_is_bad_input(results):
    with pytest.raises(InputError, match="no such study"):
        load_results("nonsense", results)


def test_anchors_are_unique_in_a_report(results):
    anchors = [p.anchor for p in (*load_results("smoke", results).points, *load_results("paper", results).points)]
    assert len(anchors) == len(set(anchors))


def test_two_points_of_one_run_are_measured_alike(results):
    study = load_results("smoke", results)
    one, other = study.of("table1")[0], study.of("table2")[0]
    assert one.point.run_ids == other.point.run_ids and (one.value, one.low) == (other.value, other.low)
