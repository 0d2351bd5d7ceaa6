"""How commands are told of a study, and what of it they get to see."""

from __future__ import annotations

import argparse

from glimmer.errors import InputError
from glimmer.experiments import Study, load_study, parse_overrides
from glimmer.experiments.stages import view
from glimmer.parts import StagePart


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """`--study`, `--set` and `--replicate`, which every command over a study takes."""
    parser.add_argument("--study", default="embedded", help="a name in config/ or a .yaml file (default: embedded)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change the study: training.steps=10, data=DIR; may be repeated",
    )
    parser.add_argument("--replicate", type=int, metavar="SEED", help="one replicate of a study that has some")


def add_parts_arguments(parser: argparse.ArgumentParser) -> None:
    """`--part` and `--gather`, of a stage that can be split over jobs."""
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--part", type=stage_part, metavar="I/N", help="make part I of N alone, in OUT.parts")
    parts.add_argument("--gather", type=_count, metavar="N", help="make OUT of its N parts, which go")


def stage_part(text: str) -> StagePart:
    """ "2/8" of the command line as a part."""
    try:
        return StagePart.of_text(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more; found {text}")
    return int(text)


def study_of(args: argparse.Namespace, stage: str | None = None) -> Study:
    """The study that the command line names; with `stage`, a view of what that stage reads of it."""
    study = load_study(args.study, parse_overrides(args.overrides))
    if args.replicate is not None:
        study = study.replicate(args.replicate)
    return study if stage is None else view(study, stage)


def other_study(args: argparse.Namespace, name: str) -> Study:
    """Another study than the one that the command line names, in the same places."""
    places = {key: value for key, value in parse_overrides(args.overrides).items() if key in ("work", "results")}
    return load_study(name, places)
