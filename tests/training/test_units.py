"""Training in units: the bound on what it can have moved, and what it has."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from glimmer.experiments.settings import fid, glimmer
from glimmer.training.mixture import UniformMixture
from glimmer.training.optimizer import build_optimizer
from glimmer.training.state import split_reader
from glimmer.training.units import training_units
from tests.models.tiny import CONFIG, tiny_reader
from tests.training.test_optimizer import TRAINING

MIXTURE = UniformMixture({"nq": 10, "fever": 100}, seed=0)
TRAINING = dataclasses.replace(TRAINING, schedule="linear", steps=8, scale_by_parameter=False)
GLIMMER = glimmer(alpha="1/2", beta="1/2", k=2, m=1, memory="frozen")


def moved(split, training, gradient, steps):
    """`split.trained` after steps of the training's optimizer under `gradient(step, leaf)`."""
    optimizer, parameters = build_optimizer(training), split.trained
    state = optimizer.init(parameters)
    update = jax.jit(optimizer.update)
    for step in range(steps):
        gradients = jax.tree.map(lambda leaf, step=step: jnp.asarray(gradient(step, leaf), jnp.float32), parameters)
        updates, state = update(gradients, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    return parameters


def test_a_gradient_that_never_turns_goes_the_whole_path_and_any_other_no_further():
    split = split_reader(tiny_reader(GLIMMER))
    random = np.random.default_rng(0)
    for gradient, whole in ((lambda _, x: np.ones(x.shape), True), (lambda _, x: random.normal(size=x.shape), False)):
        units = training_units(TRAINING, MIXTURE, 5, split, moved(split, TRAINING, gradient, 5))
        assert set(units["rms"]) == set(units["path"]) == set(units["moved"])
        for part, path in units["path"].items():
            if whole:
                assert units["moved"][part] == pytest.approx(path, rel=1e-3), part
            else:
                assert units["moved"][part] <= 1.0001 * path, part


def test_the_sums_are_those_of_the_schedule_and_the_scorer_s_span_is_its_sum_times_the_width():
    """Linear to zero over 8 steps from 0.01: 1, 7/8, 6/8 ..."""
    training = dataclasses.replace(TRAINING, scorer_learning_rate=0.1)
    split = split_reader(tiny_reader(GLIMMER))
    units = training_units(training, MIXTURE, 3, split, split.trained)
    assert units["sum_of_rates"] == pytest.approx(0.01 * (8 + 7 + 6) / 8)
    assert units["scorer_sum_of_rates"] == pytest.approx(0.1 * (8 + 7 + 6) / 8)
    assert units["scorer_span_nats"] == pytest.approx(CONFIG.d_model * units["scorer_sum_of_rates"])
    assert not any(units["moved"].values())
    assert units["path"]["live"] == pytest.approx(units["sum_of_rates"] / units["rms"]["live"])
    live = np.concatenate([np.ravel(leaf[...]) for path, leaf in nnx.to_flat_state(split.trained) if path[0] == "live"])
    assert units["rms"]["live"] == pytest.approx(np.sqrt(np.mean(live.astype(np.float64) ** 2)))


def test_updates_scaled_by_the_parameter_have_a_path_of_the_rates_but_the_scorer_s():
    training = dataclasses.replace(TRAINING, scale_by_parameter=True)
    split = split_reader(tiny_reader(GLIMMER))
    units = training_units(training, MIXTURE, 3, split, split.trained)
    assert units["path"]["decoder"] == units["path"]["head"] == units["sum_of_rates"]
    assert units["path"]["scorer"] == pytest.approx(units["scorer_sum_of_rates"] / units["rms"]["scorer"])


def test_what_is_frozen_has_a_path_of_nothing_and_a_reader_without_a_scorer_none_of_its_units():
    split = split_reader(tiny_reader(GLIMMER))
    units = training_units(TRAINING, MIXTURE, 3, split, split.trained)
    assert units["path"]["memory"] == units["path"]["memory_embedding"] == 0 < units["path"]["embedding"]
    split = split_reader(tiny_reader(fid(k=2)))
    units = training_units(TRAINING, MIXTURE, 3, split, split.trained)
    assert "scorer" not in units["rms"] and units["scorer_sum_of_rates"] is units["scorer_span_nats"] is None


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_rows_are_counted_as_they_are_drawn(steps):
    training = dataclasses.replace(TRAINING, batch_size=3)
    drawn = [task for step in range(steps) for task, _ in MIXTURE.rows(step, 3)]
    split = split_reader(tiny_reader(fid(k=2)))
    units = training_units(training, MIXTURE, steps, split, split.trained)
    assert units["epochs"] == {task: drawn.count(task) / size for task, size in MIXTURE.sizes.items()}
    assert units["rows_seen"] == len(drawn) == 3 * steps
