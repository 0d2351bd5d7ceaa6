"""The numbers in the README are the committed results' own."""

from pathlib import Path

import pytest

from analysis.summary import BEGIN, END, replace_block, summary
from glimmer.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_shows_exactly_what_the_committed_results_say():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = "\n".join(summary(name, ROOT / "results") for name in ("sample", "embedded"))
    assert replace_block(readme, block, "README.md") == readme, "run: python -m analysis.summary --help"


def test_a_study_without_results_says_so(tmp_path):
    assert "No result yet." in summary("smoke", tmp_path)


def test_only_what_stands_between_the_markers_is_replaced():
    assert replace_block(f"a\n{BEGIN}\nold\n{END}\nb", "new\n", "x") == f"a\n{BEGIN}\nnew\n{END}\nb"
    with pytest.raises(InputError, match="no markers"):
        replace_block("a", "new", "x")
