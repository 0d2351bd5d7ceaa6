"""What made a result: settings, code, versions, device."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

import glimmer
from glimmer.experiments import Run, Study, claims_digest


def made_by(study: Study, run: Run) -> dict[str, Any]:
    """The part of a result file that says what made it."""
    device = jax.devices()[0]
    return {
        "id": run.id,
        "study": study.name,
        "settings": run.settings,
        "seed": run.seed,
        "code_version": code_version(),
        "claims": claims_digest(),
        "endpoints": claims_digest("endpoints"),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")},
        "device": {
            "kind": device.device_kind,
            "count": jax.device_count(),
            "platform": device.platform,
            "cores": cores(),
        },
    }


def peak_memory() -> int:
    """Bytes of host memory that this process held at most so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most  # Linux counts in KiB


def cores() -> int:
    """Cores that compiled programs may use here: `--threads`, or all."""
    return int(os.environ.get("NPROC") or len(os.sched_getaffinity(0)))


def code_version() -> str:
    """The commit of the code, with `+changes` if code or configuration differ from it; the version without git."""
    root = Path(glimmer.__file__).resolve().parents[1]
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "glimmer", "worlds", "config", "pyproject.toml")
    except (OSError, subprocess.CalledProcessError):
        return glimmer.__version__
    return f"{commit}+changes" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()
