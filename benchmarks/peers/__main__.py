"""Measures ours beside its peers, row by row, into one JSON file, and fills the page with it.

    python -m benchmarks.peers --into docs/performance.md
    python -m benchmarks.peers --quick --only training search
    python -m benchmarks.peers --bfloat16 --out gpu.json --into docs/performance.md

Each group of rows has a process of its own, so that what one holds or breaks is nothing to the next. The file and the
page are written after each group: a call that was stopped leaves what it has, and `--missing` goes on behind it.
`--quick` has tiny shapes, to see that all of it runs; its times say nothing, and no page takes them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.groups import GROUPS, groups_of
from benchmarks.peers.machine import described, versions
from benchmarks.peers.page import fill
from benchmarks.peers.rows import Row
from glimmer.errors import GlimmerError, InputError
from glimmer.files import atomic_write, existing, read_json_object, write_json
from workflow.start import ALLOCATOR

DEFAULT_OUT, QUICK_OUT = Path("docs/performance.json"), Path("work/benchmarks/quick.json")
_STAMP = "%Y-%m-%d"


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 where a row failed; 2 for a wrong call; 130 where it was stopped."""
    args = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a group's process is ended with this one
    try:
        return _child(args) if args.child else _parent(args)
    except KeyboardInterrupt:
        print("stopped; --missing goes on behind what is written", file=sys.stderr)
        return 130
    except GlimmerError as error:
        print(f"benchmarks.peers: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--missing", action="store_true", help="only groups that are not in the file, or failed")
    parser.add_argument("--quick", action="store_true", help="tiny shapes: whether it runs, not how fast")
    parser.add_argument("--bfloat16", action="store_true", help="measure the rows of bfloat16 activations too")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="CPU threads of both sides (default: 2)")
    parser.add_argument("--seconds", type=float, default=600, metavar="S", help="a group's most (default: 600)")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default: {DEFAULT_OUT}; with --quick {QUICK_OUT}")
    parser.add_argument("--into", type=Path, metavar="FILE", help="a page whose marked tables are made anew")
    parser.add_argument("--fill", action="store_true", help="measure nothing: fill the page from the file")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a knowledge source to chunk (default: generated)")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="to tokenise it by (default: made of the pages)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def _parent(args: argparse.Namespace) -> int:
    out = args.out or (QUICK_OUT if args.quick else DEFAULT_OUT)
    if args.quick and args.into:
        raise InputError("numbers that say nothing", where="--into", expected="a run without --quick", found="--quick")
    if args.into:
        existing(args.into)
    if args.fill:
        return _fill(read_json_object(out), args.into)
    names = args.only or groups_of(bfloat16=args.bfloat16)
    document = _begun(out, args)
    if args.missing:
        groups = document["groups"]
        names = [name for name in names if name not in groups or groups[name]["failed"]]
    failed = False
    for number, name in enumerate(names, 1):
        print(f"{number}/{len(names)} {name}", file=sys.stderr, flush=True)
        document["groups"][name] = group = _in_process(name, args)
        document["device"] = group.pop("device", None) or document.get("device")
        write_json(out, document)
        _say(group)
        failed |= bool(group["failed"])
        if args.into:
            _fill(document, args.into)
    print(f"written: {out}", file=sys.stderr)
    return int(failed)


def _begun(out: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What the file has so far, if it is of this machine, these versions and this kind of run; else an empty one.

    Raises InputError where rows that were measured otherwise would have to stand beside new ones.
    """
    here = {"quick": args.quick, "threads": args.threads, "machine": described(), "versions": versions()}
    fresh = here | {"measured_on": time.strftime(_STAMP), "groups": {}}
    if not (args.missing or args.only) or not out.exists():
        return fresh
    document = read_json_object(out)
    differing = sorted(key for key in here if document.get(key) != here[key])
    if differing:
        raise InputError("measured otherwise; one file is of one machine", where=out,
                         expected="the same " + ", ".join(differing), found="others; --out names another")  # fmt: skip
    return document


def _in_process(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """The rows of a group from a process of its own; `failed` says why there are none."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "rows.json"
        flags = ["--quick"] if args.quick else []
        flags += [part for key in ("data", "tokenizer") if (at := getattr(args, key)) for part in (f"--{key}", str(at))]
        stated = [sys.executable, "-m", "benchmarks.peers", "--child", name, "--out", str(out), *flags]
        started = time.perf_counter()
        with _ended(subprocess.Popen(stated, env=_environment(args.threads), start_new_session=True)) as process:
            try:
                code = process.wait(timeout=args.seconds)
                failed = f"exit {code}" if code else ""
            except subprocess.TimeoutExpired:
                failed = f"stopped after {args.seconds:.0f} seconds"
        found = json.loads(out.read_text()) if out.exists() else {"rows": [], "growth": []}
    failed = found.pop("failed", "") or failed
    return found | {"failed": failed, "load_before": load, "wall": round(time.perf_counter() - started, 1)}


@contextlib.contextmanager
def _ended(process: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """Ends the process, and all that it has started, when the block ends."""
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(threads: int) -> dict[str, str]:
    """As many threads for each library, the allocator as the workflow sets it, and nothing from a network."""
    counts = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    defaults = {"GLIBC_TUNABLES": ALLOCATOR, "HF_HUB_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
                "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TOKENIZERS_PARALLELISM": "true"}  # fmt: skip
    return defaults | os.environ | dict.fromkeys(counts, str(threads))


def _child(args: argparse.Namespace) -> int:
    """Writes the file after each row, so that a time limit loses only what was not done."""
    found: dict[str, Any] = {"rows": [], "growth": [], "failed": ""}

    def write() -> None:
        with atomic_write(args.out) as file:
            json.dump(found, file)

    try:
        text = {"data": args.data, "tokenizer": args.tokenizer} if args.child == "text" else {}
        for kind, value in GROUPS[args.child].measured(args.quick, **text):
            found[kind].append(value.to_json())
            write()
    except GlimmerError as error:
        found["failed"] = str(error)
    found["device"] = _device()
    write()
    return int(bool(found["failed"]))


def _device() -> str | None:
    """What jax computed on; None where it was not asked."""
    if "jax" not in sys.modules:
        return None
    import jax

    return f"{jax.device_count()} x {jax.devices()[0].device_kind}"


def _say(group: Mapping[str, Any]) -> None:
    for stated in group["rows"]:
        row = Row.of_json(stated)
        medians = ", ".join(f"{arm} {median:.4g} s" for arm, median in row.medians.items())
        ratio = "" if row.ratio is None else f"; {row.best_other} / {row.over} {row.ratio:.2f}"
        print(f"  {row.name}: {medians}{ratio}{'; ' + row.missing if row.missing else ''}", file=sys.stderr)
    for axis in group["growth"]:
        print(f"  growth with {axis['axis']}: {len(axis['points'])} points", file=sys.stderr)
    if group["failed"]:
        print(f"  failed: {group['failed']}", file=sys.stderr)


def _fill(document: Mapping[str, Any], page: Path | None) -> int:
    if page is None:
        raise InputError("no page to fill", where="--into", expected="a file with markers", found="nothing")
    text = fill(existing(page).read_text(encoding="utf-8"), document, page)
    with atomic_write(page) as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
