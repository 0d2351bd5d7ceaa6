"""The memory store of a trained reader: every passage that dev questions retrieve, remembered ahead of time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from glimmer.models.reader import Reader
from glimmer.models.store import MemoryStore, write_store
from glimmer.runs.materials import Materials


def write_memory(reader: Reader, materials: Materials, directory: Path) -> MemoryStore | None:
    """Memory of the passages that the run's dev tasks need; None where nothing is precomputed (FiD, no passages)."""
    if reader.settings.alpha == 1:
        return None
    batcher = materials.batcher
    rows = [(task, row) for task in materials.evaluated for row in task.rows]
    needed = np.unique(np.concatenate([batcher.passage_ids(task, row) for task, row in rows]))
    if needed[-1] < 0:  # no question has any passage
        return None
    length = batcher.lengths.passage
    remember = nnx.jit(lambda model, tokens: model.remember_passages(tokens[None])[0])
    return write_store(
        directory,
        needed,
        lambda ids: batcher.corpus.gather(ids[:, None], length)[:, 0],
        lambda tokens: remember(reader, tokens),
        {"run": materials.run.id, "parameters": _digest(reader.memory)},
        dtype=materials.study.evaluation.memory_dtype,
    )


def _digest(module: nnx.Module) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(nnx.state(module)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
