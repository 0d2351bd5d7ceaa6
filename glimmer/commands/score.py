"""`glimmer score`: KILT's metrics of a guess file against a gold file."""

from __future__ import annotations

import contextlib
import json

from glimmer.commands.output import add_json_argument, show
from glimmer.errors import InputError
from glimmer.evaluation.kilt_scores import PROGRAMS, ExampleScores, score_files
from glimmer.files import atomic_write, write_json

HELP = "score a KILT guess file against a gold file, as KILT's own evaluators do; all scores are fractions"
PURPOSE = "kilt"


def add_arguments(parser) -> None:
    """Declares the command line."""
    parser.add_argument("gold", metavar="GOLD", help="task file with answers, JSON Lines, plain or gzipped")
    parser.add_argument(
        "guess", metavar="GUESS", help="guess file: one answer and its ranked provenance for every gold id"
    )
    parser.add_argument("--out", metavar="FILE", help="also write the scores to FILE, as JSON")
    parser.add_argument("--per-example", metavar="FILE", help="write every example's scores, JSON Lines in gold order")
    parser.add_argument(
        "--ks", default="1,5,20,100", metavar="K,K", help="depths of the ranking metrics (default 1,5,20,100)"
    )
    parser.add_argument(
        "--rank-keys",
        default="wikipedia_id",
        metavar="KEYS",
        help="what names a piece of evidence: alternatives separated by commas, keys that count together joined by "
        "plus, as in wikipedia_id,wikipedia_id+section (default wikipedia_id)",
    )
    parser.add_argument(
        "--only",
        choices=PROGRAMS,
        help="compute the scores of one of KILT's two programs: downstream asks for an "
        "answer in every guess, ranking for provenance",
    )
    add_json_argument(parser)


def run(args) -> int:
    """Scores, writes what was asked for, and prints the means."""
    ks = _depths(args.ks)
    rank_keys = [tuple(key.strip() for key in keys.split("+")) for keys in args.rank_keys.split(",")]
    with contextlib.ExitStack() as stack:
        each = None
        if args.per_example:
            file = stack.enter_context(atomic_write(args.per_example))

            def each(scores: ExampleScores) -> None:
                file.write(json.dumps(scores.as_dict()) + "\n")

        scores = score_files(args.gold, args.guess, ks, rank_keys, [args.only] if args.only else PROGRAMS, each)
    result = {name: value for name, value in scores.as_dict().items() if value != {}}
    if args.out:
        write_json(args.out, result)
    show(result, args.format)
    return 0


def _depths(text: str) -> list[int]:
    try:
        return [int(k) for k in text.split(",")]
    except ValueError:
        raise InputError("--ks", expected="whole numbers separated by commas", found=text) from None
