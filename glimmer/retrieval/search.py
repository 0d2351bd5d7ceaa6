"""Exact inner-product search over memory-mapped embedding shards, block by block, ties broken by passage id.

Float32 products, which are wrong by at most a known bound, choose candidates: one comparison a score, with a bar that
rises. Candidates are scored exactly, at the end. So the corpus is read once, whatever the questions, and once more
where candidates lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from glimmer.errors import InputError
from glimmer.retrieval.shards import rows_of

_RESCORED_AT_ONCE = 256
"""Pairs: their embeddings in float64 stay in a processor's cache."""
_ROOM = 4
"""Times k candidates of a question, on average, before the bar rises."""


def exact_scores(questions: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """The score that the search ranks by: float32 of the inner product summed in float64, row by row.

    Products of float32 are exact in float64, so the score of a pair does not depend on what else is scored with it:
    equal passages tie exactly, whatever the block sizes.

    Args: questions, passages float32 [n, d]. Returns float32 [n].
    """
    return np.vecdot(questions.astype(np.float64), passages.astype(np.float64)).astype(np.float32)


def search(
    questions: np.ndarray, shards: Sequence[np.ndarray], k: int, *, question_rows: int = 512, passage_rows: int = 4096
) -> tuple[np.ndarray, np.ndarray]:
    """The k passages of the highest inner product for each question, best first; equal scores by lowest id.

    Memory beyond the arguments is O(question_rows * passage_rows + k * questions), whatever the corpus.

    Args:
      questions: float32 [n, d].
      shards: float32 arrays [*, d] (memory-mapped or not); passage ids count through them from 0.
      k: how many to return, from 1 to the number of passages.
    Returns: (passages int64 [n, k], scores float32 [n, k], which are `exact_scores`).
    Raises InputError if k is larger than the corpus, or widths differ, or an embedding is not finite.
    """
    questions, total = check_request(questions, shards, k)
    ids, scores = np.empty((len(questions), k), np.int64), np.empty((len(questions), k), np.float32)
    parts = [slice(start, start + question_rows) for start in range(0, len(questions), question_rows)]
    pools = [_Candidates(questions[part], shards, k) for part in parts]
    with tqdm(total=total, desc="search", unit="passage", disable=None, leave=False) as progress:
        for first, block in _growing_blocks(shards, passage_rows, _ROOM * k) if pools else ():
            norm = largest_norm(block, f"passages from {first}")
            for pool in pools:
                pool.add(first, block, norm)
            progress.update(len(block))
    for part, pool in zip(parts, pools, strict=True):
        ids[part], scores[part] = pool.best()
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


def _growing_blocks(shards: Sequence[np.ndarray], rows: int, begin: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first passage id, view of a shard) over all shards in order: at most `rows` passages, and beyond `begin` no more
    than came before. So a bar that follows the blocks lets few more than k of each pass."""
    first = 0
    for shard in shards:
        start = 0
        while start < len(shard):
            block = shard[start : start + min(rows, max(first, begin))]
            yield first, block
            start, first = start + len(block), first + len(block)


class _Candidates:
    """Of some questions, the passages that may be among the k best: pairs (question, passage id, rough score)."""

    def __init__(self, questions: np.ndarray, shards: Sequence[np.ndarray], k: int):
        self._questions, self._shards, self._k = questions, shards, k
        self._norm, self._largest = largest_norm(questions, "questions"), 0.0
        self._bar = np.full(len(questions), -np.inf, np.float32)  # k passages are known to reach it, roughly
        self._pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._row_type = np.min_scalar_type(len(questions))
        self._waiting, self._room = 0, _ROOM * k * len(questions)

    def add(self, first: int, block: np.ndarray, norm: float) -> None:
        """Takes in the passages [p, d] with ids from `first`; `norm` is that of the longest."""
        self._largest = max(self._largest, norm)
        rough = block @ self._questions.T
        hits = np.flatnonzero(rough >= self._enough())
        columns, rows = np.divmod(hits, len(self._questions))
        self._pairs.append((rows.astype(self._row_type), columns + first, rough.ravel()[hits]))
        self._waiting += len(hits)
        if self._waiting > self._room:
            self._raise_bar()

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """(ids int64 [n, k], exact scores float32 [n, k]) of what came in, best first; equal scores by lowest id."""
        self._raise_bar()
        (rows, ids, _), shape = self._joined(), (len(self._questions), self._k)
        best, exact = self._best(rows, ids)
        return ids[best].reshape(shape), exact[best].reshape(shape)

    def _enough(self) -> np.ndarray:
        """float32 [n]: the rough score below which a passage cannot be among a question's k best.

        Float32 products may be off by d * 2^-24 * |q| |p| (Higham, section 3.1), and exact scores are rounded once. A
        passage is dropped only when it cannot reach the k-th best even so: twice that, as the bar is a rough score too;
        once more for the rounding of bar, norms and slack.
        """
        slack = 3 * (self._questions.shape[1] + 2) * 2.0**-24 * self._norm * self._largest
        return self._bar - np.float32(slack)

    def _raise_bar(self) -> None:
        """Makes the k-th best rough score of each question its bar, and drops what is too far below.

        Where more than the room stays, as among equal passages, the k best by exact score stay.
        """
        rows, ids, rough = self._joined()
        counts = np.bincount(rows, minlength=len(self._questions))
        if counts.min() < self._k:
            return
        self._bar = self._kth_best(rows, rough, counts)
        stay = np.flatnonzero(rough >= self._enough()[rows])
        if len(stay) > self._room:
            stay = stay[self._best(rows[stay], ids[stay])[0]]
        self._pairs, self._waiting = [(rows[stay], ids[stay], rough[stay])], len(stay)

    def _kth_best(self, rows: np.ndarray, rough: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """float32 [n]: the k-th best rough score of each question, of those that came last where it has very many."""
        width = min(counts.max(), 4 * _ROOM * self._k)
        order = np.argsort(rows, kind="stable")
        before_end = np.repeat(np.cumsum(counts), counts) - np.arange(len(rows)) - 1
        order, before_end = order[before_end < width], before_end[before_end < width]
        table = np.full((len(counts), width), -np.inf, np.float32)
        table[rows[order], before_end] = rough[order]
        return np.partition(table, -self._k, axis=1)[:, -self._k]

    def _joined(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All pairs: questions unsigned [c], passage ids int64 [c], rough scores float32 [c]."""
        rows, ids, rough = (np.concatenate(part) for part in zip(*self._pairs, strict=True))
        self._pairs = [(rows, ids, rough)]
        return rows, ids, rough

    def _best(self, rows: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(which pairs are the k best of each question int64 [n * k], exact scores of all float32 [c])."""
        exact = np.empty(len(ids), np.float32)
        in_corpus = np.argsort(ids, kind="stable")  # pages that are read one after another
        for start in range(0, len(ids), _RESCORED_AT_ONCE):
            at = in_corpus[start : start + _RESCORED_AT_ONCE]
            exact[at] = exact_scores(self._questions[rows[at]], rows_of(self._shards, ids[at]))
        order = np.lexsort((ids, -exact, rows))
        begin = np.searchsorted(rows[order], np.arange(len(self._questions)))
        return order[begin[:, None] + np.arange(self._k)].ravel(), exact


def largest_norm(rows: np.ndarray, where: object) -> float:
    """The largest norm of a row of float32 [n, d], 0 without rows. Raises InputError, which names `where`, where one is
    not finite."""
    squared = np.einsum("nd,nd->n", rows, rows).max(initial=0.0)
    if not np.isfinite(squared):
        raise InputError("embedding is not finite", where=where, expected="finite numbers", found="NaN or infinity")
    return float(np.sqrt(squared))
