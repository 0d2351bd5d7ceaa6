"""Runs made here against the committed ones of the same id: a difference beyond the intervals counts either way.

Each row also says where the two part: the first stage of the road whose files are not the same, byte for byte. Another
kind of processor rounds otherwise, and a checkpoint trained with other rounding is another draw of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.grids import reader_text
from analysis.runs import load_runs
from glimmer.errors import GlimmerError, InputError
from glimmer.files import existing

IDENTICAL, AGREES, DIFFERS = "identical", "agrees", "differs"
_ROAD = ("data", "tokenizer", "tokens", "initial_checkpoint", "retrieved", "kept_rows")  # digests, in order of making


def agreement(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """`identical` scores; `agrees`: each lies in the other's interval; else `differs`. Takes two runs' `average`."""
    if first["score"] == second["score"]:
        return IDENTICAL
    if not first.get("interval") or not second.get("interval"):
        return DIFFERS
    inside = [
        low <= other["score"] <= high
        for (low, high), other in ((first["interval"], second), (second["interval"], first))
    ]
    return AGREES if all(inside) else DIFFERS


def parting(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The first stage whose digests differ, in words, of two runs' `digests`; `fine-tuning` where none does."""
    apart = (stage for stage in _ROAD if first.get(stage) != second.get(stage))
    return next(apart, "fine-tuning").replace("_", " ")


def compare(made: Path, cached: Path) -> list[dict[str, Any]]:
    """One row for each run made here that is cached too; directories are results/<study>, scores in percent.

    Raises InputError where a directory is missing, they are the same, a run file cannot be trusted, or the two have no
    run in common.
    """
    if existing(made).resolve() == existing(cached).resolve():
        raise InputError("one directory, given twice", where=made, expected="results made here, and cached ones")
    ours, theirs = load_runs(made), load_runs(cached)
    for directory, runs in ((made, ours), (cached, theirs)):
        for one in runs.refused:
            raise InputError(f"run file not to be trusted: {one.reason}", where=directory / "runs" / one.file)
    rows = []
    for run_id, run in ours.by_id.items():
        if run_id not in theirs:
            continue
        other = theirs.by_id[run_id]
        first, second = run["average"], other["average"]
        verdict = agreement(first, second)
        rows.append(
            {
                "run": run_id,
                "reader": f"{reader_text(run['settings']['reader'])}, seed {run['seed']}",
                "here": round(100 * first["score"], 2),
                "cached": round(100 * second["score"], 2),
                "interval": [round(100 * bound, 2) for bound in second.get("interval") or []],
                "verdict": verdict,
                "parts_at": "" if verdict == IDENTICAL else parting(run["digests"], other["digests"]),
            }
        )
    if not rows:
        raise InputError(
            "no run in common", where=made, expected=f"runs of {cached}", found=f"{len(ours.by_id)} others"
        )
    return rows


def show(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table for the terminal."""
    wide = max(len(row["reader"]) for row in rows) + 2
    heads = f"{'run':<14}{'reader':<{wide}}{'here':>7}{'cached':>8}  {'interval of the cached':<24}"
    lines = [f"{heads}{'verdict':<11}parts at"]
    for row in rows:
        bounds = " to ".join(f"{bound:.2f}" for bound in row["interval"]) or "none"
        numbers = f"{row['here']:>7.2f}{row['cached']:>8.2f}  {bounds:<24}"
        found = f"{row['verdict']:<11}{row['parts_at']}"
        lines.append(f"{row['run']:<14}{row['reader']:<{wide}}{numbers}{found}".rstrip())
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m analysis.reproduced MADE CACHED`: 0 if every run agrees, 1 if one differs, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("made", type=Path, help="results/<study> of the runs made here")
    parser.add_argument("cached", type=Path, help="results/<study> to compare them with")
    args = parser.parse_args(argv)
    try:
        rows = compare(args.made, args.cached)
    except GlimmerError as error:
        print(f"reproduced: {error}", file=sys.stderr)
        return error.exit_code
    print(show(rows))
    return int(any(row["verdict"] == DIFFERS for row in rows))


if __name__ == "__main__":
    sys.exit(main())
