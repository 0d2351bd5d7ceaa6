"""Greedy answers of a reader over a task's examples, and the order in which it ranked their passages."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from tqdm import tqdm

from glimmer import processes
from glimmer.models.batch import Batch
from glimmer.models.mesh import own_rows, place_own_rows, rows_multiple, whole
from glimmer.models.reader import Reader
from glimmer.models.store import MemoryStore
from glimmer.models.tokenizer import Tokenizer
from glimmer.training.examples import Batcher, TaskExamples
from glimmer.training.state import SplitReader


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """One example's answer and its passages in the reader's order, best first (the retriever's without a scorer)."""

    row: int
    text: str
    passages: list[int]


def answer(
    reader: Reader, batch: Batch, memory: Float[Array, "B k P D"] | None, length: int
) -> tuple[Int[Array, "B length"], Int[Array, "B k"]]:
    """Greedy answers, and the places of the passages in the reader's order; memory is computed here where None."""
    encoded = reader.encode(batch, memory)
    return reader.generate(encoded, length), encoded.ranking


class Answerer:
    """A compiled program for answering: the reader is an argument, so that one serves a whole training run.

    Batches have `batch_size` rows, or as many more as divide over the mesh.
    """

    def __init__(self, batcher: Batcher, tokenizer: Tokenizer, length: int, batch_size: int, mesh: Mesh):
        self.batcher, self.tokenizer, self.mesh = batcher, tokenizer, mesh
        self.batch_size = batch_size + -batch_size % rows_multiple(mesh)
        self._answer = jax.jit(lambda reader, batch, memory: answer(reader.merge(), batch, memory, length))

    def answers(
        self, reader: SplitReader, task: TaskExamples, store: MemoryStore | None = None, quiet: bool = False
    ) -> Iterator[Answer]:
        """Answers every row of `task`. Passage memory comes from `store`, or is computed on the fly without one."""
        for batch in self.batches(reader, task, store, quiet):
            yield from batch

    def batches(
        self,
        reader: SplitReader,
        task: TaskExamples,
        store: MemoryStore | None = None,
        quiet: bool = False,
        answered: int = 0,
    ) -> Iterator[list[Answer]]:
        """The answers batch by batch, without the first `answered`, which are those of whole batches."""
        rows = [int(row) for row in task.rows]
        starts = range(answered, len(rows), self.batch_size)
        for start in tqdm(starts, desc=f"answering {task.task}", disable=True if quiet else None, leave=False):
            processes.check_stop()
            yield list(self._batch(reader, task, rows[start : start + self.batch_size], store))

    def _batch(self, reader: SplitReader, task: TaskExamples, rows: Sequence[int], store) -> Iterator[Answer]:
        padded = [*rows, *[rows[-1]] * (self.batch_size - len(rows))]  # one shape, one program
        own = own_rows(self.batch_size, self.mesh)
        batch = self.batcher.batch([(task, padded[place]) for place in own])
        ids: Int[np.ndarray, "B k"] = np.stack([self.batcher.passage_ids(task, row) for row in padded])
        memory = None if store is None else store.read(ids[own])
        placed = place_own_rows((batch, memory), self.mesh)
        tokens, order = map(whole, self._answer(reader, *placed))
        for row, words, found, places in zip(rows, tokens, ids, order, strict=False):
            ranked = [int(found[place]) for place in places if found[place] >= 0]
            yield Answer(row=row, text=self.tokenizer.decode(words), passages=ranked)
