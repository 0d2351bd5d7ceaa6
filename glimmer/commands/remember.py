"""`glimmer remember`: a part of one run's precomputed memory, for many jobs at a time; `glimmer evaluate` reads it."""

from __future__ import annotations

import argparse
from pathlib import Path

from glimmer import preemption, processes
from glimmer.commands.arguments import stage_part, study_of
from glimmer.commands.train import add_process_arguments, add_run_arguments, materials_of, place_of

HELP = "precompute all or a part of the passage memory of one trained run; goes on where it was interrupted"
PURPOSE = "stages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line."""
    add_run_arguments(parser)
    parser.add_argument("--trained", required=True, metavar="DIR", help="what `glimmer train` wrote")
    parser.add_argument(
        "--part",
        type=stage_part,
        default="1/1",
        metavar="I/N",
        help="part I of N alone, every N-th block (default: 1/1, all of them)",
    )
    add_process_arguments(parser, "make this part")


def run(args: argparse.Namespace) -> int:
    """Writes the blocks of the part that are not there, and prints how many that were."""
    from glimmer.commands.runtime import prepare

    place = place_of(args)
    prepare(args)
    with processes.joined(place), preemption.heeded(study_of(args).preemption.grace_seconds):
        from glimmer.runs.evaluate import remember_run

        materials = processes.after_the_first(lambda: materials_of(args))
        computed = remember_run(materials, Path(args.trained), args.part)
        reports = processes.is_first()
    if reports:
        said = "reads no stored memory" if computed is None else f"{len(computed)} blocks of memory computed"
        print(f"run {args.run}: {said}")
    return 0
