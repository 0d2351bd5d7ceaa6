"""`glimmer reproduced`: runs made here against cached ones."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glimmer.commands.output import add_json_argument, beside, show

HELP = "compare runs made here with cached ones, by replicates or run by run; exit code 1 unless they are reproduced"
PURPOSE = "results"
_ABOUT_DIFFERENCES = """\
Differences between readers in a new replicate (points, mean of tasks), and where 95 % of such are expected to lie.
A wide interval confirms little; one row in twenty lies outside by chance."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two directories."""
    parser.add_argument("made", type=Path, help="results/<study> of the runs made here")
    parser.add_argument("cached", type=Path, help="results/<study> to compare them with")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0 if what was made here is reproduced; 1 if something lies outside or differs, or nothing could be judged."""
    from analysis.reproduced import compare_directories

    document = compare_directories(args.made, args.cached)
    if args.format == "json":
        show(document, "json")
    else:
        beside(document["outcome"], args.format)
        if document["differences"]:
            beside(f"\n{_ABOUT_DIFFERENCES}", args.format)
            show(_differences(document["differences"]), args.format)
        if document["runs"]:
            beside("\nRuns of the same id, hence of the same settings (percent, mean of tasks)", args.format)
            rows = [row | {"interval": _span(row["interval"])} for row in document["runs"]]
            (beside if document["differences"] else show)(rows, args.format)  # a program takes one set of rows
    return int(not document["reproduced"])


def _differences(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `analysis.reproduced.differences` for a person."""
    name = _names({row[side] for row in rows for side in ("reader", "less")})
    return [
        {
            "difference": f"{name[row['reader']]} - {name[row['less']]}",
            "seed": row["seed"],
            "here": row["here"],
            "expected": _span(row["interval"]),
            "width": row["width"],
            "cached mean": row["mean"],
            "replicates": row["replicates"],
            "verdict": row["verdict"],
        }
        for row in rows
    ]


def _names(readers: set[str]) -> dict[str, str]:
    """Reader -> its name alone (`GLIMMER`), where no two have the same."""
    short = {reader: reader.partition(":")[0] for reader in readers}
    return short if len(set(short.values())) == len(readers) else {reader: f"({reader})" for reader in readers}


def _span(interval: Sequence[float] | None) -> str | None:
    return " to ".join(map(str, interval)) if interval else None
