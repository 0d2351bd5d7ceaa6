"""Answering a task: every row once, whatever the batch size; passages in the reader's order; memory from the store."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from glimmer.evaluation.answering import Answerer
from glimmer.experiments.settings import glimmer
from glimmer.models.batch import Batch
from glimmer.models.mesh import device_mesh
from glimmer.training.state import split_reader
from tests.models.tiny import program, ragged

jax.config.update("jax_disable_most_optimizations", True)  # compiles faster; see tests/models/conftest.py
ROWS, K = 5, 4
TASK = SimpleNamespace(task="nq", rows=np.array([4, 0, 2]))


class Rows:
    """A batcher over random token arrays; passage 10 row + i is the i-th of a row, the last row lacks one."""

    random = np.random.default_rng(0)
    question = ragged(random, ROWS, 4, left=True)
    passages = ragged(random, ROWS * K, 5).reshape(ROWS, K, 5)
    passages[4, 2] = 0

    def passage_ids(self, task, row):
        return np.where(self.passages[row].any(axis=1), 10 * row + np.arange(K), -1)

    def batch(self, chosen):
        rows = [row for _, row in chosen]
        return Batch.of(
            question=self.question[rows], passages=self.passages[rows], answer=np.ones((len(rows), 2), np.int32)
        )


@pytest.fixture(scope="module")
def reader_and_run():
    """(what the reader computes on a batch of two, its answers to TASK in batches of two from a store or without)."""
    reader, run = program(glimmer(alpha="1/2", beta="1/2", k=K, m=2))
    split = split_reader(reader)
    decoder = SimpleNamespace(decode=lambda ids: " ".join(map(str, ids)))
    answerer = Answerer(Rows(), decoder, 4, 2, device_mesh())
    return run, lambda store=None: list(answerer.answers(split, TASK, store, quiet=True))


def test_every_row_is_answered_once_in_order_with_its_own_passages_best_first(reader_and_run):
    run, answer = reader_and_run
    found = answer()
    assert [one.row for one in found] == [4, 0, 2]
    for one in found:
        scores = np.asarray(run(Rows().batch([(None, one.row)] * 2)).scores)[0]
        order = [i for i in np.argsort(-scores, kind="stable") if np.isfinite(scores[i])]
        assert one.passages == [10 * one.row + int(i) for i in order], "each passage once, none that is absent"


def test_memory_from_a_store_gives_the_same_answers(reader_and_run):
    run, answer = reader_and_run

    def read(ids):
        return np.asarray(run(Rows().batch([(None, int(row.max()) // 10) for row in ids])).passage_memory)

    assert answer(SimpleNamespace(read=read)) == answer()
    wrong = answer(SimpleNamespace(read=lambda ids: -read(ids)))
    assert wrong != answer(), "the store is read"
