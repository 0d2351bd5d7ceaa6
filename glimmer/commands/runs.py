"""`glimmer runs`: every run of a study with its id, its settings, the points it serves, and its score if it has one;
then foreign readers, marked."""

from __future__ import annotations

import argparse
import sys

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, beside, show
from glimmer.experiments import runs_for
from glimmer.results import load_runs
from glimmer.results.foreign import FOREIGN, LEGEND, MARK, ForeignReader, load_foreign

HELP = "list every run of a study: id, settings, the points it serves, and its average in percent"
PURPOSE = "study"
EXAMPLES = ("glimmer runs --study sample",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study and what to change in it."""
    add_study_arguments(parser)
    parser.add_argument("--points", action="store_true", help="a row for every point instead of every run")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the grid. JSON has the full settings; the rest their reader in short.

    The average is that of a run's tasks, in percent: None without a result file that can be trusted; stderr names those
    that cannot.
    """
    study = study_of(args)
    runs = runs_for(study)
    measured = load_runs(study.results_directory, only=runs)
    for refused in measured.refused:
        print(f"glimmer runs: left out runs/{refused.file}: {refused.reason}", file=sys.stderr)
    rows = []
    for planned in runs.values():
        reader = planned.settings["reader"]
        has_result = study.result_file(planned.id).exists()
        average = 100 * measured.by_id[planned.id]["average"]["score"] if planned.id in measured else None
        if args.format == "json":
            row = {
                "id": planned.id,
                "seed": planned.seed,
                "points": list(planned.points),
                "result": has_result,
                "average_percent": average,
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
            "average_percent": average,
        }
        rows += (
            [{"point": point, **short} for point in planned.points]
            if args.points
            else [{**short, "points": len(planned.points)}]
        )
    foreign, unreadable = load_foreign(study.results_directory)
    for refused in unreadable:
        print(f"glimmer runs: left out {FOREIGN}/{refused.file}: {refused.reason}", file=sys.stderr)
    if foreign and not args.points:  # they serve no point
        rows += [_foreign_row(reader, args.format) for reader in foreign]
    show(rows, args.format)
    if foreign and not args.points:
        beside(f"\n{LEGEND}", args.format)
    return 0


def _foreign_row(reader: ForeignReader, form: str) -> dict:
    """A foreign reader: its seed is the replicate that it answered, and of settings only k and m are known."""
    average = 100 * reader.average.score
    if form == "json":
        known = {"kind": FOREIGN, "name": reader.name, "k": reader.k, "m": reader.m}
        row = {"id": reader.id, "seed": reader.replicate, "points": [], "result": True, "average_percent": average}
        return row | {"settings": None} | known
    short = {"id": reader.id, "seed": reader.replicate, "name": f"{reader.name} {MARK}", "k": reader.k}
    return short | {"m": reader.m or reader.k, "result": FOREIGN, "average_percent": average, "points": 0}


def _word(value) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
