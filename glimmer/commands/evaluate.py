"""`glimmer evaluate`: one trained run of a study, answered, scored and written as its result file."""

from __future__ import annotations

from pathlib import Path

from glimmer.commands.train import add_run_arguments

HELP = "evaluate one trained run of a study on dev and write its result file"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_run_arguments(parser)
    parser.add_argument("--trained", required=True, metavar="DIR", help="what `glimmer train` wrote")
    parser.add_argument("--out", required=True, metavar="FILE", help="result file to write")


def run(args) -> int:
    """Evaluates and prints the scores."""
    from glimmer.commands.runtime import prepare

    prepare(args)
    from glimmer.experiments import load_study, parse_overrides
    from glimmer.files import write_json
    from glimmer.runs.evaluate import evaluate_run
    from glimmer.runs.materials import Places

    study = load_study(args.study, parse_overrides(args.overrides))
    places = Places(work=Path(args.work), data=Path(args.data), initial=Path(args.init))
    result = evaluate_run(study, args.run, places, Path(args.trained))
    write_json(args.out, result)
    scores = {task: round(100 * found["score"], 2) for task, found in result["tasks"].items()}
    print(f"run {args.run}: average {100 * result['average']['score']:.2f} percent over {len(scores)} tasks: {scores}")
    return 0
