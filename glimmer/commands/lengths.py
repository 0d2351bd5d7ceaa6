"""`glimmer lengths`: what a study's lengths cut off its questions, passages, evidence and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show

HELP = "count what is cut of questions, passages, evidence and answers, and the lengths that would hold them"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument(
        "--data", required=True, metavar="DIR", help="task files and knowledge source in KILT's formats"
    )
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json")
    parser.add_argument("--out", metavar="FILE", help="JSON file to write")
    add_json_argument(parser)


def run(args) -> int:
    """Counts, writes the counts where asked to, and prints them."""
    from glimmer.files import write_json
    from glimmer.kilt.passages import PassageFile
    from glimmer.models.tokenizer import Tokenizer
    from glimmer.runs.inputs import hold, outside_inputs
    from glimmer.training.cuts import count_cuts

    study = study_of(args, "lengths")
    hold(study, outside_inputs(study, data=args.data))
    tokenizer, passages = Tokenizer(args.tokenizer), PassageFile(args.passages)
    chosen = {"tasks": study.tasks, "lengths": study.lengths, "templates": study.templates}
    document = count_cuts(args.data, passages, tokenizer, **chosen)
    if args.out:
        write_json(args.out, document)
    show(document if args.format == "json" else list(_rows(document)), args.format)
    return 0


def _rows(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    lengths = document["lengths"]
    yield _row("", "", "passages", lengths["passage"], document["passages"])
    for task, splits in document["tasks"].items():
        for split, counted in splits.items():
            yield _row(task, split, "questions", lengths["question"], counted["questions"])
            yield _row(task, split, "evidence", lengths["passage"], counted["evidence"])
            yield _row(task, split, "answers", lengths["target"], counted["answers"])


def _row(task: str, split: str, what: str, limit: int, counted: Mapping[str, Any]) -> dict[str, Any]:
    needed = counted.get("needed", {})
    wholly = counted.get("own_words_cut", counted.get("lost"))
    share = f"{100 * counted['share_cut']:.1f}"
    shown = {"task": task, "split": split, "what": what, "tokens": limit, "n": counted["n"], "cut": counted["cut"]}
    return shown | {"percent": share, "of which gravely": wholly} | needed
