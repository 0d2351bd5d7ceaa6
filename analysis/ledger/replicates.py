"""A joint bootstrap of all points of a study, so that any effect over points has an interval that respects pairing.

All runs of a study answer the same dev examples. A replicate therefore draws the examples of each task once, for all
runs, and the seeds once, for all runs and tasks: seeds and examples are crossed, as in glimmer.evaluation.intervals
(Owen, "The pigeonhole bootstrap", 2007), which this extends from one difference to all points at once.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from glimmer import experiments

RESAMPLES = 4000
_CHUNK_ELEMENTS = 2_000_000


class NotPaired(Exception):
    """Why an effect has no interval; its text says so for a person."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """Some points together: their values, replicates [resamples], and what they rest on."""

    values: Mapping[str, float]
    replicates: Mapping[str, np.ndarray]
    n: int
    seeds: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointBootstrap:
    """The points of a study (by id) over its run files (by run id). Values are percent, or samples per TFLOP."""

    points: Mapping[str, experiments.Point]
    runs: Mapping[str, Mapping[str, Any]]
    resamples: int = RESAMPLES
    seed: int = 0

    def seeds_of(self, ids: Iterable[str]) -> tuple[int, ...]:
        """The seeds at which every one of these points has its runs and numbers."""
        found = [{seed for seed in self.points[id].terms[0].run_ids if self._value(id, seed) is not None} for id in ids]
        return tuple(sorted(set.intersection(*found))) if found else ()

    def values(self, ids: Iterable[str], seeds: Iterable[int]) -> dict[str, float]:
        """Each point's mean over these seeds."""
        return {id: float(np.mean([self._value(id, seed) for seed in seeds])) for id in ids}

    def sample(self, ids: Iterable[str]) -> Sample:
        """Joint replicates of these points at the seeds they share. Raises NotPaired where that cannot be done."""
        ids = tuple(dict.fromkeys(ids))
        seeds = self.seeds_of(ids)
        if not seeds:
            raise NotPaired("no seed has all of its runs")
        sizes: dict[str, set[int]] = {}
        for id in ids:
            for task, n in (pair for seed in seeds for pair in self._tasks_of(id, seed)):
                sizes.setdefault(task, set()).add(n)
        uneven = sorted(task for task, counts in sizes.items() if len(counts) > 1)
        if uneven:
            raise NotPaired(f"runs answered different numbers of examples of {', '.join(uneven)}")
        # One draw of seeds for everything; the generator starts anew so that equal seeds give equal draws.
        rng = np.random.default_rng([self.seed, 1])
        weights = rng.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=self.resamples) / len(seeds)
        return Sample(
            values=self.values(ids, seeds),
            replicates={id: self._replicates(id, seeds, weights) for id in ids},
            n=sum(min(counts) for counts in sizes.values()),
            seeds=seeds,
        )

    def _value(self, id: str, seed: int) -> float | None:
        point = self.points[id]
        return point.value(seed, lambda run_id: self._measured(run_id, point.measure))

    def _measured(self, run_id: str, measure: experiments.registry.Measure) -> float | None:
        run = self.runs.get(run_id)
        if run is None:
            return None
        if measure.kind == "speed":
            macs = (run.get("operation_counts") or {}).get("figure2")
            return 1e12 / macs if macs else None
        scored = run["average"] if measure.kind == "average" else run["tasks"].get(measure.task)
        return None if scored is None else 100 * scored["score"]

    def _tasks_of(self, id: str, seed: int) -> list[tuple[str, int]]:
        point = self.points[id]
        if point.measure.kind == "speed":
            return []
        runs = [term.run_ids[seed] for term in point.terms]
        return [(task, self.runs[run]["tasks"][task]["n"]) for run in runs for task in self._tasks(run, point)]

    def _tasks(self, run_id: str, point: experiments.Point) -> list[str]:
        return list(self.runs[run_id]["tasks"]) if point.measure.kind == "average" else [point.measure.task]

    def _replicates(self, id: str, seeds: tuple[int, ...], weights: np.ndarray) -> np.ndarray:
        """[resamples]: the weighted mean over seeds of the point's replicates."""
        point, total = self.points[id], np.zeros(self.resamples)
        for column, seed in enumerate(seeds):
            if point.measure.kind == "speed":
                total += weights[:, column] * self._value(id, seed)
                continue
            for term in point.terms:
                run = term.run_ids[seed]
                means = [self._run_replicates(run, task) for task in self._tasks(run, point)]
                total += weights[:, column] * term.weight * 100 * np.mean(means, axis=0)
        return total

    def _run_replicates(self, run_id: str, task: str) -> np.ndarray:
        scores = (self.runs[run_id]["tasks"][task].get("per_example") or {}).get("metric")
        if not scores:
            raise NotPaired(f"run {run_id} kept no scores per example of {task}")
        return self._of_task[task, len(scores)][run_id]

    @functools.cached_property
    def _of_task(self) -> dict[tuple[str, int], dict[str, np.ndarray]]:
        """(task, examples) -> run id -> resampled means [resamples], all runs over the same drawn examples."""
        used = dict.fromkeys(run for point in self.points.values() for run in point.run_ids if run in self.runs)
        groups: dict[tuple[str, int], dict[str, list[float]]] = {}
        for run_id in used:
            for task, found in self.runs[run_id]["tasks"].items():
                scores = (found.get("per_example") or {}).get("metric")
                if scores:
                    groups.setdefault((task, len(scores)), {})[run_id] = scores
        return {key: self._resampled(key, group) for key, group in groups.items()}

    def _resampled(self, key: tuple[str, int], group: Mapping[str, list[float]]) -> dict[str, np.ndarray]:
        task, n = key
        scores = np.asarray(list(group.values()), dtype=float).T  # examples runs
        rng = np.random.default_rng([self.seed, 2, experiments.TASKS.index(task), n])
        chunk, parts = max(1, _CHUNK_ELEMENTS // n), []
        for start in range(0, self.resamples, chunk):
            rows = min(chunk, self.resamples - start)
            picks = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
            counts = np.bincount(picks.ravel(), minlength=rows * n).reshape(rows, n)
            parts.append(counts @ scores / n)
        return dict(zip(group, np.concatenate(parts).T, strict=True))
