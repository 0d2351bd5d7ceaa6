"""Rows of the peer benchmarks: what is compared before it is timed, and what the page says of it."""

import numpy as np
import pytest

from benchmarks.peers.exact_search import agree, unit_vectors
from benchmarks.peers.growth import fit
from benchmarks.peers.page import fill
from benchmarks.peers.rows import Row, in_turn, require_close, require_equal
from benchmarks.peers.scores import agree as scores_agree
from benchmarks.peers.scores import plain_loop
from benchmarks.peers.whole_run import parts_of
from benchmarks.scoring import write_files
from glimmer.errors import CheckFailed, InputError
from glimmer.evaluation.kilt_scores import score_files
from glimmer.retrieval.search import search

PAGE = "<!-- performance: begin -->\nold\n<!-- performance: end -->\n"


def document(*rows, **others):
    group = {"rows": [row.to_json() for row in rows], "growth": [], "failed": "", "wall": 1, "load_before": 0}
    return {"quick": False, "groups": {"search": group | others}}


def test_sides_that_differ_are_not_timed():
    assert "within" in require_close("x", [1.0, 2.0], [1.0, 2.0 + 1e-6], 1e-3)
    for other in ([1.0, 2.1], [1.0], [1.0, np.nan]):
        with pytest.raises(CheckFailed):
            require_close("x", [1.0, 2.0], other, 1e-3)
    with pytest.raises(CheckFailed):
        require_equal("ids", [1, 2], [1, 3])


def test_arms_take_turns_and_the_ratio_is_of_the_best_other():
    order = []
    in_turn({name: lambda name=name: order.append(name) for name in "ab"}, 2)
    assert order == list("ababab"), "one turn of them uncounted"
    row = Row(name="x", what="", against="", seconds={"ours": [1, 2, 4], "slow": [9, 9, 9], "fast": [2, 4, 8]})
    assert (row.best_other, row.ratio) == ("fast", 2)
    assert Row.of_json(row.to_json()) == row


def test_search_agrees_with_a_plain_product_and_not_with_other_ids():
    passages, questions = unit_vectors(300, 12, 0), unit_vectors(9, 12, 1)
    ids, scores = search(questions, [passages], 5)
    plain = np.argsort(-(questions @ passages.T), axis=1)[:, :5]
    assert "100.000 %" in agree(questions, passages, ids, scores, plain)
    with pytest.raises(CheckFailed):
        agree(questions, passages, ids, scores, (plain + 1) % 300)


def test_the_plain_loop_has_our_scores(tmp_path):
    pytest.importorskip("rouge", reason="no rouge")
    gold, guess = tmp_path / "gold.jsonl", tmp_path / "guess.jsonl"
    write_files(gold, guess, 40)
    found, expected = score_files(gold, guess, programs=["downstream"]).as_dict(), plain_loop(gold, guess)
    assert scores_agree(found, expected)
    expected["downstream"]["f1"] += 0.01
    with pytest.raises(CheckFailed):
        scores_agree(found, expected)


def test_a_page_says_what_is_missing_and_what_failed_and_takes_no_quick_run():
    row = Row(name="search", what="search", against="faiss", seconds={"ours": [1.0]}, missing="not installed: faiss")
    text = fill(PAGE, document(row, failed="ids differ"), "page")
    assert "not installed: faiss" in text and "search failed: ids differ" in text and "old" not in text
    assert fill(text, document(row, failed="ids differ"), "page") == text
    with pytest.raises(InputError, match="say nothing"):
        fill(PAGE, document(row) | {"quick": True}, "page")
    with pytest.raises(InputError, match="no markers"):
        fill("", document(row), "page")


def test_the_parts_of_a_run_add_up_to_its_seconds():
    telemetry = {"steps": 3, "seconds": {"steps": 5.0, "compilation": 2.0}}
    parts = parts_of({"telemetry": telemetry, "wall_seconds": {"train": 9.0, "memory": 1.0, "evaluate": 4.0}}, 20.0)
    assert sum(parts.values()) == 20.0 and parts["imports, materials and the rest"] == 8.0


def test_a_line_is_fitted():
    x = np.array([1.0, 2.0, 4.0])
    line = fit(x, 3 + 2 * x)
    assert (line.intercept, line.slope, line.explained) == pytest.approx((3, 2, 1))
