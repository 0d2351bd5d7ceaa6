"""The relevance filter (Hofstätter et al. 2022): train only on questions that the knowledge source answers.

An example stays if the confidence of its best evidence set is at least a threshold (`glimmer.retrieval.evidence`). Two
modes (`RelevanceSettings.mode`): `labels` asks whether the relevance label can be trusted, whatever was retrieved, and
is the published method; `retrieved` asks also that the evidence is among the first k passages. The published threshold
is not known: ours is a value of the config, and the counts say what other values and the other mode would keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from glimmer.errors import InputError
from glimmer.experiments.sections import RelevanceSettings
from glimmer.files import atomic_write, sealed_directory, write_json
from glimmer.retrieval.retrieved import Retrieved, read_retrieved, retrieved_path

SWEPT = (0.0, 0.25, 0.5, 0.75, 1.0)


def relevance(retrieved: Retrieved, settings: RelevanceSettings) -> np.ndarray:
    """What the threshold is held against, float32 [n]. Raises InputError if k is more than was retrieved."""
    if settings.mode == "labels":
        return retrieved.label
    if settings.k > retrieved.depth:
        expected = f"at most the {retrieved.depth} retrieved"
        raise InputError("relevance filter", where="k", expected=expected, found=settings.k)
    return retrieved.complete[:, settings.k - 1]


def kept_rows(retrieved: Retrieved, settings: RelevanceSettings) -> np.ndarray:
    """int64 numbers of the rows that stay, ascending. Threshold 0, or none, keeps all, also those without evidence."""
    # The threshold in the confidence's own precision: float32(0.7) must pass 0.7.
    threshold = np.float32(settings.threshold or 0.0)
    return np.flatnonzero(relevance(retrieved, settings) >= threshold).astype(np.int64)


def filter_counts(retrieved: Retrieved, settings: RelevanceSettings, swept: Sequence[float] = SWEPT) -> dict:
    """How many rows stay, and how many would at other thresholds and in either mode.

    `depth` is how many passages were retrieved; `after_by_mode` counts "retrieved" within k, or within all of them
    where the settings state no k.
    """

    def after(**changes) -> int:
        return len(kept_rows(retrieved, replace(settings, **changes)))

    modes = {"labels": {"k": None}, "retrieved": {"k": settings.k or retrieved.depth}}
    return {
        "before": len(retrieved.passages),
        "after": after(),
        "threshold": settings.threshold or 0.0,
        "mode": settings.mode,
        "k": settings.k,
        "depth": retrieved.depth,
        "after_by_threshold": {f"{threshold:g}": after(threshold=threshold) for threshold in swept},
        "after_by_mode": {mode: after(mode=mode, **k) for mode, k in modes.items()},
    }


def filter_tasks(
    retrieved: str | Path,
    out: str | Path,
    *,
    tasks: Sequence[str],
    settings: RelevanceSettings,
    swept: Sequence[float] = SWEPT,
) -> dict[str, dict]:
    """Writes <task>.npy (kept rows of the train file, int64) and counts.json; returns the counts by task.

    Raises InputError if nothing of a task is left, as nothing could be trained on it.
    """
    counts = {}
    with sealed_directory(out) as root:
        for task in tasks:
            path = retrieved_path(retrieved, task, "train")
            of_task = read_retrieved(path)
            kept = kept_rows(of_task, settings)
            counts[task] = filter_counts(of_task, settings, swept)
            if not len(kept):
                raise InputError(
                    f"the relevance filter leaves no example of {task}",
                    where=path,
                    expected=f"confidence of {settings.threshold or 0} or more somewhere ({settings.mode})",
                    found=f"at most {relevance(of_task, settings).max(initial=0):g} in {len(of_task.label)} examples",
                )
            with atomic_write(root / f"{task}.npy", "wb") as file:
                np.save(file, kept, allow_pickle=False)
        write_json(root / "counts.json", counts)
    return counts
