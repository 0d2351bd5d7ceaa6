"""Random access to the passages that `glimmer.kilt.chunking` wrote, by passage id, without holding them in memory."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from glimmer.errors import InputError
from glimmer.files import check_seal, existing, read_json_object


class PassageFile:
    """The passages of a directory as a read-only sequence of dicts, with the keys of passages.jsonl.

    Holds the memory-mapped offsets and one open file; safe to read from several threads and to send to
    another process.
    """

    def __init__(self, directory: str | Path, *, is_checked: bool = False):
        """Raises InputError where the files are not those that were written, or do not belong together.

        `is_checked`: the bytes were held to their seal before, by the process that sends this to another.
        """
        self.directory = existing(directory)
        if not is_checked:
            check_seal(self.directory)
        self.meta: dict[str, Any] = read_json_object(self.directory / "meta.json")
        self._offsets: np.ndarray = np.load(existing(self.directory / "offsets.npy"), mmap_mode="r", allow_pickle=False)
        self._file = open(existing(self.directory / "passages.jsonl"), "rb")  # noqa: SIM115  (lives as long as self)
        size = os.fstat(self._file.fileno()).st_size
        if len(self._offsets) == 0 or self._offsets[-1] != size:
            raise InputError(
                "passages and offsets do not belong together",
                where=self.directory,
                expected=f"{self._offsets[-1] if len(self._offsets) else 0} bytes of passages.jsonl",
                found=size,
            )

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, passage: int) -> dict[str, Any]:
        """The row of one passage, 0 <= passage < len(self).

        -1, which means "none" in retrieved files, is an IndexError.
        """
        if not 0 <= passage < len(self):
            raise IndexError(f"{self.directory}: passage {passage} of {len(self)}")
        start, end = int(self._offsets[passage]), int(self._offsets[passage + 1])
        return json.loads(os.pread(self._file.fileno(), end - start, start))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All rows in order, as one stream."""
        return self.rows(0, len(self))

    def rows(self, start: int, end: int) -> Iterator[dict[str, Any]]:
        """Rows [start, end) in order, as one stream."""
        with open(self.directory / "passages.jsonl", "rb") as file:
            file.seek(int(self._offsets[start]))
            for line in itertools.islice(file, end - start):
                yield json.loads(line)

    def text(self, passage: int) -> str:
        """The text of one passage."""
        return self[passage]["text"]

    def title(self, passage: int) -> str:
        """The title of the page that a passage is from."""
        return self[passage]["title"]

    def provenance(self, passage: int, with_text: bool = False) -> dict[str, Any]:
        """One passage as a KILT guess's provenance item.

        Its text only on request (KILT's context metrics read it).
        """
        row = self[passage]
        return {key: value for key, value in row.items() if key != "id" and (with_text or key != "text")}

    def close(self) -> None:
        """Closes the file; the object cannot be read from afterwards."""
        self._file.close()

    def __enter__(self) -> PassageFile:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __reduce__(self):
        return functools.partial(PassageFile, is_checked=True), (self.directory,)
