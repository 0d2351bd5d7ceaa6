"""Which tower serves a question: one for all, or two that were each trained on one half of the train questions.

A tower finds the evidence of questions that it was trained on more often than that of others. Where towers learn from
the study's own train questions, each question is served by the tower of the other half, so that readers meet the same
retrieval in training and in dev (cross-fitting).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HALVES = (0, 1)


def half_of(example_id: str) -> int:
    """The half, 0 or 1, that an example belongs to: the last bit of the sha256 of its id, in train and dev alike."""
    return hashlib.sha256(example_id.encode("utf-8", "surrogatepass")).digest()[-1] & 1


def half_directory(root: str | Path, half: int) -> Path:
    """Where the tower that was trained on a half lies, or the corpus embedded with it."""
    return Path(root) / f"half-{half}"


def towers_in(root: str | Path) -> tuple[Path, ...]:
    """The tower in a directory; or the two in it, first the one that was trained on half 0."""
    halves = tuple(half_directory(root, half) for half in HALVES)
    return halves if any(path.exists() for path in halves) else (Path(root),)


def served_by(example_ids: Sequence[str], tower: int, towers: int) -> np.ndarray:
    """int64 numbers of the rows that tower number `tower` of so many serves: of two, those of the other's half."""
    rows = range(len(example_ids))
    if towers == 1:
        return np.array(rows, np.int64)
    return np.array([row for row in rows if half_of(example_ids[row]) != tower], np.int64)
