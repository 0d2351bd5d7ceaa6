"""Provenance that cannot lie: a version names the code that ran, or says that no commit does; the report repeats it."""

import shutil
import subprocess
from pathlib import Path

import pytest

import glimmer
from analysis.report import page
from glimmer.experiments import load_study, runs_for
from glimmer.files import read_json, write_json
from glimmer.results.run_files import is_of_changed_code
from glimmer.runs import made_by
from tests.analysis import synthetic

SOURCE = Path(glimmer.__file__).parent


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def a_project(root: Path) -> str:
    """A repository with one commit, by its first 12 digits."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "README").write_text("a project")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "all of it")
    return git(root, "rev-parse", "--short=12", "HEAD")


@pytest.fixture
def code_in(monkeypatch):
    """Puts the package into a folder, and makes it the one that asks for its version."""

    def put(root: Path) -> Path:
        package = root / "glimmer"
        package.mkdir(parents=True, exist_ok=True)
        for name in ("__init__.py", "errors.py", "files.py"):
            shutil.copy(SOURCE / name, package / name)
        monkeypatch.setattr(made_by.glimmer, "__file__", str(package / "__init__.py"))
        return package

    return put


def test_in_its_own_repository_it_is_the_commit(tmp_path, code_in):
    code_in(tmp_path)
    commit = a_project(tmp_path)
    assert made_by.code_version() == commit


@pytest.mark.parametrize("change", ["edited", "staged", "untracked", "deleted", "configuration"])
def test_a_tree_with_changes_says_so(tmp_path, code_in, change):
    package = code_in(tmp_path)
    commit = a_project(tmp_path)
    git(tmp_path, "config", "status.showUntrackedFiles", "no")
    if change in ("edited", "staged"):
        (package / "errors.py").write_text("# other code")
    if change == "staged":
        git(tmp_path, "add", "-A")
    if change == "untracked":
        (package / "new.py").write_text("")
    if change == "deleted":
        (package / "errors.py").unlink()
    if change == "configuration":
        (tmp_path / "config").mkdir()
        (tmp_path / "config/mine.yaml").write_text("a: 1")
    assert made_by.code_version() == f"{commit}+changes"


@pytest.mark.parametrize("is_committed", [True, False])
def test_inside_another_project_it_is_not_that_projects_commit(tmp_path, code_in, is_committed):
    """A virtual environment, or a copy, in the tree of whoever uses the package."""
    place = tmp_path / ".venv/lib/python3.11/site-packages"
    if is_committed:
        code_in(place)
    commit = a_project(tmp_path)
    code_in(place)
    version = made_by.code_version()
    assert commit not in version and version.startswith(f"{glimmer.__version__}+source.")


def test_untracked_at_the_top_of_another_project_it_is_not_that_projects_commit(tmp_path, code_in):
    commit = a_project(tmp_path)
    code_in(tmp_path)
    assert commit not in made_by.code_version()


def test_a_repository_named_by_the_environment_is_not_asked(tmp_path, code_in, monkeypatch):
    other = a_project(tmp_path / "other")
    code_in(tmp_path / "mine")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "mine"))
    assert other not in made_by.code_version()


def test_without_a_commit_other_source_is_another_version(tmp_path, code_in):
    package = code_in(tmp_path)
    before = made_by.code_version()
    assert before == made_by.code_version()
    (package / "errors.py").write_text("# other code")
    assert made_by.code_version() != before


def test_without_git_it_is_version_and_source(tmp_path, code_in, monkeypatch):
    code_in(tmp_path)
    a_project(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert made_by.code_version().startswith(f"{glimmer.__version__}+source.")


def test_the_report_marks_results_of_changed_code(tmp_path):
    synthetic.write_paper(tmp_path)
    synthetic.write_study(tmp_path, "smoke", n=4)
    assert 'id="changed"' not in page.build("smoke", tmp_path)
    run = next(iter(runs_for(load_study("smoke"))))
    path = tmp_path / f"smoke/runs/{run}.json"
    write_json(path, read_json(path) | {"code_version": "0123456789ab+changes"})
    text = page.build("smoke", tmp_path)
    assert '<a href="#changed">1 of changed code</a>' in text and 'id="changed"' in text
    entry = text[text.index(f'id="run-{run}"') :].split("</tr>")[0]
    assert 'class="tag bad">changed code' in entry and text.count('class="tag bad">changed code') == 1


@pytest.mark.parametrize("version", [None, "", "0123456789ab", "0.1.0+source.0123456789ab", 7])
def test_only_what_says_changes_is_marked(version):
    assert not is_of_changed_code({"code_version": version}) and not is_of_changed_code({})


@pytest.fixture
def no_image(monkeypatch):
    for name in ("GLIMMER_CONTAINER", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        monkeypatch.delenv(name, raising=False)


def test_outside_an_image_no_container_is_named(no_image):
    assert made_by.container() == {}


@pytest.mark.parametrize("name", ["APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"])
def test_an_image_file_is_known_by_its_bytes(no_image, monkeypatch, tmp_path, name):
    (tmp_path / "glimmer.sif").write_bytes(b"abc")
    monkeypatch.setenv(name, str(tmp_path / "glimmer.sif"))
    # FIPS 180-2, appendix B.1.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert made_by.container() == {"container": f"sha256:{digest}"}


def test_an_image_that_is_no_file_is_known_by_its_name_and_a_stated_digest_wins(no_image, monkeypatch):
    monkeypatch.setenv("APPTAINER_CONTAINER", "docker://glimmer")
    assert made_by.container() == {"container": "docker://glimmer"}
    monkeypatch.setenv("GLIMMER_CONTAINER", "sha256:1234")
    assert made_by.container() == {"container": "sha256:1234"}
