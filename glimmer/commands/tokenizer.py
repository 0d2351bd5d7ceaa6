"""`glimmer tokenizer`: the vocabulary that a study's checkpoint brings along."""

from __future__ import annotations

from pathlib import Path

from glimmer.commands.arguments import add_study_arguments, study_of

HELP = "write the tokenizer.json of a checkpoint, after checking that it is a T5 vocabulary"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="directory with a tokenizer.json")
    parser.add_argument("--out", required=True, metavar="FILE", help="tokenizer.json to write")


def run(args) -> int:
    """Writes the file and prints how many pieces it has."""
    from glimmer.files import atomic_write
    from glimmer.models.tokenizer import Tokenizer
    from glimmer.runs.inputs import hold, outside_inputs

    study = study_of(args, "copy_tokenizer")
    hold(study, outside_inputs(study, initial=args.checkpoint))
    source = Path(args.checkpoint) / "tokenizer.json"
    pieces = len(Tokenizer(source))  # refuses what is not a T5 vocabulary before anything is written
    with atomic_write(args.out, "wb") as file:
        file.write(source.read_bytes())
    print(f"{pieces} pieces")
    return 0
