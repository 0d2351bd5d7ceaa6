"""Which results a command of analysis/ is about: `--study`, `--paper` and `--results`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from glimmer.errors import InputError, did_you_mean
from glimmer.results import PAPER

DEFAULT = "embedded"
_RESULTS = Path("results")


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
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="DIR", help="default: results")


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


def words_after_studies(studies: list[str], is_other: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """(studies, the others) of what stands behind `--study`, which takes every word up to the next option."""
    others = [word for word in studies if is_other(word)]
    return [word for word in studies if word not in others], others


def existing_results(directory: Path) -> Path:
    """A directory of results. Raises InputError, which names the one that may have been meant, where there is none."""
    if directory.exists():
        return directory
    below = _RESULTS / directory
    beside = sorted(str(path) for path in directory.parent.glob("*") if path.is_dir())
    near = f" (did you mean {below}?)" if below.is_dir() else did_you_mean(str(directory), beside)
    raise InputError(
        f"no results{near}", where=directory, expected="a directory such as results/sample", found="nothing"
    )


def described_by(args: argparse.Namespace) -> list[str]:
    """What `--paper` names: folders of descriptions, or names of them in config/papers."""
    return list(dict.fromkeys(args.paper)) if isinstance(args.paper, list) else []
