"""Runs made here against the committed ones of the same id: a difference beyond the intervals counts either way."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.runs import load_runs
from glimmer.errors import GlimmerError, InputError
from glimmer.files import existing

IDENTICAL, AGREES, DIFFERS = "identical", "agrees", "differs"


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


def compare(made: Path, cached: Path) -> list[dict[str, Any]]:
    """One row for each run that lies in both directories (each a results/<study>), scores in percent.

    Raises InputError where a directory is missing or the two have no run in common.
    """
    ours, theirs = (load_runs(existing(directory)).by_id for directory in (made, cached))
    rows = []
    for run_id in (one for one in theirs if one in ours):
        reader, first, second = theirs[run_id]["settings"]["reader"], ours[run_id]["average"], theirs[run_id]["average"]
        rows.append(
            {
                "run": run_id,
                "reader": f"{reader['name']} k={reader['k']} m={reader['m']}",
                "here": round(100 * first["score"], 2),
                "cached": round(100 * second["score"], 2),
                "interval": [round(100 * bound, 2) for bound in second["interval"]],
                "verdict": agreement(first, second),
            }
        )
    if not rows:
        raise InputError("no run in common", where=made, expected=f"runs of {cached}", found=f"{len(ours)} others")
    return rows


def show(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table for the terminal."""
    lines = [f"{'run':<14}{'reader':<22}{'here':>8}{'cached':>9}  {'interval of the cached':<24}verdict"]
    for row in rows:
        low, high = row["interval"]
        bounds = f"[{low:.2f}, {high:.2f}]"
        lines.append(
            f"{row['run']:<14}{row['reader']:<22}{row['here']:>8.2f}{row['cached']:>9.2f}  {bounds:<24}{row['verdict']}"
        )
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
