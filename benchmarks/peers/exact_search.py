"""Exact inner-product search: ours (scores rounded once from float64, ties by id) against faiss's IndexFlatIP."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.peers.rows import OURS, Row, absent, finished, imported, in_turn, require_close, torch_missing
from glimmer.errors import CheckFailed
from glimmer.retrieval.search import exact_scores, search

FAISS, TORCH, PRODUCT = "faiss", "PyTorch", "the product alone"
_NEAR = 1e-6
"""Scores of unit vectors that float32 cannot order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """`passages` and `questions` of `width`; `k` are asked for."""

    passages: int = 200_000
    questions: int = 1_000
    width: int = 768
    k: int = 40
    repeats: int = 3


def shapes(quick: bool) -> Shapes:
    """The size of a sample's corpus in GTR's width."""
    return Shapes(passages=500, questions=20, width=16, k=5, repeats=2) if quick else Shapes()


def unit_vectors(count: int, width: int, seed: int) -> np.ndarray:
    """Random float32 [count, width] of length 1."""
    vectors = np.random.default_rng(seed).standard_normal((count, width), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def rows(quick: bool) -> Iterator[Row]:
    """The row of search; on an accelerator with PyTorch's product and top-k too."""
    from benchmarks.peers.rows import on_accelerator
    from glimmer.retrieval.device_search import device_search

    at = shapes(quick)
    passages, questions = unit_vectors(at.passages, at.width, 0), unit_vectors(at.questions, at.width, 1)
    ours = device_search if on_accelerator() else search
    arms: dict[str, Any] = {OURS: lambda: ours(questions, [passages], at.k)}
    missing, checked = absent("faiss"), ""
    if not missing:
        index = _index(passages)
        checked = agree(questions, passages, *ours(questions, [passages], at.k), index.search(questions, at.k)[1])
        arms[FAISS] = lambda: index.search(questions, at.k)
    if on_accelerator() and not torch_missing(torch := imported("torch")):
        placed = torch.as_tensor(passages, device="cuda")
        arms[TORCH] = lambda: finished(
            torch, torch.topk(torch.as_tensor(questions, device="cuda") @ placed.T, at.k)[1].cpu()
        )
    seconds = in_turn(arms, at.repeats)
    product = float(np.median(in_turn({PRODUCT: lambda: questions @ passages.T}, at.repeats)[PRODUCT]))
    yield Row(
        name="search",
        what=f"exact search: {at.passages:,} x {at.width}, {at.questions:,} questions, k = {at.k}",
        against="faiss IndexFlatIP, its index in memory",
        seconds=seconds,
        checked=checked,
        limits=f"the product of questions and passages: NumPy's alone takes"
        f" {100 * product / float(np.median(seconds[OURS])):.0f} % of ours"
        + ("" if not on_accelerator() else "; passages are sent to the device in each call, PyTorch's lie there"),
        facts={f"seconds of {PRODUCT}, NumPy": product},
        missing=missing,
    )


def agree(questions: np.ndarray, passages: np.ndarray, ids: np.ndarray, scores: np.ndarray, theirs: np.ndarray) -> str:
    """Compares two answers [n, k] of ids. Raises CheckFailed where they differ in more than what float32 cannot order.

    Theirs are scored as ours are; place by place the scores are then the same, so that both found the best.
    """
    asked = np.repeat(questions, theirs.shape[1], axis=0)
    rescored = exact_scores(asked, passages[theirs.ravel()]).reshape(theirs.shape)
    rescored = -np.sort(-rescored, axis=1)
    apart = float(np.abs(rescored.astype(np.float64) - scores).max())
    if apart > _NEAR:
        raise CheckFailed(f"search: scores at a place are {apart:.1e} apart, {_NEAR:.0e} allowed")
    same = np.mean([len(np.intersect1d(a, b)) for a, b in zip(ids, theirs, strict=True)]) / ids.shape[1]
    return f"{100 * same:.3f} % of the ids the same; " + require_close("exact scores place by place", scores, rescored,
                                                                      1e-5)  # fmt: skip


def _index(passages: np.ndarray) -> Any:
    import os

    import faiss

    faiss.omp_set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    index = faiss.IndexFlatIP(passages.shape[1])
    index.add(passages)
    return index
