"""The memory store: passages' representations after the memory layers, computed ahead of time, on disk.

One TensorStore array of bytes [rows, P, bytes of a vector] (zarr3, chunked by rows), the passage id of each row, and
what it was made with. What the bytes are: glimmer/models/memory_values.py.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorstore
from jaxtyping import Float, Int

from glimmer import preemption
from glimmer.compute import MemoryDtype
from glimmer.errors import InputError
from glimmer.files import atomic_directory, existing, read_json, require_space, write_json
from glimmer.models.memory_values import from_bytes, to_bytes

ROWS_PER_CHUNK = 64
_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
"""A chunk is stored as it is, with 4 bytes behind it by which one that changed is seen when it is read."""


class MemoryStore:
    """Read access by passage id. An id that was not stored is an InputError; -1 (no passage) reads as zeros."""

    def __init__(self, directory: str | Path):
        self.directory = existing(directory)
        self.meta = read_json(self.directory / "meta.json")
        self.ids: Int[np.ndarray, " rows"] = np.load(self.directory / "ids.npy", allow_pickle=False)
        # TensorStore would read a chunk that is not there as zeros.
        spec = _spec(self.directory / "memory") | {"fill_missing_data_reads": False}
        with _named(self.directory):
            self._array = tensorstore.open(spec, open=True, read=True).result()

    @property
    def bytes_per_passage(self) -> int:
        """Bytes that one passage takes, padding included."""
        _, tokens, each = self._array.shape
        return tokens * each

    def read(self, passages: Int[np.ndarray, "B k"]) -> Float[np.ndarray, "B k P D"]:
        """The stored memory of each passage: bfloat16, or float32 where it is kept in int8."""
        wanted = passages.ravel()
        rows = np.searchsorted(self.ids, wanted)
        rows = np.minimum(rows, len(self.ids) - 1)
        unknown = (wanted >= 0) & (self.ids[rows] != wanted)
        if unknown.any():
            raise InputError("passage not in the memory store", where=self.directory, found=int(wanted[unknown][0]))
        unique, back = np.unique(rows, return_inverse=True)
        with _named(self.directory):
            values = self._array[unique.tolist()].read().result()[back]
        values[wanted < 0] = 0
        return from_bytes(values.reshape(*passages.shape, *values.shape[1:]), self.meta["dtype"])


def write_store(
    directory: str | Path,
    passages: Int[np.ndarray, " n"],
    tokens: Callable[[Int[np.ndarray, " b"]], Int[np.ndarray, "b P"]],
    remember: Callable[[Int[np.ndarray, "b P"]], Float[np.ndarray, "b P D"]],
    made_with: dict[str, str],
    *,
    dtype: MemoryDtype = "bfloat16",
    batch_size: int = ROWS_PER_CHUNK,
) -> MemoryStore:
    """Computes and stores the memory of `passages` (each once), whole or not at all.

    `tokens` gives the token ids of a block of passages, `remember` their memory; blocks are of `batch_size` rows, the
    last one padded, so that `remember` compiles once. `made_with` says which parameters and corpus it is from.
    Raises InputError if there is no passage to store, or if `dtype` cannot hold a value.
    """
    ids = np.unique(passages[passages >= 0])
    if not len(ids):
        raise InputError("no passages to remember", where=directory, expected="at least one passage id")
    with atomic_directory(directory) as temporary:
        array = None
        for start, block in _blocks(ids, batch_size):
            preemption.check()
            memory = to_bytes(np.asarray(remember(tokens(block))), dtype)
            if array is None:
                shape = (len(ids), *memory.shape[1:])
                require_space(directory, math.prod(shape), "the passages' memory")
                spec = _spec(temporary / "memory") | {"dtype": "uint8", "schema": _schema(shape)}
                spec |= {"store_data_equal_to_fill_value": True, "metadata": {"codecs": _CODECS}}
                array = tensorstore.open(spec, create=True, shape=shape).result()
            kept = min(batch_size, len(ids) - start)
            array[start : start + kept].write(memory[:kept]).result()
        np.save(temporary / "ids.npy", ids)
        write_json(temporary / "meta.json", made_with | {"passages": len(ids), "dtype": dtype})
    return MemoryStore(directory)


def _blocks(ids: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(ids), size):
        block = ids[start : start + size]
        yield start, np.pad(block, (0, size - len(block)), mode="edge")


@contextlib.contextmanager
def _named(directory: Path) -> Iterator[None]:
    """Makes an InputError that names the store of what TensorStore raises for a chunk that is gone, cut or changed."""
    try:
        yield
    except ValueError as error:
        raise InputError("not a whole memory store", where=directory, expected="every chunk", found=error) from None


def _spec(path: Path) -> dict:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path.absolute()) + "/"}}


def _schema(shape: tuple[int, ...]) -> dict:
    return {"chunk_layout": {"chunk": {"shape": [min(ROWS_PER_CHUNK, shape[0]), *shape[1:]]}}}
