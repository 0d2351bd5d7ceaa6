"""`glimmer retrieve`: passages for every question of a study, with the confidence that they hold the evidence."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show
from glimmer.commands.runtime import add_runtime_arguments, prepare
from glimmer.errors import InputError

HELP = "retrieve passages for the train and dev questions of a study, by GTR or BM25, and measure what was found"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--data", required=True, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--gtr", metavar="DIR", help="the tower, or those of two halves (not for BM25)")
    parser.add_argument("--embeddings", metavar="DIR", help="the corpus embedded with that tower (not for BM25)")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    parser.add_argument("--kind", choices=("bm25", "gtr"), help="another retriever than the study's, as a control")
    parser.add_argument("--depth", type=int, metavar="N", help="another number of passages than the study's")
    parser.add_argument("--splits", default="train,dev", metavar="NAMES", help="default: train,dev")
    add_runtime_arguments(parser)
    add_json_argument(parser)


def run(args) -> int:
    """Retrieves, writes one file a task and split, and prints the metrics."""
    prepare(args)
    from glimmer.experiments.sections import Gtr
    from glimmer.retrieval.steps import retrieve_tasks
    from glimmer.runs.inputs import hold, outside_inputs

    if args.kind == "bm25":
        depth = args.depth or study_of(args).retriever.depth
        args.overrides.append(f"retriever={{kind: bm25, depth: {depth}}}")
    elif args.depth:
        args.overrides.append(f"retriever.depth={args.depth}")
    study = study_of(args, "retrieve")
    if args.kind not in (None, study.retriever.kind):
        raise InputError("the study has no tower", where=study.source, expected="a study whose retriever is gtr",
                         found=study.retriever.kind)  # fmt: skip
    hold(study, outside_inputs(study, data=args.data))
    retriever = study.retriever
    metrics = retrieve_tasks(
        args.data,
        args.passages,
        args.out,
        tasks=study.tasks,
        depth=retriever.depth,
        kind=retriever.kind,
        gtr=args.gtr,
        embeddings=args.embeddings,
        question_tokens=study.retriever_length("question"),
        dtype=retriever.dtype if isinstance(retriever, Gtr) else "float32",
        splits=tuple(args.splits.split(",")),
    )
    if args.format == "json":
        show(metrics, "json")
        return 0
    rows = [
        {"task": task, "split": split} | {key: value for key, value in found.items() if not isinstance(value, dict)}
        for task, splits in metrics.items()
        for split, found in splits.items()
    ]
    show(rows, args.format)
    return 0
