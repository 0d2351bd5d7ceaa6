"""The shapes in signatures are true: the tests of models and losses once more with every call checked at run time."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKED = [
    "tests/models/test_reader.py",
    "tests/models/test_t5.py",
    "tests/models/test_store.py",
    "tests/training/test_losses.py",
    "tests/training/test_loop.py",
    "tests/training/test_examples.py",
]


@pytest.mark.slow
def test_every_call_has_the_shapes_that_its_signature_says():
    """A process of its own: the check is put into modules as they are imported."""
    options = ["--jaxtyping-packages=glimmer.models,glimmer.training,beartype.beartype", "-q", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *CHECKED, *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-4000:]
