"""Which results a command of analysis/ is about: `--study`, `--paper` and `--results`."""

from __future__ import annotations

import argparse
from pathlib import Path

from glimmer.results import PAPER

DEFAULT = "embedded"


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the three options."""
    parser.add_argument(
        "--study", nargs="+", action="extend", default=[], metavar="NAME", help=f"studies (default: {DEFAULT})"
    )
    parser.add_argument("--paper", action="store_true", help="also (or only) the paper's own numbers")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")


def sources_of(args: argparse.Namespace) -> list[str]:
    """The studies that are named, and `paper`; without any, the default study."""
    named = args.study + ([PAPER] if args.paper else [])
    return list(dict.fromkeys(named or [DEFAULT]))
