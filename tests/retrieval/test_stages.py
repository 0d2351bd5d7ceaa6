"""Pairs, and the stages from directory to directory on a small world."""

import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.experiments.sections import ContrastiveSettings
from glimmer.files import read_json
from glimmer.kilt.formats import Example, Provenance, read_examples, task_file
from glimmer.kilt.passages import PassageFile
from glimmer.kilt.provenance import PageIndex
from glimmer.models.tokenizer import Tokenizer
from glimmer.retrieval.bm25 import build_bm25
from glimmer.retrieval.pairs import gold_pairs, hard_negatives, training_pairs
from glimmer.retrieval.retrieved import read_retrieved, retrieved_path
from glimmer.retrieval.steps import embed_passages, retrieve_tasks, train_retriever


@pytest.fixture(scope="module")
def corpus(small_world):
    return PassageFile(small_world / "passages")


@pytest.fixture(scope="module")
def examples(small_world):
    return list(read_examples(task_file(small_world / "data", "nq", "train")))


def test_the_gold_passage_is_the_first_that_shares_a_character_with_the_evidence(corpus, examples):
    pairs = gold_pairs({"nq": examples}, PageIndex(corpus))
    for pair in pairs:
        row = corpus[pair.gold]
        assert row["wikipedia_id"] == pair.example.evidence_sets[0][0].page_id and "built" in row["text"]
    assert len(pairs) == len(examples)


def test_each_page_of_a_question_s_evidence_gives_a_pair(corpus):
    def part(page, paragraph):
        return Provenance(page_id=page, start_paragraph=paragraph)

    alternatives = [[part("9", 1), part("none", 1)], [part("0", 1), part("3", 2), part("0", 2)], [part("5", 1)]]
    two_pages = Example(id="h", input="?", evidence_sets=alternatives)
    index = PageIndex(corpus)
    pairs = gold_pairs({"hotpotqa": [two_pages]}, index)
    first_of_page_0, built_of_page_3 = min(index.supporting([part("0", 1)])), min(index.supporting([part("3", 2)]))
    assert [pair.gold for pair in pairs] == [first_of_page_0, built_of_page_3], (
        "of the first set that is whole, in order"
    )
    assert all(pair.supporting == frozenset(index.supporting(two_pages.provenances())) for pair in pairs)
    partly = Example(id="p", input="?", evidence_sets=alternatives[:1])
    assert [pair.gold for pair in gold_pairs({"hotpotqa": [partly]}, index)] == [min(index.supporting([part("9", 1)]))]


def test_a_limit_counts_questions_which_keep_all_their_pairs(corpus):
    def both(number):
        parts = [Provenance(page_id=str(page), start_paragraph=1) for page in (number, number + 6)]
        return Example(id=str(number), input="?", evidence_sets=[parts])

    pairs = gold_pairs({"hotpotqa": [both(number) for number in range(6)]}, PageIndex(corpus), per_task=2)
    assert [pairs[0].example.id] * 2 + [pairs[2].example.id] * 2 == [pair.example.id for pair in pairs]
    assert len({pair.gold for pair in pairs}) == 4


def test_training_pairs_say_which_of_their_passages_support_a_question(corpus, small_world):
    parts = [Provenance(page_id=page, start_paragraph=1) for page in ("0", "1")]
    asked = [
        Example(id="two", input="?", evidence_sets=[parts]),
        Example(id="one", input="?", evidence_sets=[parts[1:]]),
    ]
    pairs = gold_pairs({"hotpotqa": asked}, PageIndex(corpus))
    tokenizer = Tokenizer(small_world / "tokenizer.json")
    unrelated = np.array([[20]] * 3)
    made = training_pairs(pairs, unrelated, corpus, tokenizer, question_tokens=4, passage_tokens=9)
    assert made.supporting.tolist() == [[0, 1], [0, 1], [1, -1]] and made.gold.tolist() == [0, 1, 1]
    assert made.negatives.tolist() == [[2]] * 3, "the hard negative supports none of them"


def test_evidence_that_names_only_a_page_gives_no_pair(corpus, examples):
    page_only = Example(id="p", input="?", evidence_sets=[[Provenance(page_id="0")]])
    absent = Example(id="q", input="?", evidence_sets=[[Provenance(page_id="none", start_paragraph=1)]])
    pairs = gold_pairs({"nq": [page_only, absent, examples[0]]}, PageIndex(corpus))
    assert [pair.example.id for pair in pairs] == [examples[0].id]
    with pytest.raises(InputError, match="no training question"):
        gold_pairs({"nq": [page_only]}, PageIndex(corpus))


def test_a_limit_draws_the_same_examples_for_the_same_seed(corpus, examples):
    index = PageIndex(corpus)
    drawn = [[p.example.id for p in gold_pairs({"nq": examples}, index, per_task=5, seed=s)] for s in (0, 0, 1)]
    assert len(drawn[0]) == 5 and drawn[0] == drawn[1] != drawn[2]


def test_hard_negatives_neither_support_the_evidence_nor_hold_the_answer(corpus, examples):
    pairs = gold_pairs({"nq": examples}, PageIndex(corpus))
    bm25 = build_bm25(f"{row['title']} {row['text']}" for row in corpus)
    chosen = hard_negatives(pairs, corpus, bm25, 2)
    for pair, numbers in zip(pairs, chosen, strict=True):
        assert len(set(numbers)) == 2 and not pair.supporting & set(numbers.tolist())
        assert not any(pair.example.answers[0] in corpus.text(int(number)) for number in numbers)
        assert corpus.title(int(numbers[0])) == corpus.title(pair.gold), "the same page's other passage is closest"


def test_training_pairs_hold_each_passage_once(corpus, examples, small_world):
    pairs = gold_pairs({"nq": examples[:4], "fever": examples[2:5]}, PageIndex(corpus))
    tokenizer = Tokenizer(small_world / "tokenizer.json")
    negatives = np.array([[0]] * len(pairs))
    made = training_pairs(pairs, negatives, corpus, tokenizer, question_tokens=6, passage_tokens=9)
    assert made.questions.shape == (7, 6) and made.passages.shape == (6, 9)
    assert made.tasks.tolist() == [0, 0, 0, 1, 1, 1, 1]
    for row, pair in enumerate(pairs):
        expected = tokenizer.encode_array([f"{corpus.title(pair.gold)} {corpus.text(pair.gold)}"], 9, end=True)[0]
        np.testing.assert_array_equal(made.passages[made.gold[row]], expected)


def test_the_retriever_too_keeps_the_end_of_a_question_that_does_not_fit(corpus, examples, small_world):
    pairs = gold_pairs({"nq": examples[:4]}, PageIndex(corpus))
    tokenizer = Tokenizer(small_world / "tokenizer.json")
    made = training_pairs(pairs, None, corpus, tokenizer, question_tokens=3, passage_tokens=9)
    assert made.questions.tolist() == [[*tokenizer.encode(pair.example.input)[-2:], 1] for pair in pairs]


def test_stages_from_checkpoint_to_retrieved_passages(small_world, corpus, tmp_path):
    root, settings = (
        small_world,
        ContrastiveSettings(steps=12, batch_size=8, learning_rate=3e-3, seed=0, temperature=0.05),
    )
    places = (root / "init", root / "passages", root / "data", tmp_path / "gtr")
    lengths = {"question_tokens": 12, "passage_tokens": 24}
    summary = train_retriever(*places, tasks=["nq"], settings=settings, hard_negatives_per_question=1, **lengths)
    assert summary["pairs"] == {"nq": 12} and len(read_json(tmp_path / "gtr/training.json")["log"]) == 12
    embed = (tmp_path / "gtr", root / "passages", tmp_path / "embeddings")
    assert embed_passages(*embed, passages_per_shard=10)["computed_now"] == 3
    assert embed_passages(*embed, passages_per_shard=10)["computed_now"] == 0
    where = {"tasks": ["nq"], "gtr": tmp_path / "gtr", "embeddings": tmp_path / "embeddings"}
    metrics = retrieve_tasks(root / "data", root / "passages", tmp_path / "out", depth=5, question_tokens=12, **where)
    assert read_json(tmp_path / "out/metrics.json") == metrics
    found = read_retrieved(retrieved_path(tmp_path / "out", "nq", "dev"), rows=3, depth=5)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert metrics["nq"]["train"]["evidence@5"] > 0.5, "12 steps on 12 questions should be enough to find most"
    for row, passages in enumerate(found.passages):
        gold = [corpus[int(n)]["wikipedia_id"] == str(row) and "built" in corpus.text(int(n)) for n in passages]
        np.testing.assert_array_equal(found.confidence[row], np.array(gold, np.float32))
        np.testing.assert_array_equal(found.complete[row], np.maximum.accumulate(gold))
        assert found.label[row] == 1 and "built" in corpus.text(int(found.gold[row, 0]))


def test_zero_steps_pass_a_published_tower_on_as_it_is(small_world, tmp_path):
    settings = ContrastiveSettings(steps=0, batch_size=8, learning_rate=3e-3, seed=0)
    lengths = {"question_tokens": 12, "passage_tokens": 24}
    rest = (small_world / "passages", small_world / "data")
    train_retriever(small_world / "init", *rest, tmp_path / "one", tasks=["nq"], settings=settings, **lengths)
    train_retriever(tmp_path / "one", *rest, tmp_path / "two", tasks=["nq"], settings=settings, **lengths)
    for name in ("model.safetensors", "2_Dense/model.safetensors", "tokenizer.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_bm25_gives_the_same_kind_of_output(small_world, tmp_path):
    metrics = retrieve_tasks(
        small_world / "data", small_world / "passages", tmp_path, tasks=["nq"], depth=4, kind="bm25"
    )
    assert metrics["nq"]["dev"]["evidence@1"] == 1, "the name and `built` are in the gold passage alone"
    assert read_retrieved(retrieved_path(tmp_path, "nq", "train"), rows=12).depth == 4


def test_wrong_input_stops_before_any_work(small_world, tmp_path):
    def retrieve(**changes):
        arguments = {"tasks": ["nq"], "depth": 3} | changes
        retrieve_tasks(small_world / "data", small_world / "passages", tmp_path / "out", **arguments)

    for changes, message in (
        ({"depth": 25}, r"1 <= depth <= 24 \(the corpus\); found 25"),
        ({"tasks": ["nq", "trex"], "kind": "bm25"}, "trex is missing"),
        ({"kind": "gtr"}, "needs a tower"),
        ({"kind": "dpr"}, "unknown kind"),
    ):
        with pytest.raises(InputError, match=message):
            retrieve(**changes)
    assert not (tmp_path / "out").exists()


def test_embeddings_of_another_tower_are_refused(small_world, tmp_path):
    lengths = {"question_tokens": 12, "passage_tokens": 24}
    rest = (small_world / "passages", small_world / "data")
    for name, dimension in (("one", 16), ("two", 8)):
        settings = ContrastiveSettings(steps=0, batch_size=8, learning_rate=3e-3, seed=0)
        train_retriever(
            small_world / "init",
            *rest,
            tmp_path / name,
            tasks=["nq"],
            settings=settings,
            dimension=dimension,
            **lengths,
        )
    embed_passages(tmp_path / "one", small_world / "passages", tmp_path / "embeddings")
    with pytest.raises(InputError, match="embeddings of another tower"):
        retrieve_tasks(small_world / "data", small_world / "passages", tmp_path / "out", tasks=["nq"], depth=3,
                       gtr=tmp_path / "two", embeddings=tmp_path / "embeddings")  # fmt: skip
