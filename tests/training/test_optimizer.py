"""Adafactor against Shazeer and Stern's equations in NumPy, layer by layer; schedules and clipping."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from glimmer.experiments.sections import Training
from glimmer.experiments.settings import glimmer
from glimmer.training.optimizer import adafactor, build_optimizer, learning_rate
from tests.models.tiny import tiny_reader

RATE, THRESHOLD, STEPS = 1e-2, 7, 4
TRAINING = Training(
    optimizer="adafactor",
    learning_rate=RATE,
    schedule="constant",
    warmup_steps=0,
    clip_norm=None,
    batch_size=8,
    steps=10,
    dropout=0.0,
    evaluate_every=10,
    patience=None,
    dev_examples=1,
    dtype="float32",
    freeze_embeddings=False,
    scale_by_parameter=True,
    rematerialise=False,
    examples_per_task=None,
)


class Adafactor:
    """Algorithm 4 of the paper for one parameter, with its update clipping (5) and relative step size (8)."""

    def __init__(self, parameter, scaled):
        self.x, self.scaled, self.t = parameter.astype(np.float64), scaled, 0
        self.factored = parameter.ndim == 2 and min(parameter.shape) >= THRESHOLD
        self.r, self.c, self.v = 0.0, 0.0, 0.0

    def step(self, gradient):
        self.t += 1
        decay = 1 - self.t**-0.8
        squared = gradient.astype(np.float64) ** 2 + 1e-30
        if self.factored:
            self.r = decay * self.r + (1 - decay) * squared.mean(axis=1)
            self.c = decay * self.c + (1 - decay) * squared.mean(axis=0)
            v = np.outer(self.r, self.c) / self.r.mean()
        else:
            v = self.v = decay * self.v + (1 - decay) * squared
        update = gradient / np.sqrt(v)
        update /= max(1.0, np.sqrt(np.mean(update**2)))
        size = max(1e-3, np.sqrt(np.mean(self.x**2))) if self.scaled else 1.0
        self.x = self.x - RATE * size * update


@pytest.mark.parametrize("scaled", [True, False])
def test_every_layer_of_a_reader_is_updated_by_adafactors_equations(scaled):
    """A stack's layers each as a parameter of its own; the scorer, which starts at zero, never relative to its size."""
    reader = tiny_reader(glimmer(alpha="1/2", beta="1/2", k=2, m=1), scorer_seed=None)
    parameters = nnx.state(reader)
    optimizer = adafactor(RATE, scale_by_parameter=scaled, min_dim_size_to_factor=THRESHOLD)
    update = jax.jit(lambda g, s, p: (lambda u, s: (optax.apply_updates(p, u), s))(*optimizer.update(g, s, p)))
    state, random, expected = optimizer.init(parameters), np.random.default_rng(0), {}
    for path, leaf in nnx.to_flat_state(parameters):
        layers = np.asarray(leaf[...]) if "layers" in path else np.asarray(leaf[...])[None]
        expected[path] = [Adafactor(layer, scaled and "scorer" not in path) for layer in layers]
    assert any(one.factored for group in expected.values() for one in group)
    for _ in range(STEPS):
        gradients = jax.tree.map(lambda x: jnp.asarray(random.standard_normal(x.shape) ** 3, jnp.float32), parameters)
        parameters, state = update(gradients, state, parameters)
        for path, gradient in nnx.to_flat_state(gradients):
            gradient = np.asarray(gradient[...])
            for one, g in zip(expected[path], gradient if "layers" in path else gradient[None], strict=True):
                one.step(g)
    for path, leaf in nnx.to_flat_state(parameters):
        found = np.asarray(leaf[...])
        wanted = np.stack([one.x for one in expected[path]])
        np.testing.assert_allclose(found, wanted if "layers" in path else wanted[0], rtol=2e-5, atol=2e-6, err_msg=path)


def test_the_scorer_leaves_zero_at_its_full_rate():
    parameters = {"scorer": {"weight": jnp.zeros(3)}, "other": {"weight": jnp.zeros(3)}}
    optimizer = build_optimizer(TRAINING)
    gradients = jax.tree.map(lambda x: x - 2.0, parameters)
    updates, _ = optimizer.update(gradients, optimizer.init(parameters), parameters)
    np.testing.assert_allclose(updates["scorer"]["weight"], RATE, rtol=1e-5)
    np.testing.assert_allclose(updates["other"]["weight"], RATE * 1e-3, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adafactor", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_the_scorer_s_own_rate_moves_the_scorer_alone_by_the_same_schedule(optimizer, schedule):
    """Gradients of one size: updates are then in proportion to the rates, at every step."""
    parameters = {"scorer": {"weight": jnp.zeros(3)}, "other": {"weight": jnp.ones(3)}}
    gradients = jax.tree.map(lambda x: jnp.full_like(x, -2.0), parameters)

    def updates_of(changes):
        transform = build_optimizer(dataclasses.replace(TRAINING, optimizer=optimizer, schedule=schedule, **changes))
        state, found = transform.init(parameters), []
        for _ in range(3):
            updates, state = transform.update(gradients, state, parameters)
            found.append(updates)
        return found

    for usual, own in zip(updates_of({}), updates_of({"scorer_learning_rate": 10 * RATE}), strict=True):
        np.testing.assert_allclose(own["scorer"]["weight"], 10 * usual["scorer"]["weight"], rtol=1e-5)
        np.testing.assert_allclose(own["other"]["weight"], usual["other"]["weight"], rtol=1e-6)
        assert usual["scorer"]["weight"][0] > 0


def test_gradients_are_clipped_by_their_norm_over_all_parameters():
    """Adafactor does not care for the size of a first gradient, adamw neither: the clipped gradients are looked at."""
    optimizer = build_optimizer(dataclasses.replace(TRAINING, clip_norm=1.0, optimizer="adamw"))
    parameters = {"a": jnp.zeros(2), "b": jnp.zeros(1)}
    _, state = optimizer.update(
        {"a": jnp.array([3.0, 0]), "b": jnp.array([4.0])}, optimizer.init(parameters), parameters
    )
    moments = optax.tree_utils.tree_get(state, "mu")
    np.testing.assert_allclose(np.concatenate([moments["a"], moments["b"]]), 0.1 * np.array([0.6, 0, 0.8]), rtol=1e-5)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, {0: 1, 5: 1, 9: 1}),
        ("constant", 4, {0: 0.25, 1: 0.4375, 4: 1, 9: 1}),
        ("linear", 2, {2: 1, 6: 0.5, 10: 0}),
        ("cosine", 2, {2: 1, 6: 0.5, 10: 0}),
    ],
)
def test_the_rate_warms_up_and_follows_its_schedule(schedule, warmup, expected):
    rate = learning_rate(dataclasses.replace(TRAINING, learning_rate=1.0, schedule=schedule, warmup_steps=warmup))
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, abs=1e-6), step
