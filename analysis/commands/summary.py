"""`glimmer summary`: tables of studies as Markdown, for README and docs."""

from __future__ import annotations

import argparse

from analysis.sources import add_source_arguments, sources_of

HELP = "print a table of studies as Markdown, or put a document's tables between its markers"
PURPOSE = "results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of which studies, and where to."""
    from analysis.summary import BLOCKS

    add_source_arguments(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--table", choices=list(BLOCKS), default="numbers", help="which to print (default: numbers)")
    where.add_argument("--into", metavar="FILE", help="a document whose marked tables are made anew, all of them")


def run(args: argparse.Namespace) -> None:
    """Prints the table, or writes the document."""
    from analysis import summary
    from glimmer.files import atomic_write, existing

    if args.into is None:
        print(summary.block(args.table, sources_of(args), args.results), end="")
        return
    text = existing(args.into).read_text(encoding="utf-8")
    with atomic_write(args.into) as file:
        file.write(summary.fill(text, sources_of(args), args.results, args.into))
