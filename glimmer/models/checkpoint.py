"""T5 checkpoints in, from every form they are published in, and out as Hugging Face directories."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from safetensors.numpy import save_file

from glimmer.files import atomic_directory, read_json, write_json
from glimmer.models.config import T5Config, from_hugging_face, to_hugging_face
from glimmer.models.forms import config_file
from glimmer.models.parameter_names import Origin, origins
from glimmer.models.t5 import T5
from glimmer.models.tensors import StoredTensor
from glimmer.models.tokenizer import tokenizer_json
from glimmer.models.weights import Weights, dimensions, open_weights

_SLICE = 16 << 20
"""Bytes of a parameter (float32) that are on the host at a time, in a few copies."""


def read_config(path: str | Path) -> T5Config:
    """The dimensions of a checkpoint's folder. Raises InputError if it is missing or no T5."""
    return open_checkpoint(path)[1]


def open_checkpoint(path: str | Path) -> tuple[Weights, T5Config]:
    """The tensors of a checkpoint, none of them read yet, and its dimensions.

    These are config.json's; of a T5X checkpoint without one, its arrays'. The head is the file's own wherever it has
    one, whatever config.json says: transformers 5 writes T5.1.1's `tie_word_embeddings` as true. What it trains itself
    shares the table without scaling (`scale_decoder_outputs: false`): then the head is a copy of the table.
    Raises InputError if it is missing or no T5.
    """
    weights, words = open_weights(path), {}
    described = config_file(path)
    if weights.naming.t5x and not described.exists():
        config = dimensions(weights)
    else:
        words = read_json(described)
        config = from_hugging_face(words, where=described)
    if words.get("scale_decoder_outputs") is False:
        weights = weights.with_head()
    return weights, dataclasses.replace(config, tied_head=False) if weights.own_head else config


def load_t5(path: str | Path, **changes: Any) -> T5:
    """Reads a T5 (1.1 or 1.0) from a folder as it was published, or from a file of it, parameters in float32.

    `changes` replace fields of its T5Config that do not touch shapes (dtype, dropout, rematerialise).
    Raises InputError for a missing tensor or one of the wrong shape, naming it, expected and found.
    """
    weights, config = open_checkpoint(path)
    config = dataclasses.replace(config, **changes)
    definition, state = nnx.split(nnx.eval_shape(lambda: T5(config, rngs=nnx.Rngs(0))))
    values = dict(nnx.to_flat_state(state))
    listed = [(origin, values[origin.path].shape) for origin in origins(config, weights.naming)]
    for path, parameter in read_parameters(weights, listed):
        values[path] = values[path].replace(parameter)
    return nnx.merge(definition, nnx.from_flat_state(values.items()))


def save_t5(model: T5, directory: str | Path, tokenizer: str | Path | None = None) -> None:
    """Writes `model` as a Hugging Face directory (float32), whole or not at all, with a vocabulary if one is given."""
    flat = dict(nnx.to_flat_state(nnx.state(model)))
    tensors = dict(pair for origin in origins(model.config) for pair in origin.tensors(flat[origin.path][...]))
    with atomic_directory(directory) as temporary:
        save_file(tensors, temporary / "model.safetensors", metadata={"format": "pt"})
        write_json(temporary / "config.json", to_hugging_face(model.config))
        if tokenizer is not None:
            (temporary / "tokenizer.json").write_bytes(tokenizer_json(tokenizer))


def read_parameters(
    weights: Weights, listed: Iterable[tuple[Origin, tuple[int, ...]]]
) -> Iterator[tuple[tuple[str, ...], Float[Array, "..."]]]:
    """Each listed parameter, given its shape, in float32 on the device.

    No more of a file than a slice of `_SLICE` bytes is on the host at a time: a large parameter is made on the device
    and filled there. Raises InputError naming a tensor that is missing or of another shape, before any is read.
    """
    parts = [(origin, shape, weights.of(origin, shape)) for origin, shape in listed]
    for origin, shape, tensors in parts:
        yield origin.path, _assembled(tensors, tuple(shape), origin.stacked)


def _assembled(tensors: list[StoredTensor], shape: tuple[int, ...], stacked: bool) -> Float[Array, "..."]:
    """One parameter, of one tensor or of one a layer."""
    if 4 * math.prod(shape) <= _SLICE:
        return jnp.array(np.stack([t.read() for t in tensors]) if stacked else tensors[0].read())
    whole = jnp.zeros(shape, jnp.float32)
    for layer, tensor in enumerate(tensors):
        for axis, start, stop in tensor.blocks(_SLICE):
            place = [0] * len(tensor.shape)
            place[axis] = start
            part = tensor.read(axis, start, stop)
            if stacked:
                place, part = [layer, *place], part[None]
            whole = _write(whole, part, tuple(place))
            whole.block_until_ready()  # else the parts that wait for the device would pile up on the host
    return whole


@functools.partial(jax.jit, donate_argnums=0)
def _write(whole: Float[Array, "..."], part: Float[Array, "..."], place: tuple[int, ...]) -> Float[Array, "..."]:
    return jax.lax.dynamic_update_slice(whole, part, place)
