"""`glimmer macs`: operation counts and samples per TFLOP of one reader."""

from __future__ import annotations

import argparse
from typing import get_args

from glimmer.commands.output import add_json_argument, show
from glimmer.compute import (
    CONVENTIONS,
    SIZES,
    MemoryDtype,
    Workload,
    memory_bytes_per_token,
    operation_count,
    samples_per_tflop,
)
from glimmer.errors import InputError
from glimmer.experiments.settings import ReaderSettings

HELP = "count the multiply-accumulates of one reader and its samples per TFLOP"
PURPOSE = "study"
EXAMPLES = ("glimmer macs --reader glimmer --alpha 1/3 --beta 1/4 --k 25 --m 5",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The reader, the model's size, the lengths and the convention of counting."""
    parser.add_argument("--reader", required=True, choices=("fid", "lumen", "glimmer"), help="which reader")
    parser.add_argument("--size", default="xxl", choices=tuple(SIZES), help="T5.1.1 size (default: xxl)")
    parser.add_argument("--alpha", help="live proportion, such as 1/3 (fid: 1)")
    parser.add_argument("--beta", help="rerank proportion, such as 1/4 (glimmer only)")
    parser.add_argument("--k", type=int, required=True, help="passages retrieved")
    parser.add_argument("--m", type=int, help="passages kept (glimmer only; others keep k)")
    parser.add_argument("--tokens", type=int, default=384, help="tokens of a question-passage pair (default: 384)")
    parser.add_argument(
        "--question-tokens", type=int, default=48, help="the question's part of --tokens, for `exact` (default: 48)"
    )
    parser.add_argument("--target-tokens", type=int, default=64, help="tokens decoded (default: 64)")
    parser.add_argument(
        "--convention",
        default="figure2",
        choices=CONVENTIONS,
        help="the printed formula, the count behind Figure 2, or every matrix product",
    )
    parser.add_argument(
        "--memory-dtype", default="bfloat16", choices=get_args(MemoryDtype), help="of stored memory (default: bfloat16)"
    )
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the count and what it derives to."""
    for name in ("tokens", "target_tokens"):
        if getattr(args, name) < 1:
            raise InputError(
                "not allowed", where=f"--{name.replace('_', '-')}", expected="at least 1", found=getattr(args, name)
            )
    given = {"name": args.reader, "alpha": args.alpha, "beta": args.beta, "k": args.k, "m": args.m}
    reader = ReaderSettings.from_json({key: value for key, value in given.items() if value is not None})
    dimensions = SIZES[args.size]()
    work = Workload(
        alpha=reader.alpha,
        beta=reader.beta,
        k=reader.k,
        m=reader.m,
        tokens=args.tokens,
        question_tokens=min(args.question_tokens, args.tokens),
        target_tokens=args.target_tokens,
    )
    show(
        {
            "reader": reader.name,
            "size": args.size,
            "alpha": str(reader.alpha),
            "beta": None if reader.beta is None else str(reader.beta),
            "k": reader.k,
            "m": reader.m,
            "tokens": args.tokens,
            "target_tokens": args.target_tokens,
            "convention": args.convention,
            "macs": float(operation_count(dimensions, work, args.convention)),
            "samples_per_tflop": samples_per_tflop(dimensions, work, args.convention),
            "memory_bytes_per_token": memory_bytes_per_token(dimensions, reader.alpha, args.memory_dtype),
        },
        args.format,
    )
    return 0
