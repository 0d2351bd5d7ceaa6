"""How a small T5 starts: the circuits that transformers trained on any text show.

A transformer of this size learns to copy and to match words only after a long plateau. Starting from weights that mimic
trained ones (Trockman and Kolter 2023, "Mimetic initialization of self-attention layers") skips it:

    lm_head = 2 d^-1/2 E^T           a decoder state that holds a word's embedding says that word
    W_V orthogonal, W_O = W_V^T      cross-attention copies what it attends to
    W_Q = 2 c^-1/2 W_K               head 0 of every attention attends to equal tokens
    relative positions               head 0 looks past its neighbours, head 1 to the previous token, head 2 to the next

Embeddings are random, layers and tokens exchangeable. Model width is d, head width c and embedding E. Letters in
shapes: D model width, H heads times head width, V vocabulary, R relative-position buckets.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from glimmer.models.config import T5Config
from glimmer.models.t5 import T5

HEAD_SCALE = 2.0
MATCH_SHARPNESS = 2.0
POSITION_BIAS = 6.0
HIDDEN_BIAS = 10.0
_MATCH, _PREVIOUS, _NEXT = 0, 1, 2  # heads


def mimetic_t5(config: T5Config, key: Key[Array, ""]) -> T5:
    """A T5 with random weights and the circuits of this module's docstring; heads that `config` lacks are left out.

    The match head sees both sides, but not its neighbours, nor the token itself, for which every token would be its own
    best match. The layers of a stack of N write (2 N)^-1/2 of what T5's start has them write (Radford et al. 2019):
    what comes out still holds the words that came in, at any depth.
    """
    random_key, value_key, _ = jax.random.split(key, 3)
    model = T5(config, rngs=nnx.Rngs(params=random_key))
    model.embedding.head[...] = HEAD_SCALE * config.d_model**-0.5 * model.embedding.table[...].T
    decoder = model.decoder.layers
    for attention in (model.encoder.layers.attention, decoder.attention, decoder.cross_attention):
        match = slice(_MATCH * config.d_kv, (_MATCH + 1) * config.d_kv)
        matching = MATCH_SHARPNESS * config.d_kv**-0.5 * attention.key[..., match]
        attention.query[...] = attention.query[...].at[..., match].set(matching)
    for stack, layers in ((model.encoder, config.encoder_layers), (model.decoder, config.decoder_layers)):
        for module in (stack.layers.attention, stack.layers.feed_forward):
            module.output[...] = module.output[...] * (2 * layers) ** -0.5
    keys = jax.random.split(value_key, config.decoder_layers)
    values = jax.vmap(lambda one: orthogonal(one, config.d_model, config.heads_width))(keys)
    decoder.cross_attention.value[...], decoder.cross_attention.output[...] = values, jnp.swapaxes(values, 1, 2)
    for bias in (model.encoder.relative_bias, model.decoder.relative_bias):
        bias.table[...] = mimetic_positions(bias.table[...], bias.bidirectional)
    return model


def orthogonal(key: Key[Array, ""], rows: int, columns: int) -> Float[Array, "D H"]:
    """A random matrix whose shorter side is orthonormal: W^T W or W W^T is the identity."""
    return jax.nn.initializers.orthogonal()(key, (rows, columns), jnp.float32)


def mimetic_positions(table: Float[Array, "R heads"], bidirectional: bool) -> Float[Array, "R heads"]:
    """A relative-position table in which heads know where to look.

    Buckets 0 and 1 are the token itself and the one before it; those after it begin at half of the table, plus one for
    the next. A causal decoder sees none after it, so its third head is left as it is.
    """
    after = table.shape[0] // 2
    table = table.at[:2, _MATCH].set(-HIDDEN_BIAS)
    if bidirectional:
        table = table.at[after + 1, _MATCH].set(-HIDDEN_BIAS)
    if table.shape[1] > _PREVIOUS:
        table = table.at[1, _PREVIOUS].set(POSITION_BIAS)
    if table.shape[1] > _NEXT and bidirectional:
        table = table.at[after + 1, _NEXT].set(POSITION_BIAS)
    return table
