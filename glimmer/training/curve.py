"""The learning curve of a run, and the one rule by which it ends and by which its parameters are chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from glimmer.training.checkpoints import Which
from glimmer.training.losses import Losses


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """`evaluate_every` steps between dev evaluations; training stops after `patience` of them without a new best.

    `keep` names the parameters to evaluate: of the best dev average, or of the last step. Both are left in any case.
    A batch goes through a step in `microbatches` equal parts. `checkpoint_seconds` after the last one, there is another
    checkpoint to resume from, which changes no number; None: at dev evaluations only.
    """

    steps: int
    evaluate_every: int
    patience: int | None = None
    keep: Which = "best"
    seed: int = 0
    microbatches: int = 1
    checkpoint_seconds: float | None = None


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
class Fault:
    """The first step that left no finite number, and where."""

    step: int
    what: str


_IN_CURVE = {
    "loss": "total",
    "lm_loss": "language_model",
    "distill_loss": "distillation",
    "distill_uniform": "distill_uniform",
    "ranking_entropy": "ranking_entropy",
}
"""Key of a curve's entry -> field of `Losses` of which it is the mean."""


_ON_THEIR_WAY = 3
"""Steps of which no number is asked for yet; the loop waits for the second before the last itself."""


class Curve:
    """The learning curve of a run: one entry an evaluation, with the mean losses of the steps since the last one."""

    def __init__(self, progress: Mapping[str, Any], plan: TrainingPlan):
        self.entries, self.plan = progress["curve"], plan
        since = progress.get("since") or {}  # checkpoints of before have none
        steps = zip(*since.values(), strict=True)
        self._losses = [Losses(**dict(zip(since, values, strict=True))) for values in steps]

    @property
    def progress(self) -> dict[str, Any]:
        """All that it takes to go on with the curve after this step, for a checkpoint: JSON keeps every digit."""
        losses = [vars(each) for each in jax.device_get(self._losses)]
        numbers = {
            field.name: [None if each[field.name] is None else float(each[field.name]) for each in losses]
            for field in dataclasses.fields(Losses)
        }
        return {"curve": self.entries, "since": numbers if losses else {}}

    @property
    def step(self) -> int:
        """Steps done."""
        return self._evaluated + len(self._losses)

    @property
    def _evaluated(self) -> int:
        return int(self.entries[-1]["step"]) if self.entries else 0

    def add(self, losses: Losses) -> None:
        """One more step was done. What is left on the device is that of steps which may be on their way."""
        self._losses.append(losses)
        if len(self._losses) > _ON_THEIR_WAY:
            before = self._losses[-1 - _ON_THEIR_WAY]
            numbers = {name: None if value is None else float(value) for name, value in vars(before).items()}
            self._losses[-1 - _ON_THEIR_WAY] = Losses(**numbers)

    @property
    def not_finite(self) -> Fault | None:
        """The first step since the last evaluation whose loss is no finite number."""
        first = self.step - len(self._losses) + 1
        for step, losses in enumerate(self._losses, start=first):
            if not np.isfinite(loss := float(losses.total)):
                return Fault(step=step, what=f"the loss is {loss}")
        return None

    @property
    def is_due(self) -> bool:
        """Whether the reader is evaluated before the next step."""
        return bool(self._losses) and (self.step % self.plan.evaluate_every == 0 or self.step == self.plan.steps)

    def evaluated(self, on_dev: Mapping[str, Any]) -> bool:
        """Adds an entry; True if it is the best so far. What no step has (`distill_uniform`) has no key."""
        entry: dict[str, Any] = {"step": self.step}
        for key, field in _IN_CURVE.items():
            values = [getattr(losses, field) for losses in self._losses]
            if values[0] is not None:
                entry[key] = float(np.mean(np.asarray(values, np.float64)))
        self.entries.append(entry | dict(on_dev))
        self._losses = []
        return self.best is self.entries[-1]

    @property
    def selection(self) -> Selection:
        """The best and the last entry so far."""
        best, last = ({key: entry[key] for key in ("step", "dev_average")} for entry in (self.best, self.entries[-1]))
        return Selection(keep=self.plan.keep, best=best, last=last)

    @property
    def best(self) -> dict[str, Any]:
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
