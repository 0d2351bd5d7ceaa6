"""Hours of a study on one machine, from runs that it has finished: seconds = fixed + rate x operations, part by part.

Operations are the honest count (glimmer/compute.py). What is fixed is compilation, mostly. A rate holds for the machine
that it was measured on, as busy as it was then, and for models of about that width.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from glimmer.compute import Dimensions, memory_macs, operation_count, training_macs
from glimmer.errors import InputError
from glimmer.experiments.settings import ReaderSettings
from glimmer.experiments.study import workload
from glimmer.files import canonical_json

PARTS = ("train", "memory", "evaluate")
"""The parts of a run, as `wall_seconds` of a result file names them."""

_ROUNDS = 20
_PASSES_OF_DEV = 3  # an evaluation in training answers the questions, and has losses of them and of as many train rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """A run that this machine has done: its settings, steps done, questions answered by task, seconds by part."""

    id: str
    settings: Mapping[str, Any]
    steps: int
    questions: Mapping[str, int]
    seconds: Mapping[str, float]

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Finished:
        """The run of a result file's content."""
        selection = result.get("selection")
        return cls(
            id=result["id"],
            settings=result["settings"],
            steps=selection["last"]["step"] if selection else 0,
            questions={task: scored["n"] for task, scored in result["tasks"].items()},
            seconds={part: float(result["wall_seconds"][part]) for part in PARTS},
        )

    @property
    def macs(self) -> dict[str, float]:
        """Operations of each part."""
        return operations(self.settings, self.questions, self.steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rate:
    """Seconds of a part of a run: `fixed`, and `per_tera` for 1e12 multiply-accumulates."""

    fixed: float
    per_tera: float

    def seconds(self, macs: float) -> float:
        """Of so many operations; a part that has none is not done, and takes no time."""
        return self.fixed + self.per_tera * macs / 1e12 if macs else 0.0


Rates = Mapping[str, Rate]
"""By part; a part that no finished run has done is missing."""


def operations(settings: Mapping[str, Any], questions: Mapping[str, int], steps: int | None = None) -> dict[str, float]:
    """Multiply-accumulates of each part of a run with these settings, dev evaluations while training included.

    `questions` are those answered of each task, `steps` those done where they are not all. Memory is counted as if each
    question had passages of its own: at most that, since the store holds a passage once.
    """
    dimensions, reader = Dimensions(**settings["model"]), ReaderSettings.from_json(settings["reader"])
    work, training = workload(reader, settings["lengths"]), settings["training"]
    answer, memory = operation_count(dimensions, work, "exact"), memory_macs(dimensions, work)
    steps = training["steps"] if steps is None else steps
    step = training["batch_size"] * training_macs(
        dimensions,
        work,
        frozen_memory=reader.memory == "frozen",
        distils=reader.distils,
        rematerialises=training["rematerialise"],
    )
    evaluations = -(-steps // training["evaluate_every"])
    on_dev = training["dev_examples"] * len(reader.train_tasks) * _PASSES_OF_DEV * (answer + memory)
    asked = sum(questions.values())
    return {
        "train": float(steps * step + evaluations * on_dev) if reader.is_trained_by_its_run else 0.0,
        "memory": float(asked * memory),
        "evaluate": float(asked * answer),
    }


def rates(finished: Iterable[Finished]) -> dict[str, Rate]:
    """The rate of each part over all runs that have done it."""
    measured: dict[str, list[tuple[float, float]]] = {part: [] for part in PARTS}
    for run in finished:
        for part, macs in run.macs.items():
            if macs:
                measured[part].append((macs / 1e12, run.seconds[part]))
    return {part: fitted(pairs) for part, pairs in measured.items() if pairs}


def fitted(pairs: Sequence[tuple[float, float]]) -> Rate:
    """The line through (1e12 operations, seconds) whose errors are least as shares of what it predicts.

    Neither number is negative: where the line would cross zero, or all runs are of one size, it starts at the origin;
    where it would fall, it is level.
    """
    share = [(1.0, seconds / size) for size, seconds in pairs]
    origin = Rate(fixed=0.0, per_tera=_mean(share))
    if len({size for size, _ in pairs}) == 1:
        return origin
    line = origin
    for _ in range(_ROUNDS):  # weights are of the last round's prediction
        weights = [line.seconds(size * 1e12) ** -2 for size, _ in pairs]
        middle = _mean(zip(weights, (size for size, _ in pairs), strict=True))
        level = _mean(zip(weights, (seconds for _, seconds in pairs), strict=True))
        spread = sum(w * (size - middle) ** 2 for w, (size, _) in zip(weights, pairs, strict=True))
        together = sum(w * (size - middle) * (s - level) for w, (size, s) in zip(weights, pairs, strict=True))
        slope = together / spread
        if slope <= 0:
            return Rate(fixed=_mean((1.0, seconds) for _, seconds in pairs), per_tera=0.0)
        if level < slope * middle:
            return origin
        line = Rate(fixed=level - slope * middle, per_tera=slope)
    return line


def _mean(weighted: Iterable[tuple[float, float]]) -> float:
    weighted = list(weighted)
    return sum(weight * value for weight, value in weighted) / sum(weight for weight, _ in weighted)


def predicted(measured: Rates, macs: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each part. Raises InputError for a part that is to be done and was never measured."""
    missing = sorted(part for part, count in macs.items() if count and part not in measured)
    if missing:
        raise InputError(
            "nothing to predict from",
            expected="finished runs that did it",
            found=f"none with seconds of `{missing[0]}`",
        )
    return {part: measured[part].seconds(count) if count else 0.0 for part, count in macs.items()}


def questions(settings: Mapping[str, Any], finished: Iterable[Finished], most: Mapping[str, int]) -> dict[str, int]:
    """Questions that a run with these settings answers of each task.

    As many as a finished run did of the same data, whatever its seed, at the same settings of evaluation; else `most`.
    """
    same = [run for run in finished if _dev(run.settings) == _dev(settings)]
    counts = {task: max(run.questions.get(task, 0) for run in same) for task in most} if same else {}
    return {task: counts.get(task) or most[task] for task in settings["reader"]["train_tasks"]}


def _dev(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    data = {key: value for key, value in settings["data"].items() if key != "seed"}
    return data, settings["evaluation"], settings["training"]["dev_examples"]


def side_by_side(seconds: Iterable[float], jobs: int) -> float:
    """Seconds until all runs are done, `jobs` at a time, each started in this order as soon as one ends."""
    free = [0.0] * jobs
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


LeftOut = Literal["reader", "seed"]


def check(
    runs: Iterable[Finished], measured_on: Sequence[Finished], left_out: LeftOut, most: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Prediction against outcome, a row a run: each predicted without runs of readers like its own, or of its seed.

    `most` is that of `questions`. Seconds; errors in percent of the outcome, above it positive.
    """
    runs = list(runs)
    others = {
        group: [run for run in measured_on if _group(run, left_out) != group]
        for group in {_group(run, left_out) for run in runs}
    }
    measured = {group: rates(finished) for group, finished in others.items()}
    rows = []
    for run in runs:
        group = _group(run, left_out)
        macs = operations(run.settings, questions(run.settings, others[group], most))
        foreseen, outcome = sum(predicted(measured[group], macs).values()), sum(run.seconds.values())
        reader = run.settings["reader"]
        rows.append(
            {
                "id": run.id,
                "seed": run.settings["seed"],
                "reader": reader["name"],
                "passages": reader["k"],
                "kept": reader["m"],
                "predicted_seconds": foreseen,
                "seconds": outcome,
                "error_percent": error_percent(foreseen, outcome),
            }
        )
    return rows


def error_percent(foreseen: float, outcome: float) -> float:
    """How far a prediction is above what came, in percent of it."""
    return 100 * (foreseen / outcome - 1)


def _group(run: Finished, left_out: LeftOut) -> str | int:
    return run.settings["seed"] if left_out == "seed" else shape(run.settings)


def shape(settings: Mapping[str, Any]) -> str:
    """What runs with equal costs have in common: the model's sizes, and what the reader computes."""
    reader = {key: value for key, value in settings["reader"].items() if key in _SHAPE}
    return canonical_json([settings["model"], reader])


_SHAPE = ("name", "alpha", "beta", "k", "m", "reranker")
"""Readers alike in these cost alike, whether they are trained, and on what."""
