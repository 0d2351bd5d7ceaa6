"""A disk that fills: one line that names the path and what is free, nothing left behind, and all of it later."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.files import DiskFull, atomic_write, disk_is_full
from glimmer.training.checkpoints import RunCheckpoints
from tests.faults.writers import WRITERS

SIZE = 2**20  # of the disk: what each writer writes is more than half of it, and fits


@pytest.fixture
def disk(tmp_path):
    """A disk of one mebibyte, and a function that leaves so many kibibytes of it free."""
    root = tmp_path / "disk"
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(root)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(command, capture_output=True).returncode == 0:
            yield root
            subprocess.run(["umount", "-l", str(root)], check=True)
            return
    pytest.skip("no disk of a given size can be mounted here: that takes root")


def fill(root: Path, free: int) -> None:
    room = os.statvfs(root)
    (root / "filler").write_bytes(bytes(max(room.f_bavail * room.f_frsize - free, 0)))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("free", [0, 2**13, 2**16, 2**18])
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_full_disk_is_named_leaves_nothing_and_after_space_is_made_all_is_written(disk, tmp_path, write, free):
    fill(disk, free)
    with pytest.raises(InputError, match="stage.*: (the disk is full|no space for .*)") as caught:
        write(disk)
    assert "\n" not in str(caught.value) and str(disk) in str(caught.value)
    left = set(contents(disk)) - {"filler", "stage/.plan.json"}  # the plan of embeddings, from which they go on
    assert not left
    (disk / "filler").unlink()
    write(disk)
    write(tmp_path / "elsewhere")
    assert contents(disk) == contents(tmp_path / "elsewhere")


@pytest.mark.parametrize("kind", ["latest", "between", "best", "last"])
@pytest.mark.parametrize("free", [0, 2**15, 2**18])
def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(disk, kind, free, capfd):
    random, progress = np.random.default_rng(0), {"identity": {}, "curve": [{"step": 1, "dev_average": 0.5}]}
    small, large = {"a": np.ones(4, np.float32)}, {"a": random.random(10**5, np.float32)}
    checkpoints = RunCheckpoints(disk / "c")
    checkpoints.save_latest(1, small, progress)
    checkpoints.save_best(1, small)
    fill(disk, free)

    def save():
        getattr(checkpoints, f"save_{kind}")(2, large, *([progress] if kind in ("latest", "between") else []))
        checkpoints.settle()

    capfd.readouterr()
    with pytest.raises(DiskFull, match=f"{kind}.*: the disk is full.* free"):
        save()
    assert "Traceback" not in capfd.readouterr().err and not list(disk.rglob("*orbax-checkpoint-tmp*"))
    (disk / "filler").unlink()
    state, _ = RunCheckpoints(disk / "c").restore_latest(small, {})
    np.testing.assert_array_equal(state["a"], small["a"])
    save()
    checkpoints.close()


def test_a_command_on_a_full_disk_ends_with_2_and_one_line(disk):
    fill(disk, 2**13)
    arguments = f"generate --out {disk / 'world'} --seed 0 --pages 50"
    ended = subprocess.run([sys.executable, "-m", "glimmer", *arguments.split()], capture_output=True, text=True)
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1
    assert "the disk is full" in ended.stderr and str(disk / "world") in ended.stderr
    assert not set(contents(disk)) - {"filler"}


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(28, "No space left on device"), True),
        (OSError("1000 requested and 4 written"), True),
        (ValueError("RESOURCE_EXHAUSTED: Failed to write 9 bytes: No space left on device [os_error_code='28']"), True),
        (OSError(13, "Permission denied"), False),
        (ValueError("not a number"), False),
    ],
)
def test_what_says_that_a_disk_is_full(error, full):
    assert disk_is_full(error) == full


def test_an_error_of_another_kind_is_left_as_it_is(tmp_path):
    with pytest.raises(ValueError, match="mine"), atomic_write(tmp_path / "file") as file:
        file.write("x")
        raise ValueError("mine")
    assert not list(tmp_path.iterdir())
