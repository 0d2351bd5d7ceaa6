"""The training loop: it learns, resumes exactly, leaves its best and its last parameters, and stops by one rule."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from glimmer.errors import CheckFailed, InputError
from glimmer.training import loop
from glimmer.training.checkpoints import RunCheckpoints, restore_parameters
from glimmer.training.curve import TrainingPlan
from glimmer.training.loop import train
from glimmer.training.state import split_reader

PLAN = TrainingPlan(steps=8, evaluate_every=2, seed=5)
IDENTITY = {"run": "abc", "digests": {"x": "1"}}


class Stopped(Exception):
    """Somebody pulled the plug."""


@pytest.fixture
def run(toy, tmp_path, monkeypatch):
    """Trains the toy with scripted dev averages; returns (result, parameters seen at each evaluation)."""
    monkeypatch.setattr(loop, "compile_step", lambda *_: toy.step)

    def start(dev, plan=PLAN, directory=tmp_path / "checkpoints", identity=IDENTITY):
        seen, averages = [], iter(dev)

        def on_dev(reader):
            seen.append(jax.tree.map(np.array, reader.trained))
            value = next(averages)
            if isinstance(value, Exception):
                raise value
            return {"dev_average": value, "dev_loss": 2 * value}

        result = train(
            split_reader(toy.reader()), toy.optimizer, toy.batch, on_dev, plan, directory, toy.mesh, identity
        )
        return result, seen

    return start


def assert_equal(left, right):
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path))


def left(toy, directory, which):
    """The parameters that training left, best or last."""
    return restore_parameters(directory, which, split_reader(toy.reader()).trained)


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


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_best_and_the_last_parameters_are_left_and_of_equal_ones_the_first_is_best(run, toy, tmp_path, keep):
    result, seen = run([0.2, 0.5, 0.5, 0.1], dataclasses.replace(PLAN, keep=keep))
    selection = result.selection
    assert selection.best == {"step": 4, "dev_average": 0.5} and selection.last == {"step": 8, "dev_average": 0.1}
    assert selection.kept == getattr(selection, keep) and selection.kept_in == keep != selection.other
    assert_equal(left(toy, tmp_path / "checkpoints", "best"), seen[1])
    assert_equal(left(toy, tmp_path / "checkpoints", "last"), seen[-1])
    assert not np.array_equal(jax.tree.leaves(seen[1])[0], jax.tree.leaves(seen[-1])[0])


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_last_step_that_is_the_best_is_left_once(run, toy, tmp_path, keep):
    result, seen = run([0.2, 0.1, 0.1, 0.5], dataclasses.replace(PLAN, keep=keep))
    assert result.selection.kept["step"] == 8 and result.selection.other is None
    assert_equal(left(toy, tmp_path / "checkpoints", result.selection.kept_in), seen[-1])
    with pytest.raises(InputError, match="no such file"):
        left(toy, tmp_path / "checkpoints", "last")


@pytest.mark.parametrize("keep", ["best", "last"])
def test_patience_counts_from_the_best_whatever_is_kept(run, toy, tmp_path, keep):
    result, seen = run([0.3, 0.2, 0.1], dataclasses.replace(PLAN, patience=2, keep=keep))
    assert (len(seen), result.selection.best["step"], result.selection.last["step"]) == (3, 2, 6)
    assert_equal(left(toy, tmp_path / "checkpoints", "last"), seen[-1])


def test_a_stop_before_the_last_parameters_are_saved_loses_nothing(run, toy, tmp_path, monkeypatch):
    def stop(self, step, parameters):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "save_last", stop)
        with pytest.raises(Stopped):
            run([0.5, 0.3, 0.2, 0.4])
    result, nothing = run([])
    _, seen = run([0.5, 0.3, 0.2, 0.4], directory=tmp_path / "whole")
    assert nothing == [] and result.selection.last["step"] == 8
    assert_equal(left(toy, tmp_path / "checkpoints", "last"), seen[-1])
    assert_equal(left(toy, tmp_path / "checkpoints", "best"), seen[0])


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


def test_a_stop_between_saving_the_best_and_the_latest_does_no_harm(run, toy, tmp_path, monkeypatch):
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
    assert_equal(left(toy, tmp_path / "checkpoints", "best"), seen[3])


@pytest.mark.parametrize("before", [[0.1, 0.2, 0.3, 0.9], [0.9, 0.1, 0.1, 0.1]], ids=["later", "same step"])
def test_what_another_run_left_is_neither_resumed_nor_left_again(run, toy, tmp_path, before):
    run(before)
    other = TrainingPlan(steps=4, evaluate_every=2)
    result, seen = run([0.1, 0.2], other, identity={"run": "other"})
    assert [entry["step"] for entry in result.curve] == [2, 4]
    assert_equal(left(toy, tmp_path / "checkpoints", "best"), seen[1])
    assert not (tmp_path / "checkpoints" / "last").exists()


@pytest.mark.parametrize("lost", ["", "progress", "state"], ids=["all of it", "progress", "state"])
def test_a_step_that_a_killed_writer_left_is_passed_over_and_training_starts_again(run, tmp_path, lost):
    whole, seen = run([0.1, 0.3, 0.2, 0.4], directory=tmp_path / "whole")
    with pytest.raises(Stopped):
        run([0.1, 0.3, Stopped()])
    step = next((tmp_path / "checkpoints" / "latest").glob("[0-9]*"))
    shutil.rmtree(step / lost)
    step.mkdir(exist_ok=True)
    again, seen_again = run([0.1, 0.3, 0.2, 0.4])
    assert again.curve == whole.curve
    assert_equal(seen_again[-1], seen[-1])


def test_a_stop_between_the_latest_and_the_best_loses_neither(run, toy, tmp_path, monkeypatch):
    saved = []

    def save_best(checkpoints, step, parameters):
        saved.append(step)
        if len(saved) == 2:
            raise Stopped
        real(checkpoints, step, parameters)

    real = RunCheckpoints.save_best
    monkeypatch.setattr(RunCheckpoints, "save_best", save_best)
    with pytest.raises(Stopped):
        run([0.1, 0.9])
    _, before = run([0.1, 0.9, 0.2, 0.3], directory=tmp_path / "whole")
    result, _ = run([0.2, 0.3])
    assert result.selection.best["step"] == 4
    assert_equal(left(toy, tmp_path / "checkpoints", "best"), before[1])


def test_without_its_best_parameters_a_run_starts_again(run, toy, tmp_path):
    with pytest.raises(Stopped):
        run([0.9, 0.1, Stopped()])
    shutil.rmtree(tmp_path / "checkpoints" / "best")
    result, seen = run([0.9, 0.1, 0.2, 0.3])
    assert len(seen) == 4 and result.selection.best["step"] == 2
    assert_equal(left(toy, tmp_path / "checkpoints", "best"), seen[0])


def test_a_log_has_a_line_an_evaluation(run, capsys):
    run([0.1, 0.25, 0.3, 0.4])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert len(lines) == 4 and lines[1].startswith("step 4 of 8: loss ") and "dev 0.250" in lines[1]


def test_an_empty_step_holds_no_parameters(run, toy, tmp_path):
    run([0.1, 0.2, 0.3, 0.4])
    step = next((tmp_path / "checkpoints" / "best").glob("[0-9]*"))
    shutil.rmtree(step)
    step.mkdir()
    with pytest.raises(InputError, match="no checkpoint here"):
        left(toy, tmp_path / "checkpoints", "best")


def test_a_directory_without_a_checkpoint_is_an_input_error(toy, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        left(toy, tmp_path, "best")


@pytest.mark.parametrize("part", ["loss", "parameters"])
def test_a_number_gone_wrong_stops_the_run_with_step_rows_and_the_checkpoint_before(toy, tmp_path, monkeypatch, part):
    def step(state, *others):
        state, losses = toy.step(state, *others)
        if int(state.step) < 5:
            return state, losses
        if part == "loss":
            return state, dataclasses.replace(losses, total=losses.total * np.nan)
        return dataclasses.replace(state, parameters=jax.tree.map(lambda x: x / 0, state.parameters)), losses

    monkeypatch.setattr(loop, "compile_step", lambda *_: step)
    evaluated = []

    def on_dev(reader):
        evaluated.append(reader)
        return {"dev_average": 0.1}

    directory = tmp_path / "checkpoints"
    parts = toy.optimizer, toy.batch, on_dev, PLAN, directory, toy.mesh, IDENTITY
    with pytest.raises(CheckFailed) as error:
        train(split_reader(toy.reader()), *parts, rows=lambda step: [f"id-{step}", "another"])
    at = 5 if part == "loss" else 6
    assert f"step {at}" in str(error.value) and f"id-{at - 1}, another" in str(error.value)
    assert "step 4 is the last one saved" in str(error.value) and len(evaluated) == 2
    assert RunCheckpoints(directory).best_step == 2, "of equal ones the first; nothing of after the fault"
