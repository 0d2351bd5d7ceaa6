"""One run's training: steps, dev evaluations, the checkpoint that is kept, early stopping, exact resume."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from tqdm import tqdm

from glimmer.errors import CheckFailed
from glimmer.models.batch import Batch
from glimmer.models.mesh import place_batch, place_parameters
from glimmer.training.ahead import made_ahead
from glimmer.training.checkpoints import RunCheckpoints, Which
from glimmer.training.losses import DistillationWeights, Losses
from glimmer.training.state import SplitReader, compile_step, initial_state


class NotFinite(CheckFailed):
    """Training stopped at a number that is none: the first `step` of it, `what` it was, the ids of that step's `batch`,
    and the `last_saved` step, None without one."""

    def __init__(self, name: str, directory: Path, *, step: int, what: str, batch: list[str], last_saved: int | None):
        self.step, self.what, self.batch, self.last_saved = step, what, batch, last_saved
        saved = f"step {last_saved} is the last one saved, in {directory}"
        left = "no checkpoint was saved before" if last_saved is None else saved
        ids = f"; its batch: {', '.join(batch)}" if batch else ""
        super().__init__(f"training {name} went wrong at step {step}: {what}{ids}; {left}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """`evaluate_every` steps between dev evaluations; training stops after `patience` of them without a new best.

    `keep` names the parameters to evaluate: of the best dev average, or of the last step. Both are left in any case.
    A batch goes through a step in `microbatches` equal parts.
    """

    steps: int
    evaluate_every: int
    patience: int | None = None
    keep: Which = "best"
    seed: int = 0
    microbatches: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """Of the best and the last evaluation "step" and "dev_average"; `keep` names the one to evaluate."""

    keep: Which
    best: dict[str, float | int]
    last: dict[str, float | int]

    @property
    def kept(self) -> dict[str, float | int]:
        """The one to evaluate."""
        return self.best if self.keep == "best" else self.last

    @property
    def kept_in(self) -> Which:
        """The checkpoint that holds it: where the last step is the best, there is only that one."""
        return "best" if self.best["step"] == self.last["step"] else self.keep

    @property
    def other(self) -> Which | None:
        """The checkpoint that is not kept; None where the last step is the best."""
        if self.best["step"] == self.last["step"]:
            return None
        return "last" if self.keep == "best" else "best"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What happened: the curve (one entry an evaluation), its best and its last entry, why it stopped, seconds."""

    curve: list[dict[str, float | int]]
    selection: Selection
    stopped: str
    seconds: float


def train(
    reader: SplitReader,
    optimizer: optax.GradientTransformation,
    make_batch: Callable[[int], Batch],
    on_dev: Callable[[SplitReader], dict[str, float]],
    plan: TrainingPlan,
    directory: Path,
    mesh: Mesh,
    identity: dict[str, Any],
    rows: Callable[[int], list[str]] = lambda step: [],
) -> TrainingResult:
    """Trains `reader`; resumes from the latest checkpoint of `identity`. Leaves best and last under `directory`.

    `make_batch(step)` must depend on the step alone; `on_dev` gives what the curve says of the reader as it then is on
    dev: "dev_average", by which the best step is chosen, and whatever else is to stand beside it.
    The trained arrays of `reader` are given up to the first step.
    The result is the same, bit for bit on one device, however often training was interrupted.
    Raises NotFinite where a loss or a parameter is no finite number, before anything of it is evaluated or saved: it
    names the step, `rows(step - 1)`, which are the ids of that batch's examples, and the checkpoint before.
    """
    settings, reader = reader.merge().settings, place_parameters(reader, mesh)
    state = place_parameters(initial_state(reader.trained, optimizer, mesh), mesh)
    step_function = compile_step(reader.definition, optimizer, mesh, plan.microbatches)
    weights = DistillationWeights(lambda_=jnp.float32(settings.lambda_), tau=jnp.float32(settings.tau))
    run_key = jax.random.key(plan.seed)
    checkpoints = RunCheckpoints(directory)
    progress: dict[str, Any] = {"identity": identity, "curve": [], "seconds": 0.0}
    resumed = checkpoints.restore_latest(state, identity)
    if resumed is None:
        checkpoints.forget()
    else:
        state, progress = resumed
        best = Curve(progress["curve"], plan).best["step"]
        if checkpoints.best_step != best:  # stopped between the two: the latest is the best
            checkpoints.save_best(best, state.parameters)
    curve = Curve(progress["curve"], plan)
    started, start = time.monotonic() - progress["seconds"], int(state.step)
    batches = made_ahead(make_batch(step) for step in itertools.count(start))
    with tqdm(total=plan.steps, initial=start, desc=f"training {settings.name}", disable=None) as bar:
        while curve.stopped is None:
            batch = place_batch(next(batches), mesh, plan.microbatches)
            state, losses = step_function(state, reader.fixed, batch, weights, run_key)
            curve.add(losses)
            bar.update()
            if not curve.is_due:
                continue
            if (fault := curve.not_finite or _not_finite(curve.step, state.parameters)) is not None:
                saved = curve.entries[-1]["step"] if curve.entries else None
                ids = rows(fault.step - 1)
                raise NotFinite(settings.name, directory, step=fault.step, what=fault.what, batch=ids, last_saved=saved)
            is_best = curve.evaluated(on_dev(dataclasses.replace(reader, trained=state.parameters)))
            progress |= {"curve": curve.entries, "seconds": time.monotonic() - started}
            checkpoints.save_latest(curve.step, state, progress)
            if is_best:  # after the latest, which says so: a stop in between can then be mended
                checkpoints.save_best(curve.step, state.parameters)
            _report(bar, curve.entries[-1], plan, progress["seconds"])
    batches.close()
    selection = curve.selection
    if selection.best["step"] != selection.last["step"]:
        checkpoints.save_last(curve.step, state.parameters)
    checkpoints.close()
    return TrainingResult(
        curve=curve.entries,
        selection=selection,
        stopped=curve.stopped,
        seconds=progress["seconds"],
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Fault:
    """The first step that left no finite number, and where."""

    step: int
    what: str


@jax.jit
def _all_finite(parameters: Any) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(array)) for array in jax.tree.leaves(parameters)]))


def _not_finite(step: int, parameters: Any) -> _Fault | None:
    return None if bool(_all_finite(parameters)) else _Fault(step=step, what="the parameters are not all finite")


def _report(bar: tqdm, entry: dict[str, float | int], plan: TrainingPlan, seconds: float) -> None:
    """An evaluation in the bar; where there is no terminal, as a line of the log."""
    shown = {"loss": f"{entry['loss']:.3f}", "dev": f"{entry['dev_average']:.3f}"}
    bar.set_postfix(shown)
    if bar.disable:
        left = seconds / entry["step"] * (plan.steps - entry["step"])
        words = ", ".join(f"{name} {value}" for name, value in shown.items())
        print(f"step {entry['step']} of {plan.steps}: {words}; {seconds:.0f} s, some {left:.0f} s left", flush=True)


_IN_CURVE = {
    "loss": "total",
    "lm_loss": "language_model",
    "distill_loss": "distillation",
    "distill_uniform": "distill_uniform",
    "ranking_entropy": "ranking_entropy",
}
"""Key of a curve's entry -> field of `Losses` of which it is the mean."""


class Curve:
    """The learning curve of a run: one entry an evaluation, with the mean losses of the steps since the last one."""

    def __init__(self, entries: list[dict[str, float | int]], plan: TrainingPlan):
        self.entries, self.plan = entries, plan
        self.step = int(entries[-1]["step"]) if entries else 0
        self._losses: list[Losses] = []

    def add(self, losses: Losses) -> None:
        """One more step was done."""
        self.step += 1
        self._losses.append(losses)

    @property
    def not_finite(self) -> _Fault | None:
        """The first step since the last evaluation whose loss is no finite number."""
        first = self.step - len(self._losses) + 1
        for step, losses in enumerate(self._losses, start=first):
            if not np.isfinite(loss := float(losses.total)):
                return _Fault(step=step, what=f"the loss is {loss}")
        return None

    @property
    def is_due(self) -> bool:
        """Whether the reader is evaluated after this step."""
        return self.step % self.plan.evaluate_every == 0 or self.step == self.plan.steps

    def evaluated(self, on_dev: dict[str, float]) -> bool:
        """Adds an entry; True if it is the best so far. What no step has (`distill_uniform`) has no key."""
        entry: dict[str, float | int] = {"step": self.step}
        for key, field in _IN_CURVE.items():
            values = [getattr(losses, field) for losses in self._losses]
            if values[0] is not None:
                entry[key] = float(np.mean(np.asarray(values, np.float64)))
        self.entries.append(entry | on_dev)
        self._losses = []
        return self.best is self.entries[-1]

    @property
    def selection(self) -> Selection:
        """The best and the last entry so far."""
        best, last = ({key: entry[key] for key in ("step", "dev_average")} for entry in (self.best, self.entries[-1]))
        return Selection(keep=self.plan.keep, best=best, last=last)

    @property
    def best(self) -> dict[str, float | int]:
        """The entry of the highest dev average, of equal ones the first."""
        return max(self.entries, key=lambda entry: entry["dev_average"])

    @property
    def stopped(self) -> str | None:
        """Why training ends here, or None. Every reader stops by this same rule."""
        if not self.entries:
            return None
        since_best = len(self.entries) - 1 - self.entries.index(self.best)
        if self.plan.patience is not None and since_best >= self.plan.patience:
            return f"no better dev average in {self.plan.patience} evaluations"
        return f"all {self.plan.steps} steps done" if self.step >= self.plan.steps else None
