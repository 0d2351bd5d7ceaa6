"""A headless Chromium, spoken to over its debugging pipe: enough to open a page and ask what it did."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
          "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe")  # fmt: skip
_PATIENCE = 60  # seconds for any single answer


def find() -> str | None:
    """The browser's program: $CHROMIUM, or the first of NAMES on PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab. `events` are all that it has told since it was opened."""

    def __init__(self, browser: Browser, session: str):
        self._browser, self._session = browser, session
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command of the devtools protocol. Raises RuntimeError if it fails."""
        return self._browser.send(method, parameters, self._session, self.events)

    def open(self, path: Path, width: int, height: int = 900, scripts: bool = True, query: str = "") -> None:
        """Shows a file in a window of this many CSS pixels, and waits until it has loaded. `query`: `?` and more."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.send("Page.navigate", url=path.resolve().as_uri() + query)
        self._browser.wait(lambda: self.of("Page.loadEventFired"), self.events)

    def of(self, method: str) -> list[dict[str, Any]]:
        """What the events of one kind say."""
        return [event["params"] for event in self.events if event["method"] == method]

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, as JSON has it."""
        done = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{expression}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions that nothing caught."""
        thrown = [str(one["exceptionDetails"]) for one in self.of("Runtime.exceptionThrown")]
        said = [str(one["args"]) for one in self.of("Runtime.consoleAPICalled") if one["type"] in ("error", "warning")]
        return thrown + said + [str(one["entry"]) for one in self.of("Log.entryAdded")]

    def requests(self) -> list[str]:
        """Every address that the page has asked for."""
        return [one["request"]["url"] for one in self.of("Network.requestWillBeSent")]


class Browser:
    """A running Chromium; `start` makes one."""

    def __init__(self, requests: int, answers: int):
        self._requests, self._answers, self._buffer, self._last = requests, answers, b"", 0

    @contextlib.contextmanager
    def page(self) -> Iterator[Page]:
        """A new tab, closed afterwards."""
        target = self.send("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        try:
            yield Page(self, session)
        finally:
            self.send("Target.closeTarget", {"targetId": target})

    def send(self, method: str, parameters: dict, session: str = "", events: list | None = None) -> dict[str, Any]:
        """The answer to one command; events that come meanwhile go to `events`."""
        self._last += 1
        asked = {"id": self._last, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._requests, json.dumps(asked).encode() + b"\0")
        while True:
            answer = self._next(events)
            if answer.get("id") == asked["id"]:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def wait(self, until, events: list) -> None:
        """Collects events until `until()` holds."""
        while not until():
            self._next(events)

    def _next(self, events: list | None) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            found = os.read(self._answers, 1 << 20) if ready else b""
            if not found:
                raise RuntimeError("the browser is gone" if ready else f"no answer in {_PATIENCE} s")
            self._buffer += found
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        if "method" in message and events is not None:
            events.append(message)
        return message


@contextlib.contextmanager
def start(program: str, profile: Path) -> Iterator[Browser]:
    """A headless browser with a profile of its own; it ends with the block."""
    (child_in, our_out), (our_in, child_out) = os.pipe(), os.pipe()
    # The child finds its pipe at 3 and 4; higher numbers here, so that neither is overwritten before it is copied.
    given = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (child_in, child_out)]

    def connect() -> None:
        os.dup2(given[0], 3)
        os.dup2(given[1], 4)

    process = subprocess.Popen(
        [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"], close_fds=False, preexec_fn=connect,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for end in (child_in, child_out, *given):
        os.close(end)
    try:
        yield Browser(our_out, our_in)
    finally:
        with contextlib.suppress(OSError):
            os.close(our_out)  # which ends it
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(our_in)
