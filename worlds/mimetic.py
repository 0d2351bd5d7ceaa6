"""A structured start for small T5s: the circuits that web-scale pretraining would have planted, and growing in depth.

A transformer of this size learns to copy and to match words only after a long plateau. Starting from weights that mimic
trained ones (Trockman and Kolter 2023, "Mimetic initialization of self-attention layers") skips it:

    lm_head = 2 d^-1/2 E^T           a decoder state that holds a word's embedding says that word
    W_V orthogonal, W_O = W_V^T      cross-attention copies what it attends to
    W_Q = 2 c^-1/2 W_K               head 0 of every attention attends to equal tokens
    relative positions               head 0 only looks back, head 1 to the previous token, head 2 to the next
    equality                         the first layer marks tokens that stand to their left too
    anchor                           head 3 of later encoder layers attends to what separates title and text

A plain start has the first four alone, which transformers trained on any text show, and small outputs of its layers;
the last two were made for questions beside passages with titles. Model width is d, head width c and embedding E
(worlds.distribution says how that starts). Letters in
shapes: D model width, H heads times head width, V vocabulary, R relative-position buckets.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from glimmer.errors import InputError
from glimmer.models.config import T5Config
from glimmer.models.t5 import T5, EncoderStack
from worlds.distribution import StartingWords

HEAD_SCALE = 2.0
MATCH_SHARPNESS = 2.0
POSITION_BIAS = 6.0
HIDDEN_BIAS = 10.0
EQUALITY_GAIN = 2.0
MARK_SCALE = 0.3
ANCHOR_SHARPNESS = 0.8
_MATCH, _PREVIOUS, _NEXT, _ANCHOR = 0, 1, 2, 3  # heads


def plain_t5(config: T5Config, key: Key[Array, ""], words: StartingWords | None = None) -> T5:
    """A T5 with random weights and the circuits that hold for any text; heads that `config` lacks are left out.

    The match head sees both sides, but not the token itself and its neighbours. The layers of a stack of N write
    (2 N)^-1/2 of what T5's start has them write (Radford et al. 2019): what comes out still holds the words that
    came in, at any depth.
    """
    model, value_key, _ = _started(config, key, words)
    for stack, layers in ((model.encoder, config.encoder_layers), (model.decoder, config.decoder_layers)):
        for module in (stack.layers.attention, stack.layers.feed_forward):
            module.output[...] = module.output[...] * (2 * layers) ** -0.5
    _plant_copies(model, value_key)
    for bias in (model.encoder.relative_bias, model.decoder.relative_bias):
        bias.table[...] = plain_positions(bias.table[...], bias.bidirectional)
    return model


def planted_t5(config: T5Config, key: Key[Array, ""], words: StartingWords | None = None) -> T5:
    """A T5 with random weights and the circuits of this module's docstring; heads that `config` lacks are left out.

    Without `words` the embeddings are random and no anchor is planted.
    """
    model, value_key, equality_key = _started(config, key, words)
    _plant_equality(model, equality_key)
    if words is not None and words.separator is not None and config.num_heads > _ANCHOR:
        _plant_anchor(model, words)
    _plant_copies(model, value_key)
    for bias in (model.encoder.relative_bias, model.decoder.relative_bias):
        bias.table[...] = planted_positions(bias.table[...], bias.bidirectional)
    return model


def _started(config: T5Config, key: Key[Array, ""], words: StartingWords | None) -> tuple[T5, Array, Array]:
    """A T5 whose head says what it holds and whose attentions match equal tokens; keys for values and equality."""
    random_key, value_key, equality_key = jax.random.split(key, 3)
    model = T5(config, rngs=nnx.Rngs(params=random_key))
    if words is not None:
        model.embedding.table[...] = jnp.asarray(words.table)
    model.embedding.head[...] = HEAD_SCALE * config.d_model**-0.5 * model.embedding.table[...].T
    decoder = model.decoder.layers
    for attention in (model.encoder.layers.attention, decoder.attention, decoder.cross_attention):
        match = _head(config, _MATCH)
        matching = MATCH_SHARPNESS * config.d_kv**-0.5 * attention.key[..., match]
        attention.query[...] = attention.query[...].at[..., match].set(matching)
    return model, value_key, equality_key


def _plant_copies(model: T5, key: Key[Array, ""]) -> None:
    """Cross-attention writes what it attends to."""
    config, cross = model.config, model.decoder.layers.cross_attention
    keys = jax.random.split(key, config.decoder_layers)
    values = jax.vmap(lambda one: orthogonal(one, config.d_model, config.heads_width))(keys)
    cross.value[...], cross.output[...] = values, jnp.swapaxes(values, 1, 2)


def _head(config: T5Config, number: int) -> slice:
    return slice(number * config.d_kv, (number + 1) * config.d_kv)


def orthogonal(key: Key[Array, ""], rows: int, columns: int) -> Float[Array, "D H"]:
    """A random matrix whose shorter side is orthonormal: W^T W or W W^T is the identity."""
    return jax.nn.initializers.orthogonal()(key, (rows, columns), jnp.float32)


def planted_positions(table: Float[Array, "R heads"], bidirectional: bool) -> Float[Array, "R heads"]:
    """A relative-position table in which heads know where to look.

    Buckets 0 and 1 are the token itself and the one before it; those after it begin at half of the table, plus one for
    the next. A causal decoder sees none after it, so its third head is left as it is. Head 0 does not see the token
    itself, for which every token would be its own best match, nor what follows: in [question; passage] a title then
    looks for its words in the question, not in the text that repeats them.
    """
    table = table.at[:2, _MATCH].set(-HIDDEN_BIAS)
    if bidirectional:
        table = table.at[table.shape[0] // 2 :, _MATCH].set(-HIDDEN_BIAS)
    return _with_neighbours(table, bidirectional)


def plain_positions(table: Float[Array, "R heads"], bidirectional: bool) -> Float[Array, "R heads"]:
    """The same but for head 0, which looks to both sides, past its neighbours."""
    table = table.at[:2, _MATCH].set(-HIDDEN_BIAS)
    if bidirectional:
        table = table.at[table.shape[0] // 2 + 1, _MATCH].set(-HIDDEN_BIAS)
    return _with_neighbours(table, bidirectional)


def _with_neighbours(table: Float[Array, "R heads"], bidirectional: bool) -> Float[Array, "R heads"]:
    after = table.shape[0] // 2
    if table.shape[1] > _PREVIOUS:
        table = table.at[1, _PREVIOUS].set(POSITION_BIAS)
    if table.shape[1] > _NEXT and bidirectional:
        table = table.at[after + 1, _NEXT].set(POSITION_BIAS)
    return table


def _plant_equality(model: T5, key: Key[Array, ""]) -> None:
    """The first encoder layer marks tokens that stand to their left too: in a passage's title, those of the question.

    With orthonormal directions K, P and f of the residual stream, head 0 writes the key of what it attends to,
    P K^T x_j, and pairs of hidden units multiply it with the token's own, since gelu(a) b - gelu(-a) b = a b:
    f . FF(x_i) = sum_c (K^T x_i)_c (P^T x_i)_c, large where the attended token equals the token itself.
    """
    width, d = model.config.d_kv, model.config.d_model
    if 2 * width >= d or 2 * width > model.config.d_ff:
        return  # no room for the directions
    basis = orthogonal(key, d, 2 * width + 1)
    own, other, mark = basis[:, :width], basis[:, width : 2 * width], basis[:, -1]
    attention, feed_forward = model.encoder.layers.attention, model.encoder.layers.feed_forward
    head = _head(model.config, _MATCH)
    attention.key[...] = attention.key[...].at[0, :, head].set(own)
    attention.query[...] = attention.query[...].at[0, :, head].set(MATCH_SHARPNESS * width**-0.5 * own)
    attention.value[...] = attention.value[...].at[0, :, head].set(own)
    attention.output[...] = attention.output[...].at[0, head].set(EQUALITY_GAIN * other.T)
    units = slice(0, 2 * width)
    signs = jnp.concatenate([own, -own], axis=1)
    feed_forward.gate[...] = feed_forward.gate[...].at[0, :, units].set(signs)
    feed_forward.input[...] = feed_forward.input[...].at[0, :, units].set(jnp.concatenate([other, other], axis=1))
    out = jnp.concatenate([jnp.ones(width), -jnp.ones(width)])[:, None] * mark
    feed_forward.output[...] = feed_forward.output[...].at[0, units].set(MARK_SCALE * out)


def _plant_anchor(model: T5, words: StartingWords) -> None:
    """Head 3 of every encoder layer but the first attends from everywhere to the separator behind a title.

    It is the one token that every passage has and that stands beside the title: whether the title agrees with the
    question reaches the rest of the passage through it. The queries read the direction u that all embeddings share,
    the keys what is the separator's own; both add to a random head of less weight.
    """
    head = _head(model.config, _ANCHOR)
    own = words.table[words.separator] - words.shared * (words.shared @ words.table[words.separator])
    attention = model.encoder.layers.attention
    for weight, direction in ((attention.query, words.shared), (attention.key, own / jnp.linalg.norm(own))):
        random = 0.3 * weight[1:, :, head]
        planted = random.at[:, :, 0].add(ANCHOR_SHARPNESS**0.5 * jnp.asarray(direction))
        weight[...] = weight[...].at[1:, :, head].set(planted)


def grown_t5(model: T5, places: tuple[int | None, ...]) -> T5:
    """A T5 with more encoder layers; with every old layer once and in order it computes the same, to float rounding.

    `places` names, for each layer of the new encoder, the old layer that stands there, or None for a new one: random,
    with output projections of zero, so that it adds nothing to the residual stream until training moves it. (A copy of
    a trained layer in its stead has circuits of large activations: a few steps of its output upset all that follows.)
    An old layer may stand in several places, as in stacking (Gong et al. 2019); that changes the function. Raises
    InputError for a layer that the model does not have, or one left out.
    """
    old = range(model.config.encoder_layers)
    if {place for place in places if place is not None} != set(old):
        raise InputError("not the layers of this model", expected=f"each of 0 to {old[-1]}, or null", found=places)
    grown = _copy(model)
    grown.config = dataclasses.replace(model.config, encoder_layers=len(places))
    fresh = EncoderStack(grown.config, len(places), rngs=nnx.Rngs(0)).layers
    for output in (fresh.attention.output, fresh.feed_forward.output):
        output[...] = jnp.zeros_like(output[...])
    source, is_new = jnp.array([place or 0 for place in places]), jnp.array([place is None for place in places])

    def placed(new: Array, trained: Array) -> Array:
        return jnp.where(is_new.reshape(-1, *[1] * (new.ndim - 1)), new, trained[source])

    definition, state = nnx.split(model.encoder.layers)
    grown.encoder.layers = nnx.data(nnx.merge(definition, jax.tree.map(placed, nnx.state(fresh), state)))
    return grown


def places_at_the_end(old: int, new: int) -> tuple[int | None, ...]:
    """Where `old` layers stand among `new` ones: at the end, new ones before them.

    The trained layers match question and passage. At the end they are the live ones of every split that has at least
    `old` live layers, so that such a reader starts from the function that was pretrained.
    """
    if not 1 <= old <= new:
        raise InputError("an encoder only grows", expected=f"at least {old} layers", found=new)
    return (*[None] * (new - old), *range(old))


def _copy(model: T5) -> T5:
    definition, state = nnx.split(model)
    return nnx.merge(definition, jax.tree.map(jnp.copy, state))
