"""Matrix products of a T5 layer, with backward passes stated for CPUs: autodiff's numbers (in float32) in less time.

Autodiff writes a weight's gradient as a product followed by a transpose, which XLA's CPU backend turns into a strided
copy of the long operand; and it lets XLA fuse the derivative of the softmax into each of the two products that use it,
where it is computed twice. Stating the products avoids both; benchmarks/products.py measures what that gains. Heads
stand before tokens in every product, so that a product is a batch of plain matrix products.

Letters in shapes: B rows, H heads, C width of a head, Q query tokens, K key tokens, D and E widths.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def contract(letters: str, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """einsum of two arrays of one dtype in that dtype, summed in float32.

    The one form for which XLA has a bfloat16 kernel on CPUs too.
    """
    return jnp.einsum(letters, x, y, preferred_element_type=jnp.float32).astype(x.dtype)


@jax.custom_vjp
def linear(x: Float[Array, "*B D"], weight: Float[Array, "D E"]) -> Float[Array, "*B E"]:
    """x W in x's dtype; a float32 weight's gradient is summed and kept in float32."""
    return contract("...d,de->...e", x, weight.astype(x.dtype))


def _linear_forward(x, weight):
    return linear(x, weight), (x, weight)


def _linear_backward(saved, gradient):
    x, weight = saved
    rows = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
    of_weight = jax.lax.dot_general(*rows, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)
    return contract("...e,de->...d", gradient, weight.astype(x.dtype)), of_weight.astype(weight.dtype)


linear.defvjp(_linear_forward, _linear_backward)


def dropped(x: Float[Array, "..."], kept: Bool[Array, "..."] | None, rate: float) -> Float[Array, "..."]:
    """x where `kept`, scaled by 1 / (1 - rate), else 0; x itself where `kept` is None."""
    return x if kept is None else jnp.where(kept, x / (1.0 - rate), 0).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(6,))
def attention(
    queries: Float[Array, "B Q H C"],
    keys: Float[Array, "B K H C"],
    values: Float[Array, "B K H C"],
    bias: Float[Array, "H Q K"] | None,
    mask: Bool[Array, "#B #H #Q K"],
    kept: Bool[Array, "B H Q K"] | None = None,
    rate: float = 0.0,
) -> Float[Array, "B Q H C"]:
    """softmax(q k^T + bias) v over the keys that `mask` shows, softmax in float32; T5 has no 1/sqrt(C).

    `kept` says which weights dropout of `rate` keeps. A query that sees no key attends to all alike.
    """
    return _attention_forward(queries, keys, values, bias, mask, kept, rate)[0]


def _attention_forward(queries, keys, values, bias, mask, kept, rate):
    queries, keys, values = (jnp.swapaxes(x, 1, 2) for x in (queries, keys, values))
    scores = jnp.einsum("bhqc,bhkc->bhqk", queries, keys, preferred_element_type=jnp.float32)
    if bias is not None:
        scores = scores + bias
    weights = jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(jnp.float32).min), axis=-1).astype(queries.dtype)
    mixed = contract("bhqk,bhkc->bhqc", dropped(weights, kept, rate), values)
    return jnp.swapaxes(mixed, 1, 2), (queries, keys, values, bias, mask, kept, weights)


def _attention_backward(rate, saved, gradient):
    queries, keys, values, bias, mask, kept, weights = saved
    gradient = jnp.swapaxes(gradient, 1, 2)
    of_values = contract("bhqk,bhqc->bhkc", dropped(weights, kept, rate), gradient)
    of_weights = jnp.einsum("bhqc,bhkc->bhqk", gradient, values, preferred_element_type=jnp.float32)
    of_weights = dropped(of_weights, kept, rate)
    wide = weights.astype(jnp.float32)
    of_scores = wide * (of_weights - jnp.sum(of_weights * wide, axis=-1, keepdims=True))
    of_scores = jax.lax.optimization_barrier(jnp.where(mask, of_scores, 0.0))  # against fusing it into both products
    narrow = of_scores.astype(queries.dtype)
    of_queries = contract("bhqk,bhkc->bhqc", narrow, keys)
    of_keys = contract("bhqk,bhqc->bhkc", narrow, queries)
    of_queries, of_keys, of_values = (jnp.swapaxes(x, 1, 2) for x in (of_queries, of_keys, of_values))
    return of_queries, of_keys, of_values, None if bias is None else jnp.sum(of_scores, axis=0), None, None


attention.defvjp(_attention_forward, _attention_backward)
