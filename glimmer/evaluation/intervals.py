"""Percentile bootstrap intervals: of a mean, of an average over tasks, of a paired difference, over examples
and over seeds.

One resampling plan serves all. Scores of a task are an array [seeds, examples]: every seed's run answers the
same examples. A replicate draws, with replacement, seeds (once, for all tasks) and examples (within each
task, once for all seeds), and takes the mean over what it drew, then the plain mean over tasks. Seeds and
examples are crossed, so both are drawn once per replicate: drawing examples anew for every seed would count
one sample of examples as several, and give intervals that are too narrow (Owen, "The pigeonhole bootstrap",
2007). With one seed this is the ordinary bootstrap over examples, stratified by task.

The interval is the (1 - confidence) / 2 and (1 + confidence) / 2 quantiles of the replicates. It is about
these tasks: they are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
_CHUNK_ELEMENTS = 4_000_000  # of one block of drawn indices: 32 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate with its interval: `n` examples in all tasks, `seeds` runs of each."""

    mean: float
    low: float
    high: float
    n: int
    seeds: int = 1

    def verdict(self, threshold: float = 0.0) -> str:
        """Where the interval lies: "above" or "below" the threshold, "crosses" if it holds it."""
        if self.low > threshold:
            return "above"
        return "below" if self.high < threshold else "crosses"


def mean_interval(scores: Sequence[float] | np.ndarray, **options) -> Interval:
    """Of the mean of one task's per-example scores, [examples] or [seeds, examples].

    Options as of average_interval.
    """
    return average_interval({"": scores}, **options)


def average_interval(
    scores: Mapping[str, Sequence[float] | np.ndarray],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Of the plain mean over tasks of each task's mean score.

    Args:
        scores: per task its per-example scores, [examples], or [seeds, examples] with equally many seeds in
        every task. confidence: coverage in (0, 1). seed: of the resampling; equal arguments give equal
        intervals. Raises ValueError for no task, no example, or a score that is not finite: a missing score
        is not 0.
    """
    arrays = {task: _array(task, values) for task, values in scores.items()}
    if not arrays:
        raise ValueError("no task to average over")
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"expected a confidence in (0, 1) and resamples >= 1, found {confidence} and {resamples}")
    seed_counts = {len(values) for values in arrays.values()}
    if len(seed_counts) > 1:
        raise ValueError(
            "expected as many seeds in every task, found "
            + ", ".join(f"{task}: {len(values)}" for task, values in arrays.items())
        )
    seeds = seed_counts.pop()
    rng = np.random.default_rng(seed)
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds  # resamples seeds
    replicates = np.mean([_replicates(values, seed_weights, rng) for values in arrays.values()], axis=0)
    low, high = np.quantile(replicates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(
        mean=float(np.mean([values.mean() for values in arrays.values()])),
        low=float(low),
        high=float(high),
        n=sum(values.shape[1] for values in arrays.values()),
        seeds=seeds,
    )


def difference_interval(
    first: Mapping[str, Sequence[float] | np.ndarray], second: Mapping[str, Sequence[float] | np.ndarray], **options
) -> Interval:
    """Of the average of `first` minus that of `second`, paired: the same tasks and seeds, the same examples
    in the same order.

    Raises ValueError where the two cannot be paired. Options as of average_interval.
    """
    if first.keys() != second.keys():
        raise ValueError(f"expected the same tasks, found {sorted(first)} and {sorted(second)}")
    differences = {}
    for task in first:
        one, two = _array(task, first[task]), _array(task, second[task])
        if one.shape != two.shape:
            raise ValueError(f"{task}: expected the same seeds and examples, found shapes {one.shape} and {two.shape}")
        differences[task] = one - two
    return average_interval(differences, **options)


def _array(task: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The scores as float64 [seeds, examples]."""
    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if array.ndim != 2 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(
            f"{task or 'scores'}: expected finite scores, [examples] or [seeds, examples], at least one; "
            f"found shape {array.shape}, {np.count_nonzero(~np.isfinite(array))} not finite"
        )
    return array


def _replicates(values: np.ndarray, seed_weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Resampled means [resamples] of scores [seeds, examples], seeds weighted by seed_weights [resamples, seeds]."""
    seeds, n = values.shape
    # Examples with the same scores under all seeds are interchangeable: drawing how often each distinct
    # column comes up has the same distribution as drawing examples, and exact match has at most 2^seeds of
    # them.
    columns, counts = np.unique(values, axis=1, return_counts=True)
    resamples = len(seed_weights)
    chunk = max(1, _CHUNK_ELEMENTS // n)
    means = np.empty(resamples)
    for start in range(0, resamples, chunk):
        weights = seed_weights[start : start + chunk]
        if columns.shape[1] * 4 <= n:
            drawn = rng.multinomial(n, counts / n, size=len(weights)) @ columns.T / n  # chunk seeds
        else:
            picks = rng.integers(n, size=(len(weights), n))
            drawn = np.stack([row[picks].mean(axis=1) for row in values], axis=1)  # chunk seeds
        means[start : start + chunk] = np.einsum("rs,rs->r", drawn, weights)
    return means
