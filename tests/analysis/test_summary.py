"""The numbers in the documents are the committed results' own."""

from pathlib import Path

import pytest

from analysis import summary as tables
from analysis.summary import fill, summary
from glimmer.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("document", "studies"),
    [
        ("README.md", ["sample", "pilot"]),
        ("docs/embedded-pilot.md", ["pilot"]),
        ("docs/sample.md", ["sample"]),
    ],
)
def test_documents_show_exactly_what_the_committed_results_say(document, studies):
    text = (ROOT / document).read_text(encoding="utf-8")
    command = f"glimmer summary --study {' '.join(studies)} --into {document}"
    assert fill(text, studies, ROOT / "results", document) == text, f"run: {command}"


def test_a_study_without_results_says_so(tmp_path):
    assert "No result yet." in summary("smoke", tmp_path)


def test_only_what_stands_between_the_markers_is_replaced(monkeypatch):
    monkeypatch.setattr(tables, "OF_EACH", {"a": lambda name, results: f"a of {name}\n"})
    monkeypatch.setattr(tables, "OVER_ALL", {"b": lambda names, results: f"b of {' '.join(names)}\n"})
    monkeypatch.setattr(tables, "BLOCKS", ("a", "b"))
    text = "x\n<!-- a: begin -->\nold\n<!-- a: end -->\ny <!-- b: begin --> z"
    assert fill(text, ["one"], "r", "x") == "x\n<!-- a: begin -->\na of one\n<!-- a: end -->\ny <!-- b: begin --> z"
    text = "<!-- b: begin --><!-- b: end --><!-- a: begin --><!-- a: end -->"
    assert "\na of one\n\na of two\n<" in fill(text, ["one", "two"], "r", "x")
    assert "\nb of one two\n<" in fill(text, ["one", "two"], "r", "x")
    with pytest.raises(InputError, match="no markers"):
        fill("a", ["one"], "r", "x")
