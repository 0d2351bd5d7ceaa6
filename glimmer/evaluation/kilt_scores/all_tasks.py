"""Scores of a directory of guess files against a directory of gold files: each task's own metric, and means over tasks.

A file is found under KILT's name of it (`glimmer.kilt.formats.task_file`), or as `<task>.jsonl`, which is what an
evaluation here leaves. A task that one side lacks has no score, and is never left out of a mean in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glimmer.errors import InputError
from glimmer.evaluation.intervals import Interval, average_interval, mean_interval
from glimmer.evaluation.kilt_scores.example import ExampleScores
from glimmer.evaluation.kilt_scores.guess_files import Scores, score_files
from glimmer.kilt.formats import HEADLINE, TASKS, read_objects, task_file

SHOWN = ("score", "kilt", "rprec")
"""What a task is scored by: its own metric, the same where the whole evidence ranks first, and R-precision."""


@dataclass(frozen=True, kw_only=True)
class TaskScores:
    """One task: `values` has per-example scores [n] under names of SHOWN; without any provenance `score` alone.

    `absent` says what is missing, where there are no values.
    """

    task: str
    absent: str = ""
    whole: Scores | None = None
    values: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """The task's own metric."""
        return HEADLINE[self.task]


@dataclass(frozen=True, kw_only=True)
class AllScores:
    """Every task that was asked for, in the order of TASKS."""

    tasks: tuple[TaskScores, ...]

    @property
    def absent(self) -> dict[str, str]:
        """Task -> what is missing of it."""
        return {task.task: task.absent for task in self.tasks if task.absent}

    def mean(self, name: str, resamples: int) -> Interval | None:
        """Of one of SHOWN, the plain mean over all tasks, with its bootstrap interval; None where any lacks it."""
        if not all(name in task.values for task in self.tasks):
            return None
        return average_interval({task.task: task.values[name] for task in self.tasks}, resamples=resamples)


def task_file_or_plain(directory: str | Path, task: str, split: str) -> Path:
    """A task's file in a directory, under KILT's name or as `<task>.jsonl`. Raises InputError where there is none."""
    for ending in ("", ".gz"):
        plain = Path(directory) / f"{task}.jsonl{ending}"
        if task in TASKS and plain.is_file():
            return plain
    return task_file(directory, task, split)


def score_directories(
    gold: str | Path,
    guess: str | Path,
    split: str = "dev",
    tasks: Sequence[str] = TASKS,
    each: Callable[[str], Callable[[ExampleScores], None]] | None = None,
) -> AllScores:
    """Scores the guess files of a directory by KILT's downstream program, task by task.

    `each`, told a task, gives what is called with its every example. Raises InputError as `score_files` does, for an
    unknown task or split, and where no task is in both directories.
    """
    for task in tasks:
        if task not in TASKS:
            raise InputError("unknown task", expected=", ".join(TASKS), found=task)
    scored = [_one_task(Path(gold), Path(guess), task, split, each) for task in TASKS if task in tasks]
    if not any(task.values for task in scored):
        found = "; ".join(f"{task.task}: {task.absent}" for task in scored)
        raise InputError("no task is in both directories", where=guess, expected=f"{split} files of {gold}",
                         found=found)  # fmt: skip
    return AllScores(tasks=tuple(scored))


def _one_task(gold: Path, guess: Path, task: str, split: str, each) -> TaskScores:
    files, lacking = {}, []
    for what, directory in (("gold", gold), ("guess", guess)):
        if not directory.is_dir():
            raise InputError(f"no {what} directory", where=directory, expected="a directory of task files")
        try:
            files[what] = task_file_or_plain(directory, task, split)
        except InputError as error:
            if "is missing" not in error.what:
                raise
            lacking.append(what)
    if lacking:
        return TaskScores(task=task, absent=f"no {' and no '.join(lacking)} file")
    whole = score_files(files["gold"], files["guess"], programs=["downstream"], each=each(task) if each else None)
    if not whole.n:
        raise InputError("no example to score", where=files["gold"])
    values = {"score": whole.per_example[HEADLINE[task]]}
    if has_provenance(files["guess"]):
        rprec = whole.per_example["Rprec"]
        values |= {"kilt": np.where(rprec == 1, values["score"], 0.0), "rprec": rprec}
    return TaskScores(task=task, whole=whole, values=values)


def has_provenance(guess: str | Path) -> bool:
    """Whether any line of a guess file that was scored names a page."""
    return any(output.get("provenance") for _, row in read_objects(guess) for output in row["output"])


def percent_rows(scores: AllScores, resamples: int) -> list[dict[str, Any]]:
    """A row a task and one of the mean: of each of SHOWN `_percent`, `_low` and `_high`, its 95 % interval.

    A score that is missing is None, and `missing` says why.
    """
    rows = []
    for task in scores.tasks:
        n = len(task.values.get("score", ()))
        row: dict[str, Any] = {"task": task.task, "metric": task.metric, "n": n}
        intervals = {name: mean_interval(values, resamples=resamples) for name, values in task.values.items()}
        rows.append(row | _cells(intervals) | {"missing": task.absent or None})
    missing = "; ".join(f"{task}: {what}" for task, what in scores.absent.items()) or None
    means = {name: scores.mean(name, resamples) for name in SHOWN}
    total = sum(row["n"] for row in rows)
    head = {"task": f"mean of {len(scores.tasks)}", "metric": None, "n": total}
    return [*rows, head | _cells(means) | {"missing": missing}]


def _cells(intervals: dict[str, Interval | None]) -> dict[str, float | None]:
    cells: dict[str, float | None] = {}
    for name in SHOWN:
        known = intervals.get(name)
        ends = {"_percent": "mean", "_low": "low", "_high": "high"}
        cells |= {f"{name}{end}": None if known is None else 100 * getattr(known, key) for end, key in ends.items()}
    return cells
