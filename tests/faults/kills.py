"""Kills a study's workflow at random moments, calls it again, and compares what comes out with an undisturbed one's.

    python -m tests.faults.kills --kills 50

Each call of snakemake is killed (SIGKILL, it and all its jobs) after a random time, and called again as the docs say:
`--unlock`, then the same. A study that has ended is compared and begun anew, until there were as many kills. Compared
are the bytes of what stages publish and the numbers of every result file, all but what is measured in seconds and
bytes of memory. Prints a row a kill, with what ran, and a summary; the exit code is 1 where anything differed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from glimmer.files import read_json

CODE = Path(__file__).resolve().parents[2]
MEASURED = {"wall_seconds", "peak_memory_bytes", "measured_on", "telemetry", "seconds"}
"""Keys of published files whose values are of the clock, or of the memory of a process."""
_HIDDEN = re.compile(r"\.[^/]*\.[a-z0-9_]{8}$")  # a name that a writer had not given its last form


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--study", default="smoke")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--mean", type=float, help="seconds to a kill, mean (default: a fifth of an undisturbed call)")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION", help="one more of --config")
    args = parser.parse_args()
    drawn = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        begun = time.monotonic()
        if _Call(args, root / "whole").wait(None) != 0:
            return _failed("the undisturbed call failed", root / "whole")
        seconds = time.monotonic() - begun
        expected = published(root / "whole" / "results")
        print(f"undisturbed: {seconds:.0f} seconds, {len(expected)} published files", flush=True)
        mean, kills, ended, differing, left = args.mean or seconds / 5, 0, 0, [], 0
        while kills < args.kills:
            place = root / f"pass-{ended}"
            killed = _until_ended(args, place, drawn, mean, args.kills - kills, kills)
            if killed is None:
                return _failed("a call failed that nobody had killed", place)
            kills, ended = kills + killed, ended + 1
            found = published(place / "results")
            differing += [
                f"pass {ended}: {name}" for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)
            ]
            left += len(left_over(place))
            shutil.rmtree(place)
    print(f"{kills} kills in {ended} passes; {len(differing)} differences; {left} temporary files were left")
    print("\n".join(differing))
    return 1 if differing else 0


def _until_ended(args, place: Path, drawn: random.Random, mean: float, most: int, before: int) -> int | None:
    """Kills calls until one has ended by itself, which it is left to after `most`; how many were killed."""
    killed = 0
    while True:
        after = drawn.expovariate(1 / mean) if killed < most else None
        call = _Call(args, place)
        code = call.wait(after)
        if code is not None:
            return killed if code == 0 else None
        killed += 1
        print(
            f"kill {before + killed}: after {after:.1f} seconds, in {call.running() or 'snakemake alone'}", flush=True
        )
        call.kill()
        unlocked = _Call(args, place, "--unlock")
        if unlocked.wait(None) != 0:
            return None


class _Call:
    """One call of snakemake in a session of its own, with results and work at one place."""

    def __init__(self, args, place: Path, *options: str):
        place.mkdir(exist_ok=True)
        where = [f"results={place / 'results'}", f"work={place / 'work'}", *args.set]
        command = ["snakemake", "--cores", str(args.cores), *options,
                   "--workflow-profile", "workflow/profiles/default"]  # fmt: skip
        self._log = place / "log"
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [*command, "--config", f"study={args.study}", *where],
                cwd=CODE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, seconds: float | None) -> int | None:
        """The exit code, or None where it still runs after so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def running(self) -> str:
        """The commands of glimmer that run in this call's session."""
        commands = set()
        for pid in self._members():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                place = next((n for n, word in enumerate(words) if word.endswith("/glimmer")), None)
                if place is not None:
                    commands.add(words[place + 1])
        return ", ".join(sorted(commands))

    def kill(self) -> None:
        """Kills the call and all that it has started, and waits until they are gone."""
        while members := self._members():
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.poll()
            time.sleep(0.05)

    def _members(self) -> list[int]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
                if int(session) == self._process.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found


def published(results: Path) -> dict[str, Any]:
    """Name -> content of every file that is measured: of JSON without what the clock says, of others the bytes."""
    files = [path for path in results.rglob("*") if path.is_file() and _is_measured(path.relative_to(results))]
    return {path.relative_to(results).as_posix(): _content(path) for path in files}


def _is_measured(name: Path) -> bool:
    """Whether a published file is of a stage or a run: pages and pictures are made of these, and name the day."""
    return name.suffix == ".json" and (name.parent.name == "runs" or name.name in _OF_STAGES)


_OF_STAGES = ("retrieval.json", "filter.json", "lengths.json", "priors.json", "reading.json")


def _content(path: Path) -> Any:
    return _without_measured(read_json(path))


def _without_measured(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_measured(one) for key, one in value.items() if key not in MEASURED}
    return [_without_measured(one) for one in value] if isinstance(value, list) else value


def left_over(place: Path) -> list[str]:
    """Hidden files that killed writers had not renamed yet, and nobody has removed since."""
    return [str(path.relative_to(place)) for path in place.rglob(".*") if _HIDDEN.search(path.name)]


def _failed(why: str, place: Path) -> int:
    print(f"{why}:\n{(place / 'log').read_text(errors='replace')[-4000:]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
