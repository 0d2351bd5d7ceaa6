"""Hugging Face T5 directories in and out: config.json, model.safetensors (sharded too), names mapped one to one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from glimmer.errors import InputError
from glimmer.files import atomic_directory, existing, read_json, write_json
from glimmer.models.config import T5Config, from_hugging_face, to_hugging_face
from glimmer.models.t5 import T5

# Our path below a layer -> transformers' name below `block.{i}.`; kernels are transposed (theirs are [out, in]).
_ENCODER_LAYER = {
    "attention_norm.scale": "layer.0.layer_norm",
    "attention.query": "layer.0.SelfAttention.q",
    "attention.key": "layer.0.SelfAttention.k",
    "attention.value": "layer.0.SelfAttention.v",
    "attention.output": "layer.0.SelfAttention.o",
    "feed_forward_norm.scale": "layer.1.layer_norm",
    "feed_forward": "layer.1.DenseReluDense",
}
_DECODER_LAYER = {
    **{k: v for k, v in _ENCODER_LAYER.items() if k.startswith("attention")},
    "cross_norm.scale": "layer.1.layer_norm",
    "cross_attention.query": "layer.1.EncDecAttention.q",
    "cross_attention.key": "layer.1.EncDecAttention.k",
    "cross_attention.value": "layer.1.EncDecAttention.v",
    "cross_attention.output": "layer.1.EncDecAttention.o",
    "feed_forward_norm.scale": "layer.2.layer_norm",
    "feed_forward": "layer.2.DenseReluDense",
}
_RELATIVE = "block.0.layer.0.SelfAttention.relative_attention_bias"


def read_config(directory: str | Path) -> T5Config:
    """The dimensions of a checkpoint directory. Raises InputError if it is missing or no T5."""
    path = Path(existing(directory)) / "config.json"
    return from_hugging_face(read_json(path), where=path)


def load_t5(directory: str | Path, **changes: Any) -> T5:
    """Reads a T5 (1.1 or 1.0) from a Hugging Face directory, parameters in float32.

    `changes` replace fields of its T5Config that do not touch shapes (dtype, dropout, rematerialise).
    Raises InputError for a missing tensor or one of the wrong shape, naming it, expected and found.
    """
    config = dataclasses.replace(read_config(directory), **changes)
    tensors = TensorFiles(Path(directory))
    definition, state = nnx.split(nnx.eval_shape(lambda: T5(config, rngs=nnx.Rngs(0))))
    values = dict(nnx.to_flat_state(state))
    for path, names, transposed in hugging_face_names(config):
        key = tuple(path.split("."))
        arrays = [tensors.read(name) for name in names]
        arrays = [a.T if transposed else a for a in arrays]
        stacked = ".layers." in path
        expected = tuple(values[key].shape[1:] if stacked else values[key].shape)
        for name, array in zip(names, arrays, strict=True):
            if array.shape != expected:
                raise InputError(
                    f"tensor {name} has the wrong shape", where=directory, expected=expected, found=array.shape
                )
        array = np.stack(arrays) if stacked else arrays[0]
        values[key] = values[key].replace(jnp.asarray(array, jnp.float32))
    return nnx.merge(definition, nnx.from_flat_state(values.items()))


def save_t5(model: T5, directory: str | Path, tokenizer: str | Path | None = None) -> None:
    """Writes `model` as a Hugging Face directory (float32), whole or not at all, with `tokenizer.json` if given."""
    flat = {".".join(map(str, k)): np.asarray(v[...], np.float32) for k, v in nnx.to_flat_state(nnx.state(model))}
    tensors = {}
    for path, names, transposed in hugging_face_names(model.config):
        layers = flat[path] if ".layers." in path else flat[path][None]
        for name, array in zip(names, layers, strict=True):
            tensors[name] = np.ascontiguousarray(array.T if transposed else array)
    with atomic_directory(directory) as temporary:
        save_file(tensors, temporary / "model.safetensors", metadata={"format": "pt"})
        write_json(temporary / "config.json", to_hugging_face(model.config))
        if tokenizer is not None:
            (temporary / "tokenizer.json").write_bytes(Path(existing(tokenizer)).read_bytes())


def hugging_face_names(config: T5Config) -> Iterator[tuple[str, list[str], bool]]:
    """(our path, their names: one a layer for stacked parameters, whether theirs is transposed)."""
    yield "embedding.table", ["shared.weight"], False
    if not config.tied_head:
        yield "embedding.head", ["lm_head.weight"], True
    yield "encoder_norm.scale", ["encoder.final_layer_norm.weight"], False
    yield "decoder.norm.scale", ["decoder.final_layer_norm.weight"], False
    feed_forward = {"gate": "wi_0", "input": "wi_1", "output": "wo"}
    if config.activation == "relu":
        feed_forward = {"input": "wi", "output": "wo"}
    for stack, layers, count in (
        ("encoder", _ENCODER_LAYER, config.encoder_layers),
        ("decoder", _DECODER_LAYER, config.decoder_layers),
    ):
        yield f"{stack}.relative_bias.table", [f"{stack}.{_RELATIVE}.weight"], False
        for ours, theirs in layers.items():
            parts = feed_forward.items() if ours == "feed_forward" else [("", "")]
            for our_part, their_part in parts:
                path = f"{stack}.layers.{ours}" + (f".{our_part}" if our_part else "")
                name = theirs + (f".{their_part}" if their_part else "")
                yield path, [f"{stack}.block.{i}.{name}.weight" for i in range(count)], not ours.endswith("scale")


class TensorFiles:
    """Reads tensors by name from model.safetensors or from the shards that its index lists."""

    def __init__(self, directory: Path):
        index = directory / "model.safetensors.index.json"
        if index.exists():
            self.files = {n: directory / Path(f).name for n, f in read_json(index)["weight_map"].items()}
        else:
            whole = existing(directory / "model.safetensors")
            self.files = dict.fromkeys(_names(whole), whole)
        self.directory = directory

    def read(self, name: str) -> np.ndarray:
        if name not in self.files and name == "shared.weight":
            name = "encoder.embed_tokens.weight"  # encoder-only exports keep the shared table under this name
        if name not in self.files:
            raise InputError("tensor missing", where=self.directory, expected=name, found=f"{len(self.files)} others")
        with safe_open(existing(self.files[name]), framework="flax") as file:
            return np.asarray(file.get_tensor(name).astype(jnp.float32))


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="numpy") as file:
            return list(file.keys())
    except (SafetensorError, json.JSONDecodeError) as error:
        raise InputError("not a safetensors file", where=path, expected="whole tensors", found=error) from None
