"""Answers that no reader gave: the most frequent of training, by KILT's own scores."""

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest

from glimmer.cli import main
from glimmer.evaluation.kilt_scores import score_files
from glimmer.evaluation.priors import relation_of, task_priors
from glimmer.experiments import load_study
from glimmer.files import write_json_lines
from glimmer.kilt.formats import HEADLINE
from glimmer.runs.slices import dev_slices

EVIDENCE = [{"provenance": [{"wikipedia_id": "1"}]}]


def line(number, question, *answers):
    return {"id": str(number), "input": question, "output": [{"answer": a} for a in answers] + EVIDENCE}


@pytest.fixture
def files(tmp_path):
    """Writes train and dev of a task, (question, *answers) a line."""

    def write(train, dev):
        for name, rows in (("train", train), ("dev", dev)):
            write_json_lines(tmp_path / f"{name}.jsonl", [line(i, *row) for i, row in enumerate(rows)])
        return tmp_path / "train.jsonl", tmp_path / "dev.jsonl"

    return write


TRAIN = [("q", "Paris"), ("q", "Rome", "Roma"), ("q", "Rome"), ("q", "The Nile"), ("q", "Paris", "Lutetia", "paris")]
DEV = [("q", "rome"), ("q", "Nile"), ("q", "Oslo"), ("q", "Paris", "Lutetia"), ("q", "Roma", "a paris")]


def test_the_majority_answer_is_that_of_most_questions_and_of_equals_the_first_by_letters(files):
    found = task_priors("nq", *files(TRAIN, DEV), range(5))
    assert found["majority_answer"] == "Paris", "as many questions as Rome accept it"
    assert (found["n"], found["metric"], found["relation"]) == (5, "em", None)
    assert found["majority"] == pytest.approx(2 / 5), "in any case, without articles"
    assert found["seen_in_train"] == pytest.approx(4 / 5), "all but Oslo; articles and case do not count"


def test_one_question_that_gives_an_answer_twice_counts_once(files):
    train = [("q", "Rome", "Rome", "Rome"), ("q", "Zagreb"), ("q", "Zagreb")]
    assert task_priors("nq", *files(train, DEV), [0])["majority_answer"] == "Zagreb"


def test_the_order_of_files_changes_nothing(files):
    found = task_priors("trex", *files(*RELATIONS), range(4))
    for seed in range(5):
        train, dev = (random.Random(seed).sample(rows, len(rows)) for rows in RELATIONS)
        assert task_priors("trex", *files(train, dev), range(4)) == found


@pytest.mark.parametrize("task", ["nq", "fever", "trex"])
def test_the_score_is_that_of_a_guess_file_with_the_one_answer(files, tmp_path, task):
    train, dev = files(TRAIN, DEV)
    found = task_priors(task, train, dev, range(5))
    guesses = [{"id": str(i), "output": [{"answer": "Paris", "provenance": []}]} for i in range(5)]
    write_json_lines(tmp_path / "guesses.jsonl", guesses)
    assert found["majority"] == pytest.approx(score_files(dev, tmp_path / "guesses.jsonl").downstream[HEADLINE[task]])


def test_only_the_questions_asked_for_are_scored(files):
    places = files(TRAIN, DEV)
    assert task_priors("nq", *places, [3])["majority"] == 1.0 and task_priors("nq", *places, [2])["majority"] == 0.0
    assert task_priors("nq", *places, [2])["seen_in_train"] == 0.0 and task_priors("nq", *places, [3, 2])["n"] == 2
    assert task_priors("nq", *places, [4, 0]) == task_priors("nq", *places, [0, 4])


def test_labels_of_fever_keep_their_spelling(files):
    train = [("c", "SUPPORTS"), ("c", "REFUTES"), ("c", "SUPPORTS")]
    found = task_priors("fever", *files(train, [("c", "SUPPORTS"), ("c", "REFUTES"), ("c", "SUPPORTS")]), range(3))
    assert (found["majority_answer"], found["metric"]) == ("SUPPORTS", "accuracy")
    assert found["majority"] == pytest.approx(2 / 3) and found["seen_in_train"] == 1.0


RELATIONS = (
    [("A [SEP] country", "France"), ("B [SEP] country", "Peru"), ("C [SEP] country", "Peru"),
     ("D [SEP] sport", "chess"), ("E [SEP] sport", "chess"), ("F [SEP] sport", "chess"), ("G [SEP] sport", "golf")],
    [("X [SEP] country", "Peru"), ("Y [SEP] sport", "chess"), ("Z [SEP] colour", "chess"), ("W [SEP] country", "Iran")],
)  # fmt: skip


def test_the_answer_of_a_relation_is_the_one_most_frequent_there_and_else_the_majority(files):
    found = task_priors("zsre", *files(*RELATIONS), range(4))
    assert found["majority_answer"] == "chess" and found["majority"] == pytest.approx(2 / 4)
    assert found["relation"] == pytest.approx(3 / 4), "Peru, chess, and for a colour, of which training has none, chess"


def test_a_task_of_which_one_question_names_no_relation_has_no_score_by_relation(files):
    train, dev = RELATIONS
    assert task_priors("trex", *files(train, [*dev, ("no relation", "x")]), range(5))["relation"] is None
    assert task_priors("trex", *files(train, [*dev, ("no relation", "x")]), range(4))["relation"] is not None
    assert relation_of("A [SEP] member of") == "member of" and relation_of("A?") == relation_of("A [SEP] ") == ""


def test_the_command_scores_the_questions_that_readers_are_evaluated_on(tmp_path, capsys):
    study = load_study("smoke")
    for task in study.tasks:
        for split, n in (("train", 9), ("dev", 40)):
            rows = [line(f"{task} {i}", f"q{i}", *(["x"] if split == "train" else [f"x{i}", "y"])) for i in range(n)]
            write_json_lines(tmp_path / f"{task}-{split}-kilt.jsonl", rows)
    out = tmp_path / "priors.json"
    assert main(["priors", "--study", "smoke", "--data", str(tmp_path), "--out", str(out)]) == 0
    document = json.loads(out.read_text())
    assert set(document) == set(study.tasks)
    assert {found["n"] for found in document.values()} == {study.evaluation.dev_examples}
    assert {found["majority"] for found in document.values()} == {0.0} and "x" in capsys.readouterr().out
    # training has the answers of exactly the rows evaluated, then of exactly all others
    examples = [SimpleNamespace(id=f"nq {i}") for i in range(40)]
    part = SimpleNamespace(examples=examples, rows=np.arange(40), path="here")
    asked = dev_slices(part, study.training.dev_examples, study.evaluation.dev_examples).evaluated.rows.tolist()
    for known, share in ((asked, 1.0), (sorted({*range(40)} - {*asked}), 0.0)):
        rows = [line(i, "q", f"x{row}") for i, row in enumerate(known)]
        write_json_lines(tmp_path / "nq-train-kilt.jsonl", rows)
        assert main(["priors", "--study", "smoke", "--data", str(tmp_path), "--out", str(out)]) == 0
        assert json.loads(out.read_text())["nq"]["seen_in_train"] == share
