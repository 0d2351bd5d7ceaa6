"""`glimmer tokenize`: token ids of every passage, once for all runs of a study."""

from __future__ import annotations

from pathlib import Path

from glimmer.commands.arguments import add_parts_arguments, add_study_arguments, study_of

HELP = "write the token ids of every passage as one memory-mapped array"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    add_parts_arguments(parser)


def run(args) -> int:
    """Writes passages.npy, and its seal; or a part of it."""
    from glimmer.experiments.stages import decides
    from glimmer.files import add_to_seal, sealed_sha256, sha256_file
    from glimmer.kilt.passages import PassageFile
    from glimmer.models.tokenizer import Tokenizer
    from glimmer.parts import written_part
    from glimmer.training.examples import TOKENS, gather_tokens, tokenize_passages

    study = study_of(args, "tokenize")
    tokenizer, passages = Tokenizer(args.tokenizer), PassageFile(args.passages)
    length, template = study.lengths.passage, study.templates.passage
    rows = args.part.share(len(passages)) if args.part else (0, len(passages))
    if args.part or args.gather:
        made_of = {
            "tokenize": decides(study, "tokenize"),
            "passages": sealed_sha256(passages.directory / "passages.jsonl"),
            "tokenizer": sha256_file(args.tokenizer),
        }
    if args.part:
        with written_part(args.out, args.part, made_of) as part:
            tokenize_passages(tokenizer, passages, length, template, part / TOKENS, rows)
    elif args.gather:
        gather_tokens(args.out, args.gather, made_of, passages=len(passages), length=length)
    else:
        tokens = Path(args.out) / TOKENS
        tokenize_passages(tokenizer, passages, length, template, tokens)
        add_to_seal(args.out, [tokens])
    print(f"{rows[1] - rows[0]} passages of at most {length} tokens")
    return 0
