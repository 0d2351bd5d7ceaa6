"""Kills a study's workflow in each of its stages, calls it again, and compares what is left with an undisturbed study.

    python -m tests.faults.kills --into DIR --kills 50

A call of snakemake is killed (SIGKILL, it and all its jobs) at a moment drawn from the time that a job takes, or where
the job ends before, at once; the job is drawn from the next ones to come. The same call follows, after `--unlock` where
a lock is left, as the docs say, and is killed in turn, until the study is whole: a pass. A fault is
- a finished job that is made again: its record, an inode or a time of its files is another after the next call;
- a file under its final name, after a kill, that is not what the undisturbed study has there;
- after a pass, a file below work/ or results/ that is gone, of other content, or left where there should be none;
- a call that ends by itself with an error, or does not end.
Content is bytes, but for what is of the clock (tests/faults/comparison.py). DIR keeps the undisturbed study, the pass
that is under way and `kills.jsonl`, a line a call: the command may be stopped at any moment, and the same command goes
on, with the same code. One command at a time in one checkout. The exit code is 1 where there was a fault.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from glimmer.files import read_json, write_json
from glimmer.runs.made_by import code_version
from tests.faults.comparison import Job, begun_since, compare, contents, finished, jobs_of, made_again, torn

CODE = Path(__file__).resolve().parents[2]
RECORDS = CODE / ".snakemake"
SMALLEST = ["artifacts=figure2", "baselines=[]"]
"""Options that leave every stage, and of the readers one run each."""
AHEAD = 2
"""Of how many jobs to come one is drawn."""
PER_PASS = 2
"""How often a rule is aimed at in a pass, at most: then it is left to its end, so that none takes all kills."""
ALONE = "snakemake alone"
FAULTS = ("again", "torn", "findings", "failed")
"""Keys of a line of `kills.jsonl` that hold what should not be."""


@dataclasses.dataclass(frozen=True)
class Aim:
    """When a call is to be killed: so many seconds after a job has begun, or, without a job, after the call has."""

    job: Job | None
    after: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="where all of it lies, and goes on")
    parser.add_argument("--study", default="smoke")
    parser.add_argument("--kills", type=int, default=50, help="how many in all, with those that DIR has already")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--config", nargs="*", default=SMALLEST, metavar="OPTION", help="more options of --config")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the call that runs is killed too
    into = args.into.resolve()
    log = into / "kills.jsonl"
    jobs = _undisturbed(args, into / "whole")
    expected = contents(into / "whole")
    while not _is_done(lines := _lines(log), args.kills, into):
        place, number, enough = _place(lines, into), _passes(lines), _kills(lines) >= args.kills
        aimed = collections.Counter(line["aimed"] for line in lines if line["pass"] == number and "aimed" in line)
        drawn = random.Random(f"{args.seed} {len(lines)}")
        choose = functools.partial(_aim, drawn, jobs, aimed=aimed) if not enough else lambda to_come: None
        line = {"pass": number, **_one_call(args, jobs, choose, place, into / "whole")}
        if "ended" in line:
            line["findings"] = compare(expected, contents(place)).lines
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{len(lines)}: {json.dumps(line)}", flush=True)
        if "ended" in line:
            shutil.rmtree(place)
        if "failed" in line:
            print((place / "log").read_text(errors="replace")[-4000:], file=sys.stderr)
            break
    return _summary(_lines(log))


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _kills(lines: Iterable[Mapping[str, Any]]) -> int:
    return sum("killed" in line for line in lines)


def _passes(lines: Iterable[Mapping[str, Any]]) -> int:
    return sum("ended" in line for line in lines)


def _place(lines: Sequence[Mapping[str, Any]], into: Path) -> Path:
    return into / f"pass-{_passes(lines)}"


def _is_done(lines: Sequence[Mapping[str, Any]], kills: int, into: Path) -> bool:
    """Whether there were as many kills, and the last pass was brought to its end."""
    return _kills(lines) >= kills and not _place(lines, into).exists()


def _undisturbed(args: argparse.Namespace, place: Path) -> list[Job]:
    """The jobs of a call that nobody kills, which is made once. Exits where it fails, and where other code made it."""
    stored = place / "jobs.json"
    if not stored.exists():
        with _Call(args, place) as call:
            if call.wait(None) != 0:
                sys.exit(f"the undisturbed call failed: {place / 'log'}")
        jobs = [dataclasses.asdict(job) for job in jobs_of(RECORDS, place)]
        write_json(stored, {"code_version": code_version(), "jobs": jobs})
    undisturbed = read_json(stored)
    if undisturbed["code_version"] != code_version():  # which memory is named by, among others
        sys.exit(f"{stored}: made by {undisturbed['code_version']}, and this is {code_version()}; name another --into")
    return [Job(job["rule"], tuple(job["outputs"]), job["seconds"]) for job in undisturbed["jobs"]]


def _aim(drawn: random.Random, jobs: Sequence[Job], to_come: Iterable[Job], aimed: Mapping[str, int]) -> Aim | None:
    """One of the next jobs to come and a moment within its time, or now and then one of Snakemake's start; None where
    all of them were aimed at often enough (`aimed`: rule -> how often)."""
    left = [job for job in to_come if aimed.get(job.rule, 0) < PER_PASS][:AHEAD]
    if drawn.randrange(12) == 0 and aimed.get(ALONE, 0) < PER_PASS:
        return Aim(None, drawn.random() * sum(job.seconds for job in jobs) / len(jobs))
    if not left:
        return None
    job = drawn.choice(left)
    return Aim(job, drawn.random() * job.seconds)


def _one_call(
    args: argparse.Namespace,
    jobs: Sequence[Job],
    choose: Callable[[Sequence[Job]], Aim | None],
    place: Path,
    whole: Path,
) -> dict[str, Any]:
    """One call, killed at what is chosen among the jobs to come, or left to its end; as a line of the log."""
    if place.exists() and any((RECORDS / "locks").glob("*")):
        with _Call(args, place, "--unlock") as unlocked:
            if unlocked.wait(None) != 0:
                return {"failed": "--unlock"}
    before, begun = finished(jobs, RECORDS, place), time.time()
    aim = choose([job for job in jobs if not before.keys() >= set(job.outputs)])
    limit = begun + 600 + 10 * sum(job.seconds for job in jobs)
    with _Call(args, place) as call:
        code = _until(call, aim, place, begun, limit)
    late, after = time.time() > limit, finished(jobs, RECORDS, place)
    line: dict[str, Any] = {"again": made_again(before, after)}
    if code == 0:
        return line | {"ended": True}
    if code is not None or aim is None or late:
        return line | {"failed": "did not end" if code is None else f"exit code {code}"}
    running = begun_since(RECORDS, place, begun)
    return line | {
        "aimed": aim.job.rule if aim.job else ALONE,
        "after": round(aim.after, 2),
        "killed": sorted({job.rule for job in jobs if running.keys() & set(job.outputs)}) or [ALONE],
        "torn": torn(jobs, after, whole, place),
    }


def _until(call: _Call, aim: Aim | None, place: Path, begun: float, limit: float) -> int | None:
    """Waits until a call ends, for its exit code, or until it is to be killed, for None."""
    moment = begun + aim.after if aim and not aim.job else limit
    was_running = False
    while time.time() < moment:
        if (code := call.wait(0.02)) is not None:
            return code
        if aim and aim.job:
            running = begun_since(RECORDS, place, begun)
            starts = [running[name] for name in aim.job.outputs if name in running]
            if was_running and not starts:
                return None  # it has just ended
            was_running = bool(starts)
            moment = min([moment, *(start + aim.after for start in starts)])
    return None


class _Call:
    """One call of snakemake in a session of its own, with results and work at one place; killed when it is left."""

    def __init__(self, args: argparse.Namespace, place: Path, *options: str):
        place.mkdir(parents=True, exist_ok=True)
        command = ["snakemake", "--cores", str(args.cores), *options,
                   "--workflow-profile", "workflow/profiles/default",
                   "--config", f"study={args.study}", f"results={place / 'results'}", f"work={place / 'work'}",
                   *args.config]  # fmt: skip
        path = os.pathsep.join([str(CODE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
        with open(place / "log", "ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=CODE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path},
            )

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def wait(self, seconds: float | None) -> int | None:
        """The exit code, or None where it still runs after so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

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


def _summary(lines: Collection[Mapping[str, Any]]) -> int:
    """Prints kills by stage, and every fault; 1 where there is one."""
    by_stage = collections.Counter(rule for line in lines for rule in line.get("killed", ()))
    faults = [(key, line["pass"], line[key]) for line in lines for key in FAULTS if line.get(key)]
    for rule, count in sorted(by_stage.items()):
        print(f"{rule:24} {count}")
    print(f"{_kills(lines)} kills in {_passes(lines)} passes that were brought to their end; {len(faults)} faults")
    for kind, number, fault in faults:
        print(f"pass {number}: {kind}: {json.dumps(fault)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
