"""Over every shape of the mesh, data x fsdp x model, a reader trains as on one device, and lies there in parts."""

import json
import os
import subprocess
import sys

import pytest

SHAPES = {"8x1x1": 1, "1x8x1": 1, "2x2x2": 2, "1x4x2": 1, "4x2x1": 1}
"""data x fsdp x model -> microbatches of a step."""
READERS = ("fid", "lumen", "glimmer")

PROGRAM = """
import dataclasses, json, sys, tempfile
import jax, numpy as np
jax.config.update("jax_disable_most_optimizations", True)
import jax.numpy as jnp
from glimmer.experiments.sections import Devices
from glimmer.experiments.settings import fid, glimmer, lumen
from glimmer.models.mesh import AXES, device_mesh, parameter_shardings, place_batch, place_parameters
from glimmer.training.checkpoints import RunCheckpoints, restore_parameters
from glimmer.training.losses import DistillationWeights
from glimmer.training.optimizer import adafactor
from glimmer.training.state import compile_step, initial_state, split_reader
from tests.models.tiny import CONFIG, ragged_batch, tiny_reader
import optax

shapes, readers = json.loads(sys.argv[1]), sys.argv[2].split()
config = dataclasses.replace(CONFIG, encoder_layers=2, decoder_layers=1, dropout=0.1)
SETTINGS = {
    "fid": fid(k=2),
    "lumen": lumen(alpha="1/2", k=2, memory="frozen"),
    "glimmer": glimmer(alpha="1/2", beta=1, k=2, m=1),
}
weights = DistillationWeights(lambda_=jnp.float32(1), tau=jnp.float32(1))
adam = optax.adamw(1e-2)
optimizers = {"fid": adafactor(1e-2, min_dim_size_to_factor=8), "lumen": adam, "glimmer": adam}

def curve(name, mesh, microbatches):
    optimizer = optimizers[name]
    split = place_parameters(split_reader(tiny_reader(SETTINGS[name], config)), mesh)
    state = place_parameters(initial_state(split.trained, optimizer, mesh), mesh)
    step, losses = compile_step(split.definition, optimizer, mesh, microbatches), []
    for n in range(3):
        batch = place_batch(ragged_batch(n, rows=16, k=2), mesh, microbatches)
        state, measured = step(state, split.fixed, batch, weights, jax.random.key(0))
        losses.append(float(measured.total))
    return losses, state

def matrices(state, count):
    "Name -> (bytes on the fullest device over bytes in all) of every parameter with two axes or more a layer."
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.parameters):
        names = [str(getattr(part, "key", "")) for part in path]
        if "norm" not in str(names) and "scorer" not in names:
            held = {}
            for shard in leaf.addressable_shards:
                held[shard.device.id] = held.get(shard.device.id, 0) + shard.data.nbytes
            found[".".join(filter(None, names))] = max(held.values()) / leaf.nbytes
    return found

def moments(state):
    "Of the optimizer's arrays shaped as a parameter, bytes on one device over bytes in all."
    sizes = {leaf.shape for leaf in jax.tree.leaves(state.parameters) if leaf.ndim > 2}
    whole = [leaf for leaf in jax.tree.leaves(state.optimizer) if leaf.shape in sizes]
    return sum(leaf.addressable_shards[0].data.nbytes for leaf in whole) / max(sum(leaf.nbytes for leaf in whole), 1)

def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]

one, out, states = device_mesh(devices=jax.devices()[:1]), {"devices": jax.device_count()}, {}
for name in readers:
    losses, whole = curve(name, one, 1)
    out[name] = {"one": losses}
    for shape, microbatches in shapes.items():
        data, fsdp, model = map(int, shape.split("x"))
        mesh = device_mesh(Devices(data=data, fsdp=fsdp, model=model))
        losses, state = curve(name, mesh, microbatches)
        pairs = zip(jax.tree.leaves(state.parameters), jax.tree.leaves(whole.parameters))
        out[name][shape] = {
            "losses": losses,
            "parameters": max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs),
            "matrices": matrices(state, mesh.size), "moments": moments(state),
            "stays": jax.tree.all(jax.tree.map(
                lambda leaf, s: leaf.sharding.is_equivalent_to(s, leaf.ndim), state, parameter_shardings(state, mesh)
            )),
        }
        states[shape] = state
        print(name, shape, losses, out[name][shape]["parameters"], file=sys.stderr, flush=True)
first, last = "2x2x2", "1x8x1"
identity, curve_so_far = {"run": "x"}, [{"step": 3, "dev_average": 0.0}]
progress = {"identity": identity, "curve": curve_so_far, "seconds": 0.0}
with tempfile.TemporaryDirectory() as directory:
    checkpoints = RunCheckpoints(directory)
    checkpoints.save_latest(3, states[first], progress)
    checkpoints.save_best(3, states[first].parameters)
    restored, _ = checkpoints.restore_latest(states[last], identity)
    kept = restore_parameters(directory, "best", states[last].parameters)
    checkpoints.close()
out["restored"] = {
    "state": bits(restored) == bits(states[first]), "best": bits(kept) == bits(states[first].parameters),
    "placed": jax.tree.all(jax.tree.map(lambda new, like: new.sharding == like.sharding, restored, states[last])),
}
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def found():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(SHAPES), " ".join(READERS)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_trains_over_a_mesh_as_on_one_device(found, reader, shape):
    """Dropout, distillation and, over 2 x 2 x 2, microbatches included."""
    assert found["devices"] == 8
    over_mesh = found[reader][shape]
    assert over_mesh["losses"] == pytest.approx(found[reader]["one"], rel=1e-4)
    assert over_mesh["parameters"] < 2e-3
    assert over_mesh["losses"][0] != over_mesh["losses"][-1]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reader", READERS)
def test_every_matrix_lies_in_parts_and_stays_so(found, reader, shape):
    """A device holds one part in fsdp x model of each (relative-position tables: one in model), after steps too."""
    _, fsdp, model = map(int, shape.split("x"))
    over_mesh = found[reader][shape]
    for name, share in over_mesh["matrices"].items():
        assert share == 1 / (model if "relative_bias" in name else fsdp * model), name
    assert over_mesh["moments"] == pytest.approx(1 / (fsdp * model)) or reader == "fid"
    assert over_mesh["stays"]


@pytest.mark.slow
def test_what_one_shape_of_the_mesh_saved_another_restores_to_the_bit(found):
    assert found["restored"] == {"state": True, "best": True, "placed": True}
