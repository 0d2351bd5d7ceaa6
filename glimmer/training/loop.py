"""One run's training: steps, dev evaluations, the checkpoint that is kept, early stopping, exact resume."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from tqdm import tqdm

from glimmer import preemption, processes
from glimmer.errors import CheckFailed
from glimmer.models.batch import Batch
from glimmer.models.mesh import place_own_rows, place_parameters
from glimmer.preemption import Preempted
from glimmer.training.ahead import made_ahead
from glimmer.training.checkpoints import RunCheckpoints
from glimmer.training.curve import Curve, Fault, Selection, TrainingPlan
from glimmer.training.losses import DistillationWeights
from glimmer.training.state import SplitReader, compile_step, initial_state
from glimmer.training.telemetry import AHEAD, Telemetry, in_words


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
class TrainingResult:
    """What happened: the curve (one entry an evaluation), its best and its last entry, why it stopped, seconds, and
    where they went (`Telemetry.summary`)."""

    curve: list[dict[str, float | int]]
    selection: Selection
    stopped: str
    seconds: float
    telemetry: dict[str, Any]


def train(
    reader: SplitReader,
    optimizer: optax.GradientTransformation,
    make_batch: Callable[[int], Batch],
    on_dev: Callable[[SplitReader], dict[str, Any]],
    plan: TrainingPlan,
    directory: Path,
    mesh: Mesh,
    identity: dict[str, Any],
    rows: Callable[[int], list[str]] = lambda step: [],
    telemetry: Telemetry | None = None,
) -> TrainingResult:
    """Trains `reader`; resumes from the latest checkpoint of `identity`. Leaves best and last under `directory`.

    `make_batch(step)` gives the rows of a batch that are this process's (`own_rows`: all, where it is alone), and must
    depend on the step alone; `on_dev` gives what the curve says of the reader as it then is on dev: "dev_average", by
    which the best step is chosen, and whatever else is to stand beside it.
    The trained arrays of `reader` are given up to the first step.
    The result is the same, bit for bit on one device, however often training was interrupted.
    Raises NotFinite where a loss or a parameter is no finite number, before anything of it is evaluated or saved: it
    names the step, `rows(step - 1)`, which are the ids of that batch's examples, and the checkpoint before.
    Raises Preempted where the process was asked to stop, having saved all steps that were done. Of several processes
    that train together all stop at the same step, where any of them was asked to; process 0 alone prints.
    """
    with contextlib.closing(
        _Session(reader, optimizer, make_batch, on_dev, plan, directory, mesh, identity, rows, telemetry or Telemetry())
    ) as session:
        while session.curve.stopped is None:
            try:
                session.check()
                if not session.curve.is_due:  # it is where an evaluation was cut short
                    session.step()
                if session.save_is_due:
                    session.save()
                if session.curve.is_due:
                    session.evaluate()
            except Preempted:
                session.save()
                raise
        return session.result()


class _Session:
    """What the loop of one process works on: state, curve, checkpoints, batches, the clock."""

    def __init__(
        self,
        reader: SplitReader,
        optimizer: optax.GradientTransformation,
        make_batch: Callable[[int], Batch],
        on_dev: Callable[[SplitReader], dict[str, Any]],
        plan: TrainingPlan,
        directory: Path,
        mesh: Mesh,
        identity: dict[str, Any],
        rows: Callable[[int], list[str]],
        telemetry: Telemetry,
    ):
        self._settings, self._reader = reader.merge().settings, place_parameters(reader, mesh)
        self._plan, self._mesh, self._directory, self._identity = plan, mesh, directory, identity
        self._on_dev, self._rows, self._telemetry = on_dev, rows, telemetry
        self._step_function = compile_step(reader.definition, optimizer, mesh, plan.microbatches)
        lambda_, tau = jnp.float32(self._settings.lambda_), jnp.float32(self._settings.tau)
        self._weights = DistillationWeights(lambda_=lambda_, tau=tau)
        self._run_key = jax.random.key(plan.seed)
        self._checkpoints = RunCheckpoints(directory)
        self._state = place_parameters(initial_state(self._reader.trained, optimizer, mesh), mesh)
        progress = self._resume()
        self.curve = Curve(progress, plan)
        start, self._seconds = self.curve.step, progress["seconds"]
        self._seconds_saved = self._seconds
        self._started = self._saved_at = time.monotonic()
        telemetry.begin(start, progress.get("telemetry"), self._seconds)
        self._batches = made_ahead(make_batch(step) for step in itertools.count(start))
        self._wishes = processes.Wishes("stop", "save", behind=AHEAD)
        self._heard: dict[str, bool] = {}
        self._bar = tqdm(
            total=plan.steps,
            initial=start,
            desc=f"training {self._settings.name}",
            disable=None if processes.is_first() else True,
        )

    def _resume(self) -> dict[str, Any]:
        """The progress that was saved with the state, which it takes; or none."""
        resumed = self._checkpoints.restore_latest(self._state, self._identity)
        if resumed is None:
            self._checkpoints.forget()
            return {"curve": [], "seconds": 0.0}
        self._state, progress = resumed
        if progress["curve"] and self._checkpoints.best_step != (best := Curve(progress, self._plan).best["step"]):
            self._checkpoints.save_best(best, self._state.parameters)  # stopped between the two: the latest is the best
        return progress

    def check(self) -> None:
        """Raises Preempted if this process was asked to stop, or any of those that it trains with."""
        self._heard = self._wishes.heard(stop=preemption.asked(), save=processes.is_first() and self._checkpoint_is_old)
        if self._heard["stop"]:
            raise Preempted

    def step(self) -> None:
        """Sends off one more step."""
        with self._telemetry.waiting("input"):
            batch = place_own_rows(next(self._batches), self._mesh, self._plan.microbatches)
        with self._telemetry.sending():
            self._state, losses = self._step_function(
                self._state, self._reader.fixed, batch, self._weights, self._run_key
            )
        self.curve.add(losses)
        self._telemetry.sent(self.curve.step, batch, losses)
        self._bar.update()

    @property
    def save_is_due(self) -> bool:
        """Whether the last checkpoint is as old as the plan lets it become, by the clock of process 0."""
        return self._heard["save"] if self._mesh.is_multi_process else self._checkpoint_is_old

    @property
    def _checkpoint_is_old(self) -> bool:
        seconds = self._plan.checkpoint_seconds
        return seconds is not None and time.monotonic() - self._saved_at >= seconds

    def save(self) -> None:
        """Saves all steps that were done; the writing goes on in the background."""
        if self._checkpoints.saved_step != self.curve.step > 0:
            self._require_finite()
            with self._telemetry.waiting("checkpoints"):
                self._checkpoints.save_between(self.curve.step, self._state, self._progress())
        self._saved_at = time.monotonic()
        self._wishes.forget()

    def evaluate(self) -> None:
        """Adds an entry to the curve, and saves what it is of."""
        self._require_finite()
        with self._telemetry.waiting("evaluation"):
            on_dev = self._on_dev(dataclasses.replace(self._reader, trained=self._state.parameters))
        is_best = self.curve.evaluated(processes.of_the_first(on_dev))
        with self._telemetry.waiting("checkpoints"):
            progress = self._progress()
            self._checkpoints.save_latest(self.curve.step, self._state, progress)
            if is_best:  # after the latest, which says so: a stop in between can then be mended
                self._checkpoints.save_best(self.curve.step, self._state.parameters)
        self._saved_at, self._seconds_saved = time.monotonic(), progress["seconds"]
        self._wishes.forget()
        self._telemetry.evaluated(self.curve.entries[-1])
        if processes.is_first():
            _report(self._bar, self.curve.entries[-1], self._plan, progress["seconds"], self._telemetry)

    def _progress(self) -> dict[str, Any]:
        seconds = self._seconds + time.monotonic() - self._started
        kept = {"identity": self._identity, "seconds": seconds, "telemetry": self._telemetry.kept()}
        return kept | self.curve.progress

    def _require_finite(self) -> None:
        fault = self.curve.not_finite
        if fault is None and not bool(_all_finite(self._state.parameters)):
            fault = Fault(step=self.curve.step, what="the parameters are not all finite")
        if fault is not None:
            raise NotFinite(
                self._settings.name,
                self._directory,
                step=fault.step,
                what=fault.what,
                batch=self._rows(fault.step - 1),
                last_saved=self._checkpoints.saved_step,
            )

    def result(self) -> TrainingResult:
        """Of a training that has stopped; leaves the last parameters where they are not the best."""
        selection = self.curve.selection
        if selection.other is not None:
            self._checkpoints.save_last(self.curve.step, self._state.parameters)
        return TrainingResult(
            curve=self.curve.entries,
            selection=selection,
            stopped=self.curve.stopped,
            seconds=self._seconds_saved,
            telemetry=self._telemetry.summary(),
        )

    def close(self) -> None:
        """Waits for what is being written."""
        self._batches.close()
        self._bar.close()
        self._telemetry.close()
        self._checkpoints.close()


@jax.jit
def _all_finite(parameters: Any) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(array)) for array in jax.tree.leaves(parameters)]))


def _report(bar: tqdm, entry: dict[str, float | int], plan: TrainingPlan, seconds: float, telemetry: Telemetry) -> None:
    """An evaluation in the bar; where there is no terminal, as a line of the log."""
    shown = {"loss": f"{entry['loss']:.3f}", "dev": f"{entry['dev_average']:.3f}"}
    bar.set_postfix(shown)
    if bar.disable:
        left = seconds / entry["step"] * (plan.steps - entry["step"])
        words = ", ".join(f"{name} {value}" for name, value in shown.items())
        print(f"step {entry['step']} of {plan.steps}: {words}; {seconds:.0f} s, some {left:.0f} s left", flush=True)
        print(f"  {in_words(telemetry.summary())}", flush=True)
