"""PyTorch's `pytorch_model.bin` without PyTorch and without running anything from it.

Such a file is a zip archive: a pickle that says which tensors there are, and their bytes, stored as they are. A pickle
is a program that may call what it names. This one may name three kinds of things (a tensor, an ordered dictionary, a
type of storage); here they are stand-ins that only note places in the file. Any other name ends the reading.
"""

from __future__ import annotations

import collections
import dataclasses
import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from glimmer.errors import InputError
from glimmer.models.tensors import DTYPES, FileTensor

_STORAGES = {
    "DoubleStorage": DTYPES["float64"],
    "FloatStorage": DTYPES["float32"],
    "HalfStorage": DTYPES["float16"],
    "BFloat16Storage": DTYPES["bfloat16"],
    **{f"{name}Storage": np.dtype(kind) for name, kind in
       {"Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "?"}.items()},
}  # fmt: skip
_LARGEST_INDEX = 64 << 20
_LOCAL_HEADER = struct.Struct("<26xHH")


def read_state_dict(path: Path) -> dict[str, FileTensor]:
    """The tensors of a file by name. Raises InputError for another file, and for a pickle that names anything else."""
    with open(path, "rb") as file:
        start = file.read(4)
        if not start.startswith(b"PK"):
            old = start[:1] == b"\x80"
            raise InputError(
                "a pickle in the form of before PyTorch 1.6, which is not read" if old else "not a PyTorch file",
                where=path,
                expected="the zip form: `torch.save(torch.load(FILE, weights_only=True), FILE)` in a newer PyTorch"
                " writes it; model.safetensors beside it is read first",
                found="a bare pickle" if old else f"a file that begins with {start!r}",
            )
        try:
            with zipfile.ZipFile(file) as archive:
                return _Archive(path, file, archive).state_dict()
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
            raise InputError("not a whole PyTorch file", where=path, expected="a zip archive", found=error) from None


class _Archive:
    """The entries of a file, by name."""

    def __init__(self, path: Path, file: io.BufferedReader, archive: zipfile.ZipFile):
        self.path, self.file, self.archive = path, file, archive
        indexes = [name for name in archive.namelist() if name.rsplit("/", 1)[-1] == "data.pkl"]
        if len(indexes) != 1:
            raise InputError("not a PyTorch file", where=path, expected="one entry data.pkl", found=f"{len(indexes)}")
        self.root = indexes[0].removesuffix("data.pkl")

    def state_dict(self) -> dict[str, FileTensor]:
        if f"{self.root}byteorder" in self.archive.namelist():
            order = self.archive.read(f"{self.root}byteorder")
            if order != b"little":
                raise InputError("another order of bytes", where=self.path, expected="little", found=order.decode())
        size = self.archive.getinfo(f"{self.root}data.pkl").file_size
        if size > _LARGEST_INDEX:
            raise InputError("an index of tensors too large", where=self.path, expected=_LARGEST_INDEX, found=size)
        index = self.archive.read(f"{self.root}data.pkl")
        try:
            state = _StateDictUnpickler(io.BytesIO(index), self).load()
        except (InputError, MemoryError):
            raise
        except Exception as error:  # an odd pickle may raise anything
            raise InputError("not a state dict", where=self.path, expected="tensors by name", found=error) from None
        items = dict.items(state) if isinstance(state, dict) else ()
        named = {str(name): value for name, value in items if isinstance(value, FileTensor)}
        if not named:
            kind = f"a {type(state).__name__} without"
            raise InputError("not a state dict", where=self.path, expected="tensors by name", found=kind)
        return named

    def place(self, key: str) -> tuple[int, int]:
        """(offset, bytes) of a storage in the file."""
        try:
            entry = self.archive.getinfo(f"{self.root}data/{key}")
        except KeyError:
            raise InputError("storage missing", where=self.path, expected=f"data/{key}", found="no entry") from None
        if entry.compress_type != zipfile.ZIP_STORED:
            raise InputError("compressed storage", where=self.path, expected=f"data/{key} stored", found="compressed")
        self.file.seek(entry.header_offset)
        name, extra = _LOCAL_HEADER.unpack(self.file.read(_LOCAL_HEADER.size))
        return entry.header_offset + _LOCAL_HEADER.size + name + extra, entry.file_size


@dataclasses.dataclass(frozen=True, slots=True)
class _StorageType:
    """Stands in for torch.FloatStorage and its like."""

    dtype: np.dtype


@dataclasses.dataclass(frozen=True, slots=True)
class _Storage:
    """Bytes of a file that tensors share."""

    path: Path
    offset: int
    bytes: int
    dtype: np.dtype


class _RebuildTensor:
    """Stands in for torch._utils._rebuild_tensor_v2: notes where a tensor lies."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> FileTensor:
        whole = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in whole):
            raise ValueError(f"a tensor of {type(storage).__name__}, {whole}")
        begin = storage.offset + offset * storage.dtype.itemsize
        tensor = FileTensor(storage.path, begin, storage.dtype, tuple(shape), tuple(strides))
        if len(shape) != len(strides) or begin + tensor.span > storage.offset + storage.bytes:
            message = "tensor outside its storage"
            raise InputError(message, where=storage.path, expected=f"{storage.bytes} bytes", found=f"{shape} {strides}")
        return tensor


class _StateDictUnpickler(pickle.Unpickler):
    """Knows the names that a state dict needs, and refuses every other one."""

    def __init__(self, file: io.BytesIO, archive: _Archive):
        super().__init__(file)
        self._archive = archive

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        raise InputError(
            "the pickle names something that no state dict needs; nothing of it was run",
            where=self._archive.path,
            expected="torch._utils._rebuild_tensor_v2, collections.OrderedDict and types of storage",
            found=f"{module}.{name}",
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, count = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or type(count) is not int:
            raise ValueError(f"a storage named {pid!r}")
        offset, size = self._archive.place(str(key))
        if not 0 <= count * storage_type.dtype.itemsize <= size:
            message = "storage shorter than its tensors"
            raise InputError(message, where=self._archive.path, expected=f"{count} elements", found=f"{size} bytes")
        return _Storage(self._archive.path, offset, size, storage_type.dtype)
