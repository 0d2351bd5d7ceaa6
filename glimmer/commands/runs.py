"""`glimmer runs`: every run of a study with its id, its settings, the points it serves, and its score if it has one;
then foreign readers, marked."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, beside, show
from glimmer.experiments import Run, Study, parse_overrides, runs_for
from glimmer.experiments.selection import READERS, Selection, is_alike
from glimmer.results import Runs, load_runs
from glimmer.results.foreign import FOREIGN, LEGEND, MARK, ForeignReader, load_foreign

HELP = "list every run of a study: id, settings, the points it serves, and its average in percent"
PURPOSE = "study"
EXAMPLES = ("glimmer runs --study sample", "glimmer runs --study pilot --reader glimmer --missing --where k=10")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study, what to change in it, and which of its runs."""
    add_study_arguments(parser)
    parser.add_argument("--points", action="store_true", help="a row for every point instead of every run")
    parser.add_argument(
        "--reader", nargs="+", action="extend", default=[], choices=(*READERS, FOREIGN), metavar="NAME",
        help=f"only these: {', '.join((*READERS, FOREIGN))}",
    )  # fmt: skip
    parser.add_argument("--seed", nargs="+", action="extend", default=[], type=int, metavar="SEED", help="only these")
    parser.add_argument("--missing", action="store_true", help="only those without a result that can be trusted")
    parser.add_argument(
        "--where", action="append", default=[], metavar="KEY=VALUE",
        help="only those with this setting: k=10, alpha=1/3, memory=frozen, training.steps=500; may be repeated",
    )  # fmt: skip
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the grid, or what is asked for of it. JSON has the full settings; the rest their reader in short.

    The average is that of a run's tasks, in percent: None without a result file that can be trusted; stderr names those
    that cannot.
    """
    study = study_of(args)
    runs = runs_for(study)
    asked = Selection(readers=tuple(args.reader), seeds=tuple(args.seed), where=parse_overrides(args.where))
    chosen = asked.of(runs.values())
    measured = load_runs(study.results_directory, only=runs)
    for refused in measured.refused:
        print(f"glimmer runs: left out runs/{refused.file}: {refused.reason}", file=sys.stderr)
    if args.missing:
        chosen = [planned for planned in chosen if planned.id not in measured]
    rows = [row for planned in chosen for row in _rows(planned, study, measured, args)]
    foreign, unreadable = load_foreign(study.results_directory)
    for refused in unreadable:
        print(f"glimmer runs: left out {FOREIGN}/{refused.file}: {refused.reason}", file=sys.stderr)
    if args.points or args.missing:  # they serve no point, and have their numbers
        foreign = ()
    foreign = [reader for reader in foreign if _is_asked_for(reader, asked)]
    rows += [_foreign_row(reader, args.format) for reader in foreign]
    show(rows, args.format)
    if not rows:
        beside(f"none of the {len(runs)} runs of {study.name} is so", args.format)
    if foreign:
        beside(f"\n{LEGEND}", args.format)
    return 0


def _rows(planned: Run, study: Study, measured: Runs, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A run's row, or one for each of its points."""
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
        return [{"point": point, **row} for point in planned.points] if args.points else [row]
    reader, differences = planned.settings["reader"], planned.reader.differences(study.tasks)
    short = {
        "id": planned.id,
        "seed": planned.seed,
        **{key: reader[key] for key in ("name", "alpha", "beta", "k", "m")},
        "else": " ".join(f"{key}={_word(value)}" for key, value in differences.items()) or None,
        "result": "yes" if has_result else "no",
        "average_percent": average,
    }
    if args.points:
        return [{"point": point, **short} for point in planned.points]
    return [{**short, "points": len(planned.points)}]


def _is_asked_for(reader: ForeignReader, asked: Selection) -> bool:
    """A foreign reader is of no run: only its replicate, k and m are known, and nothing else of it is equal to what is
    asked for."""
    known = {"k": reader.k, "m": reader.m or reader.k}
    return (
        (not asked.readers or FOREIGN in asked.readers)
        and (not asked.seeds or reader.replicate in asked.seeds)
        and all(is_alike(known.get(key.removeprefix("reader.")), wanted) for key, wanted in asked.where.items())
    )


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
