"""The relevance filter (Hofstätter et al. 2022): train only on questions whose evidence was retrieved.

A training example stays if the best confidence among its first k retrieved passages is at least a threshold. Confidence
is KILT's provenance match carried over to passages (`glimmer.kilt.provenance`). The published threshold is not known:
ours is a value of the config that can be swept, and the counts say what each value costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glimmer.errors import InputError
from glimmer.files import atomic_directory, atomic_write, write_json
from glimmer.retrieval.retrieved import read_retrieved, retrieved_path

SWEPT = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class RelevanceFilter:
    """Threshold in [0, 1] on the best confidence of the first k passages; k None means all that were retrieved.

    Threshold 0 keeps everything, examples without any known evidence too.
    """

    threshold: float
    k: int | None = None

    def __post_init__(self):
        if not 0 <= self.threshold <= 1:
            raise InputError("relevance filter", where="threshold", expected="a number in [0, 1]", found=self.threshold)
        if self.k is not None and self.k < 1:
            raise InputError("relevance filter", where="k", expected="at least 1 passage", found=self.k)

    def keeps(self, confidence: np.ndarray) -> np.ndarray:
        """bool [n] for confidence float32 [n, depth]. Raises InputError if k is more than was retrieved."""
        depth = confidence.shape[1]
        if self.k is not None and self.k > depth:
            raise InputError("relevance filter", where="k", expected=f"at most the {depth} retrieved", found=self.k)
        # The threshold in the confidence's own precision: float32(0.7) must pass 0.7.
        return confidence[:, : self.k].max(axis=1, initial=0.0) >= np.float32(self.threshold)

    def kept_rows(self, confidence: np.ndarray) -> np.ndarray:
        """int64 numbers of the rows that stay, ascending."""
        return np.flatnonzero(self.keeps(confidence)).astype(np.int64)

    def counts(self, confidence: np.ndarray, swept: Sequence[float] = SWEPT) -> dict:
        """{"before", "after", "threshold", "k", "after_by_threshold"}: what stays here, and at other thresholds."""
        k = confidence.shape[1] if self.k is None else self.k
        others = {f"{t:g}": int(RelevanceFilter(threshold=t, k=self.k).keeps(confidence).sum()) for t in swept}
        return {
            "before": len(confidence),
            "after": int(self.keeps(confidence).sum()),
            "threshold": self.threshold,
            "k": k,
            "after_by_threshold": others,
        }


def filter_tasks(
    retrieved: str | Path,
    out: str | Path,
    *,
    tasks: Sequence[str],
    relevance: RelevanceFilter,
    swept: Sequence[float] = SWEPT,
) -> dict[str, dict]:
    """Writes <task>.npy (kept rows of the train file, int64) and counts.json; returns the counts by task.

    Raises InputError if nothing of a task is left, as nothing could be trained on it.
    """
    counts = {}
    with atomic_directory(out) as root:
        for task in tasks:
            path = retrieved_path(retrieved, task, "train")
            confidence = read_retrieved(path).confidence
            kept = relevance.kept_rows(confidence)
            counts[task] = relevance.counts(confidence, swept)
            if not len(kept):
                raise InputError(
                    f"the relevance filter leaves no example of {task}",
                    where=path,
                    expected=f"confidence of {relevance.threshold} or more somewhere",
                    found=f"at most {confidence.max(initial=0):g} in {len(confidence)} examples",
                )
            with atomic_write(root / f"{task}.npy", "wb") as file:
                np.save(file, kept, allow_pickle=False)
        write_json(root / "counts.json", counts)
    return counts
