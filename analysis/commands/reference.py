"""`glimmer reference`: page-level retrieval scores beside public ones."""

from __future__ import annotations

import argparse

from glimmer.commands.output import add_json_argument, beside, show

HELP = "print scores of `glimmer recall` beside public numbers for KILT's dev sets; compared on KILT's release alone"
PURPOSE = "kilt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file."""
    parser.add_argument("recall", metavar="FILE", help="what `glimmer recall --out FILE` wrote")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Prints one row a task and measure, in percent, and what the data are if they are not KILT's release."""
    from analysis.reference import beside_public

    document = beside_public(args.recall)
    if args.format == "json":
        show(document, "json")
        return
    if not document["is_kilt"]:
        words = "NOT KILT's release, and no number of ours here is a KILT number: the public ones stand beside, and are"
        beside(f"{words} not compared. ({'; '.join(document['differs'])})", args.format)
    show(document["rows"], args.format)
