"""Tiny models with random weights, ragged batches, and one compiled program a reader for all tests of a session."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from glimmer.models.batch import Batch
from glimmer.models.config import T5Config
from glimmer.models.reader import Reader
from glimmer.models.t5 import T5
from glimmer.training.losses import passage_log_likelihood

CONFIG = T5Config(
    vocabulary=24, d_model=8, d_kv=3, d_ff=12, num_heads=2, encoder_layers=4, decoder_layers=2, dropout=0.0
)  # heads x d_kv = 6 is not d_model, on purpose
QUESTION, PASSAGE, ANSWER, K = 4, 5, 3, 4


def randomised(model, seed: int = 0):
    """The same module with every parameter drawn by NumPy (nothing to compile): no norm or scorer at its start."""
    random = np.random.default_rng(seed)

    def draw(path, leaf):
        name = jax.tree_util.keystr(path)
        if "norm" in name:
            return jnp.asarray(1 + 0.3 * random.standard_normal(leaf.shape), jnp.float32)
        deviation = 1.0 if leaf.ndim < 2 or "table" in name else 1.2 * leaf.shape[-2] ** -0.5
        return jnp.asarray(deviation * random.standard_normal(leaf.shape), jnp.float32)

    definition, state = nnx.split(model)
    return nnx.merge(definition, jax.tree_util.tree_map_with_path(draw, state))


def tiny_t5(config: T5Config = CONFIG, seed: int = 0) -> T5:
    """A T5 with random weights."""
    return randomised(nnx.eval_shape(lambda: T5(config, rngs=nnx.Rngs(0))), seed)


def tiny_reader(settings, config: T5Config = CONFIG, seed: int = 0, scorer_seed: int | None = 7) -> Reader:
    """A reader made from `tiny_t5` whose scorer is random (or as it starts, without a `scorer_seed`)."""
    reader = Reader(tiny_t5(config, seed), settings, rngs=nnx.Rngs(1))
    if reader.scorer is not None and scorer_seed is not None:
        reader.scorer = nnx.data(randomised(reader.scorer, scorer_seed))
    return reader


def ragged(random: np.random.Generator, rows: int, width: int, *, least: int = 1, left: bool = False) -> np.ndarray:
    """Token ids [rows, width]: `least` to `width` real tokens a row, the rest padding."""
    out = np.zeros((rows, width), np.int32)
    for row in out:
        length = random.integers(least, width + 1)
        ids = random.integers(2, CONFIG.vocabulary, length)
        row[slice(width - length, None) if left else slice(length)] = ids
    return out


def ragged_batch(seed: int = 0, *, rows: int = 2, k: int = K, absent: int = 0) -> Batch:
    """Questions, passages and answers of ragged lengths; `absent` of the first question's last passages are missing."""
    random = np.random.default_rng(seed)
    passages = ragged(random, rows * k, PASSAGE).reshape(rows, k, PASSAGE)
    if absent:
        passages[0, -absent:] = 0
    return Batch.of(
        question=jnp.asarray(ragged(random, rows, QUESTION, left=True)),
        passages=jnp.asarray(passages),
        answer=jnp.asarray(ragged(random, rows, ANSWER, least=2)),
    )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Forward:
    """Everything that a reader computes on the way to its answer."""

    question_memory: jax.Array
    passage_memory: jax.Array
    scores: jax.Array
    kept: jax.Array
    logits: jax.Array
    log_likelihood: jax.Array | None
    """log p(answer | passage i alone); of readers with a scorer only."""


def forward(reader: Reader, batch: Batch, given, use_given) -> Forward:
    """A reader's whole computation on a batch, with the passage memory `given` or computed."""
    passage_memory = jnp.where(use_given, given, reader.remember_passages(batch.passages))
    encoded = reader.encode(batch, passage_memory)
    return Forward(
        question_memory=reader.remember_question(batch.question),
        passage_memory=passage_memory,
        scores=encoded.scores,
        kept=encoded.kept_indexes,
        logits=reader.logits(encoded, batch.answer),
        log_likelihood=None if reader.scorer is None else passage_log_likelihood(reader, encoded, batch.answer),
    )


@functools.cache
def program(settings, config: T5Config = CONFIG):
    """(reader, its compiled `forward` on a batch and optionally a memory or other parameters), one a session."""
    reader = tiny_reader(settings, config)
    definition, state = nnx.split(reader)
    compiled = jax.jit(lambda state, *arguments: forward(nnx.merge(definition, state), *arguments))

    def run(batch: Batch, memory=None, state=state) -> Forward:
        given = jnp.zeros((*batch.passages.shape, config.d_model)) if memory is None else memory
        return compiled(state, batch, given, memory is not None)

    return reader, run
