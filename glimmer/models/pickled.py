"""PyTorch's `pytorch_model.bin` without PyTorch and without running anything from it.

Such a file is a zip archive: a pickle that says which tensors there are, and their bytes, stored as they are. Before
PyTorch 1.6 it was a row of pickles, and the bytes of the storages after them. A pickle is a program that may call what
it names. This one may name three kinds of things (a tensor, an ordered dictionary, a type of storage); here they are
stand-ins that only note places in the file. Any other name ends the reading, and so does any step that no state dict
needs: C's unpickler fills gigabytes at the word of one step, and dies of a key that is a tuple of tuples of tuples.
"""

from __future__ import annotations

import dataclasses
import io
import math
import pickle
import pickletools
import reprlib
import struct
import zipfile
import zlib
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
_LARGEST_NUMBER = 1 << 62
_LONGEST_NAME = 1000
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
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, zlib.error, struct.error) as error:
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
            with self.archive.open(f"{self.root}byteorder") as entry:
                order = entry.read(20)
            if order != b"little":
                raise InputError("another order of bytes", where=self.path, expected="little", found=ascii(order))
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
            found = f"{reprlib.repr(magic)}, {reprlib.repr(protocol)}"
            raise InputError("not a PyTorch file", where=self.path, expected="its magic number", found=found)
        if machine.get("little_endian") is not True:
            raise InputError("another order of bytes", where=self.path, expected="little", found=reprlib.repr(machine))
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
            if not isinstance(key, str | int):
                raise InputError("not a PyTorch file", where=self.path, expected="keys", found=reprlib.repr(key))
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
        return _StateDictUnpickler(_WholeReads(file), source).load()
    except InputError:
        raise
    except Exception as error:  # an odd pickle may raise anything
        raise InputError("not a state dict", where=source.path, expected="tensors by name", found=error) from None


def _named_tensors(state: Any, path: Path) -> dict[str, FileTensor]:
    items = dict.items(state) if isinstance(state, dict) else ()
    named = {name: value for name, value in items if isinstance(value, FileTensor)}
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


class _WholeReads:
    """A file that never makes room for more than it holds, whatever length a pickle states."""

    def __init__(self, file: io.BufferedIOBase):
        self._file = file
        here = file.tell()
        self._end = file.seek(0, io.SEEK_END)
        file.seek(here)

    def read(self, size: int) -> bytes:
        """The next bytes, all of them or an error."""
        if not 0 <= size <= self._end - self._file.tell():
            raise ValueError(f"it ends at byte {self._end}")
        return self._file.read(size)

    def readline(self) -> bytes:
        """The name up to the next line feed."""
        return self._file.readline(_LONGEST_NAME)


class _RebuildTensor:
    """Stands in for torch._utils._rebuild_tensor_v2: notes where a tensor lies."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> FileTensor:
        whole = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or not all(type(n) is int and 0 <= n < _LARGEST_NUMBER for n in whole):
            raise ValueError(f"a tensor of {type(storage).__name__}, {reprlib.repr(whole)}")
        begin = storage.offset + offset * storage.dtype.itemsize
        tensor = FileTensor(storage.path, begin, storage.dtype, tuple(shape), tuple(strides))
        outside = len(shape) != len(strides) or begin + tensor.span > storage.offset + storage.bytes
        # Strides of 0 would make a tensor of any size of one number.
        if outside or math.prod(shape) * storage.dtype.itemsize > storage.bytes:
            found = reprlib.repr((shape, strides))
            message = "tensor outside its storage"
            raise InputError(message, where=storage.path, expected=f"{storage.bytes} bytes", found=found)
        return tensor


class _OrderedDictType:
    """Stands in for collections.OrderedDict: with nothing, or with pairs as Python 2 wrote them."""

    __slots__ = ()

    def __call__(self, pairs: Any = ()) -> dict:
        made = {}
        for name, value in pairs:
            made[_name(name)] = value
        return made


def _name(key: Any) -> Any:
    if not isinstance(key, str | int):
        raise ValueError(f"a {type(key).__name__} as a name")
    return key


class _StateDictUnpickler(pickle._Unpickler):
    """Knows the names and the steps that a state dict needs, and refuses every other one.

    It is the standard library's own unpickler in Python, in which each step of a pickle is a method.
    """

    _source: _Archive | _Old

    def __init__(self, file: _WholeReads, source: _Archive | _Old):
        super().__init__(file)
        self._source = source

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if (module, name) == ("collections", "OrderedDict"):
            return _OrderedDictType()
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
        if not is_storage or type(count) is not int or not 0 <= count < _LARGEST_NUMBER:
            raise ValueError(f"a storage named {reprlib.repr(pid)}")
        needed = count * storage_type.dtype.itemsize
        offset, size = self._source.place(str(_name(key)), needed)
        if needed > size:
            message = "storage shorter than its tensors"
            raise InputError(message, where=self._source.path, expected=f"{count} elements", found=f"{size} bytes")
        return _Storage(self._source.path, offset, size, storage_type.dtype)

    def _refuse(self) -> None:
        raise ValueError("a step that no state dict needs")

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._dictionary()[_name(key)] = value

    def _set_items(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._dictionary()[_name(key)] = value

    def _append(self) -> None:
        item = self.stack.pop()
        self._list().append(item)

    def _appends(self) -> None:
        items = self.pop_mark()
        self._list().extend(items)

    def _call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _RebuildTensor | _OrderedDictType) or not isinstance(arguments, tuple):
            raise ValueError(f"a call of {type(function).__name__}")
        self.stack.append(function(*arguments))

    def _attributes(self) -> None:
        """A module's state dict has an attribute `_metadata`: versions, which say nothing of its tensors."""
        self.stack.pop()
        self._dictionary()

    def _dictionary(self) -> dict:
        if type(self.stack[-1]) is not dict:
            raise ValueError(f"items of a {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def _list(self) -> list:
        if type(self.stack[-1]) is not list:
            raise ValueError(f"items of a {type(self.stack[-1]).__name__}")
        return self.stack[-1]


_STEPS = {code.name: ord(code.code) for code in pickletools.opcodes}
_KNOWN = (
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2",
    "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING", "BINBYTES",
    "SHORT_BINBYTES", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "EMPTY_TUPLE", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "EMPTY_LIST", "EMPTY_DICT", "GLOBAL", "STACK_GLOBAL", "BINPERSID",
)  # fmt: skip
_OURS = {
    "SETITEM": _StateDictUnpickler._set_item, "SETITEMS": _StateDictUnpickler._set_items,
    "APPEND": _StateDictUnpickler._append, "APPENDS": _StateDictUnpickler._appends,
    "REDUCE": _StateDictUnpickler._call, "BUILD": _StateDictUnpickler._attributes,
}  # fmt: skip
_StateDictUnpickler.dispatch = (
    dict.fromkeys(_STEPS.values(), _StateDictUnpickler._refuse)
    | {_STEPS[name]: pickle._Unpickler.dispatch[_STEPS[name]] for name in _KNOWN}
    | {_STEPS[name]: step for name, step in _OURS.items()}
)
