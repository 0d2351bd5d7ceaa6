"""Seconds a training step and a dev batch take for each reader of a study, and seconds to compile them.

    python -m benchmarks.steps --study embedded --readers fid lumen glimmer --json

Random weights and random tokens of the study's own shapes: what is read costs the same as what is learnt. Answers
compute passage memory on the fly, as for the dev scores of a run in training.
Medians over `--repeats` steps after one that is not counted; seconds of the wall and of all threads together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from glimmer.commands.runtime import add_runtime_arguments, prepare
from glimmer.experiments import Run, Study, load_study, parse_overrides, runs_for


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--study", default="embedded")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another value of a study's key"
    )
    parser.add_argument("--readers", nargs="*", default=["fid", "lumen", "glimmer"])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    add_runtime_arguments(parser)
    args = parser.parse_args()
    prepare(args)
    study = load_study(args.study, parse_overrides(args.set))
    # Of each reader the run with the most passages: the one whose time is the study's.
    runs = sorted(runs_for(study).values(), key=lambda run: (run.reader.k, run.reader.m))
    rows = [_measure(study, {run.reader.name: run for run in runs}[name], args.repeats) for name in args.readers]
    if args.json:
        json.dump({"device": _device(), "study": study.name, "rows": rows}, sys.stdout, indent=2)
        print()
        return 0
    print(_device())
    print(f"{'reader':24}{'compile':>10}{'step wall':>12}{'step CPU':>12}{'answer wall':>14}   seconds")
    for row in rows:
        numbers = (row["compile"], row["step"]["wall"], row["step"]["cpu"], row["answer"]["wall"])
        print(f"{row['reader']:24}{numbers[0]:>10.1f}{numbers[1]:>12.4f}{numbers[2]:>12.4f}{numbers[3]:>14.4f}")
    return 0


def _measure(study: Study, run: Run, repeats: int) -> dict[str, Any]:
    import jax

    one_step, answer_batch = compiled_steps(study, run)
    started = time.perf_counter()
    jax.block_until_ready(one_step())
    compiled = time.perf_counter() - started
    jax.block_until_ready(answer_batch())
    settings = run.reader
    return {
        "reader": f"{settings.name} k={settings.k} m={settings.m}",
        "compile": compiled,
        "step": _median(one_step, repeats),
        "answer": _median(answer_batch, repeats),
    }


def compiled_steps(study: Study, run: Run) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """(a training step, a batch of answers) of a run, each on random tokens of the study's shapes when called.

    The first call compiles. Losses and answers may still be on their way when a call returns.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from glimmer.evaluation.answering import answer
    from glimmer.models.batch import Batch
    from glimmer.models.config import T5Config
    from glimmer.models.reader import Reader
    from glimmer.models.t5 import T5
    from glimmer.training.losses import DistillationWeights
    from glimmer.training.optimizer import build_optimizer
    from glimmer.training.state import compile_step, initial_state, split_reader

    training, lengths, settings = study.training, study.lengths, run.reader
    config = T5Config(
        **vars(study.dimensions(run.size)),
        dtype=training.dtype,
        dropout=training.dropout,
        rematerialise=training.rematerialise,
    )
    reader = Reader(T5(config, rngs=nnx.Rngs(0)), settings, rngs=nnx.Rngs(1))
    split = split_reader(reader, ("embedding",) if training.freeze_embeddings else ())
    optimizer = build_optimizer(training)
    step = compile_step(split.definition, optimizer)
    state = initial_state(jax.tree.map(jnp.copy, split.trained), optimizer)
    weights = DistillationWeights(lambda_=jnp.float32(settings.lambda_), tau=jnp.float32(settings.tau))
    random = np.random.default_rng(0)

    def batch(rows: int) -> Batch:
        shapes = {
            "question": (rows, lengths.question),
            "passages": (rows, settings.k, lengths.passage),
            "answer": (rows, lengths.target),
        }
        return Batch.of(**{name: random.integers(2, config.vocabulary, shape) for name, shape in shapes.items()})

    def one_step():
        nonlocal state
        state, losses = step(state, split.fixed, train_batch, weights, jax.random.key(0))
        return losses

    train_batch, dev_batch = batch(training.batch_size), batch(study.evaluation.batch_size)
    answering = jax.jit(lambda split, batch: answer(split.merge(), batch, None, lengths.target))
    return one_step, lambda: answering(split, dev_batch)


def _median(call, repeats: int) -> dict[str, float]:
    import jax

    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(call())
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"wall": statistics.median(walls), "cpu": statistics.median(cpus)}


def _device() -> str:
    import jax

    return f"{jax.devices()[0].device_kind} x {jax.device_count()}, jax {jax.__version__}"


if __name__ == "__main__":
    sys.exit(main())
