"""PyTorch's `pytorch_model.bin` without PyTorch and without running anything from it.

Such a file is a zip archive: a pickle that says which tensors there are, and their bytes, stored as they are. Before
PyTorch 1.6 it was a row of pickles, and the bytes of the storages after them. A pickle is a program that may call what
it names. This one may name three kinds of things (a tensor, an ordered dictionary, a type of storage); here they are
stand-ins that only note places in the file. Any other name ends the reading.
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
_OLD_MAGIC, _OLD_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_COUNT = struct.Struct("<q")
_LOCAL_HEADER = struct.Struct("<26xHH")


def read_state_dict(path: Path) -> dict[str, FileTensor]:
    """The tensors of a file by name. Raises InputError for another file, and for a pickle that names anything else."""
    with open(path, "rb") as file:
        start = file.read(4)
        if start[:1] == b"\x80":
            file.seek(0)
            return _Old(path, file).state_dict()
        if not start.startswith(b"PK"):
            expected, found = "a zip archive or a pickle", f"a file that begins with {start!r}"
            raise InputError("not a PyTorch file", where=path, expected=expected, found=found)
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
        index = io.BytesIO(self.archive.read(f"{self.root}data.pkl"))
        return _named_tensors(_load(index, self), self.path)

    def place(self, key: str, size: int) -> tuple[int, int]:
        """(offset, bytes) of a storage in the file; `size` is what its tensors say."""
        try:
            entry = self.archive.getinfo(f"{self.root}data/{key}")
        except KeyError:
            raise InputError("storage missing", where=self.path, expected=f"data/{key}", found="no entry") from None
        if entry.compress_type != zipfile.ZIP_STORED:
            raise InputError("compressed storage", where=self.path, expected=f"data/{key} stored", found="compressed")
        self.file.seek(entry.header_offset)
        name, extra = _LOCAL_HEADER.unpack(self.file.read(_LOCAL_HEADER.size))
        return entry.header_offset + _LOCAL_HEADER.size + name + extra, entry.file_size


class _Old:
    """The form of before PyTorch 1.6: magic, protocol, machine, state dict and keys of storages, each a pickle; then of
    each storage, in the order of the keys, its number of elements (int64) and its bytes."""

    def __init__(self, path: Path, file: io.BufferedReader):
        self.path, self.file = path, file
        self.sizes: dict[str, int] = {}
        self.places: dict[str, tuple[int, int]] | None = None  # known once the storages were walked

    def state_dict(self) -> dict[str, FileTensor]:
        magic, protocol, machine = (_load(self.file, self) for _ in range(3))
        if (magic, protocol) != (_OLD_MAGIC, _OLD_PROTOCOL) or not isinstance(machine, dict):
            found = f"{magic!r:.40}, {protocol!r:.40}"
            raise InputError("not a PyTorch file", where=self.path, expected="its magic number", found=found)
        if machine.get("little_endian") is not True:
            raise InputError("another order of bytes", where=self.path, expected="little", found=machine)
        index = self.file.tell()
        _load(self.file, self)  # to learn how long each storage is
        self.places = self._walked(_load(self.file, self))
        self.file.seek(index)
        return _named_tensors(_load(self.file, self), self.path)

    def place(self, key: str, size: int) -> tuple[int, int]:
        """(offset, bytes) of a storage in the file; on the first reading, which only asks for sizes, anywhere."""
        if self.places is None:
            self.sizes[key] = size
            return 0, size
        if key not in self.places:
            raise InputError("storage missing", where=self.path, expected=f"storage {key}", found="no such key")
        return self.places[key]

    def _walked(self, keys: Any) -> dict[str, tuple[int, int]]:
        places, end = {}, self.path.stat().st_size
        for key in keys if isinstance(keys, list) else ():
            begin, size = self.file.tell() + _COUNT.size, self.sizes.get(str(key), 0)
            if begin + size > end:
                needed = f"{begin + size} bytes"
                raise InputError("not a whole PyTorch file", where=self.path, expected=needed, found=end)
            self.file.seek(begin + size)
            places[str(key)] = begin, size
        return places


def _load(file: io.BufferedIOBase, source: _Archive | _Old) -> Any:
    """One pickle of a file, by the few names that it may name. Raises InputError for anything else."""
    try:
        return _StateDictUnpickler(file, source).load()
    except (InputError, MemoryError):
        raise
    except Exception as error:  # an odd pickle may raise anything
        raise InputError("not a state dict", where=source.path, expected="tensors by name", found=error) from None


def _named_tensors(state: Any, path: Path) -> dict[str, FileTensor]:
    items = dict.items(state) if isinstance(state, dict) else ()
    named = {str(name): value for name, value in items if isinstance(value, FileTensor)}
    if not named:
        kind = f"a {type(state).__name__} without"
        raise InputError("not a state dict", where=path, expected="tensors by name", found=kind)
    return named


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

    def __init__(self, file: io.BufferedIOBase, source: _Archive | _Old):
        super().__init__(file)
        self._source = source

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        raise InputError(
            "the pickle names something that no state dict needs; nothing of it was run",
            where=self._source.path,
            expected="torch._utils._rebuild_tensor_v2, collections.OrderedDict and types of storage",
            found=f"{module}.{name}",
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, count, *part = (
            pid  # the old form has a sixth item: the part of another storage, or None
        )
        is_storage = kind == "storage" and isinstance(storage_type, _StorageType) and part in ([], [None])
        if not is_storage or type(count) is not int or count < 0:
            raise ValueError(f"a storage named {pid!r}")
        needed = count * storage_type.dtype.itemsize
        offset, size = self._source.place(str(key), needed)
        if needed > size:
            message = "storage shorter than its tensors"
            raise InputError(message, where=self._source.path, expected=f"{count} elements", found=f"{size} bytes")
        return _Storage(self._source.path, offset, size, storage_type.dtype)
