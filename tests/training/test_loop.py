"""The training loop: it learns, resumes exactly, keeps the checkpoint it is told to keep, and stops by one rule."""

import jax
import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.training import loop
from glimmer.training.checkpoints import RunCheckpoints, restore_kept
from glimmer.training.loop import TrainingPlan, train
from glimmer.training.state import split_reader

PLAN = TrainingPlan(steps=8, evaluate_every=2, seed=5)
IDENTITY = {"run": "abc", "digests": {"x": "1"}}


class Stopped(Exception):
    """Somebody pulled the plug."""


@pytest.fixture
def run(toy, tmp_path, monkeypatch):
    """Trains the toy with scripted dev averages; returns (result, parameters seen at each evaluation)."""
    monkeypatch.setattr(loop, "compile_step", lambda definition, optimizer: toy.step)

    def start(dev, plan=PLAN, directory=tmp_path / "checkpoints", identity=IDENTITY):
        seen, averages = [], iter(dev)

        def dev_average(reader):
            seen.append(jax.tree.map(np.array, reader.trained))
            value = next(averages)
            if isinstance(value, Exception):
                raise value
            return value

        result = train(
            split_reader(toy.reader()), toy.optimizer, toy.batch, dev_average, plan, directory, toy.mesh, identity
        )
        return result, seen

    return start


def assert_equal(left, right):
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path))


def kept(toy, directory):
    return restore_kept(directory, split_reader(toy.reader()).trained)


def test_the_loss_falls(run):
    result, _ = run([0.1] * 10, TrainingPlan(steps=40, evaluate_every=10))
    assert result.curve[-1]["loss"] < 0.5 * result.curve[0]["loss"]
    for entry in result.curve:
        assert entry["loss"] == pytest.approx(entry["lm_loss"] + entry["distill_loss"], rel=1e-5)


def test_training_that_was_interrupted_gives_the_same_parameters_bit_for_bit(run, tmp_path):
    whole, seen = run([0.1, 0.3, 0.2, 0.4], directory=tmp_path / "whole")
    with pytest.raises(Stopped):
        run([0.1, 0.3, Stopped()])
    resumed, seen_again = run([0.2, 0.4])
    assert len(seen_again) == 2, "it went on after the second evaluation"
    assert_equal(seen_again[-1], seen[-1])
    assert resumed.curve == whole.curve and resumed.stopped == whole.stopped
    again, nothing = run([])
    assert again.curve == whole.curve and nothing == [], "a finished run is not trained further"


def test_the_best_parameters_by_dev_average_are_kept_and_of_equal_ones_the_first(run, toy, tmp_path):
    result, seen = run([0.2, 0.5, 0.5, 0.1])
    assert (result.kept_step, result.kept_dev_average) == (4, 0.5)
    assert_equal(kept(toy, tmp_path / "checkpoints"), seen[1])
    assert not np.array_equal(jax.tree.leaves(seen[1])[0], jax.tree.leaves(seen[2])[0])


def test_the_last_parameters_are_kept_where_a_study_asks_for_them(run, toy, tmp_path):
    last = TrainingPlan(steps=8, evaluate_every=2, keep="last")
    result, seen = run([0.2, 0.5, 0.5, 0.1], last)
    assert (result.kept_step, result.kept_dev_average) == (8, 0.1)
    assert_equal(kept(toy, tmp_path / "checkpoints"), seen[-1])


def test_keeping_the_last_still_stops_by_patience_counted_from_the_best(run, toy, tmp_path):
    result, seen = run([0.3, 0.2, 0.1], TrainingPlan(steps=8, evaluate_every=2, patience=2, keep="last"))
    assert (len(seen), result.kept_step) == (3, 6)
    assert_equal(kept(toy, tmp_path / "checkpoints"), seen[-1])


@pytest.mark.parametrize(
    ("dev", "patience", "evaluations", "reason"),
    [
        ([0.3, 0.2, 0.3], 2, 3, "no better dev average in 2 evaluations"),
        ([0.3, 0.2, 0.4, 0.1], 2, 4, "all 8 steps done"),
        ([0.0, 0.0, 0.0, 0.0], None, 4, "all 8 steps done"),
    ],
)
def test_training_stops_by_patience_or_at_the_last_step(run, dev, patience, evaluations, reason):
    result, seen = run(dev, TrainingPlan(steps=8, evaluate_every=2, patience=patience))
    assert (len(seen), result.stopped) == (evaluations, reason)


def test_the_last_step_is_evaluated_even_between_evaluations(run):
    result, _ = run([0.1, 0.2], TrainingPlan(steps=3, evaluate_every=2))
    assert [entry["step"] for entry in result.curve] == [2, 3]


def test_a_stop_between_saving_what_is_kept_and_the_latest_does_no_harm(run, toy, tmp_path, monkeypatch):
    _, seen = run([0.1, 0.3, 0.2, 0.4], directory=tmp_path / "whole")
    save = RunCheckpoints.save_latest

    def stop(self, step, state, progress):
        if step == 4:
            raise Stopped
        save(self, step, state, progress)

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "save_latest", stop)
        with pytest.raises(Stopped):
            run([0.1, 0.3])
    run([0.3, 0.2, 0.4])
    assert_equal(kept(toy, tmp_path / "checkpoints"), seen[3])


@pytest.mark.parametrize("left", [[0.1, 0.2, 0.3, 0.9], [0.9, 0.1, 0.1, 0.1]], ids=["later", "same step"])
def test_what_another_run_left_is_neither_resumed_nor_kept(run, toy, tmp_path, left):
    run(left)
    other = TrainingPlan(steps=4, evaluate_every=2)
    result, seen = run([0.1, 0.2], other, identity={"run": "other"})
    assert [entry["step"] for entry in result.curve] == [2, 4]
    assert_equal(kept(toy, tmp_path / "checkpoints"), seen[1])


def test_a_directory_without_a_kept_checkpoint_is_an_input_error(toy, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        kept(toy, tmp_path)
