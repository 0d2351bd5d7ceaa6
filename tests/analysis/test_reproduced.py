"""Comparing runs made here with cached ones."""

import json

import pytest

from analysis import reproduced
from analysis.reproduced import AGREES, DIFFERS, IDENTICAL, OTHER_DRAW, agreement, parting
from glimmer import experiments
from glimmer.cli import main
from tests.analysis import synthetic


def average(score, low, high):
    return {"score": score, "interval": [low, high]}


@pytest.mark.parametrize(
    "first, second, expected",
    [
        (average(0.5, 0.4, 0.6), average(0.5, 0.1, 0.2), AGREES),
        (average(0.5, 0.4, 0.6), average(0.55, 0.45, 0.65), AGREES),
        (average(0.5, 0.4, 0.6), average(0.55, 0.52, 0.65), DIFFERS),
        (average(0.7, 0.6, 0.8), average(0.55, 0.45, 0.65), DIFFERS),
        ({"score": 0.5}, average(0.51, 0.4, 0.6), DIFFERS),
    ],
)
def test_a_difference_counts_in_both_directions(first, second, expected):
    assert agreement(first, second) == agreement(second, first) == expected


def test_runs_part_at_the_first_stage_whose_files_differ():
    one = {
        "data": {"a": "1"},
        "tokenizer": "2",
        "tokens": "3",
        "initial_checkpoint": "4",
        "retrieved": {},
        "kept_rows": {},
    }
    assert parting(one, one) == "fine-tuning"
    assert parting(one, one | {"retrieved": {"b": "5"}, "initial_checkpoint": "6"}) == "initial checkpoint"
    assert parting(one, one | {"data": {"a": "2"}, "kept_rows": {"c": "7"}}) == "data"


@pytest.fixture
def two(tmp_path):
    for name in ("made", "cached"):
        synthetic.write_study(tmp_path / name, "smoke", n=40)
    return tmp_path / "made" / "smoke", tmp_path / "cached" / "smoke"


def test_equal_runs_are_identical_and_the_check_passes(two, capsys):
    assert main(["reproduced", *map(str, two)]) == 0
    assert capsys.readouterr().out.count(IDENTICAL) == len(list((two[1] / "runs").glob("*.json")))


def test_runs_that_only_one_side_has_are_not_compared(two):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    path.unlink()
    rows = reproduced.compare(*reproduced.load_both(*two))
    assert path.stem not in {row["run"] for row in rows}
    assert len(rows) == len(list((two[0] / "runs").glob("*.json")))


def test_a_run_that_scores_nothing_now_fails_the_check(two):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    rescore(path, [0.0])
    verdicts = {row["run"]: row["verdict"] for row in reproduced.compare(*reproduced.load_both(*two))}
    assert verdicts[path.stem] == DIFFERS
    assert {row["parts_at"] for row in reproduced.compare(*reproduced.load_both(*two))} == {"", "fine-tuning"}
    assert main(["reproduced", *map(str, two)]) == 1


def rescore(path, pattern, **digests):
    """Gives every task of a run file these scores, in turn; and the run other digests."""
    run = json.loads(path.read_text())
    for task in run["tasks"].values():
        scores = (pattern * task["n"])[: task["n"]]
        mean = sum(scores) / task["n"]
        task["per_example"]["metric"], task["interval"] = scores, [mean, mean]
        task["downstream"][task["metric"]] = task["score"] = mean
    run["average"] |= {"score": mean, "interval": [mean, mean]}
    run["digests"] |= digests
    path.write_text(json.dumps(run))


@pytest.fixture
def ranked(two):
    """Two runs on either side, the second right in nine of ten examples, the first in six; (made, cached) files."""
    for directory in two:
        for path in sorted((directory / "runs").glob("*.json"))[2:]:
            path.unlink()
    files = [sorted((directory / "runs").glob("*.json")) for directory in two]
    for worse, better in files:
        rescore(worse, [1.0] * 6 + [0.0] * 4, initial_checkpoint="of here")
        rescore(better, [1.0] * 9 + [0.0], initial_checkpoint="of here")
    return files


@pytest.mark.parametrize(
    ("worse", "better", "stage", "verdict", "failed"),
    [
        (3, 7, "initial_checkpoint", OTHER_DRAW, 0),
        (3, 7, "retrieved", OTHER_DRAW, 0),
        (3, 3, "initial_checkpoint", OTHER_DRAW, 1),
        (7, 3, "initial_checkpoint", OTHER_DRAW, 1),
        (0, 8, "initial_checkpoint", OTHER_DRAW, 1),
        (3, 7, "tokenizer", DIFFERS, 1),
        (3, 7, "code", DIFFERS, 1),
    ],
)
def test_another_draw_is_held_to_the_differences_between_readers(two, ranked, worse, better, stage, verdict, failed):
    for path, right in zip(ranked[0], (worse, better), strict=True):
        rescore(path, [1.0] * right + [0.0] * (10 - right), **{stage: "of elsewhere"})
    assert {row["verdict"] for row in reproduced.compare(*reproduced.load_both(*two))} == {verdict}
    assert main(["reproduced", *map(str, two)]) == failed


def test_a_level_that_agrees_by_chance_is_still_compared_as_a_difference(two, ranked):
    rescore(ranked[0][0], [1.0] * 6 + [0.0] * 4, initial_checkpoint="of elsewhere")
    rescore(ranked[0][1], [1.0] * 8 + [0.0] * 2, initial_checkpoint="of elsewhere")
    verdicts = [row["verdict"] for row in reproduced.compare(*reproduced.load_both(*two))]
    assert sorted(verdicts) == [IDENTICAL, OTHER_DRAW]
    assert main(["reproduced", *map(str, two)]) == 0


def test_another_draw_without_a_difference_to_compare_confirms_nothing(two, ranked, capsys):
    for path in (ranked[0][0], ranked[1][0]):
        path.unlink()
    rescore(ranked[0][1], [1.0, 0.0], initial_checkpoint="of elsewhere")
    assert main(["reproduced", *map(str, two)]) == 1
    assert "differences between readers are" in capsys.readouterr().out


def swap(path, task):
    """Exchanges the scores of two questions of a task, one right and one wrong: no mean changes."""
    run = json.loads(path.read_text())
    scores = run["tasks"][task]["per_example"]["metric"]
    right, wrong = scores.index(1.0), scores.index(0.0)
    scores[right], scores[wrong] = scores[wrong], scores[right]
    path.write_text(json.dumps(run))


def test_a_few_answers_swapped_between_questions_are_an_error_though_no_level_moves(two):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    swap(path, "nq")
    rows = {row["run"]: row for row in reproduced.compare(*reproduced.load_both(*two))}
    row = rows.pop(path.stem)
    assert row["here"] == row["cached"] and row["answers_apart"] == 2 and row["verdict"] == DIFFERS
    assert {other["verdict"] for other in rows.values()} == {IDENTICAL}
    assert main(["reproduced", *map(str, two)]) == 1


def test_other_answers_from_a_checkpoint_of_elsewhere_may_be_another_processor(two):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    for directory in two:
        run = json.loads((directory / "runs" / path.name).read_text())
        run["settings"]["initial"] = {"kind": "checkpoint", "release": "a published one"}
        renamed = directory / "runs" / f"{experiments.run_id(run['settings'])}.json"
        renamed.write_text(json.dumps(run | {"id": renamed.stem}))
        (directory / "runs" / path.name).unlink()
    swap(two[0] / "runs" / renamed.name, "nq")
    rows = {row["run"]: row for row in reproduced.compare(*reproduced.load_both(*two))}
    assert rows[renamed.stem]["verdict"] == AGREES and rows[renamed.stem]["answers_apart"] == 2


def test_nothing_to_compare_is_bad_input(two, tmp_path, capsys):
    (tmp_path / "empty" / "runs").mkdir(parents=True)
    assert main(["reproduced", str(tmp_path / "empty"), str(two[1])]) == 2
    assert "no run in common" in capsys.readouterr().err


def test_a_file_that_cannot_be_trusted_is_no_agreement(two, capsys):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    path.write_text(path.read_text().replace('"score": 0.', '"score": 7.', 1))
    assert main(["reproduced", *map(str, two)]) == 2
    assert path.name in capsys.readouterr().err


def test_a_directory_does_not_confirm_itself(two):
    assert main(["reproduced", str(two[1]), str(two[1] / ".." / "smoke")]) == 2
