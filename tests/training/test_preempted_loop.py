"""Training that is asked to stop, or killed, between two evaluations ends as if nothing had happened."""

import dataclasses
import os
import signal
import time

import jax
import numpy as np
import pytest

from glimmer import preemption
from glimmer.errors import CheckFailed
from glimmer.preemption import Preempted
from glimmer.training import loop
from glimmer.training.checkpoints import RunCheckpoints, restore_parameters
from glimmer.training.curve import TrainingPlan
from glimmer.training.loop import train
from glimmer.training.state import split_reader
from glimmer.training.telemetry import METRICS, Telemetry

PLAN = TrainingPlan(steps=8, evaluate_every=4, seed=5)
ALWAYS = dataclasses.replace(PLAN, checkpoint_seconds=0)


class Killed(Exception):
    """Somebody pulled the plug."""


@pytest.fixture
def run(toy, tmp_path, monkeypatch):
    """Trains the toy; `at(step)` is called before each batch, `on_dev()` in each evaluation, whose outcome is the
    parameters'. Returns the result and the steps of which a batch was made; `steps` counts calls."""

    def step_function(*arguments):
        start.steps += 1
        return toy.step(*arguments)

    monkeypatch.setattr(loop, "compile_step", lambda *_: step_function)

    def start(plan=PLAN, directory=tmp_path / "run", at=lambda step: None, on_dev=lambda: None, telemetry=None):
        made, start.steps = [], 0

        def batch(step):
            at(step)
            made.append(step)
            return toy.batch(step)

        def evaluate(reader):
            on_dev()
            return {"dev_average": float(-np.mean(np.abs(jax.tree.leaves(reader.trained)[0])))}

        parts = toy.optimizer, batch, evaluate, plan, directory, toy.mesh, {"run": "abc"}
        return train(split_reader(toy.reader()), *parts, telemetry=telemetry), made

    return start


@pytest.fixture
def assert_undisturbed(run, toy, tmp_path):
    """Compares a result, and the parameters that it left, with those of a training that nothing disturbed."""

    def compare(result, directory=tmp_path / "run"):
        whole, _ = run(directory=tmp_path / "whole")
        assert result.curve == whole.curve and result.selection == whole.selection
        like = split_reader(toy.reader()).trained
        which = "best" if whole.selection.other is None else "last"
        places = directory, tmp_path / "whole"
        found, wanted = (jax.tree.leaves(restore_parameters(place, which, like)) for place in places)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)

    return compare


def killed_at(number):
    def at(step):
        if step == number:
            raise Killed

    return at


def test_a_kill_between_two_evaluations_loses_what_is_younger_than_the_interval(run, assert_undisturbed):
    with pytest.raises(Killed):
        run(ALWAYS, at=killed_at(6))
    result, made = run(ALWAYS)
    assert made[0] == 6, "the six steps before the kill are not done again"
    assert_undisturbed(result)


def test_before_the_first_evaluation_too(run, assert_undisturbed):
    with pytest.raises(Killed):
        run(ALWAYS, at=killed_at(2))
    result, made = run()
    assert made[0] == 2
    assert_undisturbed(result)


@pytest.mark.parametrize("number", preemption.SIGNALS)
def test_a_signal_between_steps_saves_every_step_that_was_done(run, assert_undisturbed, number):
    def at(step):
        if step == 6:
            while run.steps < 6:  # in the thread that makes batches: the loop does what it has
                time.sleep(0.01)
            os.kill(os.getpid(), number)
            time.sleep(0.2)  # the loop waits for this batch while the signal arrives

    with pytest.raises(Preempted) as stopped, preemption.heeded(60):
        run(at=at)
    assert stopped.value.exit_code == 75
    result, made = run()
    assert made[0] in (6, 7), "steps before the signal are not done again, nor the one whose batch was being made"
    assert_undisturbed(result)


def test_a_signal_in_an_evaluation_loses_no_step(run, assert_undisturbed):
    def on_dev():
        os.kill(os.getpid(), signal.SIGTERM)
        while True:  # as an evaluation looks before each of its batches
            preemption.check()
            time.sleep(0.01)

    with pytest.raises(Preempted), preemption.heeded(60):
        run(on_dev=on_dev)
    evaluated = []
    result, made = run(on_dev=lambda: evaluated.append(True))
    assert made[0] == 4 and len(evaluated) == 2, "the evaluation that was cut short comes first"
    assert_undisturbed(result)


def test_a_checkpoint_between_evaluations_that_is_damaged_is_passed_over(run, tmp_path, capsys, assert_undisturbed):
    with pytest.raises(Killed):
        run(ALWAYS, at=killed_at(7))
    file = max((tmp_path / "run/between").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    result, made = run()
    assert made[0] == 4 and "passed over, for step 4 before it" in capsys.readouterr().out
    assert_undisturbed(result)


def test_what_is_written_in_the_background_is_sealed_and_survives_the_steps_that_follow(run, tmp_path):
    """The steps give their arrays up to the next one; what is saved must not be what they become."""
    with pytest.raises(Killed):
        run(ALWAYS, at=killed_at(3))
    sealed = (tmp_path / "run/.sealed.json").read_text()
    assert "between/3/" in sealed and "between/2/" not in sealed


def test_no_number_that_is_none_is_saved_between_evaluations(toy, tmp_path, monkeypatch):
    def step(state, *others):
        state, losses = toy.step(state, *others)
        return state, losses if int(state.step) < 3 else dataclasses.replace(losses, total=losses.total * np.nan)

    monkeypatch.setattr(loop, "compile_step", lambda *_: step)
    parts = toy.optimizer, toy.batch, lambda reader: {"dev_average": 0.1}, ALWAYS, tmp_path, toy.mesh, {"run": "abc"}
    with pytest.raises(CheckFailed, match="step 3: the loss is nan.*step 2 is the last one saved"):
        train(split_reader(toy.reader()), *parts)
    assert RunCheckpoints(tmp_path)._between.all_steps() == [2]


def test_telemetry_counts_on_over_a_stop_and_changes_no_number(run, tmp_path, assert_undisturbed):
    metrics = tmp_path / "metrics.csv"
    with pytest.raises(Killed):
        run(ALWAYS, at=killed_at(6), telemetry=Telemetry(metrics=metrics))
    with metrics.open("a") as file:
        file.write("7,9.9,0.1,1.0,2.0,2.0,0.0,\n8,")  # done and written, and not in the checkpoint; a line cut short
    result, _ = run(telemetry=Telemetry(metrics=metrics, operations=2.0, peak=1e9))
    found = result.telemetry
    assert (found["steps"], found["resumed"]) == (8, 1)
    assert found["share_of_peak"] == pytest.approx(2e-9 * found["examples_per_second"])
    times = list(found["step_seconds"].values())
    assert times == sorted(times) and min(found["seconds"].values()) > 0
    rows = [line.split(",") for line in metrics.read_text().splitlines()]
    assert rows[0] == list(METRICS)
    steps = [int(row[0]) for row in rows[1:] if not row[-1]]
    assert steps == list(range(1, 9)) and [row[0] for row in rows[1:] if row[-1]] == ["4", "8"]
    assert_undisturbed(result)


def test_a_share_of_an_unknown_peak_is_none():
    assert Telemetry(operations=2.0).summary()["share_of_peak"] is None


def test_a_profile_is_a_trace_of_a_few_steps(run, tmp_path):
    run(telemetry=Telemetry(profile=tmp_path / "profile"))
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
