"""Flax's msgpack files: the tree of names with the places of its arrays, none of which is read.

https://github.com/msgpack/msgpack/blob/master/spec.md; Flax writes an array as extension 1: [shape, dtype, bytes].
"""

from __future__ import annotations

import dataclasses
import math
import mmap
import struct
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.models.tensors import DTYPES, FileTensor

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_DEEPEST = 64
_MOST_AXES = 32
_MOST_VALUES = 1 << 20
"""Names, arrays and numbers of a tree; T5-XXL's has some thousand, and an empty map costs 64 bytes for its one."""
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_LENGTHS = {
    0xC4: ("bytes", ">B"), 0xC5: ("bytes", ">H"), 0xC6: ("bytes", ">I"),
    0xC7: ("extension", ">B"), 0xC8: ("extension", ">H"), 0xC9: ("extension", ">I"),
    0xD9: ("text", ">B"), 0xDA: ("text", ">H"), 0xDB: ("text", ">I"),
    0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}  # fmt: skip


def read_tree(path: Path) -> dict[str, Any]:
    """Nested dictionaries whose leaves are numbers, text or FileTensors. Raises InputError for another file."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            walker = _Walker(path, mapped)
            tree = walker.value(0)
            if walker.at != len(mapped):
                raise ValueError(f"{len(mapped) - walker.at} bytes behind it")
    except (ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise InputError("not a whole msgpack file", where=path, expected="Flax's msgpack", found=error) from None
    if not isinstance(tree, dict):
        raise InputError("not a tree of parameters", where=path, expected="names", found=type(tree).__name__)
    return tree


def flat_tree(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by their names joined with dots."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flat_tree(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


@dataclasses.dataclass(frozen=True)
class _Bytes:
    """Bytes that were passed over."""

    offset: int
    length: int


class _Walker:
    """Goes through a file once, and steps over the bytes of arrays."""

    def __init__(self, path: Path, data: mmap.mmap):
        self.path, self.data, self.at, self.values = path, data, 0, 0

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        self.values += 1
        if self.values > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values")
        code = self._unpack(">B")
        if code <= 0x7F:
            return code
        if code <= 0x8F:
            return self._sized("map", code & 0x0F, depth)
        if code <= 0x9F:
            return self._sized("list", code & 0x0F, depth)
        if code <= 0xBF:
            return self._sized("text", code & 0x1F, depth)
        if code >= 0xE0:
            return code - 256
        if code in _NUMBERS:
            return self._unpack(_NUMBERS[code])
        if code in _LENGTHS:
            kind, number = _LENGTHS[code]
            return self._sized(kind, self._unpack(number), depth)
        if 0xD4 <= code <= 0xD8:
            return self._sized("extension", 1 << (code - 0xD4), depth)
        return {0xC0: None, 0xC2: False, 0xC3: True}[code]

    def _sized(self, kind: str, length: int, depth: int) -> Any:
        if kind == "map":
            return self._map(length, depth)
        if kind == "list":
            return [self.value(depth + 1) for _ in range(length)]
        if kind == "extension":
            return self._extension(self._unpack(">b"), length, depth)
        start = self._skip(length)
        return self.data[start : self.at].decode() if kind == "text" else _Bytes(start, length)

    def _map(self, length: int, depth: int) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for _ in range(length):
            name = self.value(depth + 1)
            if not isinstance(name, str | int):  # a map as key would be spelt out, each level twice as long
                raise ValueError(f"a {type(name).__name__} as a name")
            if str(name) in tree:
                raise ValueError(f"{name} given twice")
            tree[str(name)] = self.value(depth + 1)
        return tree

    def _extension(self, code: int, length: int, depth: int) -> Any:
        start = self.at
        if code not in (_ARRAY, _SCALAR):
            self._skip(length)
            return None
        shape, name, content = self.value(depth + 1)
        if self.at != start + length:
            raise ValueError(f"an array of {length} bytes that ends after {self.at - start}")
        if isinstance(name, _Bytes):
            name = self.data[name.offset : name.offset + name.length].decode()
        dtype = DTYPES.get(name)
        if dtype is None:  # counters and keys, which are no parameters
            return None
        if not isinstance(content, _Bytes) or not _is_shape(shape):
            raise ValueError(f"an array of shape {shape!r:.80}")
        if math.prod(shape) * dtype.itemsize != content.length:
            raise ValueError(f"an array {shape} of {name} in {content.length} bytes")
        return FileTensor.contiguous(self.path, content.offset, dtype, tuple(shape))

    def _skip(self, length: int) -> int:
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise ValueError(f"it ends at byte {len(self.data)}, before byte {self.at}")
        return start

    def _unpack(self, number: str) -> Any:
        start = self._skip(struct.calcsize(number))
        return struct.unpack_from(number, self.data, start)[0]


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and len(shape) <= _MOST_AXES and all(type(n) is int and n >= 0 for n in shape)
