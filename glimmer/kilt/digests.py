"""64-bit digests of ids: what millions of ids are remembered as, at 8 bytes each instead of Python's hundred.

Two different ids share a digest with probability 2^-64; over the 5.9 million pages of KILT some pair does
with probability 1e-6.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

import numpy as np


def digest(identifier: str) -> int:
    """The first 64 bits of BLAKE2b over the id in UTF-8, an integer in [0, 2^64)."""
    return int.from_bytes(
        hashlib.blake2b(identifier.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


class DigestTable:
    """A multimap from ids to one non-negative integer each (a line number, a byte offset), at 16 bytes an
    entry.

    All entries are appended first; the first lookup sorts them (another 24 bytes an entry while it runs),
    after which no more can be added.
    """

    def __init__(self) -> None:
        self._digests = array("Q")
        self._values = array("q")
        self._sorted: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def of_digests(cls, parts: Iterable[np.ndarray]) -> DigestTable:
        """The table of ids whose digests (uint64) are known, in parts; the value of each is its place from 1."""
        table = cls()
        for part in parts:
            table._digests.frombytes(np.ascontiguousarray(part, dtype=np.uint64).tobytes())
        table._values = array("q", range(1, len(table._digests) + 1))
        return table

    def __len__(self) -> int:
        return len(self._digests) if self._sorted is None else len(self._sorted[0])

    def append(self, identifier: str, value: int) -> None:
        """Adds one entry; ids may repeat."""
        if self._sorted is not None:
            raise RuntimeError("a DigestTable takes no entries after its first lookup")
        self._digests.append(digest(identifier))
        self._values.append(value)

    def find(self, identifier: str) -> int | None:
        """The value first appended with this id, None if there is none."""
        digests, values = self._in_order()
        wanted = np.uint64(digest(identifier))
        position = int(digests.searchsorted(wanted))
        return int(values[position]) if position < len(digests) and digests[position] == wanted else None

    def __contains__(self, identifier: str) -> bool:
        return self.find(identifier) is not None

    def repeats(self) -> list[tuple[int, int]]:
        """(value of the first entry, value of the repeated one) for every repeated id, in the order of appending."""
        digests, values = self._in_order()
        repeated = np.flatnonzero(digests[1:] == digests[:-1]) + 1
        firsts = np.searchsorted(digests, digests[repeated])
        return sorted(zip(values[firsts].tolist(), values[repeated].tolist(), strict=True), key=lambda pair: pair[1])

    def _in_order(self) -> tuple[np.ndarray, np.ndarray]:
        if self._sorted is None:
            digests = np.array(self._digests, dtype=np.uint64)
            order = np.argsort(digests, kind="stable")
            self._sorted = digests[order], np.array(self._values, dtype=np.int64)[order]
            del self._digests, self._values
        return self._sorted
