"""`glimmer compare`: two results directories, number by number."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from glimmer.commands.output import add_json_argument, beside, show
from glimmer.errors import InputError
from glimmer.results.foreign import FOREIGN, MARK

HELP = "compare two results directories point by point and task by task, paired by question where they can be"
PURPOSE = "results"
EXAMPLES = ("glimmer compare results/sample results/pilot",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of which directories, and what beside."""
    parser.add_argument("first", type=Path, metavar="A", help="results/<study>")
    parser.add_argument("second", type=Path, metavar="B", help="results/<study>; differences are B less A")
    parser.add_argument("--paper", action="store_true", help="add what the paper reports")
    parser.add_argument(
        "--figure", type=Path, metavar="FILE", help="also draw both over each other: .svg, .pdf or .png"
    )
    add_json_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Prints a row a point and task that both have, then foreign readers, marked and in no figure.

    Raises InputError where the two have no point in common.
    """
    from analysis.comparison import Names, compare, compare_foreign, side_of
    from glimmer.experiments import paper_values
    from glimmer.results.foreign import LEGEND

    if args.figure and args.figure.suffix not in (".svg", ".pdf", ".png"):
        raise InputError("no such format", where=args.figure, expected=".svg, .pdf or .png", found=args.figure.suffix)
    sides = side_of(args.first), side_of(args.second)
    paper = {id: line.value for id, line in paper_values().items()} if args.paper else None
    rows = compare(*sides, paper)
    if not rows:
        raise InputError("no point in common", where=args.second, expected=f"points of {args.first}", found="none")
    names = Names.of(args.first, args.second)
    for side, path in zip(sides, (args.first, args.second), strict=True):
        for refused in side.runs.refused:
            beside(f"left out {path}/runs/{refused.file}: {refused.reason}", args.format)
    foreign = compare_foreign(*sides)
    listed = rows + [row | ({"paper": None} if args.paper else {}) for row in foreign]
    show([_for_a_person(row) for row in listed] if args.format == "table" else listed, args.format)
    beside(f"\nfirst: {names.first}; second: {names.second}; difference: second less first, with its 95 % interval",
           args.format)  # fmt: skip
    if foreign:
        beside(LEGEND, args.format)
    if args.figure:
        from analysis.figures.compared_directories import write

        write(args.figure, rows, names)
        beside(str(args.figure), args.format)


def _for_a_person(row: dict[str, Any]) -> dict[str, Any]:
    is_percent = row["unit"] == "percent"
    text = "{:.1f}".format if is_percent else "{:.4g}".format
    interval = f" ({row['low']:+z.1f} to {row['high']:+z.1f})" if row["low"] is not None else ""
    name = f"{row['point']} {MARK}" if row["point"].startswith(f"{FOREIGN}/") else row["point"]
    sides = {side: None if row[side] is None else text(row[side]) for side in ("first", "second")}
    shown = {"point": name, "task": row["task"], **sides}
    if row["difference"] is None:
        shown |= {"difference": None}
    else:
        change = f"{row['difference']:+z.1f}" if is_percent else f"{row['difference']:+z.4g}"
        shown |= {"difference": f"{change}{interval}"}
    shown |= {"how": row["how"], "n": row["n"], "seeds": row["seeds"]}
    return shown | ({"paper": None if row["paper"] is None else text(row["paper"])} if "paper" in row else {})
