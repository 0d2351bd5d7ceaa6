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
from jaxtyping import Array, Float
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
    for origin in hugging_face_names(config):
        values[origin.path] = values[origin.path].replace(tensors.parameter(origin, values[origin.path].shape))
    return nnx.merge(definition, nnx.from_flat_state(values.items()))


def save_t5(model: T5, directory: str | Path, tokenizer: str | Path | None = None) -> None:
    """Writes `model` as a Hugging Face directory (float32), whole or not at all, with `tokenizer.json` if given."""
    flat = dict(nnx.to_flat_state(nnx.state(model)))
    tensors = dict(
        pair for origin in hugging_face_names(model.config) for pair in origin.tensors(flat[origin.path][...])
    )
    with atomic_directory(directory) as temporary:
        save_file(tensors, temporary / "model.safetensors", metadata={"format": "pt"})
        write_json(temporary / "config.json", to_hugging_face(model.config))
        if tokenizer is not None:
            (temporary / "tokenizer.json").write_bytes(Path(existing(tokenizer)).read_bytes())


@dataclasses.dataclass(frozen=True)
class Origin:
    """A parameter of ours, the tensors it is made of in Hugging Face (one a layer), whether theirs are [out, in]."""

    path: tuple[str, ...]
    names: tuple[str, ...]
    transposed: bool

    @property
    def stacked(self) -> bool:
        """Whether the parameter has a leading axis of layers."""
        return "layers" in self.path

    def tensors(self, parameter: Float[Array, "..."]) -> Iterator[tuple[str, np.ndarray]]:
        """Their tensors by name, float32."""
        layers = np.asarray(parameter, np.float32)
        for name, layer in zip(self.names, layers if self.stacked else layers[None], strict=True):
            yield name, np.ascontiguousarray(layer.T if self.transposed else layer)


def hugging_face_names(config: T5Config) -> Iterator[Origin]:
    """Where every parameter of a T5 comes from."""
    yield _single("embedding.table", "shared")
    if not config.tied_head:
        yield _single("embedding.head", "lm_head", transposed=True)
    yield _single("encoder_norm.scale", "encoder.final_layer_norm")
    yield _single("decoder.norm.scale", "decoder.final_layer_norm")
    feed_forward = {"gate": "wi_0", "input": "wi_1", "output": "wo"}
    if config.activation == "relu":
        feed_forward = {"input": "wi", "output": "wo"}
    for stack, layers, count in (
        ("encoder", _ENCODER_LAYER, config.encoder_layers),
        ("decoder", _DECODER_LAYER, config.decoder_layers),
    ):
        yield _single(f"{stack}.relative_bias.table", f"{stack}.{_RELATIVE}")
        for ours, theirs in layers.items():
            parts = feed_forward.items() if ours == "feed_forward" else [("", "")]
            for our_part, their_part in parts:
                path = (stack, "layers", *ours.split("."), *filter(None, [our_part]))
                name = ".".join(filter(None, [theirs, their_part]))
                names = tuple(f"{stack}.block.{i}.{name}.weight" for i in range(count))
                yield Origin(path, names, not ours.endswith("scale"))


def _single(path: str, name: str, transposed: bool = False) -> Origin:
    return Origin(tuple(path.split(".")), (f"{name}.weight",), transposed)


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
        """One tensor in float32. Raises InputError naming it where it is missing."""
        if name not in self.files and name == "shared.weight":
            name = "encoder.embed_tokens.weight"  # encoder-only exports keep the shared table under this name
        if name not in self.files:
            raise InputError("tensor missing", where=self.directory, expected=name, found=f"{len(self.files)} others")
        path = existing(self.files[name])
        try:
            with safe_open(path, framework="flax") as file:
                return np.asarray(file.get_tensor(name).astype(jnp.float32))
        except SafetensorError as error:
            raise InputError("tensor not in its file", where=path, expected=name, found=error) from None

    def parameter(self, origin: Origin, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """One parameter in float32. Raises InputError naming a tensor that is missing or of another shape."""
        expected = tuple(shape[1:] if origin.stacked else shape)
        arrays = []
        for name in origin.names:
            array = self.read(name)
            array = array.T if origin.transposed else array
            if array.shape != expected:
                message = f"tensor {name} has the wrong shape"
                raise InputError(message, where=self.directory, expected=expected, found=array.shape)
            arrays.append(array)
        return jnp.asarray(np.stack(arrays) if origin.stacked else arrays[0], jnp.float32)


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="numpy") as file:
            return list(file.keys())
    except (SafetensorError, json.JSONDecodeError) as error:
        raise InputError("not a safetensors file", where=path, expected="whole tensors", found=error) from None
