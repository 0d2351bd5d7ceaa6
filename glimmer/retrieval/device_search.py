"""Exact search on accelerators: candidates from blocked products on the mesh, proven complete, rescored as on a CPU.

The devices hold one block of passages at a time, split over all of them; each keeps the best candidates of its part,
and a running merge the best so far. Rough scores (float32, or bfloat16 inputs summed in float32) are wrong by at most a
known bound, so a question's candidates are known to hold its k best where the k-th best exact score among them is
further above the last candidate's rough score than that. Questions for which it is not are searched again: after
bfloat16 in float32, after float32 by `search`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int
from tqdm import tqdm

from glimmer.retrieval.search import check_request, exact_scores, largest_norm, search
from glimmer.retrieval.shards import blocks, rows_of

_EXTRA = 64
"""Candidates beyond k."""
_UNIT_ROUNDOFF = {"float32": 0.0, "bfloat16": 2.0**-8}
"""Of an embedding as the products read it; the stored ones are float32."""

Best = tuple[Float[Array, "n c"], Int[Array, "n c"]]
"""Rough scores and passage ids of the best candidates, best first; -inf where there are fewer."""


def device_search(
    questions: np.ndarray,
    shards: Sequence[np.ndarray],
    k: int,
    *,
    question_rows: int = 4096,
    passage_rows: int = 131_072,
    dtype: str = "float32",
    devices: Sequence[jax.Device] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`search` with its products on `devices` (default: all): the same ids and scores, to the bit.

    Args:
      questions, shards, k: as for `search`.
      question_rows: questions on the devices at once. passage_rows: passages on them at once, rounded up to a multiple
        of the devices.
      dtype: of the rough products' inputs, "float32" or "bfloat16".
    Returns and raises as `search` does.
    """
    questions, total = check_request(questions, shards, k)
    devices = jax.devices() if devices is None else devices
    mesh = Mesh(np.asarray(devices), ("passages",), axis_types=(AxisType.Auto,))
    rows = -(-min(passage_rows, total) // len(devices)) * len(devices)
    step = _step(mesh, min(total, k + _EXTRA), dtype)
    again = search if dtype == "float32" else partial(device_search, question_rows=question_rows,
                                                      passage_rows=passage_rows, devices=devices)  # fmt: skip
    ids = np.empty((len(questions), k), np.int64)
    scores = np.empty((len(questions), k), np.float32)
    starts = range(0, len(questions), question_rows)
    for start in tqdm(starts, desc="search", unit="block", disable=None, leave=False):
        asked = questions[start : start + question_rows]
        padded = np.zeros((min(question_rows, len(questions)), questions.shape[1]), np.float32)
        padded[: len(asked)] = asked
        best, norm = _candidates(padded, shards, rows, min(total, k + _EXTRA), step, mesh)
        rough, found = (np.asarray(part)[: len(asked)] for part in best)
        slack = _slack(questions.shape[1], dtype) * largest_norm(asked, "questions") * norm
        rescored_ids, rescored = _rescored(asked, shards, k, found)
        if found.shape[1] < total:
            doubtful = np.flatnonzero(rescored[:, -1].astype(np.float64) <= rough[:, -1].astype(np.float64) + slack)
            rescored_ids[doubtful], rescored[doubtful] = again(asked[doubtful], shards, k)
        ids[start : start + len(asked)], scores[start : start + len(asked)] = rescored_ids, rescored
    return ids, scores


def _candidates(questions, shards, rows: int, candidates: int, step, mesh: Mesh) -> tuple[Best, float]:
    """The best candidates of all passages, and the largest norm of a passage."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    asked = jax.device_put(questions, everywhere)
    shape = (len(questions), candidates)
    best: Best = (
        jax.device_put(np.full(shape, -np.inf, np.float32), everywhere),
        jax.device_put(np.full(shape, -1, np.int32), everywhere),
    )
    norm = 0.0
    for first, count, block in _padded(shards, rows):
        norm = max(norm, largest_norm(block[:count], f"passages from {first}"))
        placed = jax.device_put(block, NamedSharding(mesh, PartitionSpec("passages")))
        best = step(asked, placed, jnp.int32(first), jnp.int32(count), best)
    return best, norm


def _padded(shards: Sequence[np.ndarray], rows: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """(id of the first passage, passages, float32 [rows, d] of which the rest is zero): one shape, one program."""
    for first, block in blocks(shards, rows):
        padded = np.zeros((rows, block.shape[1]), np.float32)
        padded[: len(block)] = block
        yield first, len(block), padded


def _step(mesh: Mesh, candidates: int, dtype: str):
    """The compiled merge of one block into the best candidates so far."""
    devices = mesh.shape["passages"]

    def of_one_device(questions, block, first, count):
        mine = jax.lax.axis_index("passages") * block.shape[0] + jnp.arange(block.shape[0], dtype=jnp.int32)
        rough = jnp.matmul(
            questions.astype(dtype),
            block.astype(dtype).T,
            precision=jax.lax.Precision.HIGHEST,
            preferred_element_type=jnp.float32,
        )
        rough = jnp.where(mine < count, rough, -jnp.inf)
        scores, places = jax.lax.top_k(rough, min(candidates, block.shape[0]))
        return scores, jnp.where(jnp.isneginf(scores), -1, first + mine[places])

    of_all = jax.shard_map(
        of_one_device,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("passages"), PartitionSpec(), PartitionSpec()),
        out_specs=PartitionSpec(None, "passages") if devices > 1 else PartitionSpec(),
        check_vma=False,
    )

    @partial(jax.jit, donate_argnums=4)
    def step(questions, block, first, count, best: Best) -> Best:
        found = of_all(questions, block, first, count)
        scores, ids = (jnp.concatenate(pair, 1) for pair in zip(best, found, strict=True))
        scores, places = jax.lax.top_k(scores, candidates)
        return scores, jnp.take_along_axis(ids, places, 1)

    return step


def _slack(width: int, dtype: str) -> float:
    """How far a rough score can be from the exact one, for vectors of norm 1.

    Products summed in float32 are off by at most width * 2^-24 (Higham, Accuracy and Stability, section 3.1), inputs
    rounded to unit roundoff u by 2 u + u^2; twice the sum, for the rounding of the bound itself.
    """
    u = _UNIT_ROUNDOFF[dtype]
    return 2 * (2 * u + u * u + (width + 1) * 2.0**-24 * (1 + u) ** 2)


def _rescored(questions, shards, k: int, found) -> tuple[np.ndarray, np.ndarray]:
    """The k best of each question's candidates by exact score; equal ones by lowest id."""
    exact = np.full(found.shape, -np.inf, np.float32)
    rows, columns = np.nonzero(found >= 0)
    exact[rows, columns] = exact_scores(questions[rows], rows_of(shards, found[rows, columns]))
    order = np.lexsort((found, -exact), axis=1)[:, :k]
    return np.take_along_axis(found, order, 1).astype(np.int64), np.take_along_axis(exact, order, 1)
