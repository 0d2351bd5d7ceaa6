"""`glimmer train-retriever`: contrastive training of a study's GTR tower, or of two on a half of the questions each."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show
from glimmer.commands.runtime import add_runtime_arguments, prepare
from glimmer.errors import InputError

HELP = "train a study's GTR retriever on train questions; writes a sentence-transformers directory, or two (halves)"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--init", required=True, metavar="DIR", help="Hugging Face T5, or sentence-transformers GTR")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the questions' corpus")
    parser.add_argument("--data", required=True, metavar="DIR", help="questions to learn from, in KILT's formats")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    add_runtime_arguments(parser)
    add_json_argument(parser)


def run(args) -> int:
    """Trains, writes the tower and prints a summary."""
    prepare(args)
    from glimmer.experiments.sections import Gtr, PublishedGtr
    from glimmer.retrieval.steps import train_retriever
    from glimmer.runs.inputs import hold, outside_inputs

    study = study_of(args, "train_retriever")
    retriever = study.retriever
    if not isinstance(retriever, Gtr):
        raise InputError(
            "this study's retriever is not trained", where="retriever.kind", expected="gtr", found=retriever.kind
        )
    start = {"retriever" if isinstance(retriever, PublishedGtr) else "initial": args.init}
    hold(study, outside_inputs(study, data=args.data, **start))
    summary = train_retriever(
        args.init,
        args.passages,
        args.data,
        args.out,
        tasks=study.tasks,
        settings=retriever,
        dimension=retriever.dimension,
        question_tokens=study.retriever_length("question"),
        passage_tokens=study.retriever_length("passage"),
        hard_negatives_per_question=retriever.hard_negatives,
        pairs_per_task=retriever.pairs_per_task,
        cross_fit=study.cross_fits_retriever,
    )
    show(summary, args.format)
    return 0
