"""Gates: bounds hold at the bound, fail just outside, and what is missing is not measured and never a pass."""

import json
import math

import pytest

from analysis.gates import evaluated as gates_evaluated
from analysis.gates.evaluated import FAIL, LEFT_OUT, MEASURES, NOT_MEASURED, PASS, evaluate, judged_by
from analysis.gates.listed import Bounds, GateMeasure, load_gates
from analysis.gates.measured import Measured
from glimmer import experiments
from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.experiments.documents import validate
from tests.analysis import synthetic

STUDY = "kilt"
TASKS = experiments.load_study(STUDY).tasks


@pytest.mark.parametrize(
    "bounds, value, holds",
    [
        ({"at_least": 45, "at_most": 60}, 45, True),
        ({"at_least": 45, "at_most": 60}, 60, True),
        ({"at_least": 45, "at_most": 60}, 44.999, False),
        ({"at_least": 45, "at_most": 60}, 60.001, False),
        ({"above": 15}, 15, False),
        ({"above": 15}, math.nextafter(15, 16), True),
        ({"below": 0.5}, 0.5, False),
        ({"at_most": 3}, math.nan, False),
    ],
)
def test_bounds_hold_at_the_bound_and_not_beyond(bounds, value, holds):
    assert Bounds(by_name=bounds).hold(value) is holds


@pytest.mark.parametrize(
    "values, verdict",
    [
        ({}, NOT_MEASURED),
        ({"": None}, NOT_MEASURED),
        ({"": 2.0}, PASS),
        ({"": 2.1}, FAIL),
        ({"replicate-0": 1.0, "replicate-1": 2.1}, FAIL),
        ({"replicate-0": 1.0, "replicate-1": None}, NOT_MEASURED),
        ({"replicate-0": 2.1, "replicate-1": None}, FAIL),
    ],
)
def test_every_replicate_has_to_be_within_the_bounds(values, verdict):
    measure = GateMeasure(name="cut", k=None, text="", go=Bounds(by_name={"at_most": 2.0}))
    assert judged_by(measure, {of: Measured(value=value) for of, value in values.items()}) == verdict


def test_a_mean_over_a_part_is_not_measured():
    assert Measured.mean_of({"nq": 40.0, "trex": None}).value is None and Measured.mean_of({}).value is None
    assert Measured.mean_of({"nq": 40.0, "trex": 60.0}).value == 50


def test_the_gates_are_the_six_in_order_and_name_measures_that_exist():
    gates = load_gates()
    assert [gate.id for gate in gates] == ["P0", "P1", "P2", "P3", "P4", "P5"]
    assert {measure.name for gate in gates for measure in gate.measures} == MEASURES


@pytest.mark.parametrize("wrong", [{"go": {}}, {"go": {"about": 3}}, {"extra": 1}, {"k": 0}])
def test_a_gate_of_another_form_is_refused(wrong):
    row = {"measure": "cut", "is": "cut", "go": {"at_most": 2}} | wrong
    with pytest.raises(InputError):
        validate({"gates": [{"id": "P0", "about": "data", "measures": [row]}]}, "gates", "here")


# -- P0 ----------------------------------------------------------------------------------------------------------------


def split(found, whole=None, n=100):
    """A split of which `found` = {rank: questions} have their first evidence there, and `whole` all of it."""

    def ranks(by_rank):
        return {"counts": [by_rank.get(rank, 0) for rank in range(1, 21)], "none": n - sum(by_rank.values())}

    return {"trusted": {"n": n, "evidence_rank": ranks(found), "complete_rank": ranks(whole or found)}}


GOOD = {3: 45, 6: 15, 12: 20}
RETRIEVAL = {task: {"train": split(GOOD), "dev": split(GOOD)} for task in TASKS}
RETRIEVAL["hotpotqa"] = {part: split({1: 100}, {12: 50}) for part in ("train", "dev")}


@pytest.fixture
def p0(tmp_path):
    """The verdict and the rows of P0 where these are the study's retrieval.json and lengths.json."""

    def evaluated(retrieval=RETRIEVAL, lengths=None):
        for name, document in (("retrieval", retrieval), ("lengths", lengths or synthetic.lengths_file(TASKS))):
            synthetic.write_json(tmp_path / STUDY / f"{name}.json", document)
        gate = evaluate(load_gates(), STUDY, tmp_path)[0]
        return gate["verdict"], {(row["measure"], row["k"]): row for row in gate["measures"]}

    return evaluated


def test_data_at_every_bound_pass(p0):
    verdict, rows = p0()
    assert verdict == PASS
    assert {key: row["measured"][""] for key, row in rows.items()} == {
        ("evidence", 3): 45, ("evidence", 6): 60, ("evidence", 12): 80, ("evidence_gap", 3): 0, ("evidence_gap", 6): 0,
        ("evidence_gap", 12): 0, ("both_pages", 12): 50, ("cut", None): 0,
    }  # fmt: skip


def test_one_more_page_that_is_found_late_fails_the_two_page_gate_alone(p0):
    late = RETRIEVAL | {"hotpotqa": {part: split({1: 100}, {12: 49, 13: 1}) for part in ("train", "dev")}}
    verdict, rows = p0(late)
    assert verdict == FAIL and [key for key, row in rows.items() if row["verdict"] == FAIL] == [("both_pages", 12)]


def test_gaps_of_opposite_sign_do_not_cancel(p0):
    """Train minus dev +4 in one task and -4 in another are a distance of 4 in each, 8/5 in the mean of five."""
    moved = {task: dict(splits) for task, splits in RETRIEVAL.items()}
    moved["nq"]["train"], moved["trex"]["train"] = split(GOOD | {3: 49, 6: 11}), split(GOOD | {3: 41, 6: 19})
    _, rows = p0(moved)
    assert rows["evidence_gap", 3]["measured"][""] == pytest.approx(8 / 5)
    assert rows["evidence_gap", 3]["by_task"][""]["trex"] == pytest.approx(-4)
    assert rows["evidence_gap", 6]["measured"][""] == 0


@pytest.mark.parametrize("gone", [*TASKS])
def test_a_task_that_is_missing_is_no_pass(p0, gone):
    verdict, _ = p0({task: splits for task, splits in RETRIEVAL.items() if task != gone})
    assert verdict == NOT_MEASURED


def test_retrieval_of_before_whole_evidence_was_ranked_is_not_measured(p0):
    old = json.loads(json.dumps(RETRIEVAL))
    for splits in old.values():
        for part in splits.values():
            del part["trusted"]["complete_rank"]
    verdict, rows = p0(old)
    assert verdict == rows["both_pages", 12]["verdict"] == NOT_MEASURED and rows["evidence", 3]["verdict"] == PASS


def test_anything_cut_above_the_bound_fails(p0):
    lengths = synthetic.lengths_file(TASKS)
    lengths["tasks"][TASKS[-1]]["dev"]["answers"] = {"n": 100, "cut": 3, "share_cut": 0.03}
    verdict, rows = p0(lengths=lengths)
    assert verdict == FAIL and rows["cut", None]["measured"][""] == pytest.approx(3)


# -- the command, and what run files say -------------------------------------------------------------------------------


def test_without_results_nothing_is_measured_and_nothing_fails(tmp_path, capsys):
    assert main(["gates", "--study", STUDY, "--results", str(tmp_path), "--json"]) == 0
    gates = json.loads(capsys.readouterr().out)
    assert {row["verdict"] for gate in gates for row in [gate, *gate["measures"]]} == {NOT_MEASURED}


def test_a_gate_that_fails_is_exit_1_and_told(p0, tmp_path, capsys):
    p0(RETRIEVAL | {"hotpotqa": {part: split({1: 100}, {13: 50}) for part in ("train", "dev")}})
    assert main(["gates", "--study", STUDY, "--results", str(tmp_path)]) == 1
    assert "P0 fail, P1 not measured" in capsys.readouterr().out


def measures_of(results, gate):
    (found,) = [each for each in evaluate(load_gates(), STUDY, results) if each["id"] == gate]
    return {row["measure"]: (row["measured"].get(""), row["verdict"]) for row in found["measures"]}


@pytest.mark.parametrize("both", [True, False])
def test_learning_is_trained_minus_untrained_and_the_last_third_of_the_curve(tmp_path, both):
    study = experiments.load_study(STUDY)
    for run in experiments.runs_for(study).values():
        if any(point.startswith(("figure2/performance/FiD", "baselines/")) for point in run.points):
            file = synthetic.run_file(run, STUDY, study.tasks)
            score = 0.5 if run.reader.trained else 0.29
            file["average"] |= {"score": score, "interval": [0.0, 1.0]}
            for task in file["tasks"].values():
                task |= {"score": score, "interval": [0.0, 1.0]}
                n = len(task["per_example"]["metric"])
                task["per_example"]["metric"] = [score] * n
            curve = [{"step": 100 * n, "dev_average": 0.3 + 0.02 * n} for n in range(1, 7)]
            curve[-1] |= {"train_loss": 1.0, "dev_loss": 1.4} if both else {"train_loss": 1.0}
            file["learning_curve"] = curve if run.reader.trained else []
            synthetic.write_json(tmp_path / STUDY / "runs" / f"{run.id}.json", file)
    rows = measures_of(tmp_path, "P2")
    assert rows["gain"] == (pytest.approx(21), PASS)
    assert rows["last_third"] == (pytest.approx(4), FAIL), "steps 401 to 600 of 600: from 0.38 to 0.42"
    assert rows["dev_minus_train_loss"] == ((pytest.approx(0.4), FAIL) if both else (None, NOT_MEASURED))


def test_a_curve_that_tells_tasks_apart_tells_the_gap_and_the_last_third_of_each(tmp_path):
    study = experiments.load_study(STUDY)
    for run in experiments.runs_for(study).values():
        if "figure2/performance/FiD" in run.points:
            file = synthetic.run_file(run, STUDY, study.tasks)
            file["learning_curve"] = [
                {"step": n, "dev_average": 0.5, "dev_loss": 1.0, "train_loss": 1.0}
                | {"tasks": {task: {"dev_score": 0.1 * n * (task == "nq"), "dev_loss": 1.5, "train_loss": 1.0 + at}
                             for at, task in enumerate(study.tasks)}}
                for n in range(1, 7)
            ]  # fmt: skip
            synthetic.write_json(tmp_path / STUDY / "runs" / f"{run.id}.json", file)
    rows = {row["measure"]: row for gate in evaluate(load_gates(), STUDY, tmp_path) for row in gate["measures"]}
    gaps = rows["dev_minus_train_loss"]["by_task"][""]
    assert gaps == {task: pytest.approx(0.5 - at) for at, task in enumerate(study.tasks)}
    added = rows["last_third"]["by_task"][""]
    assert added == {task: pytest.approx(20 if task == "nq" else 0) for task in study.tasks}


def test_what_is_in_view_is_judged_question_by_question(tmp_path):
    study = experiments.load_study(STUDY)
    for run in experiments.runs_for(study).values():
        if "figure2/performance/FiD" in run.points:
            file = synthetic.run_file(run, STUDY, study.tasks)
            for of in file["tasks"].values():  # all of a fifth in view, half of the others: guesses
                n = len(of["per_example"]["metric"])
                seen = [float(place < n // 5) for place in range(n)]
                right = [1.0 if there else float(place % 2) for place, there in enumerate(seen)]
                of |= {"score": sum(right) / n, "interval": [0.0, 1.0]}
                of["per_example"] |= {"metric": right, "in_view": seen}
            scores = [of["score"] for of in file["tasks"].values()]
            file["average"]["score"] = sum(scores) / len(scores)
            synthetic.write_json(tmp_path / STUDY / "runs" / f"{run.id}.json", file)
    rows = measures_of(tmp_path, "P2")
    assert [rows[f"in_view_{name}"] for name in ("one_page", "fever", "two_pages")] == [(pytest.approx(100), PASS)] * 3


@pytest.mark.parametrize("left_out", [(), ("zsre",), ("fever", "hotpotqa")])
def test_a_task_that_is_left_out_of_the_mean_is_shown_and_not_judged(tmp_path, monkeypatch, left_out):
    study = experiments.load_study(STUDY, {"evaluation.not_in_mean": list(left_out)})
    monkeypatch.setattr(gates_evaluated, "load_study", lambda name: study)
    usual = experiments.load_study(STUDY)
    for run in experiments.runs_for(usual).values():
        if "figure2/performance/FiD" in run.points:
            file = synthetic.run_file(run, STUDY, usual.tasks)
            for task, of in file["tasks"].items():
                n, score = len(of["per_example"]["metric"]), 0.1 if task in ("zsre", "fever", "hotpotqa") else 0.9
                of |= {"score": score, "interval": [0.0, 1.0]}
                of["per_example"] |= {"metric": [score] * n, "in_view": [float(place % 2) for place in range(n)]}
            file["average"]["score"] = sum(of["score"] for of in file["tasks"].values()) / len(file["tasks"])
            synthetic.write_json(tmp_path / STUDY / "runs" / f"{run.id}.json", file)
    (gate,) = [each for each in evaluate(load_gates(), STUDY, tmp_path) if each["id"] == "P2"]
    rows = {row["measure"]: row for row in gate["measures"]}
    assert rows["in_view_one_page"]["verdict"] == (PASS if "zsre" in left_out else FAIL)
    assert "zsre" in rows["in_view_one_page"]["by_task"][""]
    for task, name in (("fever", "in_view_fever"), ("hotpotqa", "in_view_two_pages")):
        assert rows[name]["verdict"] == (LEFT_OUT if task in left_out else FAIL) and rows[name]["measured"][""] < 40


def test_ranking_is_the_distillation_loss_against_that_of_equal_scores(tmp_path):
    study = experiments.load_study(STUDY)
    for run in experiments.runs_for(study).values():
        if any(point == "figure2/performance/GLIMMER" for point in run.points):
            file = synthetic.run_file(run, STUDY, study.tasks)
            file["learning_curve"] = [{"step": 9, "distill_loss": 0.6, "distill_uniform": 1.0}]
            synthetic.write_json(tmp_path / STUDY / "runs" / f"{run.id}.json", file)
    rows = measures_of(tmp_path, "P3")
    assert rows["distillation"] == (pytest.approx(60), PASS)
    assert rows["ranking_entropy"] == rows["arms_differ"] == (None, NOT_MEASURED)


@pytest.mark.parametrize("second, verdict", [(0.7, FAIL), (0.5, PASS), (None, NOT_MEASURED)])
def test_ranking_is_learnt_in_every_replicate_or_the_gate_is_shut(tmp_path, second, verdict):
    study = experiments.load_study("pilot")
    shares = dict(zip(study.seeds, (0.2, second), strict=True))
    for run in experiments.runs_for(study).values():
        # Whether worlds differ is seen of runs of one model: FiD's are there in any case.
        if "figure2/performance/FiD" in run.points:
            synthetic.write_json(tmp_path / "pilot" / "runs" / f"{run.id}.json",
                                 synthetic.run_file(run, "pilot", study.tasks))  # fmt: skip
        if "figure2/performance/GLIMMER" in run.points and shares[run.seed] is not None:
            file = synthetic.run_file(run, "pilot", study.tasks)
            file["learning_curve"] = [{"step": 9, "distill_loss": shares[run.seed], "distill_uniform": 1.0}]
            synthetic.write_json(tmp_path / "pilot" / "runs" / f"{run.id}.json", file)
    rows = {row["measure"]: row for gate in evaluate(load_gates(), "pilot", tmp_path) for row in gate["measures"]}
    measured = {f"replicate-{seed}": share and pytest.approx(100 * share) for seed, share in shares.items()}
    assert rows["distillation"]["measured"] == measured and rows["distillation"]["verdict"] == verdict
    assert rows["ranking_entropy"]["verdict"] == NOT_MEASURED, "no curve has it"


def test_an_examination_says_what_the_checkpoint_reads(tmp_path):
    rows = [{"alpha": alpha, "passages": k, "task": task, "examples": 9, "exact_match": score}
            for alpha, by_task in (("1", {"text_cloze": 0.6, "nq": 0.2, "trex": 0.4, "fever": 0.5}),
                                   ("1/8", {"text_cloze": 0.1}))
            for task, score in by_task.items() for k in (5,)]  # fmt: skip
    synthetic.write_json(tmp_path / STUDY / "reading.json", {"exact_match": rows})
    found = measures_of(tmp_path, "P1")
    assert found["clozes_in_view"] == (pytest.approx(60), PASS)
    assert found["own_questions_in_view"] == (pytest.approx(30), PASS)
    assert found["closed_book"] == (None, NOT_MEASURED)
