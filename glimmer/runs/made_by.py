"""What made a result: settings, code, versions, device."""

from __future__ import annotations

import hashlib
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
from glimmer.experiments import Run, Study, config_digest
from glimmer.files import canonical_json, sha256_file
from glimmer.results.run_files import CHANGES


def made_by(study: Study, run: Run) -> dict[str, Any]:
    """The part of a result file that says what made it."""
    device = jax.devices()[0]
    return {
        "id": run.id,
        "study": study.name,
        "settings": run.settings,
        "seed": run.seed,
        "code_version": code_version(),
        "claims": config_digest("claims"),
        "endpoints": config_digest("endpoints"),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")},
        **container(),
        "device": {
            "kind": device.device_kind,
            "count": jax.device_count(),
            "platform": device.platform,
            "cores": cores(),
        },
    }


def container() -> dict[str, str]:
    """{"container": what image this runs in}; empty where it is none that says so.

    GLIMMER_CONTAINER, where somebody set it (docker and podman tell a process nothing of its image), else the sha256 of
    the image file that Apptainer or Singularity names, or the name itself where it is no file.
    """
    if stated := os.environ.get("GLIMMER_CONTAINER"):
        return {"container": stated}
    named = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")
    if not named:
        return {}
    return {"container": f"sha256:{sha256_file(named)}" if Path(named).is_file() else named}


def peak_memory() -> int:
    """Bytes of host memory that this process held at most so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most  # Linux counts in KiB


def cores() -> int:
    """Cores that compiled programs may use here: `--threads`, or all."""
    return int(os.environ.get("NPROC") or len(os.sched_getaffinity(0)))


def code_version() -> str:
    """What code this is: the commit of its own repository, with `+changes` where code or configuration differ from it.

    Code that lies in no repository of its own (an installed package, a copy) has no commit, and that of a project
    around it is none of its: then it is the version and a digest of the source, `0.1.0+source.<12 hex digits>`.
    """
    package = Path(glimmer.__file__).resolve().parent
    try:
        # Of a copy in another project's tree git would name that project's commit.
        if Path(_git(package.parent, "rev-parse", "--show-toplevel")).resolve() != package.parent:
            return _source_version(package)
        _git(package.parent, "ls-files", "--error-unmatch", "--", "glimmer/__init__.py")
        commit = _git(package.parent, "rev-parse", "--short=12", "HEAD")
        decisive = ("glimmer", "worlds", "config", "pyproject.toml")
        changed = _git(package.parent, "status", "--porcelain", "--untracked-files=all", "--", *decisive)
    except (OSError, subprocess.CalledProcessError):
        return _source_version(package)
    return f"{commit}{CHANGES}" if changed else commit


def _source_version(package: Path) -> str:
    names = sorted(path.relative_to(package).as_posix() for path in package.rglob("*.py"))
    listed = [[name, sha256_file(package / name)] for name in names]
    return f"{glimmer.__version__}+source.{hashlib.sha256(canonical_json(listed).encode()).hexdigest()[:12]}"


def _git(root: Path, *arguments: str) -> str:
    # GIT_DIR and its like, which a hook or a script may have set, speak of another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), "-c", "core.fsmonitor=false", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()
