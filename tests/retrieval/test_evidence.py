"""Page and passage metrics against hand values, the retrieved file, and what the relevance filter keeps."""

import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.files import read_json
from glimmer.kilt.formats import Example, Provenance
from glimmer.retrieval.evidence import evidence_metrics
from glimmer.retrieval.relevance import RelevanceFilter, filter_tasks
from glimmer.retrieval.retrieved import Retrieved, read_retrieved, retrieved_path, write_retrieved


def example(*sets):
    return Example(id="1", input="?", answers=["x"], evidence_sets=[[Provenance(page_id=p) for p in s] for s in sets])


def retrieved(confidence):
    confidence = np.array(confidence, np.float32)
    return Retrieved(
        passages=np.tile(np.arange(confidence.shape[1]), (len(confidence), 1)).astype(np.int64),
        scores=np.zeros_like(confidence),
        confidence=confidence,
    )


def metrics_of(pages, *sets):
    return evidence_metrics(retrieved([[0] * len(pages)]), [example(*sets)], np.array([pages]), ks=(1, 2, 3, 4))


@pytest.mark.parametrize(
    "pages, sets, r_precision",
    [
        (["a", "b", "c", "d"], [["a"]], 1),
        (["b", "a", "c", "d"], [["a"]], 0),
        (["b", "a", "c", "d"], [["a", "b"]], 1),
        (["a", "a", "b", "d"], [["a", "b"]], 1),  # duplicates go before the cut at R
        (["a", "c", "b", "d"], [["a", "b"]], 0.5),
        (["c", "a", "b", "d"], [["a", "b"], ["c"]], 1),  # the best of the alternatives
        (["", "", "", ""], [["a"]], 0),
        (["a", "b", "c", "d"], [], 0),
    ],
)
def test_r_precision_by_hand(pages, sets, r_precision):
    assert metrics_of(pages, *sets)["Rprec"] == r_precision


def test_recall_counts_complete_evidence_sets_among_the_first_k_passages():
    found = metrics_of(["a", "a", "b", "c"], ["a", "b"], ["c"], ["c"], ["z"])  # the repeated set counts once
    assert [found[f"recall@{k}"] for k in (1, 2, 3, 4)] == pytest.approx([0, 0, 1 / 3, 2 / 3])
    assert [found[f"success@{k}"] for k in (1, 2, 3, 4)] == [0, 0, 1, 1]


def test_ranks_of_the_first_supporting_passage_are_counted():
    confidence = [[0, 0.5, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0]]
    found = evidence_metrics(retrieved(confidence), [example(["a"])] * 4, np.full((4, 3), "b"), ks=(1, 2, 10))
    assert found["evidence_rank"] == {"counts": [1, 2, 0], "none": 1}
    assert found["evidence@1"] == 0.25 and found["evidence@2"] == 0.75
    assert "evidence@10" not in found, "deeper than what was retrieved cannot be known"


def test_examples_without_evidence_count_as_not_found():
    found = evidence_metrics(retrieved([[1], [0]]), [example(["a"]), example()], np.array([["a"], ["a"]]), ks=(1,))
    assert (found["n"], found["n_with_evidence"], found["Rprec"]) == (2, 1, 0.5)


def test_no_examples_give_no_nan():
    nothing = np.zeros((0, 3), np.float32)
    empty = Retrieved(passages=nothing.astype(np.int64), scores=nothing, confidence=nothing)
    assert evidence_metrics(empty, [], np.zeros((0, 3), str))["Rprec"] == 0


def test_retrieved_files_come_back_as_written_and_are_checked(tmp_path):
    path = retrieved_path(tmp_path, "nq", "dev")
    write_retrieved(path, retrieved([[0, 0.5], [1, 0]]))
    np.testing.assert_array_equal(read_retrieved(path, rows=2, depth=2).confidence, [[0, 0.5], [1, 0]])
    with pytest.raises(InputError, match="nq-dev.npz.*3 rows; found 2"):
        read_retrieved(path, rows=3)
    with pytest.raises(InputError, match="at least 3 a row; found 2"):
        read_retrieved(path, depth=3)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="nq-dev.npz: not a file of retrieved passages"):
        read_retrieved(path)


CONFIDENCE = np.array([[0.0, 0.7, 0.2], [0.0, 0.0, 1.0], [0.3, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32)


@pytest.mark.parametrize(
    "threshold, k, kept",
    [
        (0.0, None, [0, 1, 2, 3]),
        (0.1, None, [0, 1, 2]),
        (0.3, None, [0, 1, 2]),
        (0.7, None, [0, 1]),  # the threshold itself passes, in float32 too
        (1.0, None, [1]),
        (0.3, 2, [0, 2]),
        (0.3, 1, [2]),
    ],
)
def test_the_filter_keeps_rows_whose_best_confidence_reaches_the_threshold(threshold, k, kept):
    assert RelevanceFilter(threshold=threshold, k=k).kept_rows(CONFIDENCE).tolist() == kept


def test_filtering_writes_rows_and_counts_by_task(tmp_path):
    for task in ("nq", "fever"):
        write_retrieved(retrieved_path(tmp_path / "in", task, "train"), retrieved(CONFIDENCE))
    relevance = RelevanceFilter(threshold=0.5)
    counts = filter_tasks(tmp_path / "in", tmp_path / "out", tasks=["nq", "fever"], relevance=relevance)
    assert counts == read_json(tmp_path / "out/counts.json")
    assert {key: counts["nq"][key] for key in ("before", "after", "threshold")} == {
        "before": 4,
        "after": 2,
        "threshold": 0.5,
    }
    assert counts["nq"]["after_by_threshold"] == {"0": 4, "0.25": 3, "0.5": 2, "0.75": 1, "1": 1}
    rows = np.load(tmp_path / "out/nq.npy", allow_pickle=False)
    assert rows.dtype == np.int64 and rows.tolist() == [0, 1]


def test_a_task_left_with_nothing_is_an_input_error_and_leaves_nothing(tmp_path):
    write_retrieved(retrieved_path(tmp_path, "nq", "train"), retrieved([[0.2], [0.0]]))
    with pytest.raises(InputError, match="no example of nq.*at most 0.2 in 2 examples"):
        filter_tasks(tmp_path, tmp_path / "out", tasks=["nq"], relevance=RelevanceFilter(threshold=0.5))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bad", [{"threshold": 1.5}, {"threshold": float("nan")}, {"threshold": 0.5, "k": 0}])
def test_thresholds_and_depths_out_of_range_are_input_errors(bad):
    with pytest.raises(InputError):
        RelevanceFilter(**bad)
    with pytest.raises(InputError, match="at most the 3 retrieved; found 4"):
        RelevanceFilter(threshold=0.5, k=4).keeps(CONFIDENCE)
