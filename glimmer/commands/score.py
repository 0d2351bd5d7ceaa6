"""`glimmer score`: KILT's metrics of a guess file against a gold file, or of a directory of them against another."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimmer.commands.output import add_json_argument, beside, show
from glimmer.errors import InputError
from glimmer.evaluation.intervals import RESAMPLES
from glimmer.evaluation.kilt_scores import PROGRAMS, ExampleScores, score_files
from glimmer.evaluation.kilt_scores.all_tasks import percent_rows, score_directories
from glimmer.experiments import TASKS
from glimmer.files import atomic_write, write_json

HELP = (
    "score a KILT guess file against a gold file, as KILT's own evaluators do (fractions); or a directory of guess"
    " files against one of gold files: each task's own metric and their mean, in percent with intervals"
)
PURPOSE = "kilt"
_OF_FILES = {"--ks": "1,5,20,100", "--rank-keys": "wikipedia_id"}


def add_arguments(parser) -> None:
    """Declares the command line."""
    parser.add_argument(
        "gold",
        metavar="GOLD",
        help="task file with answers, JSON Lines, plain or gzipped; or a directory of such files under KILT's names",
    )
    parser.add_argument(
        "guess",
        metavar="GUESS",
        help="guess file: one answer and its ranked provenance for every gold id; or a directory of them, under the"
        " same names",
    )
    parser.add_argument("--out", metavar="FILE", help="also write the scores to FILE, as JSON")
    parser.add_argument("--per-example", metavar="FILE", help="write every example's scores, JSON Lines in gold order")
    parser.add_argument(
        "--ks", default=_OF_FILES["--ks"], metavar="K,K", help="depths of the ranking metrics (default 1,5,20,100)"
    )
    parser.add_argument(
        "--rank-keys",
        default=_OF_FILES["--rank-keys"],
        metavar="KEYS",
        help="what names a piece of evidence: alternatives separated by commas, keys that count together joined by "
        "plus, as in wikipedia_id,wikipedia_id+section (default wikipedia_id)",
    )
    parser.add_argument(
        "--only",
        choices=PROGRAMS,
        help="compute the scores of one of KILT's two programs: downstream asks for an "
        "answer in every guess, ranking for provenance",
    )
    directories = parser.add_argument_group("of two directories")
    directories.add_argument(
        "--tasks", default=",".join(TASKS), metavar="T,T", help="the tasks of the mean (default: all six)"
    )
    directories.add_argument("--split", default="dev", metavar="WORD", help="in the names of the files (default: dev)")
    add_json_argument(parser)


def run(args) -> int:
    """Scores, writes what was asked for, and prints the means. Of directories 1 where the mean lacks a task."""
    if Path(args.gold).is_dir() or Path(args.guess).is_dir():
        return _directories(args)
    ks = _depths(args.ks)
    rank_keys = [tuple(key.strip() for key in keys.split("+")) for keys in args.rank_keys.split(",")]
    with contextlib.ExitStack() as stack:
        each = None
        if args.per_example:
            file = stack.enter_context(atomic_write(args.per_example))

            def each(scores: ExampleScores) -> None:
                file.write(json.dumps(scores.as_dict()) + "\n")

        scores = score_files(args.gold, args.guess, ks, rank_keys, [args.only] if args.only else PROGRAMS, each)
    result = {name: value for name, value in scores.as_dict().items() if value != {}}
    if args.out:
        write_json(args.out, result)
    show(result, args.format)
    return 0


def _directories(args) -> int:
    """A row a task, percent, and the mean; None and exit code 1 where a task that was asked for is missing."""
    only_files = {
        "--per-example": args.per_example,
        "--only": args.only,
        "--ks": args.ks,
        "--rank-keys": args.rank_keys,
    }
    given = [name for name, value in only_files.items() if value != _OF_FILES.get(name)]
    if given:
        raise InputError("takes two files", where=given[0], expected="GOLD and GUESS files", found="directories")
    scores = score_directories(args.gold, args.guess, args.split, [task.strip() for task in args.tasks.split(",")])
    rows = percent_rows(scores, RESAMPLES)
    if args.out:
        write_json(args.out, rows)
    show([_for_a_person(row) for row in rows] if args.format == "table" else rows, args.format)
    if any(row["score_percent"] is not None and row["kilt_percent"] is None for row in rows):
        beside("No provenance in the guesses of a task: no KILT score and no R-precision of it.", args.format)
    for task, what in scores.absent.items():
        print(f"glimmer score: {task}: {what}", file=sys.stderr)
    if scores.absent:
        present = ",".join(task.task for task in scores.tasks if not task.absent)
        print(f"glimmer score: so there is no mean; of the tasks that are there: --tasks {present}", file=sys.stderr)
    return int(bool(scores.absent))


def _for_a_person(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `percent_rows` with each score and its interval in one cell."""
    names = {"score": "score", "kilt": "KILT score", "rprec": "R-precision"}
    cells = {
        name: "{:.1f} ({:.1f} to {:.1f})".format(*(row[f"{key}{end}"] for end in ("_percent", "_low", "_high")))
        for key, name in names.items()
        if row[f"{key}_percent"] is not None
    }
    words = {key: row[key] for key in ("task", "metric", "n")}
    return words | {name: cells.get(name) for name in names.values()} | {"missing": row["missing"]}


def _depths(text: str) -> list[int]:
    try:
        return [int(k) for k in text.split(",")]
    except ValueError:
        raise InputError("--ks", expected="whole numbers separated by commas", found=text) from None
