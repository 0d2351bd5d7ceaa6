"""The readers' table of studies as Markdown, printed or put between a document's markers.

    python -m analysis.summary --study sample embedded --into README.md

replaces what stands between `<!-- numbers: begin -->` and `<!-- numbers: end -->`, so no number there is typed by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from analysis.grids import Cell
from analysis.points import load_points
from analysis.sections import readers
from glimmer.errors import GlimmerError, InputError
from glimmer.experiments import load_study
from glimmer.files import atomic_write, existing

BEGIN, END = "<!-- numbers: begin -->", "<!-- numbers: end -->"


def summary(name: str, results: str | Path = "results") -> str:
    """A study's title and description, and its readers beside their baselines; says so where nothing was measured."""
    study = load_study(name)
    grid = readers(load_points(name, results))
    lines = [f"### {study.title}", "", study.description.strip(), ""]
    if grid is None:
        return "\n".join([*lines, "No result yet.", ""])
    lines += [_row(grid.heads), _row([":--"] + ["--:"] * (len(grid.heads) - 1))]
    lines += [_row([_text(cell) for cell in row]) for row in grid.rows]
    return "\n".join([*lines, "", f"{grid.caption} Report: `results/{name}/report.html`.", ""])


def _text(cell: Cell) -> str:
    return f"{cell.text} <sub>{cell.small}</sub>" if cell.small else cell.text


def _row(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def replace_block(document: str, block: str, where: object) -> str:
    """`document` with `block` between its markers. Raises InputError for a document without them."""
    if BEGIN not in document or END not in document:
        raise InputError("no markers", where=where, expected=f"{BEGIN} and {END}")
    before, rest = document.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{block}{END}{rest.split(END, 1)[1]}"


def main(argv: list[str] | None = None) -> int:
    """The command line; 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--results", default="results", metavar="DIR")
    parser.add_argument("--into", metavar="FILE", help="document whose marked block is replaced (default: print)")
    args = parser.parse_args(argv)
    try:
        block = "\n".join(summary(name, args.results) for name in args.study)
        if args.into is None:
            print(block)
            return 0
        text = existing(args.into).read_text(encoding="utf-8")
        with atomic_write(args.into) as file:
            file.write(replace_block(text, block, args.into))
    except GlimmerError as error:
        print(f"summary: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
