"""`glimmer crate`: a record of results for archives. The one command that needs rocrate."""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.sources import add_source_arguments, sources_of

HELP = "describe results and what made them as an RO-Crate: ro-crate-metadata.json, and a copy of the workflow"
PURPOSE = "results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which results, and the workflow that made them."""
    add_source_arguments(parser)
    parser.add_argument("--workflow", type=Path, metavar="FILE", help="default: the Snakefile of this repository")


def run(args: argparse.Namespace) -> None:
    """Writes the record of each source."""
    from analysis import crate
    from glimmer.experiments.documents import repository_path
    from glimmer.files import write_json

    for name in sources_of(args):
        record = crate.build(name, args.results, args.workflow or repository_path("Snakefile"))
        write_json(args.results / name / crate.METADATA, record)
