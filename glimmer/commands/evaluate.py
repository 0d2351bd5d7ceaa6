"""`glimmer evaluate`: one trained run of a study, answered, scored and written as its result file."""

from __future__ import annotations

from pathlib import Path

from glimmer import preemption
from glimmer.commands.arguments import study_of
from glimmer.commands.train import add_run_arguments, materials_of

HELP = "evaluate one trained run of a study on dev and write its result file"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_run_arguments(parser)
    parser.add_argument("--trained", required=True, metavar="DIR", help="what `glimmer train` wrote")
    parser.add_argument("--out", required=True, metavar="FILE", help="result file to write")


def run(args) -> int:
    """Evaluates and prints the scores."""
    from glimmer.commands.runtime import prepare

    prepare(args)
    with preemption.heeded(study_of(args).preemption.grace_seconds):
        from glimmer.files import write_json
        from glimmer.runs.evaluate import evaluate_run

        result = evaluate_run(materials_of(args), Path(args.trained))
        write_json(args.out, result)
    scores = {task: round(100 * scored["score"], 2) for task, scored in result["tasks"].items()}
    print(f"run {args.run}: average {100 * result['average']['score']:.2f} percent over {len(scores)} tasks: {scores}")
    return 0
