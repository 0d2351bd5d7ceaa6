"""L = L_lm + lambda L_pdist: cross-entropy of the answer, and perplexity distillation into the scorer.

    p_rank = softmax(s / tau)        s_i the scorer's output for passage i
    p_LM   = softmax(l / tau)        l_i = log p(answer | passage_i alone, question)
    L_pdist = KL(p_rank, p_LM)       section 3.2 of the paper; no gradient through p_LM

ATLAS (Izacard et al. 2022), which the paper follows, takes KL(p_LM || p_rank) and the mean of l over answer
tokens: `kl="lm_rank"`, `token_reduction="mean"`. PyTorch's KLDivLoss() default would divide by k too: we do not.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from glimmer.models.batch import Batch, Encoded
from glimmer.models.layers import MaybeKey
from glimmer.models.mesh import row_devices
from glimmer.models.reader import DropoutKeys, Reader, token_log_probability


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationWeights:
    """lambda and tau as arguments of the compiled step, so that their ablations share one program."""

    lambda_: Float[Array, ""]
    tau: Float[Array, ""]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Losses:
    """Scalars of one batch: the sum that is minimised and its two parts; plain numbers once they have left the device.

    `distill_uniform` is what the second part would be if all scores were equal: above it nothing was learned from the
    teacher. `ranking_entropy` is that of softmax(s / tau) over a question's k passages, a share of ln k: 1 where all
    scores are equal, 0 where one passage has all. Both are None where nothing is distilled.
    """

    total: Float[Array, ""] | float
    language_model: Float[Array, ""] | float
    distillation: Float[Array, ""] | float
    distill_uniform: Float[Array, ""] | float | None = None
    ranking_entropy: Float[Array, ""] | float | None = None


def language_model_loss(log_probability: Float[Array, "B A"], answer: Int[Array, "B A"], pad_id: int = 0):
    """Minus the mean log probability of the batch's answer tokens (padding excluded)."""
    return -jnp.sum(log_probability) / jnp.maximum(jnp.sum(answer != pad_id), 1)


def distillation_loss(
    scores: Float[Array, "B k"],
    log_likelihood: Float[Array, "B k"],
    present: Bool[Array, "B k"],
    tau: Float[Array, ""] | float,
    kl: str = "rank_lm",
    teacher_gradient: str = "stopped",
    questions: int | None = None,
) -> Float[Array, ""]:
    """Mean over questions of the KL divergence between p_rank and p_LM over the passages that are present.

    "rank_lm" is KL(p_rank || p_LM), "lm_rank" is KL(p_LM || p_rank). With `teacher_gradient` "stopped" the gradient
    reaches `scores` only, with "flows" the reader's likelihoods too. `questions` is how many the mean is over, where
    these B are a part of them.
    """
    if teacher_gradient == "stopped":
        log_likelihood = jax.lax.stop_gradient(log_likelihood)
    floor = jnp.finfo(jnp.float32).min
    log_rank = jax.nn.log_softmax(jnp.where(present, scores / tau, floor), axis=1)
    log_lm = jax.nn.log_softmax(jnp.where(present, log_likelihood / tau, floor), axis=1)
    first, second = (log_rank, log_lm) if kl == "rank_lm" else (log_lm, log_rank)
    terms = jnp.where(present, jnp.exp(first) * (first - second), 0.0)
    return jnp.sum(jnp.sum(terms, axis=1)) / (len(terms) if questions is None else questions)


def ranking_entropy(
    scores: Float[Array, "B k"],
    present: Bool[Array, "B k"],
    tau: Float[Array, ""] | float,
    whole: Bool[Array, "W k"] | None = None,
) -> Float[Array, ""]:
    """Mean over questions of the entropy of p_rank over the passages that are present, divided by that of equal scores.

    Questions with one passage, which have nothing to rank, are left out; 0 if there are no others. `whole` is
    `present` of the W questions that the mean is over, where these B are a part of them.
    """
    log_rank = jax.nn.log_softmax(jnp.where(present, scores / tau, jnp.finfo(jnp.float32).min), axis=1)
    entropy = -jnp.sum(jnp.where(present, jnp.exp(log_rank) * log_rank, 0.0), axis=1)
    count = jnp.sum(present, axis=1)
    shares = jnp.where(count > 1, entropy / jnp.log(jnp.maximum(count, 2)), 0.0)
    ranked = jnp.sum((count if whole is None else jnp.sum(whole, axis=1)) > 1)
    return jnp.sum(shares) / jnp.maximum(ranked, 1)


def reader_losses(
    reader: Reader, batch: Batch, weights: DistillationWeights, key: MaybeKey, whole: Batch | None = None
) -> Losses:
    """Both losses of a reader on one batch, with dropout where there is a key.

    The dropout keys of the language-model path do not depend on whether distillation runs, so lambda = 0 trains
    exactly the model that has no distillation. Where `batch` is a part of a `whole` one, the means are over the whole:
    the losses of all parts sum to those of the whole batch.
    """
    settings, keys = reader.settings, DropoutKeys.split(key)
    whole = batch if whole is None else whole
    encoded = reader.encode(batch, keys=keys)
    logits = reader.logits(encoded, batch.answer, keys.decoder)
    answer_log_probability = token_log_probability(logits, batch.answer, reader.config.pad_id)
    language_model = language_model_loss(answer_log_probability, whole.answer, reader.config.pad_id)
    if reader.scorer is None or settings.lambda_ == 0:
        return Losses(total=language_model, language_model=language_model, distillation=jnp.zeros(()))
    log_likelihood = passage_log_likelihood(reader, encoded, batch.answer)
    present = encoded.reranked.present
    form = (weights.tau, settings.kl, settings.teacher_gradient, len(whole.answer))
    distillation = distillation_loss(encoded.scores, log_likelihood, present, *form)
    uniform = distillation_loss(jnp.zeros_like(encoded.scores), log_likelihood, present, *form)
    return Losses(
        total=language_model + weights.lambda_ * distillation,
        language_model=language_model,
        distillation=distillation,
        distill_uniform=uniform,
        ranking_entropy=ranking_entropy(encoded.scores, present, weights.tau, jnp.asarray(whole.present)),
    )


TEACHER_ROWS = 64
"""Rows that a device decodes at once to find what each passage alone makes of the answer."""


def passage_log_likelihood(reader: Reader, encoded: Encoded, answer: Int[Array, "B A"]) -> Float[Array, "B k"]:
    """log p(answer | passage_i alone, question), summed or averaged over answer tokens as the settings say.

    No dropout above the scores. No gradient either, and so nothing kept for a way back, unless the settings let it
    flow. Passages go through the last live layers and the decoder in groups, one after the other, of as many as make
    TEACHER_ROWS rows a device: what is held does not grow with k. A gradient that flows computes each group again.
    """
    if reader.settings.teacher_gradient == "stopped":
        reader, encoded = jax.tree.map(jax.lax.stop_gradient, (reader, encoded))
    rows, k = encoded.reranked.present.shape
    most = max(TEACHER_ROWS * row_devices() // rows, 1)
    size = max(divisor for divisor in range(1, min(k, most) + 1) if k % divisor == 0)

    leaves, tree = jax.tree.flatten(encoded.reranked)

    def of_group(leaves: list[Array]) -> Float[Array, "B group"]:
        alone = dataclasses.replace(encoded, kept=reader.finish(jax.tree.unflatten(tree, leaves)))
        return jnp.sum(reader.answer_log_probability(alone, answer), axis=2)

    if reader.settings.teacher_gradient == "flows":
        of_group = jax.checkpoint(of_group)
    groups = [jnp.moveaxis(x.reshape(rows, k // size, size, *x.shape[2:]), 1, 0) for x in leaves]
    total = jnp.moveaxis(jax.lax.map(of_group, groups), 0, 1).reshape(rows, k)
    if reader.settings.token_reduction == "mean":
        total = total / jnp.maximum(jnp.sum(answer != reader.config.pad_id, axis=1), 1)[:, None]
    return total
