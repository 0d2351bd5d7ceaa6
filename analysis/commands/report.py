"""`glimmer report`: one page of everything about a study."""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.sources import add_source_arguments, sources_of
from glimmer.errors import InputError
from glimmer.files import atomic_write

HELP = "write report.html: verdicts, figures, tables, audit, costs and every run of a study on one page"
PURPOSE = "results"
EXAMPLES = ("glimmer report --study sample --out report.html",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of which results, and what to compare them with."""
    add_source_arguments(parser)
    parser.add_argument("--reference", type=Path, metavar="DIR", help="results/<study> of another reproduction")
    parser.add_argument("--index", action="store_true", help="instead DIR/index.html, over all studies with a report")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: DIR/<study>/report.html")


def run(args: argparse.Namespace) -> None:
    """Writes the page of each source, and says where."""
    from analysis.report.index import build_index
    from analysis.report.page import build

    if args.index:
        _write(build_index(args.results), args.out or args.results / "index.html")
        return
    names = sources_of(args)
    if len(names) > 1 and (args.out or args.reference):
        raise InputError("--out and --reference are for one study", where="report", expected="one", found=len(names))
    for name in names:
        _write(build(name, args.results, args.reference), args.out or args.results / name / "report.html")


def _write(page: str, path: Path) -> None:
    with atomic_write(path) as file:
        file.write(page)
    print(path)
