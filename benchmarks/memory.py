"""What the precision of stored memory costs a reader: answers that change, and their log probabilities.

    python -m benchmarks.memory --study smoke
    python -m benchmarks.memory --study STUDY --run ID --work DIR --data DIR --init DIR --trained DIR --json

The first form has random weights and random tokens of the study's own shapes: it shows that the road is whole, and its
numbers mean nothing. The second has a trained run and the dev questions that its result file scores. One reader, with
the same questions and passages, reads memory as it was computed, as a bfloat16 store gives it back, and as an int8
store does. Of each pair: the share of questions whose answer differs, the share whose kept passages or their order do,
and the change of log p(the first one's answer | question, passages), the largest and the mean of absolute values.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

from glimmer.commands.runtime import add_runtime_arguments, prepare
from glimmer.compute import MemoryDtype
from glimmer.errors import InputError
from glimmer.experiments import Run, Study, load_study, parse_overrides, runs_for

PLACES = ("work", "data", "init", "trained")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--study", default="smoke")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another value of a study's key"
    )
    parser.add_argument("--readers", nargs="*", default=["lumen", "glimmer"], help="with random weights: of which kind")
    parser.add_argument("--questions", type=int, default=64, help="with random weights: how many")
    parser.add_argument("--run", metavar="ID", help="a trained run, with the directories of `glimmer evaluate`")
    for place in PLACES:
        parser.add_argument(f"--{place}", type=Path, metavar="DIR")
    parser.add_argument("--json", action="store_true")
    add_runtime_arguments(parser)
    args = parser.parse_args()
    prepare(args)
    study = load_study(args.study, parse_overrides(args.set))
    if args.run:
        rows = _of_trained(study, args)
    else:
        runs = sorted(runs_for(study).values(), key=lambda run: (run.reader.k, run.reader.m))
        rows = [row for name in args.readers for row in _of_random(study, _last(runs, name), args.questions)]
    if args.json:
        json.dump({"study": study.name, "trained": bool(args.run), "rows": rows}, sys.stdout, indent=2)
        print()
        return 0
    print(f"{study.name}, " + (f"run {args.run}" if args.run else "random weights: these numbers mean nothing"))
    print(f"{'reader':18}{'memory':24}{'questions':>10}{'answers':>9}{'kept':>8}   log p: {'largest':>9}{'mean':>10}")
    for row in rows:
        shares = (row["questions"], row["answers_changed"], row["kept_changed"])
        changes = (row["largest_log_probability_change"], row["mean_log_probability_change"])
        print(f"{row['reader']:18}{row['memory']:24}{shares[0]:>10}{shares[1]:>9.4f}{shares[2]:>8.4f}"
              f"          {changes[0]:>9.5f}{changes[1]:>10.6f}")  # fmt: skip
    return 0


def _last(runs: list[Run], name: str) -> Run:
    """Of these readers that with the most passages."""
    fitting = [run for run in runs if run.reader.name == name and run.reader.alpha < 1 and run.reader.k]
    if not fitting:
        raise InputError("no such reader with stored memory", where="--readers", found=name)
    return fitting[-1]


def _of_random(study: Study, run: Run, questions: int) -> list[dict[str, Any]]:
    """A row a pair of precisions, with random weights and tokens."""
    import numpy as np
    from flax import nnx

    from glimmer.models.batch import Batch
    from glimmer.models.config import T5Config
    from glimmer.models.reader import Reader
    from glimmer.models.t5 import T5
    from glimmer.training.state import split_reader

    config = T5Config(**vars(study.dimensions(run.size)), dtype=study.training.dtype, dropout=0.0)
    reader = split_reader(Reader(T5(config, rngs=nnx.Rngs(0)), run.reader, rngs=nnx.Rngs(1)))
    rows, lengths, random = study.evaluation.batch_size, study.lengths, np.random.default_rng(0)
    shapes = {
        "question": (rows, lengths.question),
        "passages": (rows, run.reader.k, lengths.passage),
        "answer": (rows, lengths.target),
    }
    batches = (
        (Batch.of(**{name: random.integers(2, config.vocabulary, shape) for name, shape in shapes.items()}), rows)
        for _ in range(-(-questions // rows))
    )
    return _rows(run, reader, batches, lengths.target)


def _of_trained(study: Study, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a pair of precisions, for the kept parameters of a run on the dev questions that it is scored by."""
    if missing := [f"--{place}" for place in PLACES if getattr(args, place) is None]:
        raise InputError("not enough to read", where="--run", expected=", ".join(missing), found="nothing")
    from glimmer.runs.evaluate import kept_reader
    from glimmer.runs.materials import Materials

    materials = Materials.of(study, args.run, work=args.work, data=args.data, initial=args.init)
    if materials.run.reader.alpha == 1:
        raise InputError("a reader without stored memory", where=args.run, expected="alpha below 1", found="alpha 1")

    def batches() -> Iterator[tuple[Any, int]]:
        size = study.evaluation.batch_size
        for task in materials.evaluated:
            for start in range(0, len(task.rows), size):
                rows = task.rows[start : start + size].tolist()
                padded = rows + rows[-1:] * (size - len(rows))
                yield materials.batcher.batch([(task, row) for row in padded]), len(rows)

    return _rows(materials.run, kept_reader(materials, args.trained), batches(), study.lengths.target)


def _rows(run: Run, reader, batches: Iterable[tuple[Any, int]], length: int) -> list[dict[str, Any]]:
    """Of each pair of precisions what changes; `batches` come with how many of their rows count."""
    import numpy as np

    pairs = [("computed", dtype) for dtype in get_args(MemoryDtype)] + [get_args(MemoryDtype)]
    read = _reading(length)
    changed: dict[tuple, list] = {pair: [] for pair in pairs}
    for batch, count in batches:
        found = read(reader, batch)
        for first, second in pairs:
            answers, kept = ([found[name][part] for name in (first, second)] for part in ("answer", "kept"))
            before, after = (found[name]["log_probability"][first] for name in (first, second))
            changed[first, second] += zip(
                (answers[0] != answers[1]).any(axis=1)[:count],
                (kept[0] != kept[1]).any(axis=1)[:count],
                np.abs(after - before)[:count],
                strict=True,
            )
    return [
        {
            "reader": f"{run.reader.name} k={run.reader.k} m={run.reader.m}",
            "memory": f"{first}, {second}",
            "questions": len(each),
            "answers_changed": float(np.mean([row[0] for row in each])),
            "kept_changed": float(np.mean([row[1] for row in each])),
            "largest_log_probability_change": float(max(row[2] for row in each)),
            "mean_log_probability_change": float(np.mean([row[2] for row in each])),
        }
        for (first, second), each in changed.items()
    ]


def _reading(length: int):
    """(reader, batch) -> precision -> its answer, kept passages, and log probability of each precision's answer."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from glimmer.models.memory_values import from_bytes, to_bytes
    from glimmer.models.reader import token_log_probability

    @jax.jit
    def remember(split, passages):
        return split.merge().remember_passages(passages)

    @jax.jit
    def answer(split, batch, memory):
        reader = split.merge()
        encoded = reader.encode(batch, memory)
        return reader.generate(encoded, length), encoded.kept_indexes

    @jax.jit
    def log_probability(split, batch, memory, answer):
        reader = split.merge()
        logits = reader.logits(reader.encode(batch, memory), answer).astype(jnp.float32)
        return jnp.sum(token_log_probability(logits, answer, reader.config.pad_id), axis=1)

    def read(split, batch) -> dict[str, dict[str, Any]]:
        exact = np.asarray(remember(split, batch.passages))
        memories = {"computed": exact.astype(np.float32)}
        memories |= {name: from_bytes(to_bytes(exact, name), name).astype(np.float32) for name in get_args(MemoryDtype)}
        given = {name: answer(split, batch, memory) for name, memory in memories.items()}
        return {
            name: {
                "answer": np.asarray(given[name][0]),
                "kept": np.asarray(given[name][1]),
                "log_probability": {
                    of: np.asarray(log_probability(split, batch, memory, given[of][0])) for of in memories
                },
            }
            for name, memory in memories.items()
        }

    return read


if __name__ == "__main__":
    sys.exit(main())
