"""Contrastive training of GTR: every question against all passages of its batch (Ni et al. 2021, section 3).

Letters in shapes: B questions of a batch, P passages of it (B gold ones, then hard negatives), E embedding width.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int
from tqdm import tqdm

from glimmer.errors import InputError
from glimmer.experiments.sections import ContrastiveSettings
from glimmer.models.mesh import device_mesh, place_batch, place_parameters
from glimmer.retrieval.gtr import GTR, with_activations


@dataclass(frozen=True, kw_only=True)
class TrainingPairs:
    """Token rows of questions and their gold passages; a passage, or a question, may be in several pairs.

    questions int32 [n, Tq]; passages int32 [r, Tp]; gold int64 [n] and negatives int64 [n, h] are rows of `passages`
    (h may be 0); supporting int64 [n, s] are those rows, the gold one among them, that support any evidence of the
    pair's question, -1 padded; tasks int64 [n] numbers the task of a pair.
    """

    questions: np.ndarray
    passages: np.ndarray
    gold: np.ndarray
    negatives: np.ndarray
    supporting: np.ndarray
    tasks: np.ndarray


def contrastive_loss(
    questions: Float[Array, "B E"],
    passages: Float[Array, "P E"],
    supporting: Int[Array, "B S"],
    passage_ids: Int[Array, " P"],
    *,
    temperature: float,
    bidirectional: bool,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """In-batch softmax, L = - mean_i log( exp(q_i.p_i / t) / sum_j exp(q_i.p_j / t) ), and how often p_i is the best.

    `passages[:B]` are the gold ones, in order. `supporting` are ids of passages that support question i, padded with
    one that is no passage's. Such a passage is no negative of i: as a copy of its gold one, as the gold one of another
    pair of the same question, as a neighbour's gold or a hard negative, it is left out of the sum. Bidirectional: the
    mean of this loss and the one of finding question i for passage i among all B questions, without those that passage
    i supports too.
    """
    rows = questions.shape[0]
    # float32 accumulation: at t = 0.01 an error of 0.004 in a cosine would be 0.4 in a logit.
    scores = jnp.einsum("be,pe->bp", questions, passages, precision=jax.lax.Precision.HIGHEST) / temperature
    own = jnp.arange(rows)[:, None] == jnp.arange(passages.shape[0])[None, :]  # B P
    supports = (supporting[:, None, :] == passage_ids[None, :, None]).any(axis=2)  # B P
    scores = jnp.where(supports & ~own, -jnp.inf, scores)
    right = jnp.mean(jnp.argmax(scores, axis=1) == jnp.arange(rows))
    loss = -jnp.mean(jnp.diagonal(jax.nn.log_softmax(scores, axis=1)))
    if bidirectional:
        back = -jnp.mean(jnp.diagonal(jax.nn.log_softmax(scores[:, :rows], axis=0)))
        loss = (loss + back) / 2
    return loss, right


def batches(pairs: TrainingPairs, settings: ContrastiveSettings) -> Iterator[Mapping[str, np.ndarray]]:
    """Endless training batches; the same seed gives the same ones.

    Each task's pairs come in a fresh random order every epoch, so that none comes twice before all came once.
    """
    random = np.random.default_rng([settings.seed, 1])
    groups = [np.flatnonzero(pairs.tasks == task) for task in np.unique(pairs.tasks)]
    if not settings.balanced:
        groups = [np.arange(len(pairs.tasks))]
    streams = [_epochs(rows, np.random.default_rng([settings.seed, 2, number])) for number, rows in enumerate(groups)]
    while True:
        drawn = random.integers(len(groups), size=settings.batch_size)
        rows = np.array([next(streams[group]) for group in drawn])
        # All first negatives, then all second ones: the shape stays [B (1 + h), Tp].
        passages = np.concatenate([pairs.gold[rows], pairs.negatives[rows].T.ravel()])
        yield {
            "questions": pairs.questions[rows],
            "passages": pairs.passages[passages],
            "supporting": pairs.supporting[rows].astype(np.int32),
            "passage_ids": passages.astype(np.int32),
        }


def train_gtr(gtr: GTR, pairs: TrainingPairs, settings: ContrastiveSettings) -> tuple[GTR, list[dict]]:
    """Trains a tower; returns it and, for each step, {"step", "loss", "accuracy"} (of finding the gold in the batch).

    One compiled step over all devices, rows sharded. Raises InputError if there are too few pairs for a batch, or if a
    batch does not divide over the devices.
    """
    if len(pairs.gold) < settings.batch_size:
        raise InputError(
            "too few training pairs for a batch", expected=f"at least {settings.batch_size}", found=len(pairs.gold)
        )
    model = with_activations(gtr, dtype=settings.dtype, dropout=settings.dropout)
    # The step gives its arguments' memory away; the caller's tower must survive that.
    definition, state = nnx.split(model)
    state = jax.tree.map(jnp.copy, state)
    mesh = device_mesh()
    state = place_parameters(state, mesh)
    moments = place_parameters(retriever_optimizer(settings).init(state), mesh)
    # The seed only enters through arguments: several seeds in one process share one compiled step.
    step_function = _step_function(definition, replace(settings, seed=0))
    key = jax.random.key(settings.seed)
    losses = []
    stream = batches(pairs, settings)
    for step in tqdm(range(settings.steps), desc="train retriever", unit="step", disable=None, leave=False):
        batch = place_batch(next(stream), mesh)
        state, moments, *measured = step_function(state, moments, batch, jax.random.fold_in(key, step))
        losses.append(measured)  # arrays: reading them here would wait for the device
    log = [
        {"step": number + 1, "loss": float(loss), "accuracy": float(right)}
        for number, (loss, right) in enumerate(losses)
    ]
    trained = nnx.merge(definition, jax.device_get(state))
    return with_activations(trained, dtype=gtr.config.dtype, dropout=gtr.config.dropout), log


@functools.cache
def _step_function(definition: nnx.GraphDef, settings: ContrastiveSettings):
    optimizer = retriever_optimizer(settings)

    def loss_of(state, batch, key):
        model = nnx.merge(definition, state)
        question_key, passage_key = jax.random.split(key) if settings.dropout else (None, None)
        return contrastive_loss(
            model(batch["questions"], question_key),
            model(batch["passages"], passage_key),
            batch["supporting"],
            batch["passage_ids"],
            temperature=settings.temperature,
            bidirectional=settings.bidirectional,
        )

    def step(state, moments, batch, key):
        (loss, right), gradients = jax.value_and_grad(loss_of, has_aux=True)(state, batch, key)
        updates, moments = optimizer.update(gradients, moments, state)
        return optax.apply_updates(state, updates), moments, loss, right

    return jax.jit(step, donate_argnums=(0, 1))


def retriever_optimizer(settings: ContrastiveSettings) -> optax.GradientTransformation:
    """Clipping by global norm, then Adam or Adafactor under the schedule; fixed embeddings get no update."""
    decay = optax.linear_schedule(settings.learning_rate, 0.0, max(settings.steps - settings.warmup_steps, 1))
    if settings.schedule == "constant":
        decay = optax.constant_schedule(settings.learning_rate)
    rise = optax.linear_schedule(0.0, settings.learning_rate, settings.warmup_steps) if settings.warmup_steps else None
    rate = decay if rise is None else optax.join_schedules([rise, decay], [settings.warmup_steps])
    if settings.optimizer == "adafactor":
        # T5's recipe: steps relative to the size of the weights.
        rule = optax.adafactor(rate, multiply_by_parameter_scale=True)
    else:
        rule = optax.adam(rate)
    chain = optax.chain(optax.clip_by_global_norm(settings.clip_norm), rule)
    if settings.train_embeddings:
        return chain

    def labels(state):
        return nnx.from_flat_state(
            [(k, v.replace("fixed" if "embedding_table" in k else "trained")) for k, v in nnx.to_flat_state(state)]
        )

    return optax.multi_transform({"trained": chain, "fixed": optax.set_to_zero()}, labels)


def _epochs(rows: np.ndarray, random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from random.permutation(rows)
