"""How commands are told of a study, and what of it they get to see."""

from __future__ import annotations

import argparse

from glimmer.experiments import Study, load_study, parse_overrides
from glimmer.experiments.stages import view


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """`--study` and `--set`, which every command over a study takes."""
    parser.add_argument("--study", default="embedded", help="a name in config/ or a .yaml file (default: embedded)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change the study: training.steps=10, data=DIR; may be repeated",
    )


def study_of(args: argparse.Namespace, stage: str | None = None) -> Study:
    """The study that the command line names; with `stage`, a view of what that stage reads of it."""
    study = load_study(args.study, parse_overrides(args.overrides))
    return study if stage is None else view(study, stage)
