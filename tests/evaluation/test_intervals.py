"""Bootstrap intervals, against the theory of the mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glimmer.evaluation.intervals import average_interval, difference_interval, mean_interval, resampled_means

Z = 1.959964


def half_width(interval):
    return (interval.high - interval.low) / 2


@pytest.mark.parametrize("draw", [lambda rng, n: rng.random(n) < 0.3, lambda rng, n: rng.normal(size=n)])
def test_the_interval_of_a_mean_has_the_width_of_the_central_limit_theorem(draw):
    scores = draw(np.random.default_rng(1), 2000).astype(float)
    interval = mean_interval(scores)
    assert (interval.mean, interval.n, interval.seeds) == (pytest.approx(scores.mean()), 2000, 1)
    assert half_width(interval) == pytest.approx(Z * scores.std() / np.sqrt(2000), rel=0.04)
    assert half_width(mean_interval(scores, confidence=0.68)) < 0.6 * half_width(interval)


def test_counting_distinct_scores_and_drawing_examples_give_the_same_interval():
    rng = np.random.default_rng(2)
    few = (rng.random(800) < 0.4).astype(float)
    many = few + rng.normal(scale=1e-9, size=800)  # all distinct: takes the other way
    one, two = mean_interval(few), mean_interval(many)
    assert one.low == pytest.approx(two.low, abs=0.004) and one.high == pytest.approx(two.high, abs=0.004)


def test_the_average_over_tasks_weighs_tasks_equally_and_resamples_within_them():
    rng = np.random.default_rng(3)
    scores = {"big": rng.normal(1, 1, 4000), "small": rng.normal(0, 2, 100), "constant": np.full(3, 0.5)}
    interval = average_interval(scores)
    assert interval.mean == pytest.approx(np.mean([values.mean() for values in scores.values()])) and interval.n == 4103
    variance = sum(values.var() / len(values) for values in scores.values()) / 9
    assert half_width(interval) == pytest.approx(Z * np.sqrt(variance), rel=0.05)


def test_a_paired_difference_is_narrower_than_an_unpaired_one():
    rng = np.random.default_rng(4)
    hard = rng.normal(size=1000)
    first, second = {"t": hard + 0.1}, {"t": hard + rng.normal(scale=0.1, size=1000)}
    difference = difference_interval(first, second)
    assert difference.verdict() == "above" and difference_interval(second, first).verdict() == "below"
    assert half_width(difference) < 0.2 * half_width(average_interval(first))
    assert difference_interval(first, first) == average_interval({"t": np.zeros(1000)})
    assert difference_interval(first, first).verdict() == "crosses"


def test_seeds_and_examples_are_crossed():
    rng = np.random.default_rng(5)
    seeds, n = 40, 500
    of_seed, of_example = rng.normal(scale=0.5, size=(seeds, 1)), rng.normal(size=(1, n))
    scores = of_seed + of_example
    interval = mean_interval(scores)
    assert (interval.seeds, interval.n) == (seeds, n)
    # Variances of the two means add; drawing examples anew for every seed would divide the second by the seeds.
    variance = of_seed.var() / seeds + of_example.var() / n
    assert half_width(interval) == pytest.approx(Z * np.sqrt(variance), rel=0.06)


def test_seeds_are_drawn_once_for_all_tasks():
    of_seed = np.random.default_rng(6).normal(size=(30, 1))
    tasks = {name: np.repeat(of_seed, 5, axis=1) for name in "abcd"}
    assert half_width(average_interval(tasks)) == pytest.approx(half_width(mean_interval(tasks["a"])), rel=0.05)


@settings(max_examples=30)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=30), st.integers(0, 3))
def test_the_interval_lies_within_the_scores_holds_the_mean_and_repeats(scores, seed):
    interval = mean_interval(scores, resamples=500, seed=seed)
    assert min(scores) - 1e-12 <= interval.low <= interval.mean + 1e-12
    assert interval.mean - 1e-12 <= interval.high <= max(scores) + 1e-12
    assert interval == mean_interval(scores, resamples=500, seed=seed)


SHAPES_THAT_DIFFER = {"a": np.zeros((2, 3)), "b": np.zeros((3, 3))}


@pytest.mark.parametrize(
    "scores",
    [{}, {"t": []}, {"t": [0.0, float("nan")]}, {"t": [None, 1.0]}, {"t": np.zeros((2, 2, 2))}, SHAPES_THAT_DIFFER],
)
def test_missing_scores_are_errors_and_not_zeros(scores):
    with pytest.raises(ValueError):
        average_interval(scores)


def test_runs_that_cannot_be_paired_are_errors():
    with pytest.raises(ValueError, match="same tasks"):
        difference_interval({"a": [1.0]}, {"b": [1.0]})
    with pytest.raises(ValueError, match="a: expected the same seeds and examples"):
        difference_interval({"a": [1.0, 2.0]}, {"a": [1.0]})
    with pytest.raises(ValueError, match="confidence"):
        mean_interval([1.0], confidence=95)


@pytest.mark.parametrize("rows", [2, 30])  # distinct columns are counted, or examples drawn
def test_rows_are_resampled_over_the_same_examples(rows):
    scores = (np.random.default_rng(7).random((rows, 200)) < 0.5).astype(float)
    scores[1] = 1 - scores[0]
    means = resampled_means(scores, 1000, np.random.default_rng(8))
    assert means.shape == (1000, rows)
    assert means[:, 0] + means[:, 1] == pytest.approx(np.ones(1000)), "right in one row is wrong in the other"
    assert means[:, 0].std() == pytest.approx(scores[0].std() / np.sqrt(200), rel=0.1)
