"""The tensors of a published checkpoint by name, in any of the forms of `glimmer.models.forms`; none is read yet."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
from safetensors import SafetensorError, safe_open

from glimmer.errors import InputError
from glimmer.files import existing, read_json
from glimmer.models.config import T5Config
from glimmer.models.forms import shards, weight_files, whole
from glimmer.models.msgpacked import flat_tree, read_tree
from glimmer.models.parameter_names import FLAX, SCANNED_AXIS, T5X, T5X_SCANNED, TORCH, Naming, Origin, head_names
from glimmer.models.pickled import read_state_dict
from glimmer.models.tensors import DTYPES, FileTensor, StoredTensor, ZarrTensor

_SAFETENSORS_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_COMPARED = 1 << 20
_ZARR_DTYPES = {"<f4": 4, "bfloat16": 2, "<f2": 2, "<f8": 8, ">f4": 4, ">f2": 2, ">f8": 8}
_LARGEST_CHUNK = 2 << 30
_MOST_AXES = 32
_PLAIN_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """Tensors by the names that a form gives them; `where` is the folder or file that they are from."""

    where: Path
    naming: Naming
    tensors: Mapping[str, StoredTensor]

    def tensor(self, name: str) -> StoredTensor:
        """One tensor. Raises InputError naming it where it is missing."""
        if name not in self.tensors:
            found = f"{len(self.tensors)} others"
            raise InputError("tensor missing", where=self.where, expected=name, found=found)
        return self.tensors[name]

    def of(self, origin: Origin, shape: tuple[int, ...]) -> list[StoredTensor]:
        """What a parameter of `shape` is made of, one tensor a layer.

        Raises InputError naming a tensor that is missing or of another shape.
        """
        expected = tuple(shape[1:] if origin.stacked else shape)
        parts = []
        for layer, name in enumerate(origin.names):
            tensor = self.tensor(name)
            if origin.scanned:
                if len(tensor.shape) <= SCANNED_AXIS or tensor.shape[SCANNED_AXIS] != len(origin.names):
                    message = f"tensor {name} has another number of layers"
                    raise InputError(message, where=self.where, expected=len(origin.names), found=tensor.shape)
                tensor = tensor.take(SCANNED_AXIS, layer)
            tensor = tensor.transposed() if origin.transposed else tensor
            if tensor.shape != expected:
                message = f"tensor {name} has the wrong shape"
                raise InputError(message, where=self.where, expected=expected, found=tensor.shape)
            parts.append(tensor)
        return parts

    def with_head(self) -> Weights:
        """The same, with the embedding table for a head where there is none."""
        head, table = head_names(self.naming)
        if head in self.tensors or table not in self.tensors:
            return self
        shared = self.tensors[table]
        tied = shared if "matrix" in self.naming.transposed else shared.transposed()
        return dataclasses.replace(self, tensors={**self.tensors, head: tied})

    @property
    def own_head(self) -> bool:
        """Whether there is a head that is not the embedding table under another name."""
        head_name, table_name = head_names(self.naming)
        head, table = self.tensors.get(head_name), self.tensors.get(table_name)
        if head is None or table is None or head == table:
            return head is not None and head != table
        if "matrix" not in self.naming.transposed:  # [D, V] beside [V, D]
            head = head.transposed()
        if head.shape != table.shape:
            return True
        step = max(1, _COMPARED // (4 * head.shape[1]))
        starts = range(0, head.shape[0], step)
        parts = ((start, min(start + step, head.shape[0])) for start in starts)
        return any(not np.array_equal(head.read(0, *part), table.read(0, *part)) for part in parts)


def open_weights(path: str | Path) -> Weights:
    """The weights of a checkpoint's folder, or of a file of it. Raises InputError if they are not whole."""
    path = existing(path)
    files = weight_files(path)
    if files.form == "msgpack":
        return _of_msgpack(path, files.parts[0])
    read = _safetensors if files.form == "safetensors" else read_state_dict
    by_file = {part: read(part) for part in files.parts}
    if files.index is None:
        tensors = by_file[files.parts[0]]
    else:
        tensors = {}
        for name, part in shards(files.index).items():
            if name not in by_file[part]:
                raise InputError(
                    "tensor not in its file", where=part, expected=name, found=f"{len(by_file[part])} others"
                )
            tensors[name] = by_file[part][name]
    table = head_names(TORCH)[1]
    if table not in tensors and "encoder.embed_tokens.weight" in tensors:  # encoder-only exports keep it there
        tensors = tensors | {table: tensors["encoder.embed_tokens.weight"]}
    return Weights(where=path, naming=TORCH, tensors=tensors)


def dimensions(weights: Weights) -> T5Config:
    """The dimensions of a T5X checkpoint, which its arrays have: its own settings lie elsewhere.

    The number of heads is that of the relative-position table, a gated layer that of T5.1.1. T5X's models all have
    relative positions up to 128 and norms' epsilon 1e-6, which are the defaults here.
    """
    layers = _layers(weights)
    if not layers["encoder"]:
        raise InputError("not a T5 checkpoint", where=weights.where, expected="layers of an encoder", found="none")
    first = weights.naming.layer.format(stack="encoder", i=0)
    gated = f"{first}mlp.wi_0.kernel" in weights.tensors
    heads, buckets = weights.tensor("encoder.relpos_bias.rel_embedding").shape
    vocabulary, width = weights.tensor("token_embedder.embedding").shape
    all_heads = weights.tensor(f"{first}attention.query.kernel").shape[-1]
    if all_heads % heads:
        raise InputError("heads of no whole width", where=weights.where, expected=f"{heads} heads", found=all_heads)
    return T5Config(
        vocabulary=vocabulary,
        d_model=width,
        d_kv=all_heads // heads,
        d_ff=weights.tensor(f"{first}mlp.{'wi_0' if gated else 'wi'}.kernel").shape[-1],
        num_heads=heads,
        encoder_layers=layers["encoder"],
        decoder_layers=layers["decoder"] or layers["encoder"],
        relative_buckets=buckets,
        activation="gated-gelu" if gated else "relu",
        tied_head=True,
    )


def _layers(weights: Weights) -> dict[str, int]:
    counts = {}
    for stack in ("encoder", "decoder"):
        if weights.naming.scanned:
            wo = weights.tensors.get(f"{stack}.layers.mlp.wo.kernel")
            counts[stack] = 0 if wo is None else wo.shape[SCANNED_AXIS]
        else:
            named = {n.split(".")[1] for n in weights.tensors if n.startswith(f"{stack}.layers_")}
            counts[stack] = len(named)
    return counts


def _safetensors(path: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(path, framework="numpy"):
            pass  # the library checks that header and file belong together
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
    except (SafetensorError, ValueError, RecursionError, OSError, struct.error) as error:
        raise InputError("not a safetensors file", where=path, expected="whole tensors", found=error) from None
    header.pop("__metadata__", None)
    tensors = {}
    for name, described in header.items():
        dtype = _SAFETENSORS_DTYPES.get(described["dtype"])
        if dtype is not None:
            begin = 8 + length + described["data_offsets"][0]
            tensors[name] = FileTensor.contiguous(path, begin, DTYPES[dtype], tuple(described["shape"]))
    return tensors


def _of_msgpack(path: Path, file: Path) -> Weights:
    tree = read_tree(file)
    inner = tree.get("optimizer", tree)
    if isinstance(inner, dict) and isinstance(inner.get("target"), dict):
        tensors = {name: _t5x_array(file, name, leaf) for name, leaf in _t5x_leaves(inner["target"]).items()}
        naming = T5X_SCANNED if any(name.startswith("encoder.layers.") for name in tensors) else T5X
        return Weights(where=path, naming=naming, tensors=_shared_positions(path, tensors))
    tensors = {name: leaf for name, leaf in flat_tree(tree).items() if isinstance(leaf, FileTensor)}
    return Weights(where=path, naming=FLAX, tensors=tensors)


def _t5x_leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Arrays by their names joined with dots; one that lies in a folder of its own is None."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and {"driver", "kvstore"} <= set(value):
            flat[f"{prefix}{name}"] = None
        elif isinstance(value, dict):
            flat |= _t5x_leaves(value, f"{prefix}{name}.")
        elif isinstance(value, FileTensor):
            flat[f"{prefix}{name}"] = value
    return flat


def _t5x_array(file: Path, name: str, leaf: FileTensor | None) -> StoredTensor:
    """The array itself, or the one in the folder of its name: what paths the index states is not followed.

    Raises InputError for a name that leads elsewhere, and for a folder that holds no array of parameters.
    """
    if leaf is not None:
        return leaf
    if not _PLAIN_NAME.fullmatch(name):
        raise InputError(
            "an array outside its folder", where=file, expected="letters, digits and dots", found=repr(name)
        )
    folder = existing(file.parent / f"target.{name}")
    described = read_json(whole(folder / ".zarray"))
    if fault := _fault_of_zarr(described):
        raise InputError(
            "not a zarr array", where=folder / ".zarray", expected="parameters, zarr version 2", found=fault
        )
    # TensorStore would read a chunk that is not there as zeros.
    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": f"{folder.absolute()}/"}}
    try:
        array = tensorstore.open(spec | {"fill_missing_data_reads": False}, open=True, read=True).result()
    except ValueError as error:
        raise InputError("not a zarr array", where=folder, expected="zarr version 2", found=error) from None
    return ZarrTensor(array, folder)


def _fault_of_zarr(described: Any) -> str | None:
    """What of an array's description no parameter has; TensorStore takes its word for how much memory a chunk needs."""
    if not isinstance(described, dict):
        return f"{described!r:.80}"
    for key in ("shape", "chunks"):
        value = described.get(key)
        if not isinstance(value, list) or len(value) > _MOST_AXES:
            return f"{key} {value!r:.80}"
        if not all(type(n) is int and (n > 0 if key == "chunks" else n >= 0) for n in value):
            return f"{key} {value!r:.80}"
    if not isinstance(described.get("dtype"), str) or described["dtype"] not in _ZARR_DTYPES:
        return f"dtype {described.get('dtype')!r:.80}"
    size = math.prod(described["chunks"]) * _ZARR_DTYPES[described["dtype"]]
    return f"chunks of {size} bytes" if size > _LARGEST_CHUNK else None


def _shared_positions(path: Path, tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Scanned layers have a relative-position table each; T5 has one for all, so they must be equal.

    Raises InputError if they are not: such a model is another one.
    """
    tensors = dict(tensors)
    for stack in ("encoder", "decoder"):
        name = f"{stack}.layers.relative_posemb.rel_embedding"
        each = tensors.pop(name, None)
        if each is None:
            continue
        tables = [each.take(SCANNED_AXIS, layer) for layer in range(each.shape[SCANNED_AXIS])]
        first = tables[0].read()
        if not all(np.array_equal(table.read(), first) for table in tables[1:]):
            message = "every layer has relative positions of its own, which no published T5.1.1 has"
            raise InputError(message, where=path, expected="one table for all layers", found=name)
        tensors[f"{stack}.relpos_bias.rel_embedding"] = tables[0]
    return tensors
