"""Seconds of calls of snakemake that train nothing: a plan of the full grid, figures and audit with nothing to do.

No peer stands beside them. They run in a copy of the code and its results, so that nothing here is made anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.rows import OURS, Row, in_turn
from glimmer.errors import CheckFailed

ROOT = Path(__file__).resolve().parents[2]
_LEFT = (".venv", ".git", ".snakemake", "work", "reproduced", "build", "dist", "__pycache__", "tests", "*.egg-info")
_STUDY = "embedded"
_CALLS = {
    "plan": (
        f"`snakemake -n` on the full grid of the {_STUDY} study",
        ["-n", "--quiet", "--config", f"study={_STUDY}"],
    ),
    "figures": ("`snakemake figures` with nothing to do", ["figures"]),
    "audit": ("`snakemake audit`, which checks every result file each time", ["audit"]),
}
_SETTLED = frozenset({"figures"})
"""Calls that have nothing to do the second time."""


def rows(quick: bool) -> Iterator[Row]:
    """A row a call. The first time, uncounted, makes what is to be made."""
    with tempfile.TemporaryDirectory() as directory:
        copy = shutil.copytree(ROOT, Path(directory) / "copy", ignore=shutil.ignore_patterns(*_LEFT))
        for name in ("figures",) if quick else _CALLS:
            what, arguments = _CALLS[name]
            call(copy, arguments)
            if settled := name in _SETTLED:
                require_nothing_to_do(copy, arguments)
            seconds = in_turn({OURS: lambda arguments=arguments: call(copy, arguments)}, 1 if quick else 3, warm=False)
            yield Row(
                name=name,
                what=what,
                against="seconds alone",
                seconds=seconds,
                checked="snakemake says that there is nothing to do" if settled else "",
                limits="imports of Python, reading the workflow and the files' times",
            )


def call(folder: Path, arguments: list[str]) -> str:
    """What snakemake says, in a folder of the code. Raises CheckFailed where it fails."""
    stated = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(stated, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise CheckFailed(f"snakemake {' '.join(arguments)}: exit {done.returncode}: {done.stderr[-500:]}")
    return done.stdout + done.stderr


def require_nothing_to_do(folder: Path, arguments: list[str]) -> None:
    """Raises CheckFailed where snakemake has something to do."""
    if "Nothing to be done" not in (said := call(folder, arguments)):
        raise CheckFailed(f"snakemake {' '.join(arguments)}: something is to be done: {said[-500:]}")
