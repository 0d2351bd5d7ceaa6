"""Scores of directories: each task as its file alone is scored, and no task vanishes from a mean."""

import csv
import json

import numpy as np
import pytest

from glimmer.cli import main
from glimmer.evaluation.kilt_scores import score_files
from glimmer.evaluation.kilt_scores.all_tasks import percent_rows, score_directories
from glimmer.files import write_json_lines
from glimmer.kilt.formats import HEADLINE, TASKS

NAMES = {"zsre": "structured_zeroshot-dev-kilt.jsonl", "triviaqa": "triviaqa-dev_id-kilt.jsonl"}


def write(folder, kind, task, right, name=None, provenance=True):
    """Gold: n questions, each with a page. Guess: those in `right` answered, of which every second finds its page."""
    rows = []
    for i, is_right in enumerate(right):
        evidence = [{"wikipedia_id": str(i)}]
        answer, pages = f"answer {i}", evidence
        if kind == "guess":
            answer, pages = (answer if is_right else "none"), evidence if i % 2 else [{"wikipedia_id": "x"}]
        output = {"answer": answer} | ({"provenance": pages} if provenance else {})
        rows.append({"id": f"{task}{i}", "input": "?", "output": [output]})
    write_json_lines(folder / (name or NAMES.get(task, f"{task}-dev-kilt.jsonl")), rows)


@pytest.fixture
def two(tmp_path):
    rng = np.random.default_rng(0)
    for place, task in enumerate(TASKS):
        right = rng.random(30 + place) < 0.5
        for kind in ("gold", "guess"):
            write(tmp_path / kind, kind, task, right)
    return tmp_path / "gold", tmp_path / "guess"


def test_each_task_is_scored_as_its_two_files_alone_and_the_mean_is_theirs(two):
    scores = score_directories(*two)
    assert [task.task for task in scores.tasks] == list(TASKS)
    alone = []
    for task in TASKS:
        name = NAMES.get(task, f"{task}-dev-kilt.jsonl")
        alone.append(score_files(two[0] / name, two[1] / name, programs=["downstream"]))
    rows = {row["task"]: row for row in percent_rows(scores, 200)}
    for task, whole in zip(TASKS, alone, strict=True):
        metric = HEADLINE[task]
        assert rows[task]["score_percent"] == pytest.approx(100 * whole.downstream[metric])
        assert rows[task]["kilt_percent"] == pytest.approx(100 * whole.kilt[f"KILT-{metric}"])
        assert rows[task]["rprec_percent"] == pytest.approx(100 * whole.retrieval["Rprec"])
    mean = rows["mean of 6"]
    expected = 100 * np.mean([whole.downstream[HEADLINE[task]] for task, whole in zip(TASKS, alone, strict=True)])
    assert mean["score_percent"] == pytest.approx(expected)
    assert mean["score_low"] < expected < mean["score_high"]
    assert mean["n"] == sum(whole.n for whole in alone)


def test_one_task_has_the_interval_of_its_mean_and_every_answer_right_has_none_to_either_side(tmp_path):
    for kind in ("gold", "guess"):
        write(tmp_path / kind, kind, "nq", [True] * 20)
    row, mean = percent_rows(score_directories(tmp_path / "gold", tmp_path / "guess", tasks=["nq"]), 200)
    assert [row[f"score_{end}"] for end in ("percent", "low", "high")] == [100.0] * 3
    assert {key: row[key] for key in row if key not in ("task", "metric")} == {key: mean[key] for key in row if
            key not in ("task", "metric")}  # fmt: skip


@pytest.mark.parametrize("side", [0, 1])
def test_a_missing_task_is_named_and_there_is_no_mean_until_the_tasks_are_named(two, side, capsys):
    (two[side] / "fever-dev-kilt.jsonl").unlink()
    words = ["score", *map(str, two)]
    assert main([*words, "--json"]) == 1
    printed = capsys.readouterr()
    rows = {row["task"]: row for row in json.loads(printed.out)}
    what = f"no {('gold', 'guess')[side]} file"
    assert rows["fever"]["missing"] == what and rows["mean of 6"]["missing"] == f"fever: {what}"
    assert rows["fever"]["score_percent"] is None and rows["mean of 6"]["score_percent"] is None
    assert f"fever: {what}" in printed.err
    others = printed.err.rpartition("--tasks ")[2].strip()
    assert main([*words, "--tasks", others, "--format", "csv"]) == 0
    last = list(csv.DictReader(capsys.readouterr().out.splitlines()))[-1]
    assert last["task"] == "mean of 5" and float(last["score_percent"]) > 0


def test_guesses_without_provenance_have_no_kilt_score_rather_than_one_of_zero(two):
    right = [True] * 30
    write(two[1], "guess", "nq", right, provenance=False)
    rows = {row["task"]: row for row in percent_rows(score_directories(*two), 200)}
    assert rows["nq"]["score_percent"] == 100 and rows["nq"]["kilt_percent"] is None
    assert rows["mean of 6"]["score_percent"] is not None and rows["mean of 6"]["rprec_percent"] is None


def test_what_an_evaluation_leaves_can_be_scored(two):
    name = "nq-dev-kilt.jsonl"
    before = percent_rows(score_directories(*two, tasks=["nq"]), 200)
    for folder in two:
        (folder / name).rename(folder / "nq.jsonl")
    assert percent_rows(score_directories(*two, tasks=["nq"]), 200) == before


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--tasks", "nq,nr"], "nr"), (["--split", "../dev"], "../dev"), (["--only", "ranking"], "--only")],
)
def test_wrong_usage_is_one_line(two, options, named, capsys):
    assert main(["score", *map(str, two), *options]) == 2
    error = capsys.readouterr().err
    assert named in error and len(error.splitlines()) == 1


def test_a_wrong_line_is_named_with_its_file(two, capsys):
    path = two[1] / "nq-dev-kilt.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], '{"id": 1, "output"', *lines[4:]]) + "\n")
    assert main(["score", *map(str, two)]) == 2
    assert f"{path}:4" in capsys.readouterr().err


def test_a_file_beside_a_directory_and_directories_of_nothing_are_one_line(two, tmp_path, capsys):
    assert main(["score", str(two[0] / "nq-dev-kilt.jsonl"), str(two[1])]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["score", str(two[0]), str(tmp_path / "empty")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
