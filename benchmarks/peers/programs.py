"""Readers with random weights as compiled programs that answer, for `stored` and `growth`."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from flax import nnx

from glimmer.evaluation.answering import answer
from glimmer.experiments.settings import ReaderSettings
from glimmer.models.batch import Batch
from glimmer.models.config import T5Config
from glimmer.models.reader import Reader
from glimmer.models.t5 import T5
from glimmer.training.state import split_reader


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Passages int32 [stored, P], and a batch whose passages are those of `ids` int64 [B, k]."""

    passages: np.ndarray
    ids: np.ndarray
    batch: Batch


def draw(at: Any, seed: int = 0) -> Drawn:
    """Random tokens, none of them padding or an end; `at` has the shapes."""
    random, vocabulary = np.random.default_rng(seed), at.dimensions.vocabulary
    passages = random.integers(2, vocabulary, (at.stored, at.passage)).astype(np.int32)
    ids = np.stack([random.permutation(at.stored)[: at.k] for _ in range(at.batch)]).astype(np.int64)
    question, target = (
        random.integers(2, vocabulary, (at.batch, n)).astype(np.int32) for n in (at.question, at.answer)
    )
    return Drawn(passages=passages, ids=ids, batch=Batch.of(question=question, passages=passages[ids], answer=target))


class Answering:
    """A reader's compiled program: greedy answers of a batch from memory, or from tokens where there is none."""

    def __init__(self, at: Any, settings: ReaderSettings, seed: int = 0):
        config = T5Config(**vars(at.dimensions), dtype=at.dtype, dropout=0.0)
        self.split = split_reader(Reader(T5(config, rngs=nnx.Rngs(seed)), settings, rngs=nnx.Rngs(seed)))
        self.program = jax.jit(lambda split, batch, memory: answer(split.merge(), batch, memory, at.answer)[0])
        self._remember = jax.jit(lambda split, passages: split.merge().remember_passages(passages[None])[0])

    def __call__(self, batch: Batch, memory: np.ndarray | None) -> jax.Array:
        """Tokens [B, length], finished."""
        return jax.block_until_ready(self.program(self.split, batch, memory))

    def remember(self, passages: np.ndarray) -> np.ndarray:
        """Memory float32 [n, P, D] of passages [n, P]."""
        return np.asarray(self._remember(self.split, passages), np.float32)
