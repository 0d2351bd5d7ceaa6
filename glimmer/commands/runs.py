"""`glimmer runs`: every run of a study with its id, its settings, the points it serves, and whether a result exists."""

from __future__ import annotations

import argparse

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show
from glimmer.experiments import runs_for

HELP = "Every run of a study: id, settings, and the points it serves."
PURPOSE = "study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study and what to change in it."""
    add_study_arguments(parser)
    parser.add_argument("--points", action="store_true", help="a row for every point instead of every run")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the grid. JSON has the full settings; the table their reader in short."""
    study = study_of(args)
    rows = []
    for planned in runs_for(study).values():
        reader = planned.settings["reader"]
        has_result = study.result_file(planned.id).exists()
        if args.json:
            row = {
                "id": planned.id,
                "seed": planned.seed,
                "points": list(planned.points),
                "result": has_result,
                "settings": planned.settings,
            }
            rows += [{"point": point, **row} for point in planned.points] if args.points else [row]
            continue
        differences = planned.reader.differences(study.tasks)
        short = {
            "id": planned.id,
            "seed": planned.seed,
            **{key: reader[key] for key in ("name", "alpha", "beta", "k", "m")},
            "else": " ".join(f"{key}={_word(value)}" for key, value in differences.items()) or None,
            "result": "yes" if has_result else "no",
        }
        rows += (
            [{"point": point, **short} for point in planned.points]
            if args.points
            else [{**short, "points": len(planned.points)}]
        )
    show(rows, args.json)
    return 0


def _word(value) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
