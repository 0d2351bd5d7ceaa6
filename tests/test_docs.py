"""What documents name is there: the tests that guard a finding, and the files that a page links to."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md")), *ROOT.glob("docs/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_tests_that_a_page_names_exist(page):
    named = set(re.findall(r"`?(?:tests/)?((?:\w+/)?test_\w+\.py)", page.read_text(encoding="utf-8")))
    assert not {name for name in named if not any((ROOT / "tests").rglob(name))}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_and_headings_that_a_page_links_to_exist(page):
    for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text(encoding="utf-8")):
        file = (page.parent / target) if target else page
        assert file.exists(), target
        if heading and file.suffix == ".md":
            heads = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.M)
            assert heading in {_anchor(head) for head in heads}, f"{target}#{heading}"


def _anchor(head: str) -> str:
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


@pytest.mark.slow
def test_the_examples_in_the_readme_run_as_they_stand():
    """Each in a Python of its own, from the repository's root."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    assert len(examples) == 2
    for example in examples:
        done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
