"""Several processes train as one does, stop at one step, and go on as another number of them; the mesh spans them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.free_port import free_port

PROGRAM = """
import dataclasses, json, os, signal, sys, time
import jax, numpy as np
jax.config.update("jax_disable_most_optimizations", True)
from glimmer import preemption, processes
port, count, index, layouts, directory, mode = *map(int, sys.argv[1:4]), json.loads(sys.argv[4]), *sys.argv[5:]

def main():
    import jax.numpy as jnp
    import optax
    from pathlib import Path
    from glimmer.errors import InputError
    from glimmer.experiments.sections import Devices
    from glimmer.experiments.settings import fid
    from glimmer.models.mesh import device_mesh, own_rows, place_parameters, whole
    from glimmer.training import loop
    from glimmer.training.checkpoints import restore_parameters
    from glimmer.training.curve import TrainingPlan
    from glimmer.training.state import split_reader
    from tests.models.tiny import CONFIG, ragged_batch, tiny_reader

    config, compile_step = dataclasses.replace(CONFIG, encoder_layers=1, decoder_layers=1), loop.compile_step
    found = {}
    for name, (data, fsdp, model, microbatches) in layouts.items():
        mesh = device_mesh(Devices(data=data, fsdp=fsdp, model=model))
        seconds = 0 if mode == "killed" else None
        plan = TrainingPlan(steps=12, evaluate_every=6, microbatches=microbatches, checkpoint_seconds=seconds)
        made, calls, own, place = [], [], own_rows(4, mesh, microbatches), Path(directory) / name

        def counted(*arguments):
            step = compile_step(*arguments)
            return lambda *parts: (calls.append(1), step(*parts))[1]

        def batch(step):
            made.append(step)
            if mode == "killed" and step == 10:
                seal = place / ".sealed.json"
                while not seal.exists() or "between/9/" not in seal.read_text():
                    time.sleep(0.05)
                os.kill(os.getpid(), signal.SIGKILL)
            if mode == "stopped" and step == 8 and index == count - 1:
                while len(calls) < 8:  # in the thread that makes batches: the loop does what it has
                    time.sleep(0.05)
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.5)  # the loop waits for this batch while the signal arrives
            return jax.tree.map(lambda x: np.asarray(x)[own], ragged_batch(step % 3, rows=4, k=2))

        def on_dev(reader):  # each says another number: the first one's counts
            processes.check_stop()
            mean = float(jnp.mean(jnp.abs(reader.trained["embedding"]["table"][...])))
            return {"dev_average": index - mean, "tasks": {"nq": {"third": 1 / 3}}}

        loop.compile_step = counted
        reader = split_reader(tiny_reader(fid(k=2), config))
        result = loop.train(reader, optax.adam(1e-2), batch, on_dev, plan, place, mesh, {"run": name})
        like = place_parameters(split_reader(tiny_reader(fid(k=2), config)).trained, mesh)
        which = "best" if result.selection.other is None else "last"
        kept = [whole(leaf) for leaf in jax.tree.leaves(restore_parameters(place, which, like))]
        matrices = [leaf for leaf in jax.tree.leaves(like) if leaf.ndim > 2]
        found[name] = {
            "curve": result.curve, "made": made, "own": own.tolist(),
            "share": max(leaf.addressable_shards[0].data.size / leaf.size for leaf in matrices),
        }
        if processes.is_first():
            np.savez(Path(directory) / f"{name}.npz", *kept)
    if count > 1:
        processes.require_alike("a thing", {"the": "same"})
        for block in (lambda: processes.require_alike("their number", index), alone_fails):
            try:
                block()
            except Exception as error:
                found.setdefault("errors", []).append(f"{type(error).__name__}: {error}")
    return found

def alone_fails():
    with processes.together():
        if index == 1:
            raise ValueError("mine")

by_hand = (f"127.0.0.1:{port}", str(count), index) if count > 1 else (None, None, None)
place = processes.Place.stated(*((None, "slurm", None) if "SLURM_PROCID" in os.environ else by_hand))
try:
    with processes.joined(place), preemption.heeded(60):
        found = main()
except preemption.Preempted as stopped:
    sys.exit(stopped.exit_code)
print(json.dumps(found))
"""
LAYOUTS = {"data": (2, 1, 1, 1), "fsdp": (1, 2, 1, 2), "model": (1, 1, 2, 1)}
"""data, fsdp, model, microbatches, over two processes of one device each."""
ONE = (1, 1, 1, 1)


def slurm_says(index: int, count: int, port: str) -> dict[str, str]:
    """What SLURM tells a task that is alone on its host."""
    step = {"JOB_ID": "7", "STEP_NODELIST": "127.0.0.1", "NTASKS": count, "STEP_NUM_NODES": count, "PROCID": index}
    return {f"SLURM_{name}": str(value) for name, value in (step | {"LOCALID": 0}).items()} | {
        "JAX_COORDINATOR_PORT": port
    }


def run(count, layouts, directory, mode="whole", slurm=False):
    """Exit codes, and what each told, of `count` processes that train together, as tasks of `slurm` or by hand."""
    directory.mkdir(exist_ok=True)
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
        "JAX_COMPILATION_CACHE_DIR": str(directory.parent / "compiled"),
    }
    port, arguments = str(free_port()), [json.dumps(layouts), str(directory), mode]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, port, str(count), str(index), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | (slurm_says(index, count, port) if slurm else {}),
        )
        for index in range(count)
    ]
    ended = [process.communicate() for process in started]
    codes = [process.returncode for process in started]
    assert mode != "whole" or codes == [0] * count, [errors[-2000:] for _, errors in ended]
    return codes, [json.loads(out.splitlines()[-1]) if code == 0 else errors
                   for code, (out, errors) in zip(codes, ended, strict=True)]  # fmt: skip


def parameters(directory: Path, name: str) -> list[np.ndarray]:
    with np.load(directory / f"{name}.npz") as arrays:
        return [arrays[key] for key in arrays.files]


def assert_same_entry(theirs, mine):
    """Entries of two curves: what is measured of tasks, which stands in a mapping of its own, to the bit."""
    assert theirs["tasks"] == mine["tasks"]
    assert theirs | {"tasks": 0} == pytest.approx(mine | {"tasks": 0}, rel=1e-5)


def assert_close(left, right, **tolerance):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def alone(place):
    """(curve, parameters) of one process on one device."""
    _, (told,) = run(1, {"one": ONE}, place / "alone")
    return told["one"]["curve"], parameters(place / "alone", "one")


@pytest.fixture(scope="module")
def together(place):
    """What two processes told, of each layout."""
    return run(2, LAYOUTS, place / "together")[1]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_processes_train_as_one(alone, together, place, layout):
    """Over `data`, over `fsdp` with parameters in parts and in microbatches, and over `model`."""
    curve, kept = alone
    first, second = (told[layout] for told in together)
    assert first["curve"] == second["curve"], "what process 0 measured, to the bit"
    for mine, theirs in zip(curve, first["curve"], strict=True):
        assert_same_entry(theirs, mine)
    assert_close(parameters(place / "together", layout), kept, atol=1e-4)
    assert first["share"] == (1 if layout == "data" else 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_process_makes_its_own_rows_of_a_batch(together, layout):
    whole = [0, 1, 2, 3]
    assert [told[layout]["own"] for told in together] == ([whole] * 2 if layout == "model" else [[0, 1], [2, 3]])


@pytest.mark.slow
def test_what_fails_on_one_process_fails_on_all(together):
    assert [told["errors"][0].split(":")[0] for told in together] == ["InputError"] * 2, "they differ, and all say so"
    assert "processes differ in their number" in together[0]["errors"][0]
    assert [told["errors"][1] for told in together] == [
        "CheckFailed: another process of this run failed; it says why",
        "ValueError: mine",
    ]


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_at_one_step_and_they_go_on_from_there(together, place):
    """Asked with nine steps done, they stop two steps later."""
    layout = {"fsdp": LAYOUTS["fsdp"]}
    codes, errors = run(2, layout, place / "stopped", "stopped")
    assert codes == [75, 75], errors
    _, told = run(2, layout, place / "stopped", slurm=True)
    assert [each["fsdp"]["made"][0] for each in told] == [11, 11]
    assert told[0]["fsdp"]["curve"] == together[0]["fsdp"]["curve"]
    assert_close(parameters(place / "stopped", "fsdp"), parameters(place / "together", "fsdp"), atol=0, rtol=0)


@pytest.mark.slow
def test_what_two_processes_saved_before_they_were_killed_one_process_goes_on_from(alone, place):
    codes, _ = run(2, {"fsdp": LAYOUTS["fsdp"]}, place / "killed", "killed")
    assert codes == [-9, -9]
    _, (told,) = run(1, {"fsdp": ONE}, place / "killed")
    assert told["fsdp"]["made"][0] == 9, "the checkpoint between two evaluations"
    curve, kept = alone
    for mine, theirs in zip(curve, told["fsdp"]["curve"], strict=True):
        assert_same_entry(theirs, mine)
    assert_close(parameters(place / "killed", "fsdp"), kept, atol=1e-4)
