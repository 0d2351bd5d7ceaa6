"""All points of a study drawn together, so that any effect over points has an interval that respects pairing.

Where a study is one draw of world, checkpoint and retriever, all its runs answer the same dev examples. A bootstrap
replicate then draws the examples of each task once, for all runs, and the seeds once, for all runs and tasks: the
crossed bootstrap of glimmer.evaluation.intervals, of all points at once. Where every seed has a world of its own, a
seed is a replicate of the whole study, and its points are one draw (analysis/ledger/chance.py).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping

import numpy as np

from analysis.ledger.chance import Chance, Replicated, Resampled
from glimmer.evaluation.intervals import Interval, resampled_means, resampled_seeds
from glimmer.experiments import TASKS, Point
from glimmer.experiments.registry import Measure
from glimmer.results import StudyResults, example_scores
from glimmer.results.points import measured_tasks, task_score

RESAMPLES = 4000


class NotPaired(Exception):
    """Why an effect has no interval; its text says so for a person."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """Some points together: their values, draws of each (`replicates`, equally many), and what they rest on.

    `replicated`: a draw is a replicate of the study, not of a bootstrap.
    """

    values: Mapping[str, float]
    replicates: Mapping[str, np.ndarray]
    n: int
    seeds: tuple[int, ...]
    replicated: bool = False

    def chance(self, effects: np.ndarray) -> Chance:
        """What draws of an effect over these points say of it."""
        draws = np.asarray(effects, dtype=float)
        return Replicated(draws=draws) if self.replicated else Resampled(draws=draws)


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointBootstrap:
    """Replicates of the points of a study, named by their ids. Values are percent, or samples per TFLOP."""

    results: StudyResults
    resamples: int = RESAMPLES
    seed: int = 0
    _samples: dict[tuple[str, ...], Sample] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def replicated(self) -> bool:
        """Whether the seeds of the study are replicates: each answers questions of a world of its own."""
        return self.results.replicated

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
        if ids not in self._samples:
            self._samples[ids] = self._sample(ids)
        return self._samples[ids]

    def _sample(self, ids: tuple[str, ...]) -> Sample:
        seeds = self.seeds_of(ids)
        if not seeds:
            raise NotPaired("no seed has all of its runs")
        if self.replicated and len(seeds) > 1:
            return self._over_replicates(ids, seeds)
        sizes = self._sizes(ids, seeds)
        uneven = sorted(task for task, counts in sizes.items() if len(counts) > 1)
        if uneven:
            raise NotPaired(f"runs answered different numbers of examples of {', '.join(uneven)}")
        weights = self._weights(len(seeds))
        return Sample(
            values=self.values(ids, seeds),
            replicates={id: self._replicates(self.results.planned[id], seeds, weights) for id in ids},
            n=sum(min(counts) for counts in sizes.values()),
            seeds=seeds,
        )

    def _over_replicates(self, ids: tuple[str, ...], seeds: tuple[int, ...]) -> Sample:
        """One draw a seed. Examples are not paired across replicates, and need not be."""
        planned = self.results.planned
        return Sample(
            values=self.values(ids, seeds),
            replicates={id: np.array([self.results.value(planned[id], seed) for seed in seeds]) for id in ids},
            n=sum(min(counts) for counts in self._sizes(ids, seeds).values()),
            seeds=seeds,
            replicated=True,
        )

    def difference(self, first: str, second: str | None = None) -> Interval:
        """The 95 % interval of one point less another (or less nothing). Raises NotPaired where there is none."""
        sample = self.sample([first] if second is None else [first, second])
        parts = [sample.values, sample.replicates]
        value, replicates = (part[first] - (0 if second is None else part[second]) for part in parts)
        low, high = sample.chance(replicates).interval
        return Interval(mean=value, low=low, high=high, n=sample.n, seeds=len(sample.seeds))

    def between(self, first: Mapping[int, str], second: Mapping[int, str], measure: Measure) -> Interval | None:
        """The 95 % interval of one arm less another (run ids by seed) on what a measure averages, in percent.

        None where they share no seed, or kept no scores that can be paired.
        """
        present = self.results.runs
        seeds = tuple(s for s in sorted(set(first) & set(second)) if first[s] in present and second[s] in present)
        if not seeds:
            return None
        runs = self.results.runs.by_id
        tasks = self._tasks_of(first[seeds[0]], measure)
        sizes = {task: {runs[arm[s]]["tasks"][task]["n"] for arm in (first, second) for s in seeds} for task in tasks}
        if not self.replicated and any(len(counts) > 1 for counts in sizes.values()):
            return None
        try:
            draws, values = self._of_arms((first, second), seeds, tasks, measure.score)
        except NotPaired:
            return None
        several = self.replicated and len(seeds) > 1
        low, high = (Replicated(draws=draws) if several else Resampled(draws=draws)).interval
        return Interval(mean=float(np.mean(values)), low=low, high=high, n=0, seeds=len(seeds))

    def _of_arms(self, arms, seeds: tuple[int, ...], tasks: list[str], score: str) -> tuple[np.ndarray, list[float]]:
        """(draws of the difference, its value at each seed)."""
        runs = self.results.runs.by_id
        scores = [[np.mean([task_score(runs[arm[s]], t, score) for t in tasks]) for s in seeds] for arm in arms]
        values = [100 * (one - other) for one, other in zip(*scores, strict=True)]
        if self.replicated and len(seeds) > 1:
            return np.array(values), values
        weights = self._weights(len(seeds))
        one, other = (self._of_runs([arm[seed] for seed in seeds], tasks, score, weights) for arm in arms)
        return one - other, values

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
        return self._tasks_of(run_id, point.measure)

    def _tasks_of(self, run_id: str, measure: Measure) -> list[str]:
        return measured_tasks(self.results.runs.by_id[run_id], measure)

    def _weights(self, seeds: int) -> np.ndarray:
        """One draw of seeds for everything; the generator starts anew so that equal seeds give equal draws."""
        return resampled_seeds(seeds, self.resamples, np.random.default_rng([self.seed, 1]))

    def _replicates(self, point: Point, seeds: tuple[int, ...], weights: np.ndarray) -> np.ndarray:
        """[resamples]: the mean of the point's replicates over seeds, weighted [resamples, seeds]."""
        if point.measure.kind == "speed":
            return weights @ np.array([self.results.value(point, seed) for seed in seeds])
        total = np.zeros(self.resamples)
        for term in point.terms:
            runs = [term.run_ids[seed] for seed in seeds]
            total += term.weight * self._of_runs(runs, self._tasks(runs[0], point), point.measure.score, weights)
        return total

    def _of_runs(self, runs: list[str], tasks: list[str], score: str, weights: np.ndarray) -> np.ndarray:
        """[resamples], percent: runs, weighted [resamples, runs], each the mean over tasks of its replicates."""
        total = np.zeros(self.resamples)
        for column, run in enumerate(runs):
            means = [self._run_replicates(run, task, score) for task in tasks]
            total += weights[:, column] * 100 * np.mean(means, axis=0)
        return total

    def _run_replicates(self, run_id: str, task: str, score: str) -> np.ndarray:
        scores = example_scores(self.results.runs.by_id[run_id], task, score)
        if not scores:
            raise NotPaired(f"run {run_id} kept no scores per example of {task}")
        return self._of_task[task, len(scores)][run_id, score]

    @functools.cached_property
    def _of_task(self) -> dict[tuple[str, int], dict[tuple[str, str], np.ndarray]]:
        """(task, examples) -> (run id, score) -> resampled means [resamples], all over the same drawn examples."""
        runs = self.results.runs.by_id
        measured = {
            (id, point.measure.score): None
            for point in self.results.planned.values()
            for id in point.run_ids
            if id in runs
        }
        groups: dict[tuple[str, int], dict[tuple[str, str], list[float]]] = {}
        for run_id, score in measured:
            for task in runs[run_id]["tasks"]:
                if scores := example_scores(runs[run_id], task, score):
                    groups.setdefault((task, len(scores)), {})[run_id, score] = scores
        return {key: self._resampled(*key, group) for key, group in groups.items()}

    def _resampled(
        self, task: str, n: int, group: Mapping[tuple[str, str], list[float]]
    ) -> dict[tuple[str, str], np.ndarray]:
        rng = np.random.default_rng([self.seed, 2, TASKS.index(task), n])
        means = resampled_means(np.asarray(list(group.values()), dtype=float), self.resamples, rng)
        return dict(zip(group, means.T, strict=True))
