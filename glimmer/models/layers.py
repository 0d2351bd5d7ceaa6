"""The parts of a T5 layer: RMS norm, attention with relative-position bias, feed-forward; and scanning over layers.

Letters in shapes: B rows, Q query tokens, K key tokens, T tokens, D model width, H heads, C width of a head,
F feed-forward width, N layers, R relative-position buckets.
Dropout takes a key, or None for none: no hidden random state, so that a step is a function of its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from glimmer.models.config import T5Config
from glimmer.models.mesh import split_rows
from glimmer.models.products import attention, dropped, linear

MaybeKey = Key[Array, ""] | None


def dropout(x: Float[Array, "..."], rate: float, key: MaybeKey) -> Float[Array, "..."]:
    """Zeroes a share `rate` of the entries and scales the rest by 1 / (1 - rate); the identity without a key."""
    return dropped(x, kept_by_dropout(x.shape, rate, key), rate)


def kept_by_dropout(shape: tuple[int, ...], rate: float, key: MaybeKey) -> Bool[Array, "..."] | None:
    """Which entries of an array of `shape` dropout keeps; None where it does nothing."""
    if key is None or rate == 0.0:
        return None
    return jax.random.bernoulli(key, 1.0 - rate, shape)


def split_key(key: MaybeKey, count: int) -> list[MaybeKey]:
    """`count` independent keys, or as many Nones."""
    return [None] * count if key is None else list(jax.random.split(key, count))


class RMSNorm(nnx.Module):
    """x / sqrt(mean(x^2) + epsilon) * scale, without mean subtraction or bias (T5's "layer norm")."""

    def __init__(self, config: T5Config):
        self.scale = nnx.Param(jnp.ones(config.d_model, jnp.float32))
        self.epsilon = config.norm_epsilon

    def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        wide = x.astype(jnp.float32)  # bfloat16 has 8 bits: a mean of squares would be rounded to 1 part in 256
        scaled = wide * jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + self.epsilon)
        return (scaled * self.scale[...]).astype(x.dtype)


class RelativeBias(nnx.Module):
    """A learned number a head and bucket of the distance from query to key (Raffel et al. 2020, 2.1)."""

    def __init__(self, config: T5Config, *, bidirectional: bool, rngs: nnx.Rngs):
        shape = (config.relative_buckets, config.num_heads)
        self.table = nnx.Param(jax.random.normal(rngs.params(), shape) * config.d_model**-0.5)
        self.bidirectional = bidirectional
        self.max_distance = config.relative_max_distance

    def __call__(self, queries: Int[Array, " Q"], keys: Int[Array, " K"]) -> Float[Array, "H Q K"]:
        distance = keys[None, :] - queries[:, None]  # Q K
        buckets = relative_bucket(distance, self.bidirectional, self.table.shape[0], self.max_distance)
        return jnp.transpose(self.table[...][buckets], (2, 0, 1))  # H Q K


def relative_bucket(
    distance: Int[Array, "..."], bidirectional: bool, buckets: int, max_distance: int
) -> Int[Array, "..."]:
    """Bucket of each key-minus-query distance: exact up to half of the buckets, then logarithmic up to `max_distance`.

    Bidirectional attention spends half of the buckets on keys to the right; causal attention sees none there.
    """
    offset = jnp.zeros_like(distance)
    if bidirectional:
        buckets //= 2
        offset = jnp.where(distance > 0, buckets, 0)
        distance = jnp.abs(distance)
    else:
        distance = -jnp.minimum(distance, 0)
    exact = buckets // 2
    ratio = jnp.log(jnp.maximum(distance, 1).astype(jnp.float32) / exact) / math.log(max_distance / exact)
    far = jnp.minimum(exact + (ratio * (buckets - exact)).astype(jnp.int32), buckets - 1)
    return offset + jnp.where(distance < exact, distance, far)


class Attention(nnx.Module):
    """Multi-head attention without biases and no 1/sqrt(width): T5 puts it into its initialisation."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        d, h, c = config.d_model, config.heads_width, config.d_kv
        self.query = nnx.Param(_normal(rngs, (d, h), (d * c) ** -0.5))
        self.key = nnx.Param(_normal(rngs, (d, h), d**-0.5))
        self.value = nnx.Param(_normal(rngs, (d, h), d**-0.5))
        self.output = nnx.Param(_normal(rngs, (h, d), h**-0.5))
        self.heads, self.rate = config.num_heads, config.dropout

    def project_keys(self, x: Float[Array, "B K D"]) -> tuple[Float[Array, "B K H C"], Float[Array, "B K H C"]]:
        """Keys and values of `x`: what a cache holds."""
        return self._heads(x, self.key), self._heads(x, self.value)

    def attend(
        self,
        x: Float[Array, "B Q D"],
        keys: Float[Array, "B K H C"],
        values: Float[Array, "B K H C"],
        bias: Float[Array, "H Q K"] | None,
        mask: Bool[Array, "#B #H #Q K"],
        key: MaybeKey,
    ) -> Float[Array, "B Q D"]:
        """Queries from `x` attend to given keys and values; False in `mask` hides a key.

        A row that hides every key attends uniformly: finite, and ignored by whoever masks that row's output.
        """
        queries = self._heads(x, self.query)
        shape = (x.shape[0], self.heads, x.shape[1], keys.shape[1])
        mixed = attention(queries, keys, values, bias, mask, kept_by_dropout(shape, self.rate, key), self.rate)
        return linear(mixed.reshape(*mixed.shape[:2], -1), self.output[...])

    def _heads(self, x: Float[Array, "B T D"], weight: nnx.Param) -> Float[Array, "B T H C"]:
        projected = linear(x, weight[...])
        return projected.reshape(*projected.shape[:2], self.heads, -1)


class FeedForward(nnx.Module):
    """wo(gelu(x wi_gate) * x wi) for T5.1.1, wo(relu(x wi)) for T5 1.0."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        d, f = config.d_model, config.d_ff
        self.gate = nnx.Param(_normal(rngs, (d, f), d**-0.5)) if config.activation == "gated-gelu" else nnx.data(None)
        self.input = nnx.Param(_normal(rngs, (d, f), d**-0.5))
        self.output = nnx.Param(_normal(rngs, (f, d), f**-0.5))
        self.rate = config.dropout

    def __call__(self, x: Float[Array, "B T D"], key: MaybeKey) -> Float[Array, "B T D"]:
        hidden = linear(x, self.input[...])
        if self.gate is None:
            hidden = jax.nn.relu(hidden)
        else:
            hidden = jax.nn.gelu(linear(x, self.gate[...]), approximate=True) * hidden
        return linear(dropout(hidden, self.rate, key), self.output[...])


def stack_layers(build: Callable[[nnx.Rngs], nnx.Module], count: int, rngs: nnx.Rngs) -> nnx.Module | None:
    """`count` layers as one module whose every parameter has a leading layer axis N; None for no layers."""
    if count == 0:
        return None
    return nnx.vmap(lambda key: build(nnx.Rngs(key)))(jax.random.split(rngs.params(), count))


def scan_layers(
    layers: nnx.Module | None,
    x: Float[Array, "B T D"],
    apply: Callable[[nnx.Module, Float[Array, "B T D"], MaybeKey], Float[Array, "B T D"]],
    key: MaybeKey,
    start: int = 0,
    stop: int | None = None,
    rematerialise: bool = False,
) -> Float[Array, "B T D"]:
    """Runs layers [start, stop) of a stack one after the other, compiling one layer only.

    A layer's dropout key depends on its place in the stack and on
    nothing else, so running [0, n) in two parts equals running it at once.
    """
    if layers is None:
        return x
    definition, state = nnx.split(layers)
    count = jax.tree.leaves(state)[0].shape[0]
    stop = count if stop is None else stop
    if start >= stop:
        return x
    places = jnp.arange(start, stop)
    state = jax.tree.map(lambda leaf: leaf[start:stop], state)

    def one_layer(carry, place_and_state):
        place, layer_state = place_and_state
        layer_key = None if key is None else jax.random.fold_in(key, place)
        return split_rows(apply(nnx.merge(definition, layer_state), split_rows(carry), layer_key)), None

    body = jax.checkpoint(one_layer) if rematerialise else one_layer
    return jax.lax.scan(body, x, (places, state))[0]


def _normal(rngs: nnx.Rngs, shape: tuple[int, ...], deviation: float) -> Array:
    return jax.random.normal(rngs.params(), shape, jnp.float32) * deviation
