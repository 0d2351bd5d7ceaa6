"""The memory store of a trained reader: every passage that dev questions retrieve, remembered ahead of time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from glimmer.models.mesh import device_mesh, place_batch, rows_multiple, whole
from glimmer.models.reader import Reader
from glimmer.models.store import ALL, MemoryStore, StorePlan, write_blocks, write_store
from glimmer.parts import StagePart
from glimmer.runs.made_by import code_version
from glimmer.runs.materials import Materials


def write_memory(reader: Reader, materials: Materials, directory: Path) -> MemoryStore | None:
    """Memory of the passages that the run's dev tasks need; None where nothing is precomputed (FiD, no passages).

    Goes on with the blocks that are there, of an evaluation that was stopped or of other jobs. Of several processes all
    must call this.
    """
    plan = _plan(reader, materials)
    return None if plan is None else write_store(directory, plan, *_making(reader, materials))


def write_part(reader: Reader, materials: Materials, directory: Path, part: StagePart = ALL) -> list[int] | None:
    """One job's part of the blocks that `write_memory` reads: the numbers of those computed now; None as there. Of
    several processes all must call this."""
    plan = _plan(reader, materials)
    return None if plan is None else write_blocks(directory, plan, *_making(reader, materials), part)


def _plan(reader: Reader, materials: Materials) -> StorePlan | None:
    """Blocks of other parameters, code or tokens are none of this store. How devices are laid out is not asked: jobs of
    any layout share one, and differ in the order of sums."""
    if reader.settings.alpha == 1:
        return None
    batcher = materials.batcher
    rows = [(task, row) for task in materials.evaluated for row in task.rows]
    needed = np.concatenate([batcher.passage_ids(task, row) for task, row in rows])
    if needed.max() < 0:  # no question has any passage
        return None
    embedding = reader.embedding if reader.memory_embedding is None else reader.memory_embedding
    made_with = {
        "run": materials.run.id,
        "parameters": _digest(reader.memory, embedding),
        "tokens": materials.digests["tokens"],
        "code_version": code_version(),
    }
    shape = (batcher.lengths.passage, reader.config.d_model)
    return StorePlan.of(needed, made_with=made_with, shape=shape, dtype=materials.study.evaluation.memory_dtype)


def _making(reader: Reader, materials: Materials) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Passage ids -> tokens, and tokens -> memory, of a block: its rows split over the devices that share rows."""
    corpus, length = materials.batcher.corpus, materials.batcher.lengths.passage
    mesh = device_mesh(materials.study.devices)
    compiled = nnx.jit(lambda model, tokens: model.remember_passages(tokens))

    def remember(tokens: Int[np.ndarray, "b P"]) -> Float[np.ndarray, "b P D"]:
        padded = np.pad(tokens, ((0, -len(tokens) % rows_multiple(mesh)), (0, 0)), mode="edge")
        return whole(compiled(reader, place_batch(padded[:, None], mesh)))[: len(tokens), 0]

    return lambda ids: corpus.gather(ids[:, None], length)[:, 0], remember


def _digest(*modules: nnx.Module) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves([nnx.state(module) for module in modules]):
        digest.update(np.ascontiguousarray(whole(leaf)).tobytes())
    return digest.hexdigest()
