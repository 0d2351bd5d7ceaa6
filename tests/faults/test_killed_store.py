"""A memory store whose writer is killed: what is whole is kept, and the next one makes the rest."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from glimmer.models.store import StorePlan, write_store

ROOT = Path(__file__).resolve().parents[2]
ROWS, PER_BLOCK = 60, 4
MEMORY = np.random.default_rng(0).normal(size=(ROWS, 3, 8)).astype(np.float32)
WRITER = """
import sys, time
from tests.faults.test_killed_store import write
write(sys.argv[1], lambda first: time.sleep(0.05))
"""


def write(directory, before_each=lambda first: None):
    """A store of MEMORY; `before_each` is called with the first passage of each block that is computed."""

    def remember(block):
        before_each(int(block[0]))
        return MEMORY[block]

    plan = StorePlan.of(np.arange(ROWS), made_with={}, shape=(3, 8), dtype="int8", rows_per_block=PER_BLOCK)
    return write_store(directory, plan, lambda ids: ids, remember)


def blocks(directory):
    return {path.name: path.read_bytes() for path in directory.glob("block-*.bin")}


def test_a_store_whose_writer_is_killed_goes_on_behind_its_last_whole_block(tmp_path):
    store, whole, made = tmp_path / "store", tmp_path / "whole", []
    with subprocess.Popen([sys.executable, "-c", WRITER, str(store)], cwd=ROOT) as process:
        while len(blocks(store)) < 3 and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    left = blocks(store)
    assert 3 <= len(left) < ROWS // PER_BLOCK
    np.testing.assert_array_equal(write(store, made.append).read(np.arange(ROWS)[None]), write(whole).read(
        np.arange(ROWS)[None]))  # fmt: skip
    assert made == list(range(PER_BLOCK * len(left), ROWS, PER_BLOCK))
    assert blocks(store) == blocks(whole) and left.items() <= blocks(whole).items()
