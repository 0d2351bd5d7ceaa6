"""Answers on disk while an evaluation lasts: one that is stopped goes on after the last whole batch."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glimmer import processes
from glimmer.evaluation.answering import Answer, Answerer
from glimmer.files import atomic_write, canonical_json
from glimmer.models.store import MemoryStore
from glimmer.training.examples import TaskExamples
from glimmer.training.state import SplitReader


class AnswerLog:
    """A file of one reader's answers to one task: a line that says whose they are, then a line a batch.

    What another `identity` left is dropped, and so is a line that was not written to its end.
    """

    def __init__(self, path: Path, identity: dict[str, Any]):
        self.path, self._first = path, canonical_json(identity)
        self.seconds_before = 0.0
        """What the batches took that were answered before."""

    def answers(
        self, answerer: Answerer, reader: SplitReader, task: TaskExamples, store: MemoryStore | None
    ) -> list[Answer]:
        """Every answer, of which those that stand in the file are not given again.

        Of several processes that answer together all must call this. Process 0 alone reads and writes the file, and has
        the answers that stood in it; the others go on where it does.
        """
        done = self._taken_up() if processes.is_first() else []
        answered = int(processes.of_the_first({"answered": len(done)})["answered"])
        with open(self.path if processes.is_first() else os.devnull, "a", buffering=1, encoding="utf-8") as file:
            started = time.monotonic()
            for batch in answerer.batches(reader, task, store, answered=answered):
                now = time.monotonic()
                line = {"seconds": now - started, "answers": [dataclasses.asdict(answer) for answer in batch]}
                file.write(json.dumps(line) + "\n")
                done += batch
                started = now
        return done

    def _taken_up(self) -> list[Answer]:
        """The answers that stand in the file, which is left with these alone."""
        lines = list(self._kept())
        self.seconds_before = sum(line["seconds"] for line in lines)
        with atomic_write(self.path) as file:
            file.writelines(f"{line}\n" for line in (self._first, *map(json.dumps, lines)))
        return [Answer(**answer) for line in lines for answer in line["answers"]]

    def _kept(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        first, *lines = self.path.read_bytes().split(b"\n")[:-1] or [b""]
        if first != self._first.encode():
            return
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:  # a machine that went down can leave anything behind what it had written
                return
