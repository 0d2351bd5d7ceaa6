"""The stated backward passes against autodiff of the formulas, with masks, biases, dropout and ragged widths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glimmer.models.products import attention, linear

RATE = 0.25


def plain_attention(queries, keys, values, bias, mask, kept):
    scores = jnp.einsum("bqhc,bkhc->bhqk", queries, keys)
    scores = scores if bias is None else scores + bias
    weights = jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(jnp.float32).min), axis=-1)
    return jnp.einsum("bhqk,bkhc->bqhc", weights if kept is None else weights * kept / (1 - RATE), values)


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("with_dropout", [False, True])
@pytest.mark.parametrize("mask_shape", [(3, 1, 1, 7), (1, 1, 5, 7)])
def test_attention_and_its_gradients_are_those_of_the_formula(with_bias, with_dropout, mask_shape):
    queries, keys, values = normal(0, 3, 5, 2, 4), normal(1, 3, 7, 2, 4), normal(2, 3, 7, 2, 4)
    bias = normal(3, 2, 5, 7) if with_bias else None
    kept = normal(4, 3, 2, 5, 7) > -0.7 if with_dropout else None
    mask = normal(5, *mask_shape) > -0.5
    weight = normal(6, 3, 5, 2, 4)

    def loss(function, *differentiated):
        rate = [RATE] if function is attention else []
        return jnp.sum(function(*differentiated, mask, kept, *rate) * weight)

    ours, theirs = (
        jax.value_and_grad(lambda *x, f=f: loss(f, *x), argnums=(0, 1, 2, 3))(queries, keys, values, bias)
        for f in (attention, plain_attention)
    )
    for found, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_query_that_sees_no_key_attends_to_all_alike_and_passes_no_gradient_to_keys():
    queries, keys, values = normal(0, 1, 2, 1, 3), normal(1, 1, 4, 1, 3), normal(2, 1, 4, 1, 3)
    mask = jnp.zeros((1, 1, 1, 4), bool)
    np.testing.assert_allclose(
        attention(queries, keys, values, None, mask)[0, 0, 0], values[0, :, 0].mean(0), rtol=1e-6
    )
    gradient = jax.grad(lambda k: jnp.sum(attention(queries, k, values, None, mask) ** 2))(keys)
    assert not np.any(gradient)


@pytest.mark.parametrize("shape", [(6,), (5, 6), (2, 3, 6)])
def test_linear_and_its_gradients_are_those_of_the_product(shape):
    x, weight = normal(0, *shape), normal(1, 6, 4)
    ours, theirs = (
        jax.grad(lambda x, w, f=f: jnp.sum(jnp.sin(f(x, w))), argnums=(0, 1))(x, weight)
        for f in (linear, lambda x, w: x @ w)
    )
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_float32_weight_of_a_bfloat16_product_keeps_a_float32_gradient():
    x, weight = normal(0, 512, 6).astype(jnp.bfloat16), normal(1, 6, 4)
    found = jax.grad(lambda w: jnp.sum(linear(x, w).astype(jnp.float32)))(weight)
    assert found.dtype == jnp.float32
    expected = np.asarray(x, np.float64).sum(0)[:, None].repeat(4, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
