"""`glimmer tokenize`: token ids of every passage, once for all runs of a study."""

from __future__ import annotations

from pathlib import Path

from glimmer.commands.arguments import add_study_arguments, study_of

HELP = "write the token ids of every passage as one memory-mapped array"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")


def run(args) -> int:
    """Writes passages.npy, and its seal."""
    from glimmer.files import add_to_seal
    from glimmer.kilt.passages import PassageFile
    from glimmer.models.tokenizer import Tokenizer
    from glimmer.training.examples import tokenize_passages

    study = study_of(args, "tokenize")
    tokenizer, passages = Tokenizer(args.tokenizer), PassageFile(args.passages)
    length, template = study.lengths.passage, study.templates.passage
    tokens = Path(args.out) / "passages.npy"
    tokenize_passages(tokenizer, passages, length, template, tokens)
    add_to_seal(args.out, [tokens])
    print(f"{len(passages)} passages of at most {length} tokens")
    return 0
