"""`glimmer verify`: results made here against cached ones."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glimmer.commands.output import add_json_argument, beside, show

HELP = "hold results to others of the same study: OK, near or FAIL by prediction intervals; exit code 1 unless verified"
PURPOSE = "results"
EXAMPLES = ("glimmer verify reproduced/pilot --against results/pilot",)
_ABOUT = """\
New draws (percent, mean of tasks; differences in points), and where 95 % of such are expected to lie.
A wide interval confirms little. near: outside it, as some of so many numbers are by chance."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two directories."""
    parser.add_argument("made", type=Path, metavar="RESULTS", help="results/<study> to verify")
    parser.add_argument("--against", type=Path, required=True, metavar="RESULTS", help="results/<study> to hold it to")
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="add a line to a log of reproductions, such as docs/reproductions.md"
    )
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0 if everything that could be judged is OK or near; 1 for a FAIL, or where nothing could be judged."""
    from analysis.reproduced import compare_directories
    from analysis.reproductions import add_line

    document = compare_directories(args.made, args.against)
    if args.format == "json":
        show(document, "json")
    else:
        beside(document["outcome"], args.format)
        draws = [*document["levels"], *document["differences"]]
        if draws:
            beside(f"\n{_ABOUT}", args.format)
            show(_draws(draws), args.format)
        if document["runs"]:
            beside("\nRuns of the same id, hence of the same settings (percent, mean of tasks)", args.format)
            rows = [row | {"interval": _span(row["interval"])} for row in document["runs"]]
            (beside if draws else show)(rows, args.format)  # a program takes one set of rows
    if args.log:
        add_line(args.log, args.made, document)
    return int(not document["verified"])


def _draws(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `analysis.reproduced.judge` for a person."""
    name = _names({row[side] for row in rows for side in ("reader", "less") if row[side]})
    return [
        {
            "verdict": row["verdict"],
            "number": name[row["reader"]] + (f" - {name[row['less']]}" if row["less"] else ""),
            "seed": row["seed"],
            "here": row["here"],
            "expected": _span(row["interval"]),
            "width": row["width"],
            "cached mean": row["mean"],
            "replicates": row["replicates"],
        }
        for row in rows
    ]


def _names(readers: set[str]) -> dict[str, str]:
    """Reader -> its name alone (`GLIMMER`), where no two have the same."""
    short = {reader: reader.partition(":")[0] for reader in readers}
    return short if len(set(short.values())) == len(readers) else {reader: f"({reader})" for reader in readers}


def _span(interval: Sequence[float] | None) -> str | None:
    return " to ".join(map(str, interval)) if interval else None
