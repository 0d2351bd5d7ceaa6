"""Being asked to stop: SIGTERM and SIGUSR1 are seen at once, heeded at the next safe place, forced when grace is over.

A Python handler runs between two bytecodes of the main thread, which a compilation or a compiled step can keep for
minutes. So the signal's number goes through a file descriptor to a thread, which sets a flag and counts the grace.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

from glimmer.errors import GlimmerError

EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, and the same command goes on from what is saved."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

_asked = threading.Event()


class Preempted(GlimmerError):
    """The process, or another one of its training, was asked to stop, and did."""

    exit_code = EXIT_CODE

    def __init__(self):
        super().__init__("asked to stop; the same command goes on from what is saved")


def asked() -> bool:
    """Whether this process was asked to stop."""
    return _asked.is_set()


def check() -> None:
    """Raises Preempted if this process was asked to stop. Stands where stopping loses nothing, or a caller saves it."""
    if asked():
        raise Preempted


@contextlib.contextmanager
def heeded(grace: float) -> Iterator[None]:
    """While the block runs, signals to stop make `check` raise; `grace` seconds later the process ends, saved or not.

    Both ways the exit code is EXIT_CODE. Files are whole or absent at any moment, so a forced end loses what was done
    since the last checkpoint, and no more. In a thread that is not the main one, which cannot have signals, it does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    over = threading.Event()
    before = {number: signal.signal(number, _nothing) for number in SIGNALS}
    woken = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reading, grace, over), daemon=True, name="preemption")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        writing.close()
        watcher.join()
        reading.close()
        _asked.clear()


def _nothing(number: int, frame: object) -> None:
    """The number is on its way to the watcher; a handler must be there for it to be sent."""


def _watch(reading: socket.socket, grace: float, over: threading.Event) -> None:
    while number := reading.recv(1):
        if number[0] in SIGNALS:
            break
    else:
        return
    _asked.set()
    name = signal.Signals(number[0]).name
    _say(f"{name}: stops at the next safe place, in {grace:g} seconds at most")
    if not over.wait(grace):
        _say(f"{name}: no safe place in {grace:g} seconds; what was done since the last checkpoint is lost")
        os._exit(EXIT_CODE)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
