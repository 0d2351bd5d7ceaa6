"""One table of T5's parameters, and how each published form spells them.

A row has our path (below a layer, for those that every layer has), transformers' name, T5X's name and a kind. Forms
differ in the last word of a name and in which kinds they hold transposed: the rest is in the table, once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Array, Float

from glimmer.models.config import T5Config

Kind = Literal["matrix", "scale", "table", "bias"]
Row = tuple[str, str, str, Kind]

# (our path, transformers' name, T5X's name, kind)
_TABLE: Row = ("embedding.table", "shared", "token_embedder", "table")
_HEAD: Row = ("embedding.head", "lm_head", "decoder.logits_dense", "matrix")
_ENCODER: tuple[Row, ...] = (
    ("encoder_norm.scale", "encoder.final_layer_norm", "encoder.encoder_norm", "scale"),
    (
        "encoder.relative_bias.table",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
        "encoder.relpos_bias",
        "bias",
    ),
)
_DECODER: tuple[Row, ...] = (
    ("decoder.norm.scale", "decoder.final_layer_norm", "decoder.decoder_norm", "scale"),
    (
        "decoder.relative_bias.table",
        "decoder.block.0.layer.0.SelfAttention.relative_attention_bias",
        "decoder.relpos_bias",
        "bias",
    ),
)
_ENCODER_LAYER: tuple[Row, ...] = (
    ("attention_norm.scale", "layer.0.layer_norm", "pre_attention_layer_norm", "scale"),
    ("attention.query", "layer.0.SelfAttention.q", "attention.query", "matrix"),
    ("attention.key", "layer.0.SelfAttention.k", "attention.key", "matrix"),
    ("attention.value", "layer.0.SelfAttention.v", "attention.value", "matrix"),
    ("attention.output", "layer.0.SelfAttention.o", "attention.out", "matrix"),
    ("feed_forward_norm.scale", "layer.1.layer_norm", "pre_mlp_layer_norm", "scale"),
)
_DECODER_LAYER: tuple[Row, ...] = (
    ("attention_norm.scale", "layer.0.layer_norm", "pre_self_attention_layer_norm", "scale"),
    ("attention.query", "layer.0.SelfAttention.q", "self_attention.query", "matrix"),
    ("attention.key", "layer.0.SelfAttention.k", "self_attention.key", "matrix"),
    ("attention.value", "layer.0.SelfAttention.v", "self_attention.value", "matrix"),
    ("attention.output", "layer.0.SelfAttention.o", "self_attention.out", "matrix"),
    ("cross_norm.scale", "layer.1.layer_norm", "pre_cross_attention_layer_norm", "scale"),
    ("cross_attention.query", "layer.1.EncDecAttention.q", "encoder_decoder_attention.query", "matrix"),
    ("cross_attention.key", "layer.1.EncDecAttention.k", "encoder_decoder_attention.key", "matrix"),
    ("cross_attention.value", "layer.1.EncDecAttention.v", "encoder_decoder_attention.value", "matrix"),
    ("cross_attention.output", "layer.1.EncDecAttention.o", "encoder_decoder_attention.out", "matrix"),
    ("feed_forward_norm.scale", "layer.2.layer_norm", "pre_mlp_layer_norm", "scale"),
)
# Our name and everybody's: a gated layer has two inputs, another one input.
_GATED = (("gate", "wi_0"), ("input", "wi_1"), ("output", "wo"))
_PLAIN = (("input", "wi"), ("output", "wo"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Naming:
    """How a form spells names: from which column of the table, with which endings, and which kinds lie transposed."""

    t5x: bool
    endings: Mapping[str, str]
    transposed: frozenset[str]
    layer: str
    """Where a layer's parameters lie, of `stack` and its number `i`; without a number all layers lie in one array."""

    @property
    def scanned(self) -> bool:
        """Whether one array holds all layers, along its second axis."""
        return "{i}" not in self.layer

    def name(self, row: Row) -> str:
        """A parameter's name, below its layer where it has one."""
        _, hugging_face, t5x, kind = row
        return f"{t5x if self.t5x else hugging_face}.{self.endings[kind]}"


def _naming(*, t5x: bool, layer: str, transposed: Kind | None, **endings: str) -> Naming:
    return Naming(t5x=t5x, layer=layer, endings=endings, transposed=frozenset({transposed} - {None}))


TORCH = _naming(
    t5x=False, layer="{stack}.block.{i}.", transposed="matrix",
    matrix="weight", scale="weight", table="weight", bias="weight",
)  # fmt: skip
FLAX = _naming(
    t5x=False, layer="{stack}.block.{i}.", transposed=None,
    matrix="kernel", scale="weight", table="embedding", bias="embedding",
)  # fmt: skip
T5X = _naming(
    t5x=True, layer="{stack}.layers_{i}.", transposed="bias",
    matrix="kernel", scale="scale", table="embedding", bias="rel_embedding",
)  # fmt: skip
T5X_SCANNED = dataclasses.replace(T5X, layer="{stack}.layers.")
SCANNED_AXIS = 1
"""Of an array of T5X's that holds all layers."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """A parameter of ours, the tensors it is made of in a form (one a layer), whether theirs are transposed.

    Where `scanned`, the names are one: its array holds all layers along `SCANNED_AXIS`.
    """

    path: tuple[str, ...]
    names: tuple[str, ...]
    transposed: bool
    scanned: bool = False

    @property
    def stacked(self) -> bool:
        """Whether the parameter has a leading axis of layers."""
        return "layers" in self.path

    def tensors(self, parameter: Float[Array, "..."]) -> Iterator[tuple[str, np.ndarray]]:
        """Their tensors by name, float32; a scanned one whole."""
        layers = np.asarray(parameter, np.float32)
        layers = layers if self.stacked else layers[None]
        theirs = [np.ascontiguousarray(layer.T if self.transposed else layer) for layer in layers]
        if self.scanned:
            yield self.names[0], np.stack(theirs, axis=SCANNED_AXIS)
        else:
            yield from zip(self.names, theirs, strict=True)


def origins(config: T5Config, naming: Naming = TORCH) -> Iterator[Origin]:
    """Where every parameter of a T5 comes from in a form."""
    for row in (_TABLE, *([] if config.tied_head else [_HEAD]), *_ENCODER, *_DECODER):
        yield Origin(tuple(row[0].split(".")), (naming.name(row),), row[3] in naming.transposed)
    parts = _GATED if config.activation == "gated-gelu" else _PLAIN
    for stack, rows, feed_forward, count in (
        ("encoder", _ENCODER_LAYER, "layer.1.DenseReluDense", config.encoder_layers),
        ("decoder", _DECODER_LAYER, "layer.2.DenseReluDense", config.decoder_layers),
    ):
        matrices = [(f"feed_forward.{a}", f"{feed_forward}.{b}", f"mlp.{b}", "matrix") for a, b in parts]
        for row in (*rows, *matrices):
            names = tuple(naming.layer.format(stack=stack, i=i) + naming.name(row) for i in range(count))
            path = (stack, "layers", *row[0].split("."))
            yield Origin(path, names, row[3] in naming.transposed, naming.scanned)


def head_names(naming: Naming) -> tuple[str, str]:
    """The names of the head and of the embedding table, which a tied head is."""
    return naming.name(_HEAD), naming.name(_TABLE)
