"""Page and passage metrics against hand values, the retrieved file, and what the relevance filter keeps."""

import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.experiments import load_study
from glimmer.experiments.sections import RelevanceSettings
from glimmer.files import read_json
from glimmer.kilt.chunking import write_passages
from glimmer.kilt.formats import Example, Page, Provenance
from glimmer.kilt.passages import PassageFile
from glimmer.kilt.provenance import PageIndex, support
from glimmer.retrieval.evidence import evidence_metrics, judged
from glimmer.retrieval.relevance import filter_tasks, kept_rows, relevance
from glimmer.retrieval.retrieved import Retrieved, read_retrieved, retrieved_path, write_retrieved


def example(*sets):
    return Example(id="1", input="?", answers=["x"], evidence_sets=[[Provenance(page_id=p) for p in s] for s in sets])


def retrieved(confidence, label=None):
    """As of examples with evidence of one part: a set is complete where the part is supported."""
    confidence = np.array(confidence, np.float32)
    complete = np.maximum.accumulate(confidence, axis=1)
    return Retrieved(
        passages=np.tile(np.arange(confidence.shape[1]), (len(confidence), 1)).astype(np.int64),
        scores=np.zeros_like(confidence),
        confidence=confidence,
        complete=complete,
        label=complete[:, -1] if label is None else np.array(label, np.float32),
        gold=np.full((len(confidence), 1), -1),
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


def test_shares_over_examples_with_evidence_stand_beside_those_over_all():
    found = evidence_metrics(
        retrieved([[0, 1], [0, 0]]), [example(["a"]), example()], np.array([["a", "b"]] * 2), ks=(1, 2)
    )
    assert found["evidence@2"] == found["complete@2"] == 0.5
    assert found["with_evidence"] == {"evidence@1": 0, "evidence@2": 1, "complete@1": 0, "complete@2": 1}


def test_ranks_of_examples_with_a_trusted_label_are_counted_apart():
    confidence, label = [[0.4, 1], [0, 0.3], [0.5, 0], [0, 0]], [1, 0.3, 0.5, 0.75]
    found = evidence_metrics(retrieved(confidence, label), [example(["a"])] * 4, np.full((4, 2), "b"), ks=(1,))
    assert found["trusted"]["n"] == 3 and found["trusted"]["evidence_rank"] == {"counts": [2, 0], "none": 1}
    assert found["evidence_rank"] == {"counts": [2, 1], "none": 1}


def test_the_rank_that_completes_a_set_is_that_of_its_last_page(corpus):
    """A question over two pages: the first page at rank 1, the second at rank 3."""
    both = [example(["a", "b"])]
    judgement = judged(np.array([[0, 4, 2, 6]]), np.zeros((1, 4), np.float32), both, PageIndex(corpus))
    found = evidence_metrics(judgement, both, np.array([["a", "c", "b", "d"]]), ks=(1,))["trusted"]
    assert found["evidence_rank"] == {"counts": [1, 0, 0, 0], "none": 0}
    assert found["complete_rank"] == {"counts": [0, 0, 1, 0], "none": 0}


def test_no_examples_give_no_nan(corpus):
    empty = judged(np.zeros((0, 3), np.int64), np.zeros((0, 3), np.float32), [], PageIndex(corpus))
    found = evidence_metrics(empty, [], np.zeros((0, 3), str))
    assert found["Rprec"] == found["complete@1"] == found["with_evidence"]["evidence@1"] == 0


# Pages a to d have two passages each: of ids 0 and 1, 2 and 3, 4 and 5, 6 and 7.
@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "passages"
    pages = [Page(page_id=name, title=name, paragraphs=[name, f"{name} one.", f"{name} two."]) for name in "abcd"]
    write_passages(pages, out, 2)
    return PassageFile(out)


def part(page, paragraph=1, bleu=None):
    return Provenance(page_id=page, start_paragraph=paragraph, bleu_score=bleu)


def judge(corpus, passages, *sets):
    one = Example(id="1", input="?", evidence_sets=[list(evidence) for evidence in sets])
    found = judged(np.array([passages]), np.zeros((1, len(passages)), np.float32), [one], PageIndex(corpus))
    return found.confidence[0].tolist(), found.complete[0].tolist(), found.label[0].item(), found.gold[0].tolist()


def test_a_question_over_two_pages_needs_both(corpus):
    confidence, complete, label, gold = judge(corpus, [2, 0, 4, 2], [part("a"), part("b")])
    assert (confidence, complete) == ([1, 1, 0, 1], [0, 1, 1, 1]) and (label, gold) == (1, [0, 2])
    assert judge(corpus, [2, 3, 4, 5], [part("a"), part("b")])[1] == [0, 0, 0, 0], "one page of two is not enough"


def test_a_set_is_as_good_as_its_worst_part_and_an_example_as_its_best_set(corpus):
    sets = ([part("a", bleu=1.0), part("b", bleu=0.25)], [part("c", bleu=0.5)])
    confidence, complete, label, gold = judge(corpus, [0, 2, 4], *sets)
    assert (confidence, complete) == ([1, 0.25, 0.5], [0, 0.25, 0.5]) and (label, gold) == (0.5, [4])
    assert judge(corpus, [0, 2, 1], *sets)[1:3] == ([0, 0.25, 0.25], 0.5), (
        "a label does not depend on what is retrieved"
    )


def test_a_part_that_no_passage_supports_leaves_its_set_without_confidence(corpus):
    absent = [part("a"), part("nowhere")]
    assert judge(corpus, [0, 1], absent) == ([1, 0], [0, 0], 0, [-1])
    assert judge(corpus, [0, 1], absent, [part("b", 2)])[2:] == (1, [3])
    assert judge(corpus, [0, -1]) == ([0, 0], [0, 0], 0, [-1]), "an example without evidence"


def test_of_equal_sets_the_first_gives_the_gold_passages_each_once(corpus):
    same = [part("b"), Provenance(page_id="b", start_paragraph=1, end_character=2), part("d", 2)]
    assert judge(corpus, [0], same, [part("a")])[3] == [2, 7]
    assert judge(corpus, [0], [Provenance(page_id="c")])[3] == [4], "of a whole page the first passage"


def test_confidences_equal_their_definition_on_random_evidence(corpus):
    random = np.random.default_rng(0)

    def some_part():
        bleu = random.choice([None, 0.25, 0.75])
        return Provenance(
            page_id=random.choice(list("abcdz")), start_paragraph=int(random.integers(1, 3)), bleu_score=bleu
        )

    examples = [
        Example(
            id=str(n),
            input="?",
            evidence_sets=[[some_part() for _ in range(random.integers(1, 4))] for _ in range(random.integers(0, 3))],
        )  # fmt: skip
        for n in range(60)
    ]
    passages = np.array([random.permutation(8)[:5] for _ in examples])
    passages[::7, 3:] = -1
    found = judged(passages, np.zeros(passages.shape, np.float32), examples, PageIndex(corpus))

    def best(sets, ids):  # the definition, word by word
        ids = [number for number in ids if number >= 0]
        of_sets = [min(max([support(corpus[int(i)], p) for i in ids], default=0) for p in parts) for parts in sets]
        return max(of_sets, default=0)

    for row, one in enumerate(examples):
        assert found.label[row] == best(one.evidence_sets, range(8))
        for rank in range(5):
            assert found.complete[row, rank] == best(one.evidence_sets, passages[row, : rank + 1])
            single = passages[row, rank : rank + 1]
            assert found.confidence[row, rank] == best([[p] for p in one.provenances()], single)
        whole = [number for number in found.gold[row] if number >= 0]
        assert best(one.evidence_sets, whole) == found.label[row], "the gold passages alone give the label's confidence"
    assert (np.diff(found.complete, axis=1) >= 0).all() and (found.complete[:, -1] <= found.label).all()


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
        (0.0, 3, [0, 1, 2, 3]),
        (None, 1, [0, 1, 2, 3]),
        (0.1, 3, [0, 1, 2]),
        (0.3, 3, [0, 1, 2]),
        (0.7, 3, [0, 1]),  # the threshold itself passes, in float32 too
        (1.0, 3, [1]),
        (0.3, 2, [0, 2]),
        (0.3, 1, [2]),
    ],
)
def test_retrieved_keeps_rows_whose_evidence_is_among_the_first_k(threshold, k, kept):
    settings = RelevanceSettings(threshold=threshold, mode="retrieved", k=k)
    assert kept_rows(retrieved(CONFIDENCE), settings).tolist() == kept


@pytest.mark.parametrize("threshold, kept", [(0.0, [0, 1, 2, 3]), (None, [0, 1, 2, 3]), (0.5, [1, 3]), (1.0, [3])])
def test_labels_keep_the_same_rows_whatever_was_retrieved(threshold, kept):
    settings = RelevanceSettings(threshold=threshold)
    assert settings.mode == "labels"
    for confidence in (CONFIDENCE, CONFIDENCE[::-1]):
        assert kept_rows(retrieved(confidence, [0.2, 0.5, 0, 1]), settings).tolist() == kept


def test_filtering_writes_rows_and_counts_by_task(tmp_path):
    for task in ("nq", "fever"):
        found = retrieved(CONFIDENCE, label=[0.75, 1, 0.5, 0])
        write_retrieved(retrieved_path(tmp_path / "in", task, "train"), found)
    settings = RelevanceSettings(threshold=0.5)
    counts = filter_tasks(tmp_path / "in", tmp_path / "out", tasks=["nq", "fever"], settings=settings)
    assert counts == read_json(tmp_path / "out/counts.json")
    assert counts["nq"] == {
        "before": 4,
        "after": 3,
        "threshold": 0.5,
        "mode": "labels",
        "k": None,
        "depth": 3,
        "after_by_threshold": {"0": 4, "0.25": 3, "0.5": 3, "0.75": 2, "1": 1},
        "after_by_mode": {"labels": 3, "retrieved": 2},
    }
    rows = np.load(tmp_path / "out/nq.npy", allow_pickle=False)
    assert rows.dtype == np.int64 and rows.tolist() == [0, 1, 2]


def test_counts_by_mode_ask_within_the_stated_k(tmp_path):
    write_retrieved(retrieved_path(tmp_path, "nq", "train"), retrieved(CONFIDENCE, label=[1, 1, 1, 0]))
    settings = RelevanceSettings(threshold=0.5, mode="retrieved", k=2)
    counts = filter_tasks(tmp_path, tmp_path / "out", tasks=["nq"], settings=settings)["nq"]
    assert (counts["k"], counts["after"], counts["after_by_mode"]) == (2, 1, {"labels": 3, "retrieved": 1})


def test_a_task_left_with_nothing_is_an_input_error_and_leaves_nothing(tmp_path):
    write_retrieved(retrieved_path(tmp_path, "nq", "train"), retrieved([[0.2], [0.0]]))
    with pytest.raises(InputError, match="no example of nq.*at most 0.2 in 2 examples"):
        filter_tasks(tmp_path, tmp_path / "out", tasks=["nq"], settings=RelevanceSettings(threshold=0.5))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"threshold": 1.5}, "relevance_filter.threshold is not valid"),
        ({"k": 0}, "relevance_filter.k is not valid"),
        ({"mode": "some"}, "one of labels, retrieved"),
        (
            {"mode": "retrieved"},
            "smoke.yaml: relevance_filter: k does not fit.*a number of passages with mode retrieved",
        ),
        ({"k": 3}, "relevance_filter: k does not fit; expected null with mode labels; found 3"),
        (
            {"mode": "retrieved", "k": 99},
            "smoke.yaml: relevance_filter.k is not valid.*at most retriever.depth, 8; found 99",
        ),
    ],
)
def test_thresholds_modes_and_depths_that_do_not_fit_are_input_errors(bad, message):
    with pytest.raises(InputError, match=message):
        load_study("smoke", {f"relevance_filter.{key}": value for key, value in bad.items()})


def test_more_passages_than_were_retrieved_cannot_be_asked_for():
    with pytest.raises(InputError, match="at most the 3 retrieved; found 4"):
        relevance(retrieved(CONFIDENCE), RelevanceSettings(threshold=0.5, mode="retrieved", k=4))
