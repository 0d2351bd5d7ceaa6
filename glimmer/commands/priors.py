"""`glimmer priors`: what the most frequent answers of training score on a study's dev questions."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show

HELP = "score the most frequent answers of training on dev, and count the dev answers that training has"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--data", required=True, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument("--out", metavar="FILE", help="JSON file to write")
    add_json_argument(parser)


def run(args) -> int:
    """Scores, writes the scores where asked to, and prints them in percent."""
    from glimmer.evaluation.priors import task_priors
    from glimmer.files import write_json
    from glimmer.kilt.formats import read_examples, task_file
    from glimmer.runs.inputs import hold, outside_inputs
    from glimmer.runs.slices import slice_rows

    study = study_of(args, "priors")
    hold(study, outside_inputs(study, data=args.data))
    document = {}
    for task in study.tasks:
        train, dev = (task_file(args.data, task, split) for split in ("train", "dev"))
        ids = {row: example.id for row, example in enumerate(read_examples(dev))}
        _, rows = slice_rows(ids, study.training.dev_examples, study.evaluation.dev_examples, dev)
        document[task] = task_priors(task, train, dev, rows)
    if args.out:
        write_json(args.out, document)
    show(document if args.format == "json" else [_row(task, found) for task, found in document.items()], args.format)
    return 0


def _row(task: str, found: dict) -> dict:
    shares = {name: found[name] for name in ("majority", "relation", "seen_in_train")}
    shown = {name: None if share is None else f"{100 * share:.1f}" for name, share in shares.items()}
    return {"task": task, "n": found["n"], "metric": found["metric"]} | shown | {"answer": found["majority_answer"]}
