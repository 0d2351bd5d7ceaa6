"""`glimmer reproduced`: runs made here against cached ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from glimmer.commands.output import add_json_argument, show

HELP = "compare runs made here with cached ones of the same id; exit code 1 if something differs"
PURPOSE = "results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two directories."""
    parser.add_argument("made", type=Path, help="results/<study> of the runs made here")
    parser.add_argument("cached", type=Path, help="results/<study> to compare them with")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0 if all agrees; 1 if something differs, or if runs of another draw leave no difference to compare."""
    from analysis.reproduced import compare_directories

    document = compare_directories(args.made, args.cached)
    if args.json:
        show(document, True)
        return int(not document["agrees"])
    show([row | {"interval": " to ".join(map(str, row["interval"])) or None} for row in document["runs"]], False)
    if document["other_draw"]:
        print("\nAnother draw of what readers start from: levels are not compared, differences between readers are.")
        spans = [{side: "{} ({} to {})".format(*gap[side]) for side in ("here", "cached")} for gap in document["gaps"]]
        show([gap | span for gap, span in zip(document["gaps"], spans, strict=True)], False)
    return int(not document["agrees"])
