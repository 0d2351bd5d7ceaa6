"""`glimmer tokenizer`: the vocabulary that a study's checkpoint brings along."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of

HELP = "write the vocabulary of a checkpoint as tokenizer.json, after checking that it is a T5 vocabulary"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument(
        "--checkpoint", required=True, metavar="DIR", help="directory with tokenizer.json or spiece.model"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="tokenizer.json to write")


def run(args) -> int:
    """Writes the file and prints how many pieces it has."""
    from glimmer.files import atomic_write
    from glimmer.models.tokenizer import Tokenizer, tokenizer_json
    from glimmer.runs.inputs import hold, outside_inputs

    study = study_of(args, "copy_tokenizer")
    hold(study, outside_inputs(study, initial=args.checkpoint))
    pieces = len(Tokenizer(args.checkpoint))  # refuses what is not a T5 vocabulary before anything is written
    with atomic_write(args.out, "wb") as file:
        file.write(tokenizer_json(args.checkpoint))
    print(f"{pieces} pieces")
    return 0
