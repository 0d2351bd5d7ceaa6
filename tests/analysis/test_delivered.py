"""The rules by which a claim is not tested: each hits where the treatment is missing, and nowhere else."""

import copy
import dataclasses
import json

import pytest

from analysis.claims import Ledger, load_claims
from glimmer import experiments
from glimmer.experiments import ReaderSettings
from glimmer.results import Runs, load_results
from tests.analysis import synthetic

N = 200


@pytest.fixture
def study(tmp_path):
    """Writes runs of `kilt`: `answers(run)` are the numbers of the questions that it gets right, of 200 a task."""

    def write(answers, artifacts=("figure2", "figure7", "table2", "table3", "baselines"), curve=None):
        loaded = experiments.load_study("kilt")
        for run in experiments.runs_for(loaded).values():
            if not any(point.startswith(artifacts) for point in run.points):
                continue
            file, right = synthetic.run_file(run, "kilt", loaded.tasks, n=N), set(answers(run))
            metric = [float(number in right) for number in range(N)]
            for task in file["tasks"].values():
                task |= {"score": len(right) / N, "interval": [0.0, 1.0], "per_example": {"metric": metric}}
            file["average"] |= {"score": len(right) / N, "interval": [0.0, 1.0]}
            if curve is not None:
                file["learning_curve"] = [curve(run)]
            synthetic.write_json(tmp_path / "kilt" / "runs" / f"{run.id}.json", file)
        ledger = Ledger(claims=load_claims(), results=load_results("kilt", tmp_path), reported={})
        return {row["id"]: row for row in ledger.rows()}

    return write


def taught(run):
    return range(120) if run.reader.trained else range(20)


def test_a_reader_that_training_taught_nothing_tests_nothing(study):
    rows = study(lambda run: range(80 + 40 * (run.reader.name == "glimmer")))  # untrained alike
    assert rows["glimmer-above-lumen"]["verdict"] == "not tested"
    (reason,) = rows["glimmer-above-lumen"]["reasons"]
    assert reason.startswith("not above its untrained self: ") and "GLIMMER" in reason and "LUMEN" in reason


def test_what_rests_on_passages_alone_needs_no_training(study):
    rows = study(lambda run: range(80 + 40 * (run.reader.name == "lumen")))
    assert rows["lumen-above-fid"]["rests_on"] == "by k alone" and rows["lumen-above-fid"]["verdict"] == "supported"


def test_readers_above_their_untrained_selves_are_a_test(study):
    rows = study(lambda run: [*taught(run)][: 80 + 40 * (run.reader.name == "glimmer")])
    assert rows["glimmer-above-lumen"]["verdict"] == "supported" and not rows["glimmer-above-lumen"]["reasons"]


def arms(changed_by_arm, changed_by_seed):
    """Ten questions of a frozen memory's own, and others that each seed has of its own."""

    def answers(run):
        own = range(120, 120 + changed_by_arm) if run.reader.memory == "frozen" else ()
        moved = range(140 + 20 * run.seed, 140 + 20 * run.seed + changed_by_seed)
        return [*taught(run), *(own if run.reader.trained else ()), *(moved if run.reader.trained else ())]

    return answers


@pytest.mark.parametrize(("by_arm", "by_seed", "tested"), [(12, 2, True), (2, 6, False), (0, 0, False), (6, 0, True)])
def test_arms_that_answer_alike_as_seeds_do_test_nothing(study, by_arm, by_seed, tested):
    row = study(arms(by_arm, by_seed))["training-memory-matters"]
    assert (row["verdict"] != "not tested") == tested
    if not tested:
        assert "answer" in row["reasons"][0] and not row["excludes_paper_effect"]


def test_answers_tell_arms_apart_that_score_alike(tmp_path, study):
    study(arms(0, 0))
    for path in (tmp_path / "kilt" / "runs").glob("*.json"):
        run = json.loads(path.read_text())
        mark = run["settings"]["reader"].get("memory", "trained")  # another wrong answer is another answer
        for task in run["tasks"].values():
            task["per_example"]["answers"] = [f"{mark}{number % 3}" for number in range(N)]
        path.write_text(json.dumps(run))
    ledger = Ledger(claims=load_claims(), results=load_results("kilt", tmp_path), reported={})
    rows = {row["id"]: row for row in ledger.rows()}
    assert rows["training-memory-matters"]["verdict"] == "undecided"


@pytest.mark.parametrize(("by_arm", "by_draw", "tested"), [(12, 2, True), (2, 6, False), (0, 0, False)])
def test_a_twin_says_what_another_draw_changes_where_seeds_are_one(tmp_path, study, by_arm, by_draw, tested):
    study(arms(by_arm, 0))
    results = load_results("kilt", tmp_path)
    first = {id: run for id, run in results.runs.by_id.items() if run["seed"] == 0}
    (id,) = set(first) & set(results.planned["table2/GLIMMER"].run_ids)
    twin = copy.deepcopy(first[id])
    twin["settings"]["reader"]["draw"] = 1
    for task in twin["tasks"].values():
        task["per_example"]["metric"][140 : 140 + by_draw] = [1.0] * by_draw
    ledger = Ledger(
        claims=load_claims(),
        results=dataclasses.replace(results, runs=Runs(by_id=first | {"a twin": twin})),
        reported={},
    )
    row = {row["id"]: row for row in ledger.rows()}["training-memory-matters"]
    assert (row["verdict"] != "not tested") == tested


def curve(loss, uniform):
    return lambda run: {"step": 1, "loss": 1.0, "lm_loss": 1.0, "distill_loss": loss, "distill_uniform": uniform}


def by_tau(run):
    return [*taught(run)][: 100 + 10 * (run.reader.tau == 0.1) - 10 * (run.reader.lambda_ != 1)]


def test_a_distillation_that_lowered_nothing_tests_nothing_about_distillation(study):
    rows = study(by_tau, curve=curve(3.4, 3.4))
    for id in ("lower-temperature-helps", "lambda-best-at-one"):
        assert rows[id]["verdict"] == "not tested" and "distillation" in rows[id]["reasons"][0]
    assert rows["training-memory-matters"]["reasons"] != rows["lambda-best-at-one"]["reasons"]


def test_a_distillation_that_lowered_its_loss_does(study):
    rows = study(by_tau, curve=curve(1.1, 3.4))
    assert rows["lower-temperature-helps"]["verdict"] == "in the paper's direction"


def with_order(tmp_path, r_precision):
    """The ledger of the runs that lie there, once they have `r_precision(reader)`; the retriever's is a half."""
    for path in (tmp_path / "kilt" / "runs").glob("*.json"):
        run = json.loads(path.read_text())
        reader = ReaderSettings.from_json(run["settings"]["reader"])
        for task in run["tasks"].values():
            task["per_example"] |= {"rprec": [r_precision(reader)] * N, "retriever_rprec": [0.5] * N}
        path.write_text(json.dumps(run))
    ledger = Ledger(claims=load_claims(), results=load_results("kilt", tmp_path), reported={})
    return {row["id"]: row for row in ledger.rows()}


@pytest.mark.parametrize(("own", "verdict"), [(0.4, "not tested"), (0.5, "not tested"), (0.6, "supported")])
def test_a_reader_that_selects_passages_has_to_rank_better_than_the_retriever(tmp_path, study, own, verdict):
    study(lambda run: [*taught(run)][: 80 + 40 * (run.reader.name == "glimmer")])
    rows = with_order(tmp_path, lambda reader: own if reader.name == "glimmer" else 0.5)
    assert rows["glimmer-above-lumen"]["verdict"] == verdict
    if verdict == "not tested":
        (reason,) = rows["glimmer-above-lumen"]["reasons"]
        assert reason.startswith("ranks no better than the retriever") and "LUMEN" not in reason
    of_others = rows["memory-alone-loses-quality"]["reasons"]  # none of its readers selects
    assert not any("ranks" in reason for reason in of_others)


def test_one_arm_that_ranks_is_a_test_of_what_ranking_hangs_on(tmp_path, study):
    study(arms(12, 2))
    rows = with_order(tmp_path, lambda reader: 0.4 if reader.memory == "frozen" else 0.6)
    assert rows["training-memory-matters"]["verdict"] != "not tested"


def test_one_seed_leaves_the_second_rule_silent(tmp_path, study):
    study(arms(0, 0))
    for path in (tmp_path / "kilt" / "runs").glob("*.json"):
        if json.loads(path.read_text())["seed"] != 0:
            path.unlink()
    ledger = Ledger(claims=load_claims(), results=load_results("kilt", tmp_path), reported={})
    assert {row["id"]: row for row in ledger.rows()}["training-memory-matters"]["verdict"] == "undecided"
