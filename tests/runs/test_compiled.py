"""What a step would need on devices that are not there, by the command; and what the command refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from glimmer import cli
from glimmer.experiments import load_study, runs_for

ROOT = Path(__file__).resolve().parents[2]
RUN = next(run.id for run in runs_for(load_study("smoke")).values() if run.reader.name == "lumen")


def compiled(devices: int, *changes: str) -> dict:
    options = [part for change in changes for part in ("--set", change)]
    command = [sys.executable, "-m", "glimmer", "train", "--compile-only", "--study", "smoke", "--run", RUN, "--json"]
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}
    done = subprocess.run(
        [*command, "--virtual-devices", str(devices), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_device_of_two_needs_half_of_the_parameters():
    one, two = compiled(1), compiled(2, "devices.fsdp=2")
    assert (one["mesh"], two["mesh"]) == ("data 1 x fsdp 1 x model 1", "data 1 x fsdp 2 x model 1")
    assert 0.45 < two["arguments_bytes"] / one["arguments_bytes"] < 0.6
    for needed in (one, two):
        held = needed["arguments_bytes"] + needed["temporaries_bytes"] + needed["outputs_bytes"]
        assert needed["total_bytes"] == held - needed["aliased_bytes"] > needed["arguments_bytes"]


@pytest.mark.parametrize(
    "options, said",
    [
        (["--compile-only", "--virtual-devices", "0"], "1 or more"),
        (
            ["--virtual-devices", "8", "--work", "w", "--data", "d", "--init", "i", "--out", "o"],
            "without --compile-only",
        ),
        (["--work", "w"], "no --data, --init, --out"),
    ],
)
def test_what_does_not_go_together_is_refused(options, said, capsys):
    assert cli.main(["train", "--study", "smoke", "--run", RUN, *options]) == 2
    assert said in capsys.readouterr().err
