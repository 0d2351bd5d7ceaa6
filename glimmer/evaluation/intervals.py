"""Percentile bootstrap intervals: of a mean, of an average over tasks, of a paired difference, over examples
and over seeds; and Student's interval, of a mean over replicates.

One resampling plan serves all. Scores of a task are an array [seeds, examples]: every seed's run answers the
same examples. A replicate draws, with replacement, seeds (once, for all tasks) and examples (within each
task, once for all seeds), and takes the mean over what it drew, then the plain mean over tasks. Seeds and
examples are crossed, so both are drawn once per replicate: drawing examples anew for every seed would count
one sample of examples as several, and give intervals that are too narrow (Owen, "The pigeonhole bootstrap",
2007). With one seed this is the ordinary bootstrap over examples, stratified by task.

The interval is the (1 - confidence) / 2 and (1 + confidence) / 2 quantiles of the replicates. It is about
these tasks: they are fixed. `resampled_seeds` and `resampled_means` are the two draws by themselves, for a joint
bootstrap of all runs of a study (analysis/ledger/bootstrap.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
_CHUNK_ELEMENTS = 4_000_000  # of one block of drawn indices: 32 MB
_FEW_ROWS = 8  # of more, hardly two columns are equal


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


def student_quantile(freedom: int, share: float) -> float:
    """The value below which Student's t of this freedom lies with a probability of `share`."""
    from scipy.special import stdtrit  # slow to import, and planning a study comes by here

    return float(stdtrit(freedom, share))


def student_share(freedom: int, value: float) -> float:
    """The probability that Student's t of this freedom lies below a value."""
    from scipy.special import stdtr

    return float(stdtr(freedom, value))


def student_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Of the mean of R >= 2 independent draws: mean -+ t s / sqrt(R), s their standard deviation (Student 1908)."""
    draws = np.asarray(values, dtype=float)
    t = student_quantile(len(draws) - 1, (1 + confidence) / 2)
    width = float(t * draws.std(ddof=1) / np.sqrt(len(draws)))
    return float(draws.mean()) - width, float(draws.mean()) + width


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
    weights = resampled_seeds(seeds, resamples, rng)
    by_task = [np.einsum("rs,rs->r", resampled_means(values, resamples, rng), weights) for values in arrays.values()]
    low, high = quantiles(np.mean(by_task, axis=0), confidence)
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


def resampled_seeds(seeds: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Shares [resamples, seeds] in which each of so many seeds was drawn; a row adds up to 1."""
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds


def resampled_means(scores: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Means [resamples, rows] of scores [rows, examples] over examples drawn anew, the same ones for every row."""
    rows, n = scores.shape
    # Examples with the same scores in all rows are interchangeable: drawing how often each distinct column comes up
    # has the same distribution as drawing examples, and exact match has at most 2^rows of them.
    columns, counts = np.unique(scores, axis=1, return_counts=True) if rows <= _FEW_ROWS else (scores, None)
    chunk, means = max(1, _CHUNK_ELEMENTS // n), []
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        if columns.shape[1] * 4 <= n:
            means.append(rng.multinomial(n, counts / n, size=size) @ columns.T / n)
        else:
            picks = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
            times = np.bincount(picks.ravel(), minlength=size * n).reshape(size, n)
            means.append(times @ scores.T / n)
    return np.concatenate(means)


def quantiles(replicates: np.ndarray, confidence: float = 0.95) -> np.ndarray:
    """The two ends of the percentile interval of replicates [resamples]."""
    return np.quantile(replicates, [(1 - confidence) / 2, (1 + confidence) / 2])
