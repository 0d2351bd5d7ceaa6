"""Two thousand steps leave a process as large as a few hundred do: its memory and its open files."""

import os
from pathlib import Path

import numpy as np
import pytest

from glimmer.training.curve import TrainingPlan
from glimmer.training.loop import train
from glimmer.training.state import split_reader
from glimmer.training.telemetry import Telemetry

STEPS, EVERY = 2000, 50
SETTLED = 500  # compiled, first checkpoints and evaluations done
BYTES_A_STEP = 1024  # what one step's losses take on a device is six times as much


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory of a process is read from /proc")
def test_memory_and_open_files_stay_as_they_are_over_two_thousand_steps(toy, tmp_path):
    seen = []

    def batch(step):
        if step % EVERY == 0:
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            seen.append((step, resident, len(os.listdir("/proc/self/fd"))))
        return toy.batch(step)

    # No evaluation and no checkpoint in between: what those leave in the allocator would hide what a step leaves.
    plan = TrainingPlan(steps=STEPS, evaluate_every=STEPS, seed=5, checkpoint_seconds=None)
    parts = toy.optimizer, batch, lambda reader: {"dev_average": 0.0}, plan, tmp_path / "run", toy.mesh, {"run": "abc"}
    train(split_reader(toy.reader()), *parts, telemetry=Telemetry(metrics=tmp_path / "metrics.csv"))

    steps, resident, files = np.array([row for row in seen if row[0] >= SETTLED]).T
    assert len(steps) >= (STEPS - SETTLED) / EVERY
    slope = np.polyfit(steps, resident, 1)[0]
    assert slope < BYTES_A_STEP, f"{slope:.0f} bytes a step"
    assert files.max() == files.min()
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == STEPS + 2  # and a head, and an evaluation
