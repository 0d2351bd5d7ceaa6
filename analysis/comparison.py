"""Two results directories, number by number: other machines, other seeds, other versions, other studies.

Of every point that both have: the second's value less the first's. Where both kept per-example scores of the same
questions (equal digests of data and of the ids answered), it is paired by question: the scores of a side are averaged
over its runs of these questions, and questions are drawn with replacement, so the interval is about other questions
and these runs. Else it is a difference of means, with the interval that squares and adds both sides' distances to
their own bounds: R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics
in Medicine 17 (1998), method 10, for bounds of any kind (Zou and Donner, 2008).
Foreign readers stand in rows of their own, `foreign/NAME`, and are compared with nothing but themselves.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.sources import existing_results
from glimmer import experiments
from glimmer.errors import InputError
from glimmer.evaluation.intervals import average_interval, mean_interval, student_interval
from glimmer.experiments import Point
from glimmer.results import StudyResults, example_scores, load_runs
from glimmer.results.foreign import FOREIGN, ForeignRow, foreign_rows, load_foreign
from glimmer.results.points import measured_tasks, task_score

PAIRED, OF_MEANS, NO_INTERVAL = "paired by question", "difference of means", "difference of means, no interval"
ONLY_FIRST, ONLY_SECOND = "in the first only", "in the second only"
MEAN = "mean"
_RESAMPLES = 2000
_Questions = tuple[str, str, int]


def side_of(directory: Path) -> StudyResults:
    """A results/<study> directory as results of the study and the seeds that its run files name.

    Raises InputError where it has no run file to be trusted, or files of several studies.
    """
    runs = load_runs(existing_results(directory))
    names = {str(run.get("study")) for run in runs.by_id.values()}
    if len(names) != 1:
        refused = f"; {runs.refused[0].file}: {runs.refused[0].reason}" if runs.refused else ""
        raise InputError("not the results of a study", where=directory, expected="run files of one study",
                         found=f"{', '.join(sorted(names)) or 'none'}{refused}")  # fmt: skip
    (name,) = names
    if name not in experiments.study_names():
        known = ", ".join(experiments.study_names())
        raise InputError("run files of an unknown study", where=directory, expected=known, found=name)
    seeds = sorted({run["seed"] for run in runs.by_id.values() if isinstance(run.get("seed"), int)})
    study = experiments.load_study(name, {"seeds": seeds})
    foreign = foreign_rows(load_foreign(directory)[0])
    return StudyResults(study=name, artifacts=experiments.artifacts_of(study), runs=runs, foreign=foreign)


def compare(
    first: StudyResults, second: StudyResults, paper: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """A row a point and task that both have, in the unit of its measure; with `paper` (point -> number) its column."""
    theirs = {result.id: result for result in second.points}
    rows = []
    for result in first.points:
        other = theirs.get(result.id)
        if other is None or result.value is None or other.value is None:
            continue
        sides = [(first, result), (second, other)]
        for task in _tasks(sides):
            row = {"point": result.id, "task": task, "unit": result.point.measure.unit} | _numbers(sides, task)
            if paper is not None:
                row["paper"] = paper.get(result.id) if task in (MEAN, None) else None
            rows.append(row)
    return rows


def compare_foreign(first: StudyResults, second: StudyResults) -> list[dict[str, Any]]:
    """As `compare`, of foreign readers: those of one name, as many passages and the same tasks are one reader. One that
    a single side has is a row with its mean there, and no difference."""
    sides = [{(row.name, row.k, row.m, row.tasks): row for row in side.foreign} for side in (first, second)]
    rows = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        pair = [side.get(key) for side in sides]
        if None in pair:
            rows.append(_only_in_one(pair))
            continue
        tasks = [task for task in experiments.TASKS if all(task in m.tasks for row in pair for m in row.members)]
        rows += [_foreign_numbers(pair, task) for task in (MEAN, *tasks)]
    return rows


def _foreign_point(row: ForeignRow, task: str) -> dict[str, Any]:
    return {"point": f"{FOREIGN}/{row.name}", "task": task, "unit": "percent"}


def _only_in_one(pair: Sequence[ForeignRow | None]) -> dict[str, Any]:
    (row,) = filter(None, pair)
    first, second = (each and each.value for each in pair)
    numbers = {"first": first, "second": second, "difference": None, "seeds": _replicates(row), "low": None}
    how = ONLY_SECOND if pair[0] is None else ONLY_FIRST
    return _foreign_point(row, MEAN) | numbers | {"high": None, "how": how, "n": None}


def _replicates(row: ForeignRow) -> str:
    return " ".join(str(member.replicate) for member in row.members if member.replicate is not None)


def _foreign_numbers(pair: Sequence[ForeignRow], task: str) -> dict[str, Any]:
    values = [_foreign_value(row, task) for row in pair]
    seeds = [_replicates(row) for row in pair]
    row = _foreign_point(pair[0], task) | {"first": values[0][0], "second": values[1][0]}
    row |= {"difference": values[1][0] - values[0][0]}
    row["seeds"] = seeds[0] if seeds[0] == seeds[1] else " / ".join(seeds)
    blocks = [_foreign_blocks(each, task) for each in pair]
    if blocks[0].keys() == blocks[1].keys():
        differences = {"/".join(key): blocks[1][key] - blocks[0][key] for key in blocks[0]}
        interval = average_interval(differences, resamples=_RESAMPLES)
        n = sum(map(len, differences.values()))
        return row | {"low": 100 * interval.low, "high": 100 * interval.high, "how": PAIRED, "n": n}
    low, high = square_and_add(values[1], values[0])
    return row | {"low": low, "high": high, "how": OF_MEANS, "n": None}


def _foreign_value(row: ForeignRow, task: str) -> tuple[float, float, float]:
    """(value, low, high), percent."""
    if task == MEAN:
        return row.value, *row.interval
    scored = [member.tasks[task] for member in row.members]
    scores = [100 * each.score for each in scored]
    bounds = student_interval(scores) if len(scores) > 1 else [100 * end for end in scored[0].interval]
    return float(np.mean(scores)), *bounds


def _foreign_blocks(row: ForeignRow, task: str) -> dict[tuple[str, str, str], np.ndarray]:
    """(task, digest of the dev file, digest of the ids answered) -> scores [n]."""
    return {
        (name, scored.gold, scored.questions): np.array(scored.per_example["metric"])
        for member in row.members
        for name, scored in member.tasks.items()
        if name == task or (task == MEAN and name in row.tasks)
    }


def _tasks(sides) -> list[str | None]:
    """The mean, then every task that all runs of both sides have scores of; None for what is of no task."""
    kinds = {result.point.measure.kind for _, result in sides}
    if kinds != {"average"}:
        return [None]
    each = [set(measured_tasks(run, result.point.measure)) for side, result in sides for run in _runs(side, result)]
    common = set.intersection(*each)
    return [MEAN, *(task for task in experiments.TASKS if task in common)]


def _runs(side: StudyResults, result) -> Iterator[Mapping[str, Any]]:
    for seed in result.seeds:
        for term in result.point.terms:
            yield side.runs.by_id[term.run_ids[seed]]


def _numbers(sides, task: str | None) -> dict[str, Any]:
    values = [_value(*side, task) for side in sides]
    row = {"first": values[0][0], "second": values[1][0], "difference": values[1][0] - values[0][0]}
    seeds = [" ".join(map(str, result.seeds)) for _, result in sides]
    row["seeds"] = seeds[0] if seeds[0] == seeds[1] else f"{seeds[0]} / {seeds[1]}"
    blocks = [_blocks(*side, task) for side in sides]
    if None not in blocks and blocks[0].keys() == blocks[1].keys():
        differences = {"/".join(map(str, key)): blocks[1][key] - blocks[0][key] for key in blocks[0]}
        interval = average_interval(differences, resamples=_RESAMPLES)
        n = sum(map(len, differences.values()))
        return row | {"low": 100 * interval.low, "high": 100 * interval.high, "how": PAIRED, "n": n}
    if any(low is None for _, low, _ in values):
        return row | {"low": None, "high": None, "how": NO_INTERVAL, "n": None}
    low, high = square_and_add(values[1], values[0])
    return row | {"low": low, "high": high, "how": OF_MEANS, "n": None}


def square_and_add(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """The interval of `one` less `other`, each (estimate, low, high), independent of each other."""
    difference = one[0] - other[0]
    low = difference - math.hypot(one[0] - one[1], other[2] - other[0])
    return low, difference + math.hypot(one[2] - one[0], other[0] - other[1])


def _value(side: StudyResults, result, task: str | None) -> tuple[float, float | None, float | None]:
    """(value, low, high) of a point, or of one task of it."""
    if task in (MEAN, None):
        return result.value, result.low, result.high
    name = result.point.measure.score
    by_seed = [result.point.value(seed, lambda id: 100 * task_score(side.runs.by_id[id], task, name))
               for seed in result.seeds]  # fmt: skip
    value = float(np.mean(by_seed))
    if len(by_seed) > 1 and side.replicated:
        return value, *student_interval(by_seed)
    scores = _blocks(side, result, task)
    if scores is None or len(scores) != 1:
        return value, None, None
    interval = mean_interval(next(iter(scores.values())), resamples=_RESAMPLES)
    return value, 100 * interval.low, 100 * interval.high


def _blocks(side: StudyResults, result, task: str | None) -> dict[_Questions, np.ndarray] | None:
    """(task, which questions, seed's place) -> scores [n] of a point, the mean of its runs on these questions.

    None where a run kept none, or does not say which questions it answered.
    """
    measure = result.point.measure
    if measure.kind == "speed":
        return None
    kept: dict[_Questions, list[np.ndarray]] = defaultdict(list)
    for seed in result.seeds:
        runs = [side.runs.by_id[term.run_ids[seed]] for term in result.point.terms]
        for name in measured_tasks(runs[0], measure) if task in (MEAN, None) else [task]:
            asked = {_questions(run, name) for run in runs}
            scores = [np.array(example_scores(run, name, measure.score)) for run in runs]
            if None in asked or len(asked) != 1 or len({len(each) for each in scores}) != 1 or not len(scores[0]):
                return None
            kept[(name, *asked.pop())].append(_of_terms(result.point, scores))
    if len({len(rows) for rows in kept.values()}) != 1:
        return None  # some questions were answered by more runs than others
    return {key: np.mean(rows, axis=0) for key, rows in kept.items()}


def _of_terms(point: Point, scores: Sequence[np.ndarray]) -> np.ndarray:
    return scores[0] if len(scores) == 1 else scores[0] - scores[1]


def _questions(run: Mapping[str, Any], task: str) -> tuple[str, str] | None:
    """(digest of the task's dev file, digest of the ids answered); None where the run does not say."""
    data = (run.get("digests") or {}).get("data") or {}
    files = [digest for name, digest in sorted(data.items()) if "-dev" in name and _is_of(name, task)]
    ids = ((run.get("dev_slices") or {}).get(task) or {}).get("evaluated", {}).get("sha256")
    return (str(files[0]), str(ids)) if files and ids else None


def _is_of(name: str, task: str) -> bool:
    return name.startswith(f"{task}-") or (task == "zsre" and name.startswith("structured_zeroshot-"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """What the two sides are called: their directories' names, set apart where they are the same."""

    first: str
    second: str

    @classmethod
    def of(cls, first: Path, second: Path) -> Names:
        names = [path.resolve().name for path in (first, second)]
        if names[0] == names[1]:
            names = [f"{path.resolve().parent.name}/{path.resolve().name}" for path in (first, second)]
        return cls(first=names[0], second=names[1] if names[1] != names[0] else f"{names[1]} (second)")
