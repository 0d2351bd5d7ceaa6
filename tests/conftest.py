"""What every test may use: where the optional shared material lies, quiet CPU JAX, hypothesis without a stopwatch."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory of reference material; tests that need it skip where it is missing."""
    path = Path(os.environ.get("GLIMMER_SHARED", REPOSITORY.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"reference material not found at {path} (set GLIMMER_SHARED)")
    return path


@pytest.fixture
def copy_of_the_code(tmp_path) -> Path:
    """A checkout of one's own to change: code, configuration and results; `python -m glimmer` there runs that code."""
    copy = tmp_path / "checkout"
    for name in ("glimmer", "worlds", "analysis", "workflow", "config", "results"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "profiles").symlink_to("workflow/profiles")
    for name in ("Snakefile", "environment.yml", "CITATION.cff", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, copy / name)
    return copy
