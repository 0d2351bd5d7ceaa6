"""T5 against plain NumPy on real tokens, its cache, and its parts against their definitions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glimmer.models.layers import dropout, relative_bucket
from glimmer.models.t5 import greedy_decode, shift_right
from tests.models import reference
from tests.models.tiny import CONFIG, ragged, tiny_t5

T5_1_0 = dataclasses.replace(CONFIG, activation="relu", tied_head=True)


@pytest.mark.parametrize("config", [CONFIG, T5_1_0], ids=["T5.1.1", "T5 1.0"])
@pytest.mark.parametrize("left", [False, True], ids=["padded right", "padded left"])
def test_t5_computes_its_equations_whatever_the_padding(config, left):
    model = tiny_t5(config)
    random = np.random.default_rng(1)
    inputs, targets = ragged(random, 3, 6, left=left), ragged(random, 3, 4, least=2)
    found = np.asarray(_logits(model, inputs, targets))
    p = reference.Parameters(model)
    for row in range(3):
        tokens, answer = inputs[row][inputs[row] > 0], targets[row][targets[row] > 0]
        states = reference.encoder_layers(p.below("encoder"), p["embedding.table"][tokens], config, 0, 4)
        encoded = reference.norm(states, p["encoder_norm.scale"])
        expected = reference.decoder_logits(p, answer, encoded, config)
        np.testing.assert_allclose(found[row, : len(answer)], expected, rtol=2e-4, atol=2e-5)


@nnx.jit
def _logits(model, inputs, targets):
    return model.logits(inputs, inputs != 0, targets)


def test_cached_decoding_equals_decoding_without_a_cache_token_for_token():
    model, length = tiny_t5(dataclasses.replace(CONFIG, relative_max_distance=8, relative_buckets=8)), 12
    inputs = jnp.asarray(ragged(np.random.default_rng(2), 6, 6))

    @nnx.jit
    def cached(model):
        encoded = model.encode(inputs, inputs != 0)
        return greedy_decode(
            model.embedding, model.decoder, encoded, inputs != 0, length=length, config=model.config
        ), encoded

    @nnx.jit
    def next_tokens(model, encoded, tokens):
        states = model.decoder(model.embedding(shift_right(tokens, 0)), encoded, inputs != 0)
        return jnp.argmax(model.embedding.logits(states), axis=2)

    found, encoded = cached(model)
    tokens, ended = np.zeros((6, length), np.int32), np.zeros(6, bool)
    for step in range(length):
        best = np.asarray(next_tokens(model, encoded, tokens))[:, step]
        tokens[:, step] = np.where(ended, 0, best)
        ended |= tokens[:, step] == CONFIG.end_id
    np.testing.assert_array_equal(found, tokens)
    assert len(np.unique(tokens)) > 3, "a test of a model that says one thing only proves little"


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "furthest"), [(32, 128), (8, 20)])
def test_relative_buckets_equal_the_scalar_definition(bidirectional, buckets, furthest):
    """Distances at which the logarithm is a whole number are compared too: rounding it down would miss them."""
    distances = np.arange(-300, 301)
    found = relative_bucket(jnp.asarray(distances), bidirectional, buckets, furthest)
    expected = [reference.bucket(int(d), bidirectional, buckets, furthest) for d in distances]
    np.testing.assert_array_equal(found, expected)


def test_dropout_without_a_key_is_the_identity_and_keeps_the_mean():
    x = jnp.ones((200, 200))
    assert dropout(x, 0.3, None) is x
    dropped = np.asarray(dropout(x, 0.3, jax.random.key(0)))
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / 0.7], rtol=1e-6)
    assert abs(dropped.mean() - 1) < 0.02


def test_layers_in_two_parts_are_layers_at_once_dropout_included():
    encoder = tiny_t5(dataclasses.replace(CONFIG, dropout=0.2)).encoder
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, CONFIG.d_model)), jnp.float32)
    mask, key = jnp.ones((2, 5), bool), jax.random.key(3)

    @nnx.jit
    def run(encoder):
        parts = encoder(encoder(x, mask, key, 0, 1), mask, key, 1, None)
        return parts, encoder(x, mask, key), encoder(x, mask, None)

    parts, whole, without = run(encoder)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=2e-5)
    assert not np.allclose(whole, without)


def test_attention_over_nothing_is_finite():
    model = tiny_t5()
    logits = _logits(model, np.zeros((3, 6), np.int32), ragged(np.random.default_rng(0), 3, 4))
    assert np.isfinite(logits).all()
