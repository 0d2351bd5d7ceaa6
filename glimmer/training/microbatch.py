"""A step over a large batch in parts: gradients summed over microbatches, equal to those of the whole batch.

Each part's losses are its share of the whole batch's means (`reader_losses` with `whole`), so shares and gradients add
up. Dropout too is the whole batch's: a key of part i draws, for arrays whose first axis is rows, the i-th part of what
the whole batch would draw. So how many parts there are changes no number beyond the order of sums, and no run's id.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl, threefry2x32_p, threefry_prng_impl
from jaxtyping import Array, Int, Key, UInt32

from glimmer.errors import InputError
from glimmer.models.batch import Batch
from glimmer.models.mesh import split_rows

LossOfPart = Callable[[Any, Batch, Key[Array, ""]], tuple[Array, Any]]
"""(parameters, part of a batch, dropout key) -> (that part's share of the loss, its share of all that is measured)."""


def gradients_of_parts(
    loss: LossOfPart, parameters: Any, batch: Batch, key: Key[Array, ""], parts: int
) -> tuple[Any, Any]:
    """(gradients, what was measured) of a batch, both summed over `parts` parts of equal size, one after the other.

    Rows i B / parts to (i + 1) B / parts are part i. Raises InputError where `parts` does not divide the rows B, or
    for a key that is not of threefry.
    """
    rows = len(batch.answer)
    if rows % parts:
        raise InputError("microbatches do not divide the batch", where="devices.microbatches",
                         expected=f"a divisor of {rows}", found=parts)  # fmt: skip
    divided = jax.tree.map(lambda x: split_rows(jnp.reshape(x, (parts, -1, *x.shape[1:])), axis=1), batch)
    gradient = jax.grad(loss, has_aux=True)

    def add(sums, numbered):
        number, part = numbered
        return jax.tree.map(jnp.add, sums, gradient(parameters, part, key_of_part(key, number))), None

    shapes = jax.eval_shape(gradient, parameters, jax.tree.map(lambda x: x[0], divided), key)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return jax.lax.scan(add, zeros, (jnp.arange(parts), divided))[0]


def key_of_part(key: Key[Array, ""], part: Int[Array, ""] | int) -> Key[Array, ""]:
    """A key that draws for part `part` what `key` draws for the whole: if `key` draws an array of shape (n R, ...),
    this one draws of shape (R, ...) its rows part R to (part + 1) R. Keys split or folded from it do so for those of
    `key`.

    Less than 2^32 numbers a row, 2^32 rows. Raises InputError for a key that is not of threefry.
    """
    if str(jax.random.key_impl(key)) != "threefry2x32":
        raise InputError("dropout in microbatches needs another kind of key", where="jax_default_prng_impl",
                         expected="threefry2x32", found=jax.random.key_impl(key))  # fmt: skip
    words = jnp.concatenate([jax.random.key_data(key), jnp.asarray(part, jnp.uint32)[None]])
    return jax.random.wrap_key_data(words, impl=_ROWS)


def _bits(words: UInt32[Array, " 3"], width: int, shape: tuple[int, ...]) -> Array:
    """Random bits as threefry draws them in its partitionable form: a hash of each number's place, here a later one."""
    if width != 32 or not shape:
        return threefry_prng_impl.random_bits(words[:2], width, shape)
    row = words[2] * jnp.uint32(shape[0]) + jax.lax.broadcasted_iota(jnp.uint32, shape, 0)
    size = math.prod(shape[1:])
    inner = jnp.zeros(shape, jnp.uint32)
    for axis in range(1, len(shape)):
        stride = math.prod(shape[axis + 1 :])
        inner = inner + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride)
    high, low = _product(row, size)
    total = low + inner
    high = high + (total < low).astype(jnp.uint32)
    first, second = threefry2x32_p.bind(words[0], words[1], high, total)
    return first ^ second


def _product(x: UInt32[Array, "..."], y: int) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """x y, the upper and the lower 32 bits of 64."""
    mask, shift = jnp.uint32(0xFFFF), jnp.uint32(16)
    x_high, x_low, y_high, y_low = x >> shift, x & mask, jnp.uint32(y >> 16), jnp.uint32(y & 0xFFFF)
    middle = x_high * y_low + ((x_low * y_low) >> shift)
    other = x_low * y_high + (middle & mask)
    return x_high * y_high + (middle >> shift) + (other >> shift), x * jnp.uint32(y)


def _with_part(words: Array, keys: Array) -> Array:
    return jnp.concatenate([keys, jnp.broadcast_to(words[2:], (*keys.shape[:-1], 1))], axis=-1)


_ROWS = define_prng_impl(
    key_shape=(3,),
    seed=lambda seed: jnp.concatenate([threefry_prng_impl.seed(seed), jnp.zeros(1, jnp.uint32)]),
    split=lambda words, shape: _with_part(words, threefry_prng_impl.split(words[:2], shape)),
    random_bits=_bits,
    fold_in=lambda words, data: _with_part(words, threefry_prng_impl.fold_in(words[:2], data)),
    name="threefry2x32_of_rows",
    tag="fryr",
)
