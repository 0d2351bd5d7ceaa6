"""`glimmer import`: somebody else's predictions as a foreign reader of a study."""

from __future__ import annotations

import argparse
from pathlib import Path

from glimmer.commands.arguments import add_study_arguments
from glimmer.commands.output import add_json_argument, beside, show

HELP = "score a directory of KILT guess files on a study's dev questions, and show it as a foreign reader from then on"
PURPOSE = "results"
EXAMPLES = ('glimmer import GUESSES --study sample --name "My reader" --k 6 --gold DIR',)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose guesses, of which questions."""
    parser.add_argument("guesses", type=Path, metavar="GUESS_DIR", help="guess files, named as nq-dev-kilt.jsonl")
    parser.add_argument("--name", required=True, help="what figures and tables call it; at most 40 letters")
    parser.add_argument("--k", required=True, type=int, help="passages that were retrieved for a question")
    parser.add_argument("--m", type=int, help="passages that were read, if not all of them")
    parser.add_argument("--note", default="", help="whose it is and where it comes from, for the record")
    parser.add_argument(
        "--gold", type=Path, metavar="DIR", help="the study's dev files (default: where the study has them)"
    )
    parser.add_argument("--replace", action="store_true", help="in the place of the one that has this name")
    add_study_arguments(parser)
    add_json_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Writes results/<study>/foreign/<id>.json, prints a row a task and one of the mean, percent."""
    from glimmer.experiments import load_study, parse_overrides
    from glimmer.results.foreign import LEGEND
    from glimmer.runs.imported import import_guesses, questions_of, write_foreign

    study = load_study(args.study, parse_overrides(args.overrides))
    reader = import_guesses(
        study,
        args.gold or questions_of(study, args.replicate),
        args.guesses,
        name=args.name,
        k=args.k,
        m=args.m,
        note=args.note,
        replicate=args.replicate,
    )
    path = write_foreign(reader, study.results_directory, replace=args.replace)
    tasks = {task: vars(scored) for task, scored in reader.tasks.items()}
    mean = vars(reader.average) | {"n": sum(tasks[task]["n"] for task in reader.average.tasks)}
    rows = [_row(reader.name, task, scored) for task, scored in tasks.items()]
    show([*rows, _row(reader.name, f"mean of {len(reader.average.tasks)}", mean)], args.format)
    beside(f"\n{LEGEND}\n{path}", args.format)


def _row(name: str, task: str, scored: dict) -> dict:
    low, high = scored["interval"]
    percents = {"percent": scored["score"], "low": low, "high": high}
    percents |= {f"{key}_percent": scored.get(key) for key in ("kilt", "rprec")}
    numbers = {key: None if value is None else 100 * value for key, value in percents.items()}
    return {"foreign": name, "task": task, "n": scored["n"]} | numbers
