"""What was retrieved for one task and split, as the `.npz` file that training and evaluation read."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from glimmer.errors import InputError
from glimmer.files import atomic_write, existing

NONE = -1
"""The passage id that means "nothing at this rank"."""


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """Passages for each row of a task file, best first, and how well its gold evidence is among them.

    passages int64 [n, depth] (-1 = none); scores float32 [n, depth], the retriever's. What evidence.py adds, with
    confidences in [0, 1]:
    confidence float32 [n, depth]: how well each passage supports any part of the evidence;
    complete float32 [n, depth]: that of the best evidence set within the first r + 1 passages, so it never falls;
    label float32 [n]: that of the best evidence set within all passages of the corpus;
    gold int64 [n, parts]: the passages of that set, -1 padded; -1 alone where no set is whole in the corpus.
    """

    passages: np.ndarray
    scores: np.ndarray
    confidence: np.ndarray
    complete: np.ndarray
    label: np.ndarray
    gold: np.ndarray

    def __post_init__(self):
        if self.passages.ndim != 2 or self.gold.ndim != 2:
            raise InputError("tables of the wrong kind", expected="2 axes", found=f"{self.passages.shape}")
        (rows, depth), parts = self.passages.shape, self.gold.shape[1]
        for name, dtype, shape in (
            ("passages", np.int64, (rows, depth)),
            ("scores", np.float32, (rows, depth)),
            ("confidence", np.float32, (rows, depth)),
            ("complete", np.float32, (rows, depth)),
            ("label", np.float32, (rows,)),
            ("gold", np.int64, (rows, parts)),
        ):
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != shape:
                raise InputError(
                    f"`{name}` of the wrong kind",
                    expected=f"{np.dtype(dtype)} {shape}",
                    found=f"{array.dtype} {array.shape}",
                )

    @property
    def depth(self) -> int:
        """How many passages were asked for."""
        return self.passages.shape[1]


_NAMES = tuple(field.name for field in fields(Retrieved))
_BROKEN = (ValueError, LookupError, AttributeError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What NumPy and the zip module raise for a file that is none."""


def padded(rows: Sequence[Sequence[int] | np.ndarray]) -> np.ndarray:
    """Passage ids a row, filled up with NONE: int64 [n, the longest row's length, at least 1]."""
    out = np.full((len(rows), max([1, *map(len, rows)])), NONE, np.int64)
    for number, row in enumerate(rows):
        out[number, : len(row)] = row
    return out


def retrieved_path(directory: str | Path, task: str, split: str) -> Path:
    """`<directory>/<task>-<split>.npz`."""
    return Path(directory) / f"{task}-{split}.npz"


def write_retrieved(path: str | Path, retrieved: Retrieved) -> None:
    """Writes the file, whole or not at all."""
    with atomic_write(path, "wb") as file:
        np.savez(file, **vars(retrieved))


def mapped_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an uncompressed .npz file by name, read-only and mapped: what nobody looks at is not read.

    Raises InputError if it is missing, compressed, or no such file. Its checksums are not looked at.
    """
    try:
        with zipfile.ZipFile(existing(path)) as archive:
            members = archive.infolist()
            return {member.filename.removesuffix(".npy"): _mapped(path, archive, member) for member in members}
    except (*_BROKEN, struct.error) as error:
        raise InputError("not arrays that can be mapped", where=path, expected="an uncompressed .npz file",
                         found=str(error)) from None  # fmt: skip


def _mapped(path: str | Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    with archive.open(member) as content:
        version = np.lib.format.read_magic(content)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, in_columns, dtype = read_header(content)
        header_bytes = content.tell()
    if dtype.hasobject or header_bytes + dtype.itemsize * math.prod(shape) > member.file_size:
        raise ValueError(f"{member.filename} holds objects, or less than it says")
    order = "F" if in_columns else "C"
    if 0 in shape:
        return np.empty(shape, dtype, order)
    with open(path, "rb") as file:
        file.seek(member.header_offset + 26)  # where the local header has its own lengths of name and extra field
        start = member.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
    return np.asarray(np.memmap(path, dtype, "r", start + header_bytes, shape, order))


def read_retrieved(path: str | Path, *, rows: int | None = None, depth: int = 1) -> Retrieved:
    """Reads such a file.

    Raises InputError if it is missing or broken, has another number of rows than the task, or holds fewer than `depth`
    passages a row.
    """
    try:
        with np.load(existing(path), allow_pickle=False) as arrays:
            retrieved = Retrieved(**{name: arrays[name] for name in _NAMES})
    except _BROKEN as error:
        raise InputError(
            "not a file of retrieved passages", where=path, expected=", ".join(_NAMES), found=str(error)
        ) from None
    except InputError as error:
        raise error if error.where is not None else InputError(str(error), where=path) from None
    if rows is not None and len(retrieved.passages) != rows:
        raise InputError(
            "retrieved for another task file", where=path, expected=f"{rows} rows", found=len(retrieved.passages)
        )
    if retrieved.depth < depth:
        raise InputError(
            "too few passages were retrieved", where=path, expected=f"at least {depth} a row", found=retrieved.depth
        )
    return retrieved
