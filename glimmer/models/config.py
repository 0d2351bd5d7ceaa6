"""The dimensions and conventions of one T5 checkpoint, and the presets of the published sizes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

from glimmer.compute import SIZES, Dimensions
from glimmer.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config:
    """A T5 encoder-decoder. `d_kv` is the width of one head: heads x d_kv may differ from d_model.

    `activation` is "gated-gelu" for T5.1.1 (two input projections, tanh-approximated GELU) or "relu" for T5 1.0.
    `tied_head` is T5 1.0's shared output embedding, whose logits are scaled by d_model ** -0.5.
    `dtype` is the dtype of activations; parameters, norms, softmaxes and logits stay in float32.
    `rematerialise` computes a layer's activations again on the way back: less memory, a third more computation.
    """

    vocabulary: int
    d_model: int
    d_kv: int
    d_ff: int
    num_heads: int
    encoder_layers: int
    decoder_layers: int
    relative_buckets: int = 32
    relative_max_distance: int = 128
    dropout: float = 0.1
    norm_epsilon: float = 1e-6
    activation: Literal["gated-gelu", "relu"] = "gated-gelu"
    tied_head: bool = False
    dtype: str = "float32"
    rematerialise: bool = False
    pad_id: int = 0
    end_id: int = 1
    start_id: int = 0

    @property
    def heads_width(self) -> int:
        """Width of all heads together, `h` in the operation counts."""
        return self.num_heads * self.d_kv


def t5_1_1_small() -> T5Config:
    """google/t5-v1_1-small: 77 M parameters."""
    return _published("small")


def t5_1_1_base() -> T5Config:
    """google/t5-v1_1-base: 248 M parameters."""
    return _published("base")


def t5_1_1_large() -> T5Config:
    """google/t5-v1_1-large: 783 M parameters."""
    return _published("large")


def t5_1_1_xl() -> T5Config:
    """google/t5-v1_1-xl: 2.8 B parameters."""
    return _published("xl")


def t5_1_1_xxl() -> T5Config:
    """google/t5-v1_1-xxl: 11 B parameters."""
    return _published("xxl")


def gtr_base() -> T5Config:
    """The encoder of sentence-transformers/gtr-t5-base: T5 1.0 of base size, whose feed-forward is wider and ReLU."""
    return dataclasses.replace(t5_1_1_base(), d_ff=3072, activation="relu", tied_head=True)


def _published(size: str) -> T5Config:
    """The configuration of a published size, whose dimensions glimmer.compute has."""
    return T5Config(**vars(SIZES[size]()))


def from_hugging_face(config: dict[str, Any], where: object = "config.json") -> T5Config:
    """Reads a transformers `config.json` of model_type t5.

    Raises InputError for another model type, a missing key, an activation that no T5 release used, or a value that no
    model has.
    """
    if not isinstance(config, dict):
        raise InputError("not a T5 checkpoint", where=where, expected="a JSON object", found=type(config).__name__)
    if config.get("model_type") != "t5":
        raise InputError("not a T5 checkpoint", where=where, expected="model_type t5", found=config.get("model_type"))
    for key, (least, most) in _SANE.items():
        value = config.get(key)
        if key not in config or (key, value) == ("num_decoder_layers", None):
            continue
        kind = int if isinstance(least, int) else int | float
        if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:
            raise InputError(f"{key} of no model", where=where, expected=f"{least} to {most}", found=repr(value))
    activation = config.get("feed_forward_proj", "relu")
    if activation not in ("gated-gelu", "relu"):
        raise InputError("unknown feed_forward_proj", where=where, expected="gated-gelu or relu", found=activation)
    for key in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
        if not isinstance(config.get(key), int | None):
            raise InputError(key, where=where, expected="an id, a whole number", found=json.dumps(config[key]))
    try:
        return T5Config(
            vocabulary=config["vocab_size"],
            d_model=config["d_model"],
            d_kv=config["d_kv"],
            d_ff=config["d_ff"],
            num_heads=config["num_heads"],
            encoder_layers=config["num_layers"],
            decoder_layers=config.get("num_decoder_layers") or config["num_layers"],
            relative_buckets=config.get("relative_attention_num_buckets", 32),
            relative_max_distance=config.get("relative_attention_max_distance", 128),
            dropout=config.get("dropout_rate", 0.1),
            norm_epsilon=config.get("layer_norm_epsilon", 1e-6),
            activation=activation,
            # transformers' own default is tied; T5.1.1 directories say false. transformers 5 writes true for both and
            # tells them apart by scale_decoder_outputs; the file's own head has the last word (checkpoint.config_of).
            tied_head=config.get("tie_word_embeddings", True) and config.get("scale_decoder_outputs") is not False,
            pad_id=_given(config, "pad_token_id", 0),
            end_id=_given(config, "eos_token_id", 1),
            start_id=_given(config, "decoder_start_token_id", 0),
        )
    except KeyError as missing:
        raise InputError("key missing", where=where, expected=missing.args[0], found=sorted(config)) from None


_WIDTHS = ("vocab_size", "d_model", "d_kv", "d_ff", "num_heads", "relative_attention_max_distance")
_SANE = dict.fromkeys(_WIDTHS, (1, 1 << 24)) | {
    "num_layers": (1, 1000), "num_decoder_layers": (0, 1000), "relative_attention_num_buckets": (2, 1 << 16),
    "dropout_rate": (0.0, 1.0), "layer_norm_epsilon": (0.0, 1.0),
}  # fmt: skip
"""Between what a T5 can have; beyond it, a file would decide how much memory is asked for."""


def _given(config: dict[str, Any], key: str, default: int) -> int:
    """A key that may be null."""
    value = config.get(key)
    return default if value is None else value


def require_size(config: T5Config, expected: Dimensions, where: object, *, any_vocabulary: bool = False) -> None:
    """Raises InputError naming the first dimension in which a checkpoint is not of the size that was asked for.

    `any_vocabulary`: a trained tokenizer may hold fewer pieces than asked for.
    """
    for field in dataclasses.fields(expected):
        if field.name == "vocabulary" and any_vocabulary:
            continue
        asked, found = getattr(expected, field.name), getattr(config, field.name)
        if asked != found:
            raise InputError(
                "checkpoint of another size", where=where, expected=f"{field.name} {asked}", found=f"{found}"
            )


def to_hugging_face(config: T5Config) -> dict[str, Any]:
    """The `config.json` that transformers reads back as the same model."""
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        "vocab_size": config.vocabulary,
        "d_model": config.d_model,
        "d_kv": config.d_kv,
        "d_ff": config.d_ff,
        "num_heads": config.num_heads,
        "num_layers": config.encoder_layers,
        "num_decoder_layers": config.decoder_layers,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "dropout_rate": config.dropout,
        "layer_norm_epsilon": config.norm_epsilon,
        "feed_forward_proj": config.activation,
        "tie_word_embeddings": config.tied_head,
        "pad_token_id": config.pad_id,
        "eos_token_id": config.end_id,
        "decoder_start_token_id": config.start_id,
    }
