"""Fixtures of the analysis tests: invented results of the smoke study and of the paper, bare and drawn."""

import shutil
from pathlib import Path

import pytest

from analysis import figures
from glimmer.cli import main
from tests.analysis import synthetic


@pytest.fixture(scope="session")
def invented(tmp_path_factory) -> Path:
    """A results directory with all runs of `smoke`, retrieval and filter counts, and a paper; not to be changed."""
    directory = tmp_path_factory.mktemp("invented")
    synthetic.write_paper(directory)
    synthetic.write_study(directory, "smoke")
    synthetic.write_stages(directory, "smoke")
    return directory


@pytest.fixture
def results(invented: Path, tmp_path: Path) -> Path:
    """A copy of the invented results that a test may change."""
    return Path(shutil.copytree(invented, tmp_path / "results"))


@pytest.fixture(scope="session")
def drawn(invented: Path, tmp_path_factory) -> Path:
    """The invented results with every figure and table of both, the study's own or not. Not to be changed."""
    directory = Path(shutil.copytree(invented, tmp_path_factory.mktemp("drawn") / "results"))
    names = [artifact.name for artifact in figures.everything()]
    assert main(["figures", *names, "--study", "smoke", "--paper", "--results", str(directory)]) == 0
    return directory
