"""The mixture: uniform over tasks, without replacement within each, a function of seed and step alone."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.errors import InputError
from glimmer.training.mixture import UniformMixture

SIZES = {"nq": 5, "fever": 12, "trex": 1}


def drawn(mixture, steps, batch):
    return [pair for step in range(steps) for pair in mixture.rows(step, batch)]


@given(seed=st.integers(0, 100), batch=st.integers(1, 9))
def test_tasks_have_equal_shares_whatever_their_sizes(seed, batch):
    shares = Counter(task for task, _ in drawn(UniformMixture(SIZES, seed=seed), 12, batch))
    assert max(shares.values()) - min(shares.get(task, 0) for task in SIZES) <= 1


@given(seed=st.integers(0, 100), batch=st.integers(1, 9))
def test_each_pass_over_a_task_draws_every_row_once(seed, batch):
    pairs = drawn(UniformMixture(SIZES, seed=seed), 80 // batch + 1, batch)
    for task, size in SIZES.items():
        rows = [row for name, row in pairs if name == task]
        for start in range(0, len(rows) - size + 1, size):
            assert sorted(rows[start : start + size]) == list(range(size)), task


def test_a_batch_depends_on_seed_and_step_alone():
    one, two = UniformMixture(SIZES, seed=3), UniformMixture(SIZES, seed=3)
    backwards = [two.rows(step, 4) for step in reversed(range(30))][::-1]
    assert [one.rows(step, 4) for step in range(30)] == backwards
    assert drawn(one, 30, 4) != drawn(UniformMixture(SIZES, seed=4), 30, 4)
    passes = [row for task, row in drawn(one, 30, 3) if task == "fever"]
    assert passes[:12] != passes[12:24], "passes are shuffled anew"


@pytest.mark.parametrize("sizes", [{}, {"nq": 3, "fever": 0}])
def test_nothing_to_draw_from_is_an_input_error(sizes):
    with pytest.raises(InputError, match="nothing to train on"):
        UniformMixture(sizes, seed=0)
