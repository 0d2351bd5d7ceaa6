"""Hostile files by the million: `python -m tests.faults.fuzz --cases 1000000` (see docs/reliability.md).

Cases are dealt evenly to the readers. Each reader works in a process of its own under a limit of memory and a limit of
processor seconds a case, so that a crash, a hang and a bomb are seen and named, and the next case goes on. A case is
made again from its number: `--only READER --first NUMBER --keep FILE`.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults.hostile import READERS, survives

SECONDS = 10
"""Of a processor, a case: how busy the machine is says nothing about a reader."""
PATIENCE = 600
"""Seconds of a clock after which a process that says nothing is ended."""
MEMORY = 2 << 30
"""Bytes of address space that a reader may take beyond what its process had before the first case."""


class _Hang(BaseException):
    pass


def case(reader: str, number: int) -> bytes:
    """The bytes of a case."""
    return READERS[reader].make(random.Random(f"{reader} {number}"))


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _work(reader: str, first: int, last: int, pipe) -> None:
    def late(*_):
        raise _Hang

    hostile = READERS[reader]
    signal.signal(signal.SIGPROF, late)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries in other languages print of their panics
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in range(first, last):
            content = case(reader, number)
            pipe.send(("at", number))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                outcome, told = survives(hostile, content, folder), None
            except _Hang:
                outcome, told = "hung", f"more than {SECONDS} s"
            except BaseException as error:  # a panic of Rust is no Exception
                where = traceback.extract_tb(error.__traceback__)
                ours = [f"{Path(f.filename).name}:{f.lineno}" for f in where if "/tests/" not in f.filename][:1]
                last_ = [f"{Path(f.filename).name}:{f.lineno}" for f in where][-1:]
                outcome, told = "crashed", f"{type(error).__name__} at {'..'.join(ours + last_)}: {str(error)[:160]}"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send((outcome, told))
    pipe.send(("done", None))


def fuzz(reader: str, first: int, cases: int) -> tuple[collections.Counter, list[tuple[int, str]]]:
    """How many cases were read and refused, and the number and story of each that went otherwise."""
    counts, faults, at, last = collections.Counter(), [], first, first + cases
    context = multiprocessing.get_context("fork")
    while at < last:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(reader, at, last, theirs))
        worker.start()
        theirs.close()
        current = at
        try:
            while True:
                if not ours.poll(PATIENCE):
                    worker.kill()
                kind, told = ours.recv()
                if kind == "at":
                    current = told
                elif kind == "done":
                    at = last
                    break
                else:
                    counts[kind] += 1
                    if told:
                        faults.append((current, told))
                    at = current + 1
        except EOFError:
            worker.join()
            counts["died"] += 1
            faults.append((current, f"the process died: exit code {worker.exitcode}"))
            at = current + 1
        worker.join()
    return counts, faults


def main() -> int:
    """Prints a row a reader, and one a kind of fault; exit code 1 if there was any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000, help="in all, dealt evenly to the readers")
    parser.add_argument("--only", nargs="+", choices=sorted(READERS), help="these readers (default: all)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, help="write the first case to this file, and read nothing")
    parser.add_argument("--out", type=Path, help="a JSON file to write the counts to, after every reader")
    args = parser.parse_args()
    readers = args.only or list(READERS)
    if args.keep:
        args.keep.write_bytes(case(readers[0], args.first))
        return 0
    table, wrong, each = {}, 0, -(-args.cases // len(readers))
    for reader in readers:
        started = time.monotonic()
        counts, faults = fuzz(reader, args.first, each)
        table[reader] = dict(counts) | {"faults": faults[:200]}
        seconds = time.monotonic() - started
        words = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
        print(f"{reader}: {each} cases from {args.first}: {words}; {seconds:.0f} s", flush=True)
        kinds = collections.defaultdict(list)
        for number, told in faults:
            kinds[told.split(": ")[0]].append((number, told))
        for met in kinds.values():
            print(f"    {len(met)} times, as in case {met[0][0]}: {met[0][1]}", flush=True)
        wrong += len(faults)
        if args.out:
            args.out.write_text(json.dumps(table, indent=1), encoding="utf-8")
    print(f"{each * len(readers)} cases, {wrong} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
