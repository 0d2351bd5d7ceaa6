"""Two at once: of what two processes write in one place, one whole copy is left and nothing else."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.writers import WRITERS

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys, time
from pathlib import Path
from tests.faults import writers
root, write = Path(sys.argv[1]), getattr(writers, sys.argv[2])
(root / f"ready-{sys.argv[3]}").touch()
while not (root / "go").exists():
    time.sleep(0.001)
for _ in range(4):
    write(root)
"""


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_two_processes_that_write_the_same_leave_it_whole_and_nothing_else(tmp_path, write):
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    shared.mkdir()
    command = [sys.executable, "-c", WRITER, str(shared), write.__name__]
    processes = [subprocess.Popen([*command, str(n)], cwd=ROOT, stderr=subprocess.PIPE, text=True) for n in range(2)]
    while not all((shared / f"ready-{n}").exists() for n in range(2)) and all(p.poll() is None for p in processes):
        time.sleep(0.01)
    (shared / "go").touch()
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    for path in (shared / "go", *shared.glob("ready-*")):
        path.unlink()
    write(alone)
    assert contents(shared) == contents(alone)
