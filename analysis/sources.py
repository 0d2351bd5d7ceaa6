"""Which results a command of analysis/ is about: `--study`, `--paper` and `--results`."""

from __future__ import annotations

import argparse
from pathlib import Path

from glimmer.errors import InputError
from glimmer.results import PAPER

DEFAULT = "embedded"


def add_source_arguments(parser: argparse.ArgumentParser, described: bool = False) -> None:
    """Adds the three options; `described` where `--paper` may name folders that describe papers."""
    parser.add_argument(
        "--study", nargs="+", action="extend", default=[], metavar="NAME", help=f"studies (default: {DEFAULT})"
    )
    if described:
        parser.add_argument(
            "--paper",
            nargs="*",
            metavar="DIR",
            help="also (or only) the paper's own numbers; or those of papers described by folders, or by names in"
            " config/papers (docs/audit.md)",
        )
    else:
        parser.add_argument("--paper", action="store_true", help="also (or only) the paper's own numbers")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")


def sources_of(args: argparse.Namespace) -> list[str]:
    """The studies that are named, and `paper` where it was asked for without a folder; without any, the default study.

    Folders that describe papers are no sources here: `described_by` lists them. Raises InputError for a study's file:
    results lie under a study's name.
    """
    for name in args.study:
        if name.endswith((".yaml", ".yml")):
            raise InputError(
                "results lie under a study's name", where=name, expected="a name in config/", found="a file"
            )
    folders = described_by(args)
    named = args.study + ([PAPER] if args.paper is not None and args.paper is not False and not folders else [])
    return list(dict.fromkeys(named or ([] if folders else [DEFAULT])))


def described_by(args: argparse.Namespace) -> list[str]:
    """What `--paper` names: folders of descriptions, or names of them in config/papers."""
    return list(dict.fromkeys(args.paper)) if isinstance(args.paper, list) else []
