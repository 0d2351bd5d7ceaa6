"""A model written as others publish it: each form by hand or by its own library, from the names in the one table."""

import collections
import io
import json
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import tensorstore
from flax import nnx, serialization
from safetensors.numpy import save_file

from glimmer.files import write_json
from glimmer.models.config import to_hugging_face
from glimmer.models.parameter_names import FLAX, T5X, T5X_SCANNED, TORCH

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage"}


def named_tensors(model, naming=TORCH) -> dict[str, np.ndarray]:
    """Every tensor of a model by its name in a form."""
    from glimmer.models.parameter_names import origins

    flat = dict(nnx.to_flat_state(nnx.state(model)))
    return dict(pair for o in origins(model.config, naming) for pair in o.tensors(flat[o.path][...]))


class _Storage:
    def __init__(self, key: str, array: np.ndarray):
        self.key, self.array = key, array


class Tensor:
    """What the pickle says of a tensor; `of` another shares that one's storage."""

    def __init__(self, array: np.ndarray, storage: _Storage | None = None, offset: int = 0):
        self.array, self.storage, self.offset = array, storage, offset


class _Pickler(pickle.Pickler):
    """Pickles names of a library that need not be here; `old`: as PyTorch did before 1.6."""

    def __init__(self, file, torch: dict[str, types.ModuleType], old: bool):
        super().__init__(file, protocol=2)
        self.torch, self.old = torch, old

    def persistent_id(self, value):
        if not isinstance(value, _Storage):
            return None
        kind = getattr(self.torch["torch"], STORAGES[value.array.dtype.name])
        return ("storage", kind, value.key, "cpu", value.array.size, *([None] if self.old else []))

    def reducer_override(self, value):
        if not isinstance(value, Tensor):
            return NotImplemented
        strides = tuple(stride // value.array.itemsize for stride in value.array.strides)
        rebuild = self.torch["torch._utils"]._rebuild_tensor_v2
        hooks = collections.OrderedDict()
        return rebuild, (value.storage, value.offset, value.array.shape, strides, False, hooks)


def _torch() -> dict[str, types.ModuleType]:
    """Modules that have the names which state dicts refer to."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*_):
        raise AssertionError("nothing of a file is run")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    torch._utils = utils
    return {"torch": torch, "torch._utils": utils}


def pickle_of(state, old: bool = False) -> tuple[bytes, list[_Storage]]:
    """`data.pkl` of a state dict of Tensors, and the storages that it names."""
    storages: list[_Storage] = []
    for tensor in state.values():
        if tensor.storage is None:
            tensor.storage = _Storage(str(len(storages)), tensor.array)
        if tensor.storage not in storages:
            storages.append(tensor.storage)
    modules, before = _torch(), {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update(modules)
    try:
        file = io.BytesIO()
        _Pickler(file, modules, old).dump(state)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return file.getvalue(), storages


def write_zip(path: Path, index: bytes, storages: list[_Storage], compression=zipfile.ZIP_STORED) -> None:
    """PyTorch's archive: the pickle, and the bytes of each storage."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", index)
        archive.writestr("archive/byteorder", "little")
        for storage in storages:
            memory = storage.array if storage.array.flags.c_contiguous else storage.array.T
            archive.writestr(f"archive/data/{storage.key}", np.ascontiguousarray(memory).tobytes())
        archive.writestr("archive/version", "3\n")


def write_old(path: Path, index: bytes, storages: list[_Storage], magic=0x1950A86A20F9469CFC6C, little=True) -> None:
    """The file of before PyTorch 1.6: pickles in a row, then each storage's number of elements and bytes."""
    machine = {"protocol_version": 1001, "little_endian": little, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    keys = [storage.key for storage in storages]
    heads = [pickle.dumps(value, protocol=2) for value in (magic, 1001, machine)]
    with open(path, "wb") as file:
        file.write(b"".join([*heads, index, pickle.dumps(keys, protocol=2)]))
        for storage in storages:
            memory = storage.array if storage.array.flags.c_contiguous else storage.array.T
            file.write(struct.pack("<q", storage.array.size) + np.ascontiguousarray(memory).tobytes())


def write_state_dict(path: Path, tensors: dict[str, np.ndarray], dtype="float32") -> None:
    """A pytorch_model.bin, with the attribute that PyTorch gives a module's state dict."""
    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    state = collections.OrderedDict((name, Tensor(array.astype(kind))) for name, array in tensors.items())
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    write_zip(path, *pickle_of(state))


def _described(folder: Path, model) -> Path:
    folder.mkdir(parents=True)
    write_json(folder / "config.json", to_hugging_face(model.config))
    return folder


def _halves(tensors: dict) -> list[dict]:
    names = sorted(tensors)
    return [{name: tensors[name] for name in names[half::2]} for half in (0, 1)]


def _shards(folder: Path, name: str, ending: str, tensors: dict, write) -> None:
    weight_map = {}
    for number, part in enumerate(_halves(tensors), start=1):
        file = f"{name}-{number:05}-of-00002.{ending}"
        write(folder / file, part)
        weight_map |= dict.fromkeys(part, file)
    write_json(folder / f"{name}.{ending}.index.json", {"metadata": {}, "weight_map": weight_map})


def safetensors(folder: Path, model) -> Path:
    save_file(named_tensors(model), _described(folder, model) / "model.safetensors", metadata={"format": "pt"})
    return folder


def safetensors_in_shards(folder: Path, model) -> Path:
    write = lambda path, tensors: save_file(tensors, path)  # noqa: E731
    _shards(_described(folder, model), "model", "safetensors", named_tensors(model), write)
    return folder


def pytorch(folder: Path, model, dtype="float32") -> Path:
    write_state_dict(_described(folder, model) / "pytorch_model.bin", named_tensors(model), dtype)
    return folder


def pytorch_in_shards(folder: Path, model) -> Path:
    _shards(_described(folder, model), "pytorch_model", "bin", named_tensors(model), write_state_dict)
    return folder


def nested(tensors: dict) -> dict:
    """Names with dots as dictionaries in dictionaries."""
    tree: dict = {}
    for name, value in tensors.items():
        *parents, last = name.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def flax(folder: Path, model) -> Path:
    tree = nested(named_tensors(model, FLAX))
    (_described(folder, model) / "flax_model.msgpack").write_bytes(serialization.msgpack_serialize(tree))
    return folder


def write_t5x(folder: Path, tensors: dict[str, np.ndarray], least: int = 16) -> Path:
    """T5X's folder: arrays of at least `least` numbers in zarr, the others in the index, and Adafactor's state."""
    folder.mkdir(parents=True)
    target: dict = {}
    for name, array in tensors.items():
        target[name] = array
        if array.size < least:
            continue
        metadata = {"chunks": [max(1, n // 2) for n in array.shape], "compressor": {"id": "gzip", "level": 1}}
        spec = {"driver": "zarr", "metadata": metadata | {"dtype": "<f4", "shape": list(array.shape)}}
        place = {"driver": "file", "path": f"{folder}/target.{name}/"}
        tensorstore.open(spec | {"kvstore": place}, create=True).result().write(array).result()
        target[name] = spec | {"kvstore": {"driver": "gfile", "path": f"target.{name}"}}
    state = {"step": np.int64(7), "param_states": {"v_row": {"driver": "zarr", "kvstore": {"path": "state.gone"}}}}
    index = {"version": 3, "optimizer": {"target": nested(target), "state": state}}
    (folder / "checkpoint").write_bytes(serialization.msgpack_serialize(index))
    return folder


def scanned(model) -> dict[str, np.ndarray]:
    """Tensors of a scanned T5X model, each of whose layers has its copy of the relative positions."""
    tensors = named_tensors(model, T5X_SCANNED)
    for stack, layers in (("encoder", model.config.encoder_layers), ("decoder", model.config.decoder_layers)):
        table = tensors.pop(f"{stack}.relpos_bias.rel_embedding")
        tensors[f"{stack}.layers.relative_posemb.rel_embedding"] = np.stack([table] * layers, axis=1)
    return tensors


def t5x(folder: Path, model) -> Path:
    return write_t5x(folder, named_tensors(model, T5X))


def t5x_scanned(folder: Path, model) -> Path:
    return write_t5x(folder, scanned(model))


def t5x_in_one_file(folder: Path, model) -> Path:
    return write_t5x(folder, named_tensors(model, T5X), least=1 << 40) / "checkpoint"


def write_sparse_safetensors(folder: Path, config, names: dict[str, tuple[int, ...]]) -> Path:
    """A model.safetensors of zeros that takes no room on a disk that knows holes."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", to_hugging_face(config))
    header, end = {}, 0
    for name, shape in names.items():
        start, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return folder


FORMS = {
    "safetensors": safetensors,
    "safetensors in shards": safetensors_in_shards,
    "PyTorch": pytorch,
    "PyTorch in shards": pytorch_in_shards,
    "Flax": flax,
    "T5X": t5x,
    "T5X, scanned": t5x_scanned,
    "T5X in one file": t5x_in_one_file,
}


# -- vocabularies -----------------------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def field(number: int, value: int | float | bytes) -> bytes:
    """A field of a protobuf message."""
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def spiece(pieces: list[tuple[str, float]], charsmap: bytes = b"", *, kind: int = 1) -> bytes:
    """A SentencePiece model whose first three pieces are T5's pad, end and unknown."""
    types = {0: 3, 1: 3, 2: 2}
    out = b""
    for number, (piece, score) in enumerate(pieces):
        body = field(1, piece.encode()) + field(2, float(score))
        out += field(1, body + (field(3, types[number]) if number in types else b""))
    trainer = field(3, kind) + field(40, 2) + field(41, (1 << 64) - 1) + field(42, 1) + field(43, 0)
    return out + field(2, trainer) + field(3, field(1, b"nmt_nfkc") + field(2, charsmap) + field(3, 1))


def charsmap_of(mapping: dict[str, str]) -> bytes:
    """SentencePiece's compiled table: the size of a double-array trie, its units, and what strings become.

    A unit has the byte that leads to it, whether a string ends there, and where its children lie: a child is at the
    children's base XOR its byte, and what a string becomes at the base itself (darts-clone's layout).
    """
    strings, trie = b"", {}
    for source, target in mapping.items():
        node = trie
        for byte in source.encode():
            node = node.setdefault(byte, {})
        node[None], strings = len(strings), strings + target.encode() + b"\0"
    units, bases = {}, iter(range(256, 1 << 20, 256))

    def place(node: dict, at: int, label: int) -> None:
        base = next(bases)
        units[at] = (at ^ base) << 10 | (None in node) << 8 | label
        for byte, child in node.items():
            if byte is None:
                units[base] = child | 1 << 31
            else:
                place(child, base ^ byte, byte)

    place(trie, 0, 0)
    size = (max(units) | 255) + 1
    array = np.zeros(size, "<u4")
    for at, unit in units.items():
        array[at] = unit
    return struct.pack("<I", array.nbytes) + array.tobytes() + strings
