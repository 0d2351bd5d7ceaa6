"""`glimmer remember`: a share of one run's precomputed memory, for many jobs at a time; `glimmer evaluate` reads it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from glimmer import preemption
from glimmer.commands.arguments import study_of
from glimmer.commands.train import add_run_arguments, materials_of
from glimmer.errors import InputError

HELP = "precompute a share of the passage memory of one trained run; goes on where it was interrupted"
PURPOSE = "stages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line."""
    add_run_arguments(parser)
    parser.add_argument("--trained", required=True, metavar="DIR", help="what `glimmer train` wrote")
    parser.add_argument(
        "--share",
        default="0/1",
        metavar="I/N",
        help="every N-th block from I on, such as 3/8 (default: 0/1, all)",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the blocks of the share that are not there, and prints how many that were."""
    from glimmer.commands.runtime import prepare

    share = _share(args.share)
    prepare(args)
    with preemption.heeded(study_of(args).preemption.grace_seconds):
        from glimmer.runs.evaluate import remember_run

        computed = remember_run(materials_of(args), Path(args.trained), share)
    said = "reads no stored memory" if computed is None else f"{len(computed)} blocks of memory computed"
    print(f"run {args.run}: {said}")
    return 0


def _share(text: str) -> tuple[int, int]:
    """ "3/8" -> (3, 8). Raises InputError for what is no share."""
    numbers = tuple(map(int, text.split("/"))) if re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", text) else (1, 0)
    if numbers[0] >= numbers[1]:
        raise InputError("not a share", where="--share", expected="I/N, I from 0 to N - 1, as in 3/8", found=text)
    return numbers
