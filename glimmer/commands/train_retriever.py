"""`glimmer train-retriever`: contrastive training of the GTR tower on a study's train questions."""

from __future__ import annotations

from dataclasses import fields

from glimmer.commands.output import add_json_argument, show
from glimmer.commands.runs import add_study_arguments
from glimmer.commands.runtime import add_runtime_arguments, prepare
from glimmer.errors import InputError

HELP = "train a GTR retriever on the train questions of a study; writes a sentence-transformers directory"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--init", required=True, metavar="DIR", help="Hugging Face T5, or sentence-transformers GTR")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--data", required=True, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    add_runtime_arguments(parser)
    add_json_argument(parser)


def run(args) -> int:
    """Trains, writes the tower and prints a summary."""
    prepare(args)
    from glimmer.experiments import load_study, parse_overrides
    from glimmer.retrieval.contrastive import ContrastiveSettings
    from glimmer.retrieval.stages import train_retriever

    study = load_study(args.study, parse_overrides(args.overrides))
    retriever = study.retriever
    if retriever["kind"] != "gtr":
        raise InputError(
            "this study's retriever is not trained", where="retriever.kind", expected="gtr", found=retriever["kind"]
        )
    settings = {field.name: retriever[field.name] for field in fields(ContrastiveSettings) if field.name in retriever}
    summary = train_retriever(
        args.init,
        args.passages,
        args.data,
        args.out,
        tasks=study.tasks,
        settings=ContrastiveSettings(**settings),
        dimension=retriever["dimension"],
        question_tokens=retriever.get("question_tokens", study.lengths["question"]),
        passage_tokens=retriever.get("passage_tokens", study.lengths["passage"]),
        hard_negatives_per_question=retriever.get("hard_negatives", 0),
        pairs_per_task=retriever.get("pairs_per_task"),
    )
    show(summary, args.json)
    return 0
