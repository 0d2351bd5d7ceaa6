"""`glimmer embed`: embeddings of every passage of a corpus, in shards that an interrupted run goes on from."""

from __future__ import annotations

from glimmer.commands.arguments import add_parts_arguments, add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show
from glimmer.commands.runtime import add_runtime_arguments, prepare

HELP = "embed the passages of a corpus with a GTR tower, in resumable shards"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--gtr", required=True, metavar="DIR", help="the tower, or those of two halves")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="directory for the shards; whole ones in it are kept"
    )
    parser.add_argument(
        "--passage-tokens", type=int, metavar="N", help="cut passages to N tokens (default: the tower's)"
    )
    parser.add_argument("--passages-per-shard", type=int, default=8192, metavar="N", help="default 8192")
    parser.add_argument("--tokens-per-batch", type=int, metavar="N", help="rows times width (default: by device)")
    add_parts_arguments(parser)
    add_runtime_arguments(parser)
    add_json_argument(parser)


def run(args) -> int:
    """Embeds what is missing, or gathers what parts have embedded, and prints how much that was."""
    prepare(args)
    from glimmer.retrieval.steps import embed_passages, gather_embeddings

    study = study_of(args, "embed")
    places = (args.gtr, args.passages, args.out)
    decided = {
        "passage_tokens": args.passage_tokens,
        "dtype": study.retriever.dtype,
        "passages_per_shard": args.passages_per_shard,
    }
    if args.gather:
        summary = gather_embeddings(*places, args.gather, **decided)
    else:
        summary = embed_passages(*places, **decided, tokens_per_batch=args.tokens_per_batch, part=args.part)
    show(summary, args.format)
    return 0
