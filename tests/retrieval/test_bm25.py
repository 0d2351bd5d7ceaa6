"""BM25 against its formula, its order of ties, and what counts as a word."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.errors import InputError
from glimmer.retrieval.bm25 import K1, B, build_bm25, search_bm25, top_by_score_then_id, words

TEXTS = ["The red fox runs", "a red red car", "the car of the fox", "nothing here", ""]


def formula(question, text):
    """Lucene's BM25: sum over question words of idf * tf / (tf + k1 (1 - b + b |d| / avg))."""
    documents = [words(t) for t in TEXTS]
    average = sum(map(len, documents)) / len(documents)
    total = 0.0
    for word in words(question):
        containing = sum(word in document for document in documents)
        idf = math.log(1 + (len(documents) - containing + 0.5) / (containing + 0.5))
        count = words(text).count(word)
        total += idf * count / (count + K1 * (1 - B + B * len(words(text)) / average))
    return total


@pytest.mark.parametrize("question", ["red fox", "THE car", "fox [SEP] car", "fox zebra"])
def test_scores_follow_the_formula(question):
    ids, scores = search_bm25(build_bm25(TEXTS), [question], len(TEXTS))
    np.testing.assert_allclose(scores[0], [formula(question, TEXTS[i]) for i in ids[0]], rtol=1e-5)
    assert scores[0].tolist() == sorted(scores[0], reverse=True)


def test_a_question_without_a_known_word_gets_the_first_passages():
    ids, scores = search_bm25(build_bm25(TEXTS), ["zebra", ""], 3)
    np.testing.assert_array_equal(ids, [[0, 1, 2]] * 2)
    assert not scores.any()


def test_the_separator_of_slot_filling_is_not_a_word():
    assert words("Ada Lovelace [SEP] place of birth") == ["ada", "lovelace", "place", "of", "birth"]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.data())
def test_top_by_score_then_id_is_a_sort(values, data):
    scores = np.array(values, np.float32)
    k = data.draw(st.integers(1, len(values)))
    np.testing.assert_array_equal(top_by_score_then_id(scores, k), np.argsort(-scores, kind="stable")[:k])


def test_k_larger_than_the_corpus_and_an_empty_corpus_are_input_errors():
    with pytest.raises(InputError, match="found 6"):
        search_bm25(build_bm25(TEXTS), ["fox"], 6)
    with pytest.raises(InputError, match="no words to index"):
        build_bm25([])
