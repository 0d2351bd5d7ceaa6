"""`glimmer crosscheck`: KILT's own package on the guess files of a study's measured runs."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show
from glimmer.errors import CheckFailed, InputError

HELP = "score the guess files of measured runs with KILT's own package too; exit code 1 if a score differs"
PURPOSE = "kilt"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    add_json_argument(parser)


def run(args) -> int:
    """Prints a row a run, and writes what was checked beside the results, where the report finds it."""
    from glimmer.evaluation.kilt_package import is_importable
    from glimmer.experiments import runs_for
    from glimmer.runs.second_opinion import check_runs

    study = study_of(args)
    if not is_importable():
        raise InputError("KILT's own package is not importable", expected="`make kilt`, or make kilt KILT=CHECKOUT",
                         found="no kilt.eval_downstream")  # fmt: skip
    checks = check_runs(study, runs_for(study))
    if not checks:
        raise InputError("no run is measured", where=study.results_directory, expected="runs/<id>.json", found="none")
    show([{"run": id} | check for id, check in checks.items()], args.format)
    wrong = [id for id, check in checks.items() if check["status"] in ("differs", "other guesses")]
    if wrong:
        raise CheckFailed(f"{len(wrong)} of {len(checks)} runs do not agree: {', '.join(wrong[:5])}")
    return 0
