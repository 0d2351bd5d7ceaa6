"""The lock, the conda environment and pyproject.toml agree, and none of them names a machine."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CONDA_NAMES = {"matplotlib-base": "matplotlib", "snakemake-minimal": "snakemake"}
NOT_PYTHON = {"python", "pip", "git"}


def pins(path: Path) -> dict[str, str]:
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", path.read_text(), flags=re.M)
    }


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    return pins(ROOT / "requirements" / "lock.txt")


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", ["lock.txt", "uv.txt"])
def test_every_locked_requirement_carries_hashes(name):
    text = (ROOT / "requirements" / name).read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]
    bare = [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block]
    assert blocks and not bare, f"requirements/{name} has requirements without a hash: {bare}"


@pytest.mark.parametrize("name", ["lock.txt", "uv.txt", "parity.txt"])
def test_requirements_name_no_host_and_no_place(name):
    text = (ROOT / "requirements" / name).read_text()
    found = re.findall(r"^.*(?:://|--index|--find-links|--extra-index|@ ?file|\s/\w+/).*$", text, flags=re.M)
    assert not found, f"requirements/{name} names a host, an index or a path: {found}"


def test_lock_satisfies_every_requirement_of_the_project(lock, project):
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(line for e in ("build", "crate", "fetch", "kilt", "slurm", "test", "train") for line in extras[e]),
    ]
    wrong = {
        line: lock.get(canonicalize_name(Requirement(line).name))
        for line in wanted
        if lock.get(canonicalize_name(Requirement(line).name)) not in Requirement(line).specifier
    }
    assert not wrong, f"`make lock` is due: required -> locked {wrong}"


def test_conda_environment_pins_what_the_lock_pins(lock):
    sections = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = [re.split("=+", line) for line in sections if isinstance(line, str)]
    pip = [re.split("=+", line) for line in next(line["pip"] for line in sections if isinstance(line, dict))]
    named = {canonicalize_name(CONDA_NAMES.get(n, n)): v for n, *v in conda + pip if n not in NOT_PYTHON}
    wrong = {name: (version, lock.get(name)) for name, version in named.items() if version != [lock.get(name)]}
    assert not wrong, f"environment.yml and requirements/lock.txt differ: {wrong}"


def test_conda_environment_has_every_direct_dependency(project):
    text = (ROOT / "environment.yml").read_text()
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(line for e in ("crate", "kilt", "slurm", "test", "train") for line in extras[e]),
    ]
    absent = [n for n in (canonicalize_name(Requirement(line).name) for line in wanted) if f"- {n}=" not in text]
    assert not absent, f"environment.yml lacks {absent}"


def test_kilt_is_pinned_to_one_commit_everywhere_and_comes_without_its_dependencies():
    pattern = r"facebookresearch/KILT@([0-9a-f]{40})"
    commits = {
        name: re.findall(pattern, (ROOT / name).read_text()) for name in ("Makefile", "environment.post-deploy.sh")
    }
    assert len({commit for found in commits.values() for commit in found}) == 1 and all(commits.values()), commits
    script = (ROOT / "environment.post-deploy.sh").read_text().replace("\\\n", " ")
    installs = [line for line in script.splitlines() if line.startswith("pip install")]
    assert installs and all("--no-deps" in line for line in installs), installs


def test_peers_of_the_parity_tests_are_pinned_and_stay_out_of_the_lock(lock, project):
    parity = pins(ROOT / "requirements" / "parity.txt")
    required = {canonicalize_name(Requirement(line).name) for line in project["optional-dependencies"]["parity"]}
    assert set(parity) == required, f"requirements/parity.txt pins {set(parity)}, the extra names {required}"
    assert not set(parity) & set(lock), "the lock would drag in PyTorch"
