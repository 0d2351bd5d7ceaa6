"""What a checkpoint is selected by is never what it is evaluated on."""

import json
import random

import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.runs.slices import dev_slices, slice_rows
from glimmer.training.examples import TaskExamples

IDS = [f"question-{number}" for number in range(40)]


@pytest.fixture
def task(tmp_path):
    """A task's dev examples with the ids given, in that order."""

    def write(ids):
        place = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        rows = [{"id": id, "input": "who?", "output": [{"answer": "x"}]} for id in ids]
        (place / "nq-dev-kilt.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        np.savez(place / "nq-dev.npz", passages=np.zeros((len(ids), 1), np.int64))
        return TaskExamples("nq", place, "dev", place)

    return write


def ids(part):
    return [part.examples[row].id for row in part.rows]


@pytest.mark.parametrize("evaluated", [None, 5, 1000])
def test_no_question_is_selected_by_and_evaluated(task, evaluated):
    slices = dev_slices(task(IDS), 12, evaluated)
    assert not set(ids(slices.selection)) & set(ids(slices.evaluated))
    assert (len(slices.selection), len(slices.evaluated)) == (12, min(evaluated or 28, 28))
    for part in (slices.selection, slices.evaluated):
        assert ids(part) == sorted(ids(part), key=IDS.index), "file order"


def test_the_selection_depends_on_ids_alone_and_a_longer_one_holds_a_shorter_one(task):
    shuffled = random.Random(0).sample(IDS, len(IDS))
    here, there = (set(ids(dev_slices(task(order), 12, 5).selection)) for order in (IDS, shuffled))
    assert here == there < set(ids(dev_slices(task(IDS), 13, None).selection))


def test_the_evaluated_questions_are_spread_over_the_rest(task):
    whole, part = (ids(dev_slices(task(IDS), 12, count).evaluated) for count in (None, 5))
    assert part[0] == whole[0] and part[-1] == whole[-1] and set(part) < set(whole)


@pytest.mark.parametrize("selection", [40, 41])
def test_a_selection_that_leaves_nothing_to_evaluate_is_an_input_error(task, selection):
    with pytest.raises(InputError, match="no dev question is left.*more than training.dev_examples"):
        dev_slices(task(IDS), selection, None)


def test_the_digest_of_a_slice_is_that_of_its_questions(task):
    one, other = (dev_slices(task(IDS), count, None).described() for count in (12, 13))
    assert one == dev_slices(task(IDS), 12, None).described()
    assert one["selection"]["n"] == 12 and one["evaluated"]["n"] == 28
    assert len({part["sha256"] for described in (one, other) for part in described.values()}) == 4


@pytest.mark.parametrize("evaluated", [None, 1, 5, 28, 1000])
def test_rows_by_id_alone_are_those_of_the_task(task, evaluated):
    slices = dev_slices(task(IDS), 12, evaluated)
    chosen, rest = slice_rows(dict(enumerate(IDS)), 12, evaluated, "here")
    assert chosen == slices.selection.rows.tolist() and rest == slices.evaluated.rows.tolist()


def test_rows_keep_their_numbers_and_equal_ids_are_told_apart_by_them():
    chosen, rest = slice_rows({90: "same", 7: "same", 40: "same"}, 2, None, "here")
    assert (chosen, rest) == ([7, 40], [90])


def test_the_place_that_has_too_few_rows_is_named():
    with pytest.raises(InputError, match="nq-dev.*more than training.dev_examples = 2 of them; found 2"):
        slice_rows({0: "a", 1: "b"}, 2, 5, "nq-dev")
