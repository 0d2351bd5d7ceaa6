"""`glimmer evaluate`: one trained run of a study, answered, scored and written as its result file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glimmer import preemption, processes
from glimmer.commands.arguments import study_of
from glimmer.commands.train import add_process_arguments, add_run_arguments, materials_of, place_of

HELP = "evaluate one trained run of a study on dev and write its result file"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_run_arguments(parser)
    parser.add_argument("--trained", required=True, metavar="DIR", help="what `glimmer train` wrote")
    parser.add_argument("--out", required=True, metavar="FILE", help="result file to write")
    add_process_arguments(parser, "evaluate this run")


def run(args) -> int:
    """Evaluates and prints the scores."""
    from glimmer.commands.runtime import prepare

    place = place_of(args)
    prepare(args)
    with processes.joined(place), preemption.heeded(study_of(args).preemption.grace_seconds):
        from glimmer.files import write_json
        from glimmer.runs.evaluate import evaluate_run

        result = evaluate_run(processes.after_the_first(lambda: materials_of(args)), Path(args.trained))
        with processes.together():
            if result is not None:
                write_json(args.out, result)
    if result is not None:
        _report(args.run, result)
    return 0


def _report(run: str, result: dict[str, Any]) -> None:
    scores = {task: round(100 * scored["score"], 2) for task, scored in result["tasks"].items()}
    print(f"run {run}: average {100 * result['average']['score']:.2f} percent over {len(scores)} tasks: {scores}")
