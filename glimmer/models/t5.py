"""T5: an encoder stack, a decoder stack with a cache for greedy decoding, embeddings and head.

Letters in shapes: B rows, T tokens, S encoded tokens, D model width, V vocabulary, N layers, H heads, C head width.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from glimmer.models.config import T5Config
from glimmer.models.layers import (
    Attention,
    FeedForward,
    MaybeKey,
    RelativeBias,
    RMSNorm,
    dropout,
    scan_layers,
    split_key,
    stack_layers,
)
from glimmer.models.mesh import gathered, split_rows


class EncoderLayer(nnx.Module):
    """Self-attention, then feed-forward, each normed before and added to the residual stream."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        self.attention_norm = RMSNorm(config)
        self.attention = Attention(config, rngs=rngs)
        self.feed_forward_norm = RMSNorm(config)
        self.feed_forward = FeedForward(config, rngs=rngs)
        self.rate = config.dropout

    def __call__(
        self, x: Float[Array, "B T D"], bias: Float[Array, "H T T"], mask: Bool[Array, "B T"], key: MaybeKey
    ) -> Float[Array, "B T D"]:
        weights_key, attended_key, inner_key, outer_key = split_key(key, 4)
        normed = self.attention_norm(x)
        keys, values = self.attention.project_keys(normed)
        attended = self.attention.attend(normed, keys, values, bias, mask[:, None, None, :], weights_key)
        x = x + dropout(attended, self.rate, attended_key)
        return x + dropout(self.feed_forward(self.feed_forward_norm(x), inner_key), self.rate, outer_key)


class EncoderStack(nnx.Module):
    """N encoder layers and their own relative-position table. Its output is the residual stream: no final norm.

    Positions are the places in the row, so real tokens must stand together: padding goes before or after them.
    """

    def __init__(self, config: T5Config, layers: int, *, rngs: nnx.Rngs):
        self.relative_bias = RelativeBias(config, bidirectional=True, rngs=rngs)
        self.layers = nnx.data(stack_layers(lambda r: EncoderLayer(config, rngs=r), layers, rngs))
        self.rematerialise = config.rematerialise

    def __call__(
        self,
        x: Float[Array, "B T D"],
        mask: Bool[Array, "B T"],
        key: MaybeKey = None,
        start: int = 0,
        stop: int | None = None,
    ) -> Float[Array, "B T D"]:
        """Runs layers [start, stop) on `x`, which attends to the tokens where `mask` is True."""
        places = jnp.arange(x.shape[1])
        bias = self.relative_bias(places, places)
        return scan_layers(
            self.layers, x, lambda layer, y, k: layer(y, bias, mask, k), key, start, stop, self.rematerialise
        )


class DecoderLayer(nnx.Module):
    """Causal self-attention, cross-attention, feed-forward, each normed before and added to the residual stream."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        self.attention_norm = RMSNorm(config)
        self.attention = Attention(config, rngs=rngs)
        self.cross_norm = RMSNorm(config)
        self.cross_attention = Attention(config, rngs=rngs)
        self.feed_forward_norm = RMSNorm(config)
        self.feed_forward = FeedForward(config, rngs=rngs)
        self.rate = config.dropout

    def __call__(self, x, self_keys, cross_keys, bias, causal, encoded_mask, key: MaybeKey):
        """One layer on `x` (B T D), given functions of nothing but projected keys and values.

        `self_keys` maps the normed x to (keys, values) to attend to: the whole prefix while training, the cache
        while decoding. `causal` (T K or B 1 1 K) says which of them each token may see.
        """
        k = split_key(key, 6)
        normed = self.attention_norm(x)
        attended = self.attention.attend(normed, *self_keys(normed), bias, causal, k[0])
        x = x + dropout(attended, self.rate, k[1])
        crossed = self.cross_attention.attend(
            self.cross_norm(x), *cross_keys, None, encoded_mask[:, None, None, :], k[2]
        )
        x = x + dropout(crossed, self.rate, k[3])
        return x + dropout(self.feed_forward(self.feed_forward_norm(x), k[4]), self.rate, k[5])


class Decoder(nnx.Module):
    """N decoder layers, their relative-position table and the final norm."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        self.relative_bias = RelativeBias(config, bidirectional=False, rngs=rngs)
        self.layers = nnx.data(stack_layers(lambda r: DecoderLayer(config, rngs=r), config.decoder_layers, rngs))
        self.norm = RMSNorm(config)
        self.rate, self.rematerialise = config.dropout, config.rematerialise

    def __call__(
        self,
        x: Float[Array, "B T D"],
        encoded: Float[Array, "B S D"],
        encoded_mask: Bool[Array, "B S"],
        key: MaybeKey = None,
    ) -> Float[Array, "B T D"]:
        """Teacher-forced decoding of embedded targets `x`, each token seeing those up to itself."""
        input_key, layers_key, output_key = split_key(key, 3)
        places = jnp.arange(x.shape[1])
        bias = self.relative_bias(places, places)
        causal = (places[None, :] <= places[:, None])[None, None]  # 1 1 T T

        def apply(layer: DecoderLayer, y, layer_key):
            cross = layer.cross_attention.project_keys(encoded)
            return layer(y, layer.attention.project_keys, cross, bias, causal, encoded_mask, layer_key)

        x = dropout(x, self.rate, input_key)
        x = scan_layers(self.layers, x, apply, layers_key, rematerialise=self.rematerialise)
        return dropout(self.norm(x), self.rate, output_key)

    def project_encoded(
        self, encoded: Float[Array, "B S D"]
    ) -> tuple[Float[Array, "N B S H C"], Float[Array, "N B S H C"]]:
        """Cross-attention keys and values of every layer: computed once an answer."""
        definition, state = nnx.split(self.layers)

        def one(_, layer_state):
            return None, nnx.merge(definition, layer_state).cross_attention.project_keys(encoded)

        return jax.lax.scan(one, None, state)[1]

    def step(
        self,
        x: Float[Array, "B 1 D"],
        position: Int[Array, ""],
        cache: tuple[Float[Array, "N B T H C"], Float[Array, "N B T H C"]],
        cross: tuple[Float[Array, "N B S H C"], Float[Array, "N B S H C"]],
        encoded_mask: Bool[Array, "B S"],
    ):
        """Decodes the token at `position`; returns its state (B 1 D) and the cache with its keys and values."""
        places = jnp.arange(cache[0].shape[2])
        bias = self.relative_bias(position[None], places)
        visible = (places <= position)[None, None, None, :]
        definition, state = nnx.split(self.layers)

        def one(y, inputs):
            layer_state, layer_cache, layer_cross = inputs
            layer = nnx.merge(definition, layer_state)
            written = []

            def extended(normed):
                new = layer.attention.project_keys(normed)
                written[:] = [
                    jax.lax.dynamic_update_slice_in_dim(old, fresh, position, axis=1)
                    for old, fresh in zip(layer_cache, new, strict=True)
                ]
                return written

            y = layer(y, extended, layer_cross, bias, visible, encoded_mask, None)
            return y, tuple(written)

        x, cache = jax.lax.scan(one, x, (state, cache, cross))
        return self.norm(x), cache


class Embedding(nnx.Module):
    """Token embeddings, shared by encoder and decoder, and the head that turns states into logits."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        shape = (config.vocabulary, config.d_model)
        self.table = nnx.Param(jax.random.normal(rngs.params(), shape, jnp.float32))
        head = None
        if not config.tied_head:
            head = nnx.Param(jax.random.normal(rngs.params(), shape[::-1], jnp.float32) * config.d_model**-0.5)
        self.head = nnx.data(head)
        self.dtype = config.dtype

    def __call__(self, tokens: Int[Array, "*B T"]) -> Float[Array, "*B T D"]:
        return split_rows(gathered(self.table[...].astype(self.dtype))[tokens])

    def logits(self, x: Float[Array, "B T D"]) -> Float[Array, "B T V"]:
        """float32 logits. T5 1.0 shares the embedding and scales by D ** -0.5; T5.1.1 does neither."""
        if self.head is not None:
            head = self.head[...]
        else:
            x, head = x * self.table.shape[1] ** -0.5, self.table[...].T
        return jnp.einsum("btd,dv->btv", split_rows(x), head.astype(x.dtype), preferred_element_type=jnp.float32)


class T5(nnx.Module):
    """A whole T5 encoder-decoder: what a checkpoint holds, and what readers and GTR are built from."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        self.config = config
        self.embedding = Embedding(config, rngs=rngs)
        self.encoder = EncoderStack(config, config.encoder_layers, rngs=rngs)
        self.encoder_norm = RMSNorm(config)
        self.decoder = Decoder(config, rngs=rngs)

    def encode(
        self, tokens: Int[Array, "B T"], mask: Bool[Array, "B T"], key: MaybeKey = None
    ) -> Float[Array, "B T D"]:
        """Normed encoder states of token ids."""
        input_key, layers_key, output_key = split_key(key, 3)
        x = dropout(self.embedding(tokens), self.config.dropout, input_key)
        x = self.encoder(x, mask, layers_key)
        return dropout(self.encoder_norm(x), self.config.dropout, output_key)

    def logits(
        self,
        inputs: Int[Array, "B S"],
        inputs_mask: Bool[Array, "B S"],
        targets: Int[Array, "B T"],
        key: MaybeKey = None,
    ) -> Float[Array, "B T V"]:
        """Teacher-forced logits of every target token given those before it."""
        encoder_key, decoder_key = split_key(key, 2)
        encoded = self.encode(inputs, inputs_mask, encoder_key)
        shifted = shift_right(targets, self.config.start_id)
        return self.embedding.logits(self.decoder(self.embedding(shifted), encoded, inputs_mask, decoder_key))


def shift_right(targets: Int[Array, "B T"], start_id: int) -> Int[Array, "B T"]:
    """Decoder inputs: the start token, then all targets but the last."""
    return jnp.pad(targets, ((0, 0), (1, 0)), constant_values=start_id)[:, :-1]


def greedy_decode(
    embedding: Embedding,
    decoder: Decoder,
    encoded: Float[Array, "B S D"],
    encoded_mask: Bool[Array, "B S"],
    *,
    length: int,
    config: T5Config,
) -> Int[Array, "B length"]:
    """The most likely next token at each step until every row has ended; pads after a row's end token.

    A cache holds the keys and values of the prefix and of the encoded passages, so that a step costs one token.
    """
    rows = encoded.shape[0]
    cross = decoder.project_encoded(encoded)
    empty = jnp.zeros((*cross[0].shape[:2], length, *cross[0].shape[3:]), encoded.dtype)

    def unfinished(state):
        step, _, _, ended, _ = state
        return (step < length) & ~jnp.all(ended)

    def advance(state):
        step, tokens, last, ended, cache = state
        x, cache = decoder.step(embedding(last[:, None]), step, cache, cross, encoded_mask)
        best = jnp.argmax(embedding.logits(x)[:, 0], axis=-1).astype(jnp.int32)
        best = jnp.where(ended, config.pad_id, best)
        return step + 1, tokens.at[:, step].set(best), best, ended | (best == config.end_id), cache

    start = (
        jnp.zeros((), jnp.int32),
        jnp.full((rows, length), config.pad_id, jnp.int32),
        jnp.full(rows, config.start_id, jnp.int32),
        jnp.zeros(rows, bool),
        (empty, empty),
    )
    return jax.lax.while_loop(unfinished, advance, start)[1]
