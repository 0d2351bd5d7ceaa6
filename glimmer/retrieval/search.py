"""Exact inner-product search over memory-mapped embedding shards, block by block, ties broken by passage id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from glimmer.errors import InputError
from glimmer.retrieval.shards import blocks

_RESCORED_AT_ONCE = 8192


def exact_scores(questions: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """The score that the search ranks by: float32 of the inner product summed in float64, row by row.

    Products of float32 are exact in float64, so the score of a pair does not depend on what else is scored with it:
    equal passages tie exactly, whatever the block sizes.

    Args: questions, passages float32 [n, d]. Returns float32 [n].
    """
    return np.vecdot(questions.astype(np.float64), passages.astype(np.float64)).astype(np.float32)


def search(
    questions: np.ndarray, shards: Sequence[np.ndarray], k: int, *, question_rows: int = 512, passage_rows: int = 8192
) -> tuple[np.ndarray, np.ndarray]:
    """The k passages of the highest inner product for each question, best first; equal scores by lowest id.

    Memory beyond the arguments and the result is O(question_rows * passage_rows), whatever the corpus.

    Args:
      questions: float32 [n, d].
      shards: float32 arrays [*, d] (memory-mapped or not); passage ids count through them from 0.
      k: how many to return, from 1 to the number of passages.
    Returns: (passages int64 [n, k], scores float32 [n, k], which are `exact_scores`).
    Raises InputError if k is larger than the corpus, or widths differ, or an embedding is not finite.
    """
    questions, _ = check_request(questions, shards, k)
    ids = np.empty((len(questions), k), np.int64)
    scores = np.empty((len(questions), k), np.float32)
    starts = range(0, len(questions), question_rows)
    for start in tqdm(starts, desc="search", unit="block", disable=None, leave=False):
        rows = slice(start, start + question_rows)
        ids[rows], scores[rows] = _search_block(questions[rows], shards, k, passage_rows)
    return ids, scores


def check_request(questions: np.ndarray, shards: Sequence[np.ndarray], k: int) -> tuple[np.ndarray, int]:
    """(questions as contiguous float32, how many passages there are). Raises InputError for what cannot be searched."""
    questions = np.ascontiguousarray(questions, dtype=np.float32)
    total = sum(len(shard) for shard in shards)
    if not 1 <= k <= total:
        raise InputError("cannot retrieve that many passages", expected=f"1 <= k <= {total} (the corpus)", found=k)
    widths = {shard.shape[1] for shard in shards} | {questions.shape[1]}
    if len(widths) > 1:
        raise InputError("questions and passages have different widths", expected="one width", found=sorted(widths))
    return questions, total


def _search_block(questions, shards, k, passage_rows):
    ids = np.full((len(questions), k), -1, np.int64)
    scores = np.full((len(questions), k), -np.inf, np.float32)
    question_norm = largest_norm(questions, "questions")
    for first, block in blocks(shards, passage_rows):
        rough = questions @ block.T
        # Float32 products may be off by d * 2^-24 * |q| |p| (Higham, section 3.1): a passage is dropped only when it
        # cannot reach the k-th best even so. Twice, as the bar may itself be a rough score; once more for rounding.
        slack = 3 * questions.shape[1] * 2.0**-24 * question_norm * largest_norm(block, f"passages from {first}")
        rows, columns = np.nonzero(rough >= _bar(rough, scores[:, -1], k)[:, None] - np.float32(slack))
        if rows.size:
            exact = np.concatenate([exact_scores(questions[rows[at]], block[columns[at]]) for at in _chunks(rows.size)])
            _merge(ids, scores, rows, columns + first, exact)
    return ids, scores


def _bar(rough, kth_best, k):
    """Per question a score that at least k passages are known to reach: the k-th best so far or in this block."""
    bar = kth_best.copy()
    if rough.shape[1] > k:
        crowded = np.count_nonzero(rough >= bar[:, None], axis=1) > k
        if crowded.any():
            in_block = np.partition(rough[crowded], rough.shape[1] - k, axis=1)[:, -k]
            bar[crowded] = np.maximum(bar[crowded], in_block)
    return bar


def _merge(ids, scores, rows, new_ids, new_scores):
    """Puts candidates (question row, passage id, score) into the running [n, k] results, in place."""
    k = ids.shape[1]
    touched, position = np.unique(rows, return_inverse=True)
    owner = np.concatenate([np.repeat(np.arange(len(touched)), k), position])
    all_ids = np.concatenate([ids[touched].ravel(), new_ids])
    all_scores = np.concatenate([scores[touched].ravel(), new_scores])
    order = np.lexsort((all_ids, -all_scores, owner))
    begin = np.searchsorted(owner[order], np.arange(len(touched)))
    best = order[begin[:, None] + np.arange(k)]
    ids[touched], scores[touched] = all_ids[best], all_scores[best]


def _chunks(count):
    return (slice(start, start + _RESCORED_AT_ONCE) for start in range(0, count, _RESCORED_AT_ONCE))


def largest_norm(rows: np.ndarray, where: object) -> float:
    """The largest norm of a row of float32 [n, d], 0 without rows. Raises InputError, which names `where`, where one is
    not finite."""
    squared = np.einsum("nd,nd->n", rows, rows).max(initial=0.0)
    if not np.isfinite(squared):
        raise InputError("embedding is not finite", where=where, expected="finite numbers", found="NaN or infinity")
    return float(np.sqrt(squared))
