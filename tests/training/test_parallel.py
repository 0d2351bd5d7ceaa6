"""One step over a device mesh equals the step on one device; training resumes there too."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import dataclasses, json, sys, tempfile
import jax, numpy as np
jax.config.update("jax_disable_most_optimizations", True)
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh
from glimmer.errors import InputError
from glimmer.experiments.sections import Devices
from glimmer.experiments.settings import glimmer
from glimmer.models.mesh import device_mesh, place_batch, place_parameters
from glimmer.training.curve import TrainingPlan
from glimmer.training.loop import train
from glimmer.training.losses import DistillationWeights
from glimmer.training.optimizer import adafactor
from glimmer.training.state import compile_step, initial_state, split_reader
from tests.models.tiny import CONFIG, ragged_batch, tiny_reader

config = dataclasses.replace(CONFIG, encoder_layers=2, decoder_layers=1, dropout=0.1)
settings = glimmer(alpha="1/2", beta=1, k=2, m=1)
weights = DistillationWeights(lambda_=jnp.float32(1), tau=jnp.float32(1))
optimizer = adafactor(1e-2)

def two_steps(mesh):
    split = place_parameters(split_reader(tiny_reader(settings, config)), mesh)
    state, step = initial_state(split.trained, optimizer), compile_step(split.definition, optimizer)
    for n in range(2):
        batch = place_batch(ragged_batch(n, rows=4, k=2), mesh)
        state, losses = step(state, split.fixed, batch, weights, jax.random.key(0))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state.parameters)], float(losses.total)

def resumes(mesh, directory):
    calls = []
    def dev(_):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return {"dev_average": 0.1 * len(calls)}
    arguments = (optimizer, lambda n: ragged_batch(n, rows=4, k=2), dev, TrainingPlan(steps=3, evaluate_every=1))
    for _ in range(2):
        try:
            result = train(split_reader(tiny_reader(settings, config)), *arguments, directory, mesh, {"run": "x"})
        except KeyboardInterrupt:
            pass
    return [entry["step"] for entry in result.curve]

one = Mesh(np.array(jax.devices()[:1]).reshape(1, 1, 1), ("data", "fsdp", "model"), axis_types=(AxisType.Auto,) * 3)
whole, loss = two_steps(one)
found = {"devices": jax.device_count(), "loss": loss}
for name, mesh in {"data": device_mesh(), "data x model": device_mesh(Devices(model=2))}.items():
    parts, loss = two_steps(mesh)
    found[name] = [max(float(np.abs(a - b).max()) for a, b in zip(parts, whole)), loss]
try:
    place_batch(ragged_batch(0, rows=3, k=2), device_mesh())
except InputError as error:
    found["indivisible"] = str(error)
try:
    with tempfile.TemporaryDirectory() as directory:
        found["resumed"] = resumes(device_mesh(), directory)
except Exception as error:
    found["resumed"] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("mesh", ["data", "data x model"])
def test_the_step_is_the_same_over_a_mesh(found, mesh):
    """Dropout included: a mask depends on the step, not on where its elements lie."""
    difference, loss = found[mesh]
    assert found["devices"] == 4
    assert loss == pytest.approx(found["loss"], rel=1e-5)
    assert difference < 1e-4


@pytest.mark.slow
def test_training_resumes_over_a_mesh(found):
    assert found["resumed"] == [1, 2, 3]


@pytest.mark.slow
def test_a_batch_that_does_not_divide_over_the_devices_is_an_input_error(found):
    assert "multiple of 4" in found["indivisible"] and "found 3" in found["indivisible"]
