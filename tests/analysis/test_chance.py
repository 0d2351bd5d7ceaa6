"""Intervals and p values of an effect: percentiles of a bootstrap, and Student's t over replicates."""

import numpy as np
import pytest
from scipy import stats

from analysis.ledger.chance import Replicated, Resampled


@pytest.mark.parametrize("effects", [[1.0, 2.0, 4.5], [-0.3, 0.1, 0.2, 0.05, -0.4], [5.0, 5.1]])
@pytest.mark.parametrize("bound", [0.0, 1.5])
def test_over_replicates_it_is_the_one_sample_t_test(effects, bound):
    chance = Replicated(draws=np.array(effects))
    assert chance.interval == pytest.approx(
        stats.t.interval(0.95, len(effects) - 1, loc=np.mean(effects), scale=stats.sem(effects))
    )
    for found, side in ((chance.p_above(bound), "greater"), (chance.p_below(bound), "less")):
        assert found == pytest.approx(stats.ttest_1samp(effects, bound, alternative=side).pvalue)


def test_equal_effects_are_certain_and_none_is_no_evidence():
    assert Replicated(draws=np.array([2.0, 2.0, 2.0])).p_above() == 0.0
    assert Replicated(draws=np.array([2.0, 2.0, 2.0])).p_below() == 1.0
    assert Replicated(draws=np.zeros(3)).p_above() == Replicated(draws=np.zeros(3)).p_below() == 0.5


def test_a_t_interval_over_few_replicates_covers_as_it_says():
    rng = np.random.default_rng(0)
    held = [low <= 1.0 <= high for low, high in (Replicated(draws=rng.normal(1, 2, 5)).interval for _ in range(2000))]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("replicates", [2, 5])
def test_a_prediction_interval_holds_as_many_new_draws_as_it_says(replicates):
    rng = np.random.default_rng(1)
    held = [Replicated(draws=rng.normal(1, 2, replicates)).predicts(rng.normal(1, 2)) for _ in range(2000)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("effects", [[1.0, 2.0, 4.5], [5.0, 5.1]])
def test_a_new_draw_just_within_the_prediction_interval_is_as_far_as_the_t_test_lets_it(effects):
    """A prediction interval inverts the two-sample test that takes the new draw as a sample of one."""
    for end in Replicated(draws=np.array(effects)).prediction:
        assert stats.ttest_ind(effects, [end]).pvalue == pytest.approx(0.05)


def test_equal_effects_predict_themselves_alone():
    same = Replicated(draws=np.array([0.1] * 3))
    assert same.predicts(0.3 - 0.2) and not same.predicts(0.11) and not same.predicts(0.09)


def test_bootstrap_replicates_are_counted_and_never_none():
    chance = Resampled(draws=np.arange(1, 1000) / 100.0)
    assert chance.p_above() == pytest.approx(1 / 1000)
    assert chance.p_below(9.0) == pytest.approx((1 + 100) / 1000)  # 9.00 to 9.99
    assert chance.interval == pytest.approx(tuple(np.quantile(chance.draws, [0.025, 0.975])))
