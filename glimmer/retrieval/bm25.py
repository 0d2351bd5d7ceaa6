"""BM25 as a control: the same output as dense search, scored by the `bm25s` library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import bm25s
import numpy as np
from tqdm import tqdm

from glimmer.errors import InputError

# Lucene's form and constants are those of KILT's own baseline. Words of any length, lower-cased, not stemmed, and no
# stop words: an invented name of a generated world may be a stop word of English.
METHOD, K1, B = "lucene", 0.9, 0.4
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Bm25Index:
    """An index and the numbering of its words."""

    index: bm25s.BM25
    vocabulary: dict[str, int]
    passages: int


def words(text: str) -> list[str]:
    """Lower-cased words; `[SEP]` of slot-filling inputs is a separator, not a word."""
    return _WORD.findall(text.replace("[SEP]", " ").lower())


def build_bm25(texts: Iterable[str], *, k1: float = K1, b: float = B) -> Bm25Index:
    """Indexes passage texts, streamed: what is kept are int32 word numbers. Row number = passage id."""
    vocabulary: dict[str, int] = {}
    documents = [
        np.array([vocabulary.setdefault(word, len(vocabulary)) for word in words(text)], np.int32)
        for text in tqdm(texts, desc="bm25 index", unit="passage", disable=None, leave=False)
    ]
    if not vocabulary:
        raise InputError("no words to index", expected="at least one passage with a word", found=len(documents))
    index = bm25s.BM25(k1=k1, b=b, method=METHOD)
    index.index((documents, vocabulary), create_empty_token=False, show_progress=False)
    return Bm25Index(index=index, vocabulary=vocabulary, passages=len(documents))


def search_bm25(bm25: Bm25Index, questions: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k passages of the highest BM25 score for each question, best first; equal scores by lowest id.

    Returns: (passages int64 [n, k], scores float32 [n, k]). Passages that share no word with the question score 0 and
    fill the list up by id, so that every question has k. Raises InputError if k is larger than the corpus.
    """
    if not 1 <= k <= bm25.passages:
        raise InputError(
            "cannot retrieve that many passages", expected=f"1 <= k <= {bm25.passages} (the corpus)", found=k
        )
    ids = np.empty((len(questions), k), np.int64)
    scores = np.empty((len(questions), k), np.float32)
    for row, question in enumerate(tqdm(questions, desc="bm25", unit="question", disable=None, leave=False)):
        known = [bm25.vocabulary[word] for word in words(question) if word in bm25.vocabulary]
        dense = bm25.index.get_scores_from_ids(known) if known else np.zeros(bm25.passages, np.float32)
        ids[row] = top_by_score_then_id(dense, k)
        scores[row] = dense[ids[row]]
    return ids, scores


def top_by_score_then_id(scores: np.ndarray, k: int) -> np.ndarray:
    """Ids of the k highest of scores [n], best first, equal ones by lowest id, in O(n + k log k)."""
    kth = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > kth)
    level = np.flatnonzero(scores == kth)[: k - len(above)]
    chosen = np.concatenate([above, level])
    return chosen[np.lexsort((chosen, -scores[chosen]))]
