"""What was retrieved for one task and split, as the `.npz` file that training and evaluation read."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glimmer.errors import InputError
from glimmer.files import atomic_write, existing

NONE = -1
"""The passage id that means "nothing at this rank"."""


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """Passages for each row of a task file, best first.

    passages int64 [n, depth] (-1 = none); scores float32 [n, depth], the retriever's; confidence float32 [n, depth] in
    [0, 1], how well each passage supports a gold provenance (`glimmer.kilt.provenance`).
    """

    passages: np.ndarray
    scores: np.ndarray
    confidence: np.ndarray

    def __post_init__(self):
        for name, dtype in (("passages", np.int64), ("scores", np.float32), ("confidence", np.float32)):
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != self.passages.shape or array.ndim != 2:
                raise InputError(
                    f"`{name}` of the wrong kind",
                    expected=f"{np.dtype(dtype)} {self.passages.shape}",
                    found=f"{array.dtype} {array.shape}",
                )

    @property
    def depth(self) -> int:
        """How many passages were asked for."""
        return self.passages.shape[1]


def retrieved_path(directory: str | Path, task: str, split: str) -> Path:
    """`<directory>/<task>-<split>.npz`."""
    return Path(directory) / f"{task}-{split}.npz"


def write_retrieved(path: str | Path, retrieved: Retrieved) -> None:
    """Writes the file, whole or not at all."""
    with atomic_write(path, "wb") as file:
        np.savez(file, passages=retrieved.passages, scores=retrieved.scores, confidence=retrieved.confidence)


def read_retrieved(path: str | Path, *, rows: int | None = None, depth: int = 1) -> Retrieved:
    """Reads such a file.

    Raises InputError if it is missing or broken, has another number of rows than the task, or holds fewer than `depth`
    passages a row.
    """
    try:
        with np.load(existing(path), allow_pickle=False) as arrays:
            retrieved = Retrieved(**{name: arrays[name] for name in Retrieved.__dataclass_fields__})
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            "not a file of retrieved passages", where=path, expected="passages, scores, confidence", found=str(error)
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
