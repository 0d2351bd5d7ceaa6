"""`glimmer vocabulary`: the vocabulary of a study that trains its own."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.errors import InputError

HELP = "train a vocabulary on a study's corpus, train questions and answers, and pretraining text"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--data", required=True, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--out", required=True, metavar="FILE", help="tokenizer.json to write")


def run(args) -> int:
    """Writes the file and prints how many pieces it has."""
    from glimmer.experiments.sections import UnigramTokenizer
    from worlds.vocabulary import study_texts, train_vocabulary

    study = study_of(args, "train_vocabulary")
    if not isinstance(study.tokenizer, UnigramTokenizer):
        kind = study.tokenizer.kind
        raise InputError("this study trains no vocabulary", where="tokenizer.kind", expected="unigram", found=kind)
    texts = study_texts(study, args.data, args.passages)
    print(f"{train_vocabulary(texts, study.tokenizer.vocabulary_size, args.out)} pieces")
    return 0
