"""Perplexity distillation against its formula in float64 with finite differences; who gets which gradient."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from glimmer.experiments.settings import fid, glimmer
from glimmer.models.batch import Batch
from glimmer.training.losses import (
    TEACHER_ROWS,
    DistillationWeights,
    distillation_loss,
    language_model_loss,
    passage_log_likelihood,
    ranking_entropy,
    reader_losses,
)
from glimmer.training.state import split_reader
from tests.models import reference
from tests.models.tiny import ANSWER, CONFIG, program, ragged_batch, tiny_reader

K = 4
VOCABULARY = 2048
NUMBERS = st.floats(-6, 6, width=32)
ROWS = st.lists(st.lists(NUMBERS, min_size=K, max_size=K), min_size=2, max_size=2)
PRESENT = st.lists(st.lists(st.booleans(), min_size=K, max_size=K), min_size=2, max_size=2)


@functools.partial(jax.jit, static_argnames=("kl", "teacher"))
def loss_and_gradients(scores, likelihoods, present, tau, kl, teacher):
    def loss(s, l):  # noqa: E741
        return distillation_loss(jnp.where(present, s, -jnp.inf), l, present, tau, kl, teacher)

    return jax.value_and_grad(loss, argnums=(0, 1))(scores, likelihoods)


def slope(function, x, present):
    """Gradient of a function of an array by central differences in float64; 0 where nothing is present."""
    out = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        if present[place]:
            step = np.zeros_like(x)
            step[place] = 1e-5
            out[place] = (function(x + step) - function(x - step)) / 2e-5
    return out


@settings(max_examples=25)
@given(scores=ROWS, present=PRESENT, tau=st.sampled_from([0.5, 1.0, 3.0]))
def test_the_entropy_of_a_ranking_is_a_share_of_that_of_equal_scores(scores, present, tau):
    scores, present = np.array(scores), np.array(present)
    shares = []
    for row, there in zip(scores, present, strict=True):
        if there.sum() > 1:
            p = np.exp(row[there] / tau - np.logaddexp.reduce(row[there] / tau))
            shares.append(-np.sum(p * np.log(p)) / np.log(there.sum()))
    found = float(ranking_entropy(jnp.asarray(scores, jnp.float32), jnp.asarray(present), tau))
    assert found == pytest.approx(np.mean(shares) if shares else 0.0, abs=1e-5)
    equal = float(ranking_entropy(jnp.zeros(scores.shape), jnp.asarray(present), tau))
    assert equal == pytest.approx(1.0 if shares else 0.0, abs=1e-6)


@pytest.mark.parametrize("kl", ["rank_lm", "lm_rank"])
@settings(max_examples=25)
@given(scores=ROWS, likelihoods=ROWS, present=PRESENT, tau=st.sampled_from([0.5, 1.0, 3.0]))
def test_distillation_and_its_gradient_equal_the_formula(kl, scores, likelihoods, present, tau):
    scores, likelihoods, present = np.array(scores), np.array(likelihoods), np.array(present)
    arrays = (scores.astype(np.float32), likelihoods.astype(np.float32), present, tau)
    value, (to_scores, to_teacher) = loss_and_gradients(*arrays, kl=kl, teacher="flows")
    stopped, (same_to_scores, nothing) = loss_and_gradients(*arrays, kl=kl, teacher="stopped")
    assert float(value) == pytest.approx(
        reference.distillation(scores, likelihoods, present, tau, kl), rel=1e-4, abs=1e-5
    )
    assert float(stopped) == float(value)
    expected = slope(lambda s: reference.distillation(s, likelihoods, present, tau, kl), scores, present)
    np.testing.assert_allclose(to_scores, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(same_to_scores, to_scores, rtol=1e-5, atol=1e-7)
    assert not np.asarray(nothing).any(), "the teacher gets no gradient unless asked for"
    expected = slope(lambda l: reference.distillation(scores, l, present, tau, kl), likelihoods, present)  # noqa: E741
    np.testing.assert_allclose(to_teacher, expected, rtol=1e-3, atol=1e-5)


def test_the_two_directions_are_what_their_names_say():
    """KL(p, q) = sum p log p/q, over k = 2 by hand; nothing is divided by k."""
    scores, likelihoods, present = (
        jnp.log(jnp.array([[0.9, 0.1]])),
        jnp.log(jnp.array([[0.5, 0.5]])),
        jnp.ones((1, 2), bool),
    )
    rank_lm = 0.9 * np.log(1.8) + 0.1 * np.log(0.2)
    lm_rank = 0.5 * np.log(5 / 9) + 0.5 * np.log(5)
    assert float(distillation_loss(scores, likelihoods, present, 1.0, "rank_lm")) == pytest.approx(rank_lm, rel=1e-5)
    assert float(distillation_loss(scores, likelihoods, present, 1.0, "lm_rank")) == pytest.approx(lm_rank, rel=1e-5)


def test_the_language_model_loss_is_the_mean_over_the_batchs_answer_tokens():
    log_probability, answer = jnp.array([[-1.0, -2, 0], [-3, 0, 0]]), jnp.array([[5, 6, 0], [7, 0, 0]])
    assert float(language_model_loss(log_probability, answer)) == pytest.approx(2.0)


# Every passage has tokens of its own, so that a row of the embedding's gradient is one passage's.
OWN = np.arange(2, 2 + 3 * K).reshape(K, 3)
BATCH = Batch.of(
    question=jnp.array([[0, 14, 15]]), passages=jnp.asarray(OWN[None], jnp.int32), answer=jnp.array([[16, 17, 1]])
)
GLIMMER = glimmer(alpha="1/2", beta="1/2", k=K, m=2)


@functools.cache
def gradients(settings):
    """(kept passages, gradient of the language-model loss, gradient of the distillation loss), by parameter name."""
    reader = tiny_reader(settings)
    split = split_reader(reader)
    weights = DistillationWeights(lambda_=jnp.float32(1), tau=jnp.float32(1))

    @jax.jit
    def both(trained):
        def parts(trained):
            losses = reader_losses(dataclasses.replace(split, trained=trained).merge(), BATCH, weights, None)
            return losses.language_model, losses.distillation

        _, pull = jax.vjp(parts, trained)
        return jax.vmap(pull)((jnp.array([1.0, 0]), jnp.array([0.0, 1])))[0]

    found = both(split.trained)
    parts = [{".".join(map(str, k)): np.asarray(v[...])[i] for k, v in nnx.to_flat_state(found)} for i in (0, 1)]
    _, kept, _, _ = reference.read(reader, [14, 15], OWN.tolist(), [16, 17, 1])
    return kept, *parts


def test_the_language_model_loss_gives_discarded_passages_no_gradient_and_distillation_does():
    kept, language_model, distillation = gradients(GLIMMER)
    for passage in range(K):
        rows = OWN[passage]
        assert (np.abs(language_model["embedding.table"][rows]).max() > 0) == (passage in kept)
        assert np.abs(distillation["embedding.table"][rows]).max() > 0, f"no gradient to passage {passage}"


def test_the_scorer_learns_from_distillation_alone():
    _, language_model, distillation = gradients(GLIMMER)
    for name in ("scorer.weight", "scorer.norm.scale"):
        assert not language_model[name].any() and distillation[name].any()


def test_distillation_trains_what_lies_below_the_scores_and_not_the_reader_that_teaches():
    _, _, distillation = gradients(GLIMMER)
    for name, gradient in distillation.items():
        if name.startswith(("decoder.", "encoder_norm.")) or name == "embedding.head":
            assert not gradient.any(), f"{name} teaches and is trained by it"
        elif name.startswith("live.layers."):
            assert gradient[:1].any() and not gradient[1:].any(), f"{name}: only the first live layer reranks"
        else:
            assert gradient.any(), name


@pytest.mark.parametrize("changes", [{}, {"kl": "lm_rank", "token_reduction": "mean"}], ids=["printed", "ATLAS's"])
def test_equal_scores_have_the_distillation_loss_of_equal_scores(changes):
    """Before the first step the scorer is zero: its loss is the uniform one, absent passages or not."""
    weights = DistillationWeights(lambda_=jnp.float32(1), tau=jnp.float32(0.5))
    batch, settings = ragged_batch(0, k=K, absent=2), dataclasses.replace(GLIMMER, **changes)
    losses = jax.jit(lambda reader: reader_losses(reader, batch, weights, None))
    untrained, random = (losses(tiny_reader(settings, scorer_seed=seed)) for seed in (None, 7))
    assert float(untrained.distillation) == float(untrained.distill_uniform) > 0
    assert float(random.distillation) != pytest.approx(float(random.distill_uniform), rel=1e-3)
    likelihoods = program(settings)[1](batch).log_likelihood
    expected = reference.distillation(
        np.zeros((2, K)), np.asarray(likelihoods), np.asarray(batch.present), 0.5, settings.kl
    )
    assert float(random.distill_uniform) == pytest.approx(expected, rel=1e-4)


def test_what_is_not_distilled_has_no_uniform_loss():
    weights = DistillationWeights(lambda_=jnp.float32(1), tau=jnp.float32(1))
    for reader in map(tiny_reader, (dataclasses.replace(GLIMMER, lambda_=0.0), fid(k=K))):
        found = jax.eval_shape(lambda reader: reader_losses(reader, BATCH, weights, None).distill_uniform, reader)
        assert found is None


@pytest.mark.slow
def test_a_teacher_that_is_let_flow_is_trained():
    _, _, distillation = gradients(dataclasses.replace(GLIMMER, teacher_gradient="flows", reranker="separate"))
    assert distillation["decoder.norm.scale"].any() and distillation["embedding.head"].any()
    assert distillation["live.layers.attention.value"][1:].any()


@pytest.mark.slow
def test_lambda_0_trains_exactly_the_model_without_distillation():
    """Dropout included: a reader whose settings have no distillation draws the same masks as one that weighs it 0."""
    config = dataclasses.replace(CONFIG, dropout=0.2)
    batch, key = ragged_batch(3), jax.random.key(0, impl="unsafe_rbg")  # compiles in half the time

    def gradient(settings, weight):
        split = split_reader(tiny_reader(settings, config))
        weights = DistillationWeights(lambda_=jnp.float32(weight), tau=jnp.float32(1))

        def loss(trained):
            return reader_losses(dataclasses.replace(split, trained=trained).merge(), batch, weights, key).total

        return jax.jit(jax.grad(loss))(split.trained)

    without, weighed_0 = gradient(dataclasses.replace(GLIMMER, lambda_=0.0), 1.0), gradient(GLIMMER, 0.0)
    for (path, a), b in zip(nnx.to_flat_state(without), jax.tree.leaves(weighed_0), strict=True):
        np.testing.assert_array_equal(a[...], b, err_msg=str(path))


@functools.cache
def temporary_bytes(k: int, teacher: str) -> int:
    """What a compiled log p(answer | each passage) holds beside its arguments; its way back where a gradient flows."""
    settings = glimmer(alpha=1, beta="1/2", k=k, m=2, teacher_gradient=teacher)
    config = dataclasses.replace(CONFIG, vocabulary=VOCABULARY, encoder_layers=2, decoder_layers=1)
    split = split_reader(tiny_reader(settings, config))
    batch = ragged_batch(rows=TEACHER_ROWS, k=k)
    encoded = jax.eval_shape(
        lambda trained: dataclasses.replace(split, trained=trained).merge().encode(batch), split.trained
    )

    def total(trained, encoded):
        reader = dataclasses.replace(split, trained=trained).merge()
        return jnp.sum(passage_log_likelihood(reader, encoded, batch.answer))

    program = jax.jit(total if teacher == "stopped" else jax.grad(total))
    return program.lower(split.trained, encoded).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow
@pytest.mark.parametrize("teacher", ["stopped", "flows"])
def test_forty_passages_hold_no_more_decoders_than_four(teacher):
    """Thirty-six more passages take less than the logits of one."""
    logits_of_a_passage = TEACHER_ROWS * ANSWER * VOCABULARY * 4
    assert temporary_bytes(40, teacher) - temporary_bytes(4, teacher) < logits_of_a_passage
