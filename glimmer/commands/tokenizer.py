"""`glimmer tokenizer`: the vocabulary of a study, the checkpoint's own or one trained on its texts."""

from __future__ import annotations

from pathlib import Path

from glimmer.commands.runs import add_study_arguments

HELP = "write the study's tokenizer.json: the checkpoint's, or a unigram model of the study's texts"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--checkpoint", metavar="DIR", help="checkpoint whose vocabulary to take")
    parser.add_argument("--data", required=True, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--out", required=True, metavar="FILE", help="tokenizer.json to write")


def run(args) -> int:
    """Writes the tokenizer and prints its size."""
    from glimmer.errors import InputError
    from glimmer.experiments import load_study, parse_overrides
    from glimmer.files import atomic_write, existing
    from glimmer.models.tokenizer import Tokenizer
    from glimmer.training.vocabulary import study_texts, train_vocabulary

    study = load_study(args.study, parse_overrides(args.overrides))
    if study.tokenizer["kind"] == "checkpoint":
        if args.checkpoint is None:
            raise InputError("no checkpoint given", where="tokenizer", expected="--checkpoint DIR", found="nothing")
        source = existing(Path(args.checkpoint) / "tokenizer.json")
        with atomic_write(args.out, "wb") as file:
            file.write(source.read_bytes())
    else:
        train_vocabulary(study_texts(study, args.data, args.passages), study.tokenizer["vocabulary_size"], args.out)
    print(f"{len(Tokenizer(args.out))} pieces")
    return 0
