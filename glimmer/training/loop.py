"""One run's training: steps, dev evaluations, the best checkpoint by dev average, early stopping, exact resume."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from tqdm import tqdm

from glimmer.models.mesh import place_batch, place_parameters
from glimmer.models.reader import Batch, Reader
from glimmer.training.checkpoints import RunCheckpoints
from glimmer.training.losses import DistillationWeights
from glimmer.training.state import compile_step, initial_state, split_reader


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """`evaluate_every` steps between dev evaluations; training stops after `patience` of them without a new best."""

    steps: int
    evaluate_every: int
    patience: int | None = None
    frozen: tuple[str, ...] = ()
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What happened: the curve (one entry an evaluation), where it was best, why it stopped, seconds of training."""

    curve: list[dict[str, float | int]]
    best_step: int
    best_dev_average: float
    stopped: str
    seconds: float


def train(
    reader: Reader,
    optimizer: optax.GradientTransformation,
    make_batch: Callable[[int], Batch],
    dev_average: Callable[[Any, Any, Any], float],
    plan: TrainingPlan,
    directory: Path,
    mesh: Mesh,
    identity: dict[str, Any],
) -> TrainingResult:
    """Trains `reader`, leaving its best parameters under `directory`; resumes from the latest checkpoint of `identity`.

    `make_batch(step)` must depend on the step alone; `dev_average(definition, trained, fixed)` gives the dev score.
    The result is the same, bit for bit on one device, however often training was interrupted.
    """
    definition, trained, fixed = split_reader(reader, plan.frozen)
    trained, fixed = place_parameters(trained, mesh), place_parameters(fixed, mesh)
    state = place_parameters(initial_state(trained, optimizer), mesh)
    step_function = compile_step(definition, optimizer)
    settings = reader.settings
    weights = DistillationWeights(lambda_=jnp.float32(settings.lambda_), tau=jnp.float32(settings.tau))
    run_key = jax.random.key(plan.seed)
    checkpoints = RunCheckpoints(directory)
    progress: dict[str, Any] = {"identity": identity, "curve": [], "seconds": 0.0}
    resumed = checkpoints.restore_latest(state, identity)
    if resumed is not None:
        state, progress = resumed
    curve: list[dict[str, float | int]] = progress["curve"]
    stopped = _stop_reason(curve, plan)
    started, losses = time.monotonic() - progress["seconds"], []
    start = int(state.step)
    bar = tqdm(total=plan.steps, initial=start, desc=f"training {settings.name}", disable=None)
    with ThreadPoolExecutor(1) as ahead:
        upcoming = ahead.submit(make_batch, start)
        while stopped is None:
            step = int(state.step)
            batch = place_batch(upcoming.result(), mesh)
            upcoming = ahead.submit(make_batch, step + 1)
            state, loss = step_function(state, fixed, batch, weights, run_key)
            losses.append(jax.tree.leaves(dataclasses.astuple(loss)))
            step += 1
            bar.update()
            if step % plan.evaluate_every == 0 or step == plan.steps:
                total, language_model, distillation = np.mean(np.asarray(losses, np.float64), axis=0)
                dev = dev_average(definition, state.parameters, fixed)
                if dev > max((entry["dev_average"] for entry in curve), default=-1.0):
                    checkpoints.save_best(step, state.parameters)
                curve.append(
                    {
                        "step": step,
                        "loss": total,
                        "lm_loss": language_model,
                        "distill_loss": distillation,
                        "dev_average": dev,
                    }
                )
                losses = []
                progress = {"identity": identity, "curve": curve, "seconds": time.monotonic() - started}
                checkpoints.save_latest(step, state, progress)
                bar.set_postfix(loss=f"{total:.3f}", dev=f"{dev:.3f}")
                stopped = _stop_reason(curve, plan)
    bar.close()
    checkpoints.close()
    best = max(curve, key=lambda entry: entry["dev_average"])  # of equal ones the first
    return TrainingResult(
        curve=curve,
        best_step=int(best["step"]),
        best_dev_average=best["dev_average"],
        stopped=stopped,
        seconds=progress["seconds"],
    )


def _stop_reason(curve: list[dict[str, float | int]], plan: TrainingPlan) -> str | None:
    """Why training ends here, or None. Every reader stops by this same rule."""
    if not curve:
        return None
    best = max(range(len(curve)), key=lambda i: (curve[i]["dev_average"], -i))
    if plan.patience is not None and len(curve) - 1 - best >= plan.patience:
        return f"no better dev average in {plan.patience} evaluations"
    return f"all {plan.steps} steps done" if curve[-1]["step"] >= plan.steps else None
