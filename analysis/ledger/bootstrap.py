"""A joint bootstrap of all points of a study, so that any effect over points has an interval that respects pairing.

All runs of a study answer the same dev examples. A replicate therefore draws the examples of each task once, for all
runs, and the seeds once, for all runs and tasks: the crossed bootstrap of glimmer.evaluation.intervals, of all points
at once instead of one difference.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping

import numpy as np

from glimmer.evaluation.intervals import Interval, quantiles, resampled_means, resampled_seeds
from glimmer.experiments import TASKS, Point
from glimmer.results import StudyResults, example_scores

RESAMPLES = 4000


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
    """Replicates of the points of a study, named by their ids. Values are percent, or samples per TFLOP."""

    results: StudyResults
    resamples: int = RESAMPLES
    seed: int = 0

    def seeds_of(self, ids: Iterable[str]) -> tuple[int, ...]:
        """The seeds at which every one of these points has its runs and numbers."""
        points = [self.results.planned[id] for id in ids]
        seeds = [{s for s in point.terms[0].run_ids if self.results.value(point, s) is not None} for point in points]
        return tuple(sorted(set.intersection(*seeds))) if seeds else ()

    def values(self, ids: Iterable[str], seeds: Iterable[int]) -> dict[str, float]:
        """Each point's mean over these seeds."""
        planned = self.results.planned
        return {id: float(np.mean([self.results.value(planned[id], seed) for seed in seeds])) for id in ids}

    def sample(self, ids: Iterable[str]) -> Sample:
        """Joint replicates of these points at the seeds they share. Raises NotPaired where that cannot be done."""
        ids = tuple(dict.fromkeys(ids))
        seeds = self.seeds_of(ids)
        if not seeds:
            raise NotPaired("no seed has all of its runs")
        sizes = self._sizes(ids, seeds)
        uneven = sorted(task for task, counts in sizes.items() if len(counts) > 1)
        if uneven:
            raise NotPaired(f"runs answered different numbers of examples of {', '.join(uneven)}")
        # One draw of seeds for everything; the generator starts anew so that equal seeds give equal draws.
        weights = resampled_seeds(len(seeds), self.resamples, np.random.default_rng([self.seed, 1]))
        return Sample(
            values=self.values(ids, seeds),
            replicates={id: self._replicates(self.results.planned[id], seeds, weights) for id in ids},
            n=sum(min(counts) for counts in sizes.values()),
            seeds=seeds,
        )

    def difference(self, first: str, second: str | None = None) -> Interval:
        """The 95 % interval of one point less another (or less nothing). Raises NotPaired where there is none."""
        sample = self.sample([first] if second is None else [first, second])
        parts = [sample.values, sample.replicates]
        value, replicates = (part[first] - (0 if second is None else part[second]) for part in parts)
        low, high = quantiles(replicates)
        return Interval(mean=value, low=float(low), high=float(high), n=sample.n, seeds=len(sample.seeds))

    def _sizes(self, ids: Iterable[str], seeds: Iterable[int]) -> dict[str, set[int]]:
        """Task -> how many examples of it the runs of these points answered: one number, or they cannot be paired."""
        sizes: dict[str, set[int]] = {}
        points = [self.results.planned[id] for id in ids]
        for point, run_id in ((p, term.run_ids[seed]) for p in points for term in p.terms for seed in seeds):
            for task in self._tasks(run_id, point):
                sizes.setdefault(task, set()).add(self.results.runs.by_id[run_id]["tasks"][task]["n"])
        return sizes

    def _tasks(self, run_id: str, point: Point) -> list[str]:
        """The tasks whose examples a point rests on; none of a speed, which is counted."""
        everything = list(self.results.runs.by_id[run_id]["tasks"])
        return {"average": everything, "task": [point.measure.task], "speed": []}[point.measure.kind]

    def _replicates(self, point: Point, seeds: tuple[int, ...], weights: np.ndarray) -> np.ndarray:
        """[resamples]: the mean of the point's replicates over seeds, weighted [resamples, seeds]."""
        total = np.zeros(self.resamples)
        for column, seed in enumerate(seeds):
            if point.measure.kind == "speed":
                total += weights[:, column] * self.results.value(point, seed)
                continue
            for term in point.terms:
                run = term.run_ids[seed]
                means = [self._run_replicates(run, task) for task in self._tasks(run, point)]
                total += weights[:, column] * term.weight * 100 * np.mean(means, axis=0)
        return total

    def _run_replicates(self, run_id: str, task: str) -> np.ndarray:
        scores = example_scores(self.results.runs.by_id[run_id], task)
        if not scores:
            raise NotPaired(f"run {run_id} kept no scores per example of {task}")
        return self._of_task[task, len(scores)][run_id]

    @functools.cached_property
    def _of_task(self) -> dict[tuple[str, int], dict[str, np.ndarray]]:
        """(task, examples) -> run id -> resampled means [resamples], all runs over the same drawn examples."""
        runs = self.results.runs.by_id
        groups: dict[tuple[str, int], dict[str, list[float]]] = {}
        for run_id in dict.fromkeys(
            id for point in self.results.planned.values() for id in point.run_ids if id in runs
        ):
            for task in runs[run_id]["tasks"]:
                if scores := example_scores(runs[run_id], task):
                    groups.setdefault((task, len(scores)), {})[run_id] = scores
        return {key: self._resampled(*key, group) for key, group in groups.items()}

    def _resampled(self, task: str, n: int, group: Mapping[str, list[float]]) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([self.seed, 2, TASKS.index(task), n])
        means = resampled_means(np.asarray(list(group.values()), dtype=float), self.resamples, rng)
        return dict(zip(group, means.T, strict=True))
