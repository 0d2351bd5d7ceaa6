"""What a learning curve says of the dev questions that select checkpoints: scores, and the loss on their answers."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from glimmer import processes
from glimmer.evaluation.answering import Answerer
from glimmer.evaluation.kilt_scores.answers import answer_scores
from glimmer.kilt.formats import HEADLINE
from glimmer.models.batch import Batch
from glimmer.models.mesh import place_batch, rows_multiple
from glimmer.models.reader import token_log_probability
from glimmer.training.examples import Batcher, TaskExamples
from glimmer.training.state import SplitReader


def dev_scores(answerer: Answerer, reader: SplitReader, tasks: Sequence[TaskExamples]) -> dict[str, float]:
    """Each task's mean headline metric, in [0, 1], memory computed on the fly."""
    scores = {}
    for task in tasks:
        metric = HEADLINE[task.task]
        values = [
            answer_scores(answer.text, task.examples[answer.row].answers)[metric]
            for answer in answerer.answers(reader, task, quiet=True)
        ]
        scores[task.task] = float(np.mean(values))
    return scores


class AnswerLoss:
    """The cross-entropy of the answers of `tasks`, nats a token over all of them, without dropout: training's own loss.

    `tasks` have answers (`TaskExamples.with_answers`). The batches are made once, each of `batch_size` rows or as many
    more as divide over the mesh; the last one is filled up with rows that have no answer.
    """

    def __init__(self, batcher: Batcher, tasks: Sequence[TaskExamples], batch_size: int, mesh: Mesh):
        rows = [(task, int(row)) for task in tasks for row in task.rows]
        size = batch_size + -batch_size % rows_multiple(mesh)
        self._mesh = mesh
        self._batches = [_filled(batcher.batch(rows[at : at + size]), size) for at in range(0, len(rows), size)]
        self._tokens = sum(int(np.sum(batch.answer != 0)) for batch in self._batches)
        self._total = jax.jit(_total_log_probability)

    def __call__(self, reader: SplitReader) -> float:
        """The loss of a reader."""
        totals = [self._total(reader, place_batch(batch, self._mesh)) for batch in self._batches]
        return -float(np.sum([_when_done(total) for total in totals])) / self._tokens


def _when_done(total: jax.Array) -> np.ndarray:
    processes.check_stop()
    return np.asarray(total, np.float64)


def _total_log_probability(split: SplitReader, batch: Batch):
    reader = split.merge()
    logits = reader.logits(reader.encode(batch), batch.answer)
    return token_log_probability(logits, batch.answer, reader.config.pad_id).sum()


def _filled(batch: Batch, size: int) -> Batch:
    missing = size - len(batch.answer)
    repeated = jax.tree.map(lambda x: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]), batch)
    repeated.answer[len(batch.answer) :] = 0
    return repeated
