"""`glimmer tokenizer`: the study's vocabulary, from its checkpoint or trained on its own texts."""

from __future__ import annotations

from glimmer.commands.runs import add_study_arguments
from glimmer.errors import InputError

HELP = "write tokenizer.json: the checkpoint's, or one trained on the corpus, the tasks and pretraining text"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument(
        "--checkpoint", metavar="DIR", help="directory with a tokenizer.json (tokenizer.kind: checkpoint)"
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--out", required=True, metavar="FILE", help="tokenizer.json to write")


def run(args) -> int:
    """Writes the file and prints how many pieces it has."""
    from glimmer.experiments import load_study, parse_overrides

    study = load_study(args.study, parse_overrides(args.overrides))
    if study.tokenizer["kind"] == "checkpoint":
        if args.checkpoint is None:
            raise InputError("no checkpoint given", where="--checkpoint", expected="a directory with a tokenizer.json")
        pieces = _copy(args.checkpoint, args.out)
    else:
        from glimmer.training.vocabulary import study_texts, train_vocabulary

        texts = study_texts(study, args.data, args.passages)
        pieces = train_vocabulary(texts, study.tokenizer["vocabulary_size"], args.out)
    print(f"{pieces} pieces")
    return 0


def _copy(checkpoint: str, out: str) -> int:
    from pathlib import Path

    from glimmer.files import atomic_write
    from glimmer.models.tokenizer import Tokenizer

    source = Path(checkpoint) / "tokenizer.json"
    pieces = len(Tokenizer(source))  # refuses what is not a T5 vocabulary before anything is written
    with atomic_write(out, "wb") as file:
        file.write(source.read_bytes())
    return pieces
