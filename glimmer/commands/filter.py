"""`glimmer filter`: the train questions whose evidence is good enough to train on."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show

HELP = "keep the train examples whose evidence can be trusted (or was retrieved); writes row numbers and counts"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--retrieved", required=True, metavar="DIR", help="what `glimmer retrieve` wrote")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    add_json_argument(parser)


def run(args) -> int:
    """Filters and prints the counts by task."""
    from glimmer.retrieval.relevance import filter_tasks

    study = study_of(args, "filter_by_relevance")
    counts = filter_tasks(args.retrieved, args.out, tasks=study.tasks, settings=study.relevance_filter)
    if args.format == "json":
        show(counts, "json")
    else:
        show([{"task": task} | _flat(found) for task, found in counts.items()], args.format)
    return 0


def _flat(counts: dict) -> dict:
    flat = {key: value for key, value in counts.items() if not isinstance(value, dict)}
    flat |= {f"after at {threshold}": value for threshold, value in counts["after_by_threshold"].items()}
    return flat | {f"after by {mode}": value for mode, value in counts["after_by_mode"].items()}
