"""Forward and backward pass of attention and of a linear map: as stated in glimmer.models.products, against autodiff.

    python -m benchmarks.products --pairs 200 --tokens 68 --width 64 --heads 4 --json

Both are compiled and take turns; ratios are taken pair by pair, since shared machines drift. Medians over `--repeats`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from glimmer.commands.runtime import add_runtime_arguments, prepare


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=200, help="rows: questions times passages")
    parser.add_argument("--tokens", type=int, default=68)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    add_runtime_arguments(parser)
    args = parser.parse_args()
    prepare(args)
    found = {name: _compare(*case, args.repeats) for name, case in _cases(args).items()}
    if args.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return 0
    print(f"{'':12}{'stated, ms':>12}{'autodiff, ms':>14}{'ratio':>8}")
    for name, row in found.items():
        print(f"{name:12}{1e3 * row['stated']:>12.2f}{1e3 * row['autodiff']:>14.2f}{row['ratio']:>8.2f}")
    return 0


def _cases(args):
    import jax
    import jax.numpy as jnp

    from glimmer.models.products import attention, linear

    def plain(queries, keys, values, bias, mask):
        scores = jnp.where(mask, jnp.einsum("bqhc,bkhc->bhqk", queries, keys) + bias, jnp.finfo(jnp.float32).min)
        return jnp.einsum("bhqk,bkhc->bqhc", jax.nn.softmax(scores, axis=-1), values)

    keys = jax.random.split(jax.random.key(0), 6)
    shape = (args.pairs, args.tokens, args.heads, args.width // args.heads)
    heads = [jax.random.normal(key, shape) for key in keys[:3]]
    bias = jax.random.normal(keys[3], (args.heads, args.tokens, args.tokens))
    mask = jnp.ones((args.pairs, 1, 1, args.tokens), bool)
    x = jax.random.normal(keys[4], (args.pairs, args.tokens, args.width))
    weight = jax.random.normal(keys[5], (args.width, args.width))
    return {
        "attention": (lambda *a: attention(*a, mask), lambda *a: plain(*a, mask), (*heads, bias)),
        "linear": (linear, jnp.matmul, (x, weight)),
    }


def _compare(stated, autodiff, arguments, repeats: int) -> dict[str, float]:
    import jax
    import jax.numpy as jnp

    def gradients(function):
        places = tuple(range(len(arguments)))
        compiled = jax.jit(jax.grad(lambda *a: jnp.sum(jnp.sin(function(*a))), argnums=places))
        jax.block_until_ready(compiled(*arguments))
        return compiled

    def seconds(compiled) -> float:
        started = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        return time.perf_counter() - started

    ours, theirs = gradients(stated), gradients(autodiff)
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    return {
        "stated": statistics.median(a for a, _ in pairs),
        "autodiff": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(b / a for a, b in pairs),
    }


if __name__ == "__main__":
    sys.exit(main())
