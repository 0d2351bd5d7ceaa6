"""What a learning curve says of the dev questions that select checkpoints: scores, and the loss on their answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glimmer import processes
from glimmer.errors import InputError
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskLosses:
    """Cross-entropy of each task's answers in nats, summed over its tokens, and their number."""

    nats: Mapping[str, float]
    tokens: Mapping[str, int]

    def mean(self, tasks: Sequence[str]) -> float:
        """Nats a token over all tokens of these tasks."""
        return sum(self.nats[task] for task in tasks) / sum(self.tokens[task] for task in tasks)


class AnswerLoss:
    """The cross-entropy of the answers of `tasks`, without dropout: training's own loss.

    `tasks` have answers (`TaskExamples.with_answers`). The batches are made once, each of `batch_size` rows or as many
    more as divide over the mesh; the last one is filled up with rows that have no answer. Raises InputError for a task
    without rows, which has no mean: before any step, and not after them.
    """

    def __init__(self, batcher: Batcher, tasks: Sequence[TaskExamples], batch_size: int, mesh: Mesh):
        empty = [task.task for task in tasks if not len(task.rows)]
        if empty or not tasks:
            raise InputError("no row to measure a loss on", where=", ".join(empty) or "tasks", found=0,
                             expected="one row or more of each task")  # fmt: skip
        rows = [(task, int(row)) for task in tasks for row in task.rows]
        size = batch_size + -batch_size % rows_multiple(mesh)
        self._mesh = mesh
        self._of = [task.task for task, _ in rows]
        self._batches = [_filled(batcher.batch(rows[at : at + size]), size) for at in range(0, len(rows), size)]
        self._tokens = self._by_task([np.sum(batch.answer != 0, axis=1) for batch in self._batches])
        everywhere = NamedSharding(mesh, PartitionSpec())  # of several processes each reads all
        self._log_probability = jax.jit(_log_probability, out_shardings=everywhere)

    def __call__(self, reader: SplitReader) -> TaskLosses:
        """The losses of a reader."""
        sums = [self._log_probability(reader, place_batch(batch, self._mesh)) for batch in self._batches]
        found = self._by_task([_when_done(each) for each in sums])
        tokens = {task: int(number) for task, number in self._tokens.items()}
        return TaskLosses(nats={task: -total for task, total in found.items()}, tokens=tokens)

    def _by_task(self, batches: Sequence[np.ndarray]) -> dict[str, float]:
        """Each task's sum of what the rows of the batches have; rows that fill up have no task."""
        sums = dict.fromkeys(self._of, 0.0)
        for task, value in zip(self._of, np.concatenate(batches), strict=False):
            sums[task] += float(value)
        return sums


def _when_done(sums: jax.Array) -> np.ndarray:
    processes.check_stop()
    return np.asarray(sums, np.float64)


def _log_probability(split: SplitReader, batch: Batch):
    """Of each row's answer, [B]."""
    reader = split.merge()
    logits = reader.logits(reader.encode(batch), batch.answer)
    return token_log_probability(logits, batch.answer, reader.config.pad_id).sum(axis=-1)


def _filled(batch: Batch, size: int) -> Batch:
    missing = size - len(batch.answer)
    repeated = jax.tree.map(lambda x: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]), batch)
    repeated.answer[len(batch.answer) :] = 0
    return repeated
