"""Batches made in a thread while the compiled step runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

Made = TypeVar("Made")
_AHEAD = 4  # batches made in advance


def made_ahead(batches: Iterator[Made]) -> Iterator[Made]:
    """The same batches, made by a thread that stays a few ahead; an error in it is raised here."""
    ready: queue.Queue = queue.Queue(maxsize=_AHEAD)
    done, stopped = object(), threading.Event()

    def offer(item) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work():
        try:
            for batch in batches:
                if not offer(batch):
                    return
            offer(done)
        except BaseException as error:
            offer(error)

    threading.Thread(target=work, daemon=True, name="made ahead").start()
    try:
        while (item := ready.get()) is not done:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
