"""Tensors that lie in files: their place and shape are known, and parts of them are read when they are asked for.

No part is larger than it must be: what has been read is a copy in float32, and no page of a file stays mapped.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from glimmer.errors import InputError

DTYPES = {name: np.dtype(name) for name in ("float64", "float32", "float16")} | {
    "bfloat16": np.dtype(ml_dtypes.bfloat16)
}
"""What parameters are published in."""


@dataclasses.dataclass(frozen=True)
class FileTensor:
    """A tensor in a file: where its first element stands (in bytes), and strides in elements."""

    path: Path
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def contiguous(cls, path: Path, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> FileTensor:
        """A tensor whose elements follow each other in C order."""
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        return cls(path, offset, dtype, tuple(shape), strides)

    @property
    def span(self) -> int:
        """Bytes from its first to behind its last element."""
        if 0 in self.shape:
            return 0
        last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return (last + 1) * self.dtype.itemsize

    def take(self, axis: int, index: int) -> FileTensor:
        """The tensor at one index of an axis, without that axis."""
        rest = [i for i in range(len(self.shape)) if i != axis]
        shape, strides = (tuple(values[i] for i in rest) for values in (self.shape, self.strides))
        return dataclasses.replace(self._from(axis, index), shape=shape, strides=strides)

    def transposed(self) -> FileTensor:
        """Its axes in reversed order."""
        return dataclasses.replace(self, shape=self.shape[::-1], strides=self.strides[::-1])

    def blocks(self, limit: int) -> Iterator[tuple[int, int, int]]:
        """(axis, start, stop) of parts of at most `limit` bytes in float32, each a run of the file where it can be."""
        axis = int(np.argmax(self.strides)) if self.shape else 0
        return _blocks(self.shape, axis, limit)

    def read(self, axis: int = 0, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The part [start, stop) of an axis, in float32. Raises InputError where the file ends before it."""
        part = self
        if self.shape:
            size = (self.shape[axis] if stop is None else stop) - start
            shape = (*self.shape[:axis], size, *self.shape[axis + 1 :])
            part = dataclasses.replace(self._from(axis, start), shape=shape)
        if not part.span:
            return np.zeros(part.shape, np.float32)
        try:
            mapped = np.memmap(self.path, np.uint8, "r", part.offset, (part.span,))
        except (OSError, ValueError) as error:
            raise InputError(
                "tensor not in its file", where=self.path, expected=f"{part.span} bytes", found=error
            ) from None
        strides = tuple(stride * self.dtype.itemsize for stride in self.strides)
        return np.array(np.ndarray(part.shape, self.dtype, mapped, 0, strides), np.float32, order="C")

    def _from(self, axis: int, index: int) -> FileTensor:
        return dataclasses.replace(self, offset=self.offset + index * self.strides[axis] * self.dtype.itemsize)


@dataclasses.dataclass(frozen=True, eq=False)
class ZarrTensor:
    """A zarr array that TensorStore has opened, and the folder that it lies in."""

    array: Any
    folder: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.array.shape)

    def take(self, axis: int, index: int) -> ZarrTensor:
        """The array at one index of an axis, without that axis."""
        return ZarrTensor(self.array[(slice(None),) * axis + (index,)], self.folder)

    def transposed(self) -> ZarrTensor:
        """Its axes in reversed order."""
        return ZarrTensor(self.array.T, self.folder)

    def blocks(self, limit: int) -> Iterator[tuple[int, int, int]]:
        """(axis, start, stop) of parts of about `limit` bytes in float32; no chunk of the file is in two of them."""
        chunk = self.array.chunk_layout.read_chunk.shape
        counts = [size / (part or size) if size else 0 for size, part in zip(self.shape, chunk, strict=True)]
        axis = int(np.argmax(counts)) if counts else 0
        return _blocks(self.shape, axis, limit, chunk[axis] or 1 if chunk else 1)

    def read(self, axis: int = 0, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The part [start, stop) of an axis, in float32. Raises InputError where a chunk is missing or broken."""
        part = self.array[(slice(None),) * axis + (slice(start, stop),)] if self.shape else self.array
        try:
            return np.array(part.read().result(), np.float32, order="C")
        except ValueError as error:  # what TensorStore raises, whatever it is
            raise InputError("not a whole zarr array", where=self.folder, expected="every chunk", found=error) from None


StoredTensor = FileTensor | ZarrTensor


def _blocks(shape: tuple[int, ...], axis: int, limit: int, multiple: int = 1) -> Iterator[tuple[int, int, int]]:
    if not shape:
        yield 0, 0, 1
        return
    size = shape[axis]
    one = max(1, 4 * math.prod(shape) // max(size, 1))
    step = max(1, limit // one)
    step = max(1, step // multiple) * multiple
    for start in range(0, size, step):
        yield axis, start, min(start + step, size)
