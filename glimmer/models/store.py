"""The memory store: passages' representations after the memory layers, computed ahead of time, on disk, in blocks.

`block-0000007-<key>.bin` is the eighth block of the passages, in order of their numbers: of each its vectors
(glimmer/models/memory_values.py) and a sha256 of them, of the passage's number and of the store's plan, whose digest
`key` is. So a block says itself whether it is whole and whose it is. It is written under another name and renamed, by
any number of processes: they make the same bytes of the same block, and none waits for another.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from glimmer import processes
from glimmer.compute import MemoryDtype, bytes_per_vector
from glimmer.errors import InputError
from glimmer.files import (
    atomic_write,
    canonical_json,
    existing,
    read_json_object,
    remove_directory,
    require_space,
    write_json,
)
from glimmer.models.memory_values import from_bytes, to_bytes
from glimmer.parts import StagePart

ROWS_PER_BLOCK = 64
DIGEST_BYTES = 32
"""Behind the vectors of each passage."""

Ids = Int[np.ndarray, " rows"]
ALL = StagePart(number=1, of=1)
"""Of the blocks: a part of n is every n-th."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StorePlan:
    """What decides the bytes of a store: of which passages (`ids`, sorted, each once), whose memory, in which form.

    `made_with` says which parameters and corpus it is from; `shape` is that of one passage's memory.
    """

    ids: Ids
    made_with: Mapping[str, str]
    shape: tuple[int, int]
    dtype: MemoryDtype = "bfloat16"
    rows_per_block: int = ROWS_PER_BLOCK

    @classmethod
    def of(cls, passages: Int[np.ndarray, " n"], **settings: Any) -> StorePlan:
        """The plan for these passages, in any order, some perhaps twice or -1 (none)."""
        return cls(ids=np.unique(passages[passages >= 0]), **settings)

    @functools.cached_property
    def described(self) -> dict[str, Any]:
        """All of it as JSON, the ids by their digest."""
        digest = hashlib.sha256(np.ascontiguousarray(self.ids, "<i8").tobytes()).hexdigest()
        rest = {"made_with": dict(self.made_with), "shape": list(self.shape), "dtype": self.dtype}
        return rest | {"rows_per_block": self.rows_per_block, "passages": len(self.ids), "passages_sha256": digest}

    @functools.cached_property
    def digest(self) -> bytes:
        """sha256 of what is described."""
        return _digest_of(self.described)

    @property
    def bytes_per_vector(self) -> int:
        """Bytes of one token of a passage."""
        return bytes_per_vector(self.shape[1], self.dtype)

    @property
    def bytes_per_passage(self) -> int:
        """Bytes of one passage's vectors, padding included, without the digest behind them."""
        return self.shape[0] * self.bytes_per_vector

    @property
    def record_bytes(self) -> int:
        """Bytes that one passage takes on disk."""
        return self.bytes_per_passage + DIGEST_BYTES

    @property
    def blocks(self) -> int:
        """How many there are."""
        return -(-len(self.ids) // self.rows_per_block)

    def of_block(self, block: int) -> Ids:
        """The passages of a block."""
        return self.ids[block * self.rows_per_block : (block + 1) * self.rows_per_block]

    @property
    def ending(self) -> str:
        """How the files of this store's blocks end."""
        return f"-{self.digest.hex()[:12]}.bin"

    def name(self, block: int) -> str:
        """The name of a block's file."""
        return f"block-{block:07d}{self.ending}"

    def checksum(self, passage: int, vectors: bytes | memoryview) -> bytes:
        """What stands behind the vectors of a passage."""
        digest = hashlib.sha256(self.digest + passage.to_bytes(8, "little"))
        digest.update(vectors)
        return digest.digest()

    def wrote(self, passage: int, record: bytes) -> bool:
        """Whether a record is what this plan's writer leaves of a passage, byte for byte."""
        vectors = memoryview(record)[:-DIGEST_BYTES]
        return len(record) == self.record_bytes and self.checksum(passage, vectors) == record[-DIGEST_BYTES:]


class MemoryStore:
    """Read access by passage id. An id that was not stored is an InputError; -1 (no passage) reads as zeros."""

    def __init__(self, directory: str | Path):
        self.directory = existing(directory)
        self.plan = _read_plan(self.directory)
        self.ids = self.plan.ids

    @property
    def bytes_per_passage(self) -> int:
        """Bytes of one passage's vectors, padding included."""
        return self.plan.bytes_per_passage

    def read(self, passages: Int[np.ndarray, "B k"]) -> Float[np.ndarray, "B k P D"]:
        """The stored memory of each passage: bfloat16, or float32 where it is kept in int8.

        Raises InputError for a block that is gone, and for one whose bytes are not those that were written.
        """
        wanted = passages.ravel()
        rows = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        unknown = (wanted >= 0) & (self.ids[rows] != wanted)
        if unknown.any():
            raise InputError("passage not in the memory store", where=self.directory, found=int(wanted[unknown][0]))
        unique, back = np.unique(rows[wanted >= 0], return_inverse=True)
        stored = from_bytes(self._stored(unique), self.plan.dtype)
        values = np.zeros((len(wanted), *stored.shape[1:]), stored.dtype)
        values[wanted >= 0] = stored[back]
        return values.reshape(*passages.shape, *values.shape[1:])

    def _stored(self, rows: Ids) -> UInt8[np.ndarray, "rows P bytes"]:
        """The bytes of rows, which are sorted."""
        plan = self.plan
        out = np.empty((len(rows), plan.shape[0], plan.bytes_per_vector), np.uint8)
        places = zip(rows.tolist(), out, strict=True)
        for block, group in itertools.groupby(places, lambda place: place[0] // plan.rows_per_block):
            path = self.directory / plan.name(block)
            try:
                with open(path, "rb") as file:
                    for row, vectors in group:
                        file.seek(row % plan.rows_per_block * plan.record_bytes)
                        record = file.read(plan.record_bytes)
                        if not plan.wrote(int(self.ids[row]), record):
                            raise _not_whole(path, f"other bytes for passage {self.ids[row]}")
                        vectors[:] = np.frombuffer(record, np.uint8)[:-DIGEST_BYTES].reshape(vectors.shape)
            except FileNotFoundError:
                raise _not_whole(path, "nothing") from None
        return out


Tokens = Callable[[Int[np.ndarray, " b"]], Int[np.ndarray, "b P"]]
Remember = Callable[[Int[np.ndarray, "b P"]], Float[np.ndarray, "b P D"]]


def write_store(directory: str | Path, plan: StorePlan, tokens: Tokens, remember: Remember) -> MemoryStore:
    """Computes and stores the memory of the plan's passages; goes on with the blocks that are there (`write_blocks`).

    Raises InputError if somebody puts another store in its place meanwhile.
    """
    write_blocks(directory, plan, tokens, remember)
    store = MemoryStore(directory)
    if store.plan.digest != plan.digest:
        raise InputError("another memory store in its place", where=directory, expected=plan.described,
                         found=store.plan.described)  # fmt: skip
    return store


def write_blocks(
    directory: str | Path, plan: StorePlan, tokens: Tokens, remember: Remember, part: StagePart = ALL
) -> list[int]:
    """Writes the blocks of a part that are not there, or not whole; returns the numbers of those computed now.

    `tokens` gives the token ids of a block of passages, `remember` their memory; blocks are of `rows_per_block` rows,
    the last one padded, so that `remember` compiles once. Blocks of another plan are removed. Of several processes all
    must call this with equal arguments: all compute each block together, and take turns to look for them and write.
    Raises InputError if there is no passage to store, or a value that the plan's dtype cannot hold; DiskFull, before
    any work, where the part does not fit.
    """
    directory = Path(directory)
    if not len(plan.ids):
        raise InputError("no passages to remember", where=directory, expected="at least one passage id")
    mine, computed = range(part.number - 1, plan.blocks, part.of), []
    with processes.together():
        if processes.is_first():
            _prepare(directory, plan, mine)
    for block, is_mine in processes.in_turn(mine, lambda block: not _is_whole(plan, directory, block)):
        path, ids = directory / plan.name(block), plan.of_block(block)
        padded = np.pad(ids, (0, plan.rows_per_block - len(ids)), mode="edge")
        memory = np.asarray(remember(tokens(padded)))
        if memory.shape != (expected := (plan.rows_per_block, *plan.shape)):
            raise InputError("memory of the wrong shape", where=path, expected=expected, found=memory.shape)
        if is_mine:
            _write_block(plan, ids, to_bytes(memory[: len(ids)], plan.dtype), path)
        computed.append(block)
    processes.any_process(False)  # each waits for the blocks of all
    return computed


def _prepare(directory: Path, plan: StorePlan, mine: Iterable[int]) -> None:
    """Sees that what is missing fits, removes what is of another plan, and writes this one."""
    missing = (block for block in mine if not (directory / plan.name(block)).exists())
    require_space(directory, sum(len(plan.of_block(block)) for block in missing) * plan.record_bytes,
                  "the passages' memory")  # fmt: skip
    for path in directory.glob("block-*.bin"):
        if not path.name.endswith(plan.ending):
            path.unlink(missing_ok=True)
    if (directory / "memory").is_dir():  # a store of before there were blocks
        remove_directory(directory / "memory")
    with atomic_write(directory / "ids.npy", "wb") as file:
        np.save(file, plan.ids)
    write_json(directory / "meta.json", plan.described | {"sha256": plan.digest.hex()})


def _write_block(plan: StorePlan, ids: Ids, stored: UInt8[np.ndarray, "rows P bytes"], path: Path) -> None:
    with atomic_write(path, "wb") as file:
        for passage, vectors in zip(ids.tolist(), stored, strict=True):
            content = vectors.tobytes()
            file.write(content)
            file.write(plan.checksum(passage, content))


def _is_whole(plan: StorePlan, directory: Path, block: int) -> bool:
    """Whether a block is there with every byte that was written; it is read once."""
    ids = plan.of_block(block).tolist()
    try:
        with open(directory / plan.name(block), "rb") as file:
            return all(plan.wrote(passage, file.read(plan.record_bytes)) for passage in ids) and not file.read(1)
    except FileNotFoundError:
        return False


def _not_whole(path: Path, found: str) -> InputError:
    expected = "the block as it was written; the same command makes it again"
    return InputError("not a whole memory store", where=path, expected=expected, found=found)


def _read_plan(directory: Path) -> StorePlan:
    """The plan that a store states. Raises InputError where it is not as it was written."""
    path, described = directory / "meta.json", read_json_object(directory / "meta.json")
    stated = described.pop("sha256", None)
    if stated != _digest_of(described).hex():
        raise InputError("not the description that was written", where=path, expected="the digest that it states")
    try:
        ids = np.load(existing(directory / "ids.npy"), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError("not the passages that were stored", where=directory / "ids.npy", found=str(error)) from None
    settings = {key: described[key] for key in ("made_with", "dtype", "rows_per_block")}
    plan = StorePlan(ids=ids, shape=tuple(described["shape"]), **settings)
    if plan.described != described:
        raise InputError("not the passages that were stored", where=directory / "ids.npy",
                         expected=f"those of {path.name}", found="others")  # fmt: skip
    return plan


def _digest_of(value: Any) -> bytes:
    return hashlib.sha256(canonical_json(value).encode()).digest()
