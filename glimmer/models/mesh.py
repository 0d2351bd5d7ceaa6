"""Where arrays lie: a device mesh (data x model) and the partition of parameters and batches over it.

One device is a mesh of one. Matrices are split as in Megatron: query, key, value and feed-forward inputs by their
output dimension, attention and feed-forward outputs by their input dimension; the compiler inserts the collectives.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from glimmer.errors import InputError

_BY_OUTPUT = ("query", "key", "value", "gate", "input", "head")
_BY_INPUT = ("output", "table")


def device_mesh(model: int = 1) -> Mesh:
    """All devices as (data, model), `model` of them sharing each copy of the parameters.

    Raises InputError if `model` does not divide the number of devices.
    """
    count = jax.device_count()
    if count % model:
        raise InputError(
            "devices do not divide into the mesh",
            where="model parallelism",
            expected=f"a divisor of {count}",
            found=model,
        )
    return jax.make_mesh((count // model, model), ("data", "model"), axis_types=(AxisType.Auto, AxisType.Auto))


def place_parameters(tree: Any, mesh: Mesh) -> Any:
    """Puts a tree of parameters (or of optimiser state shaped like them) on the mesh."""

    def place(path, leaf):
        return jax.device_put(leaf, NamedSharding(mesh, _partition(path, leaf, mesh.shape["model"])))

    return jax.tree_util.tree_map_with_path(place, tree)


def place_batch(tree: Any, mesh: Mesh) -> Any:
    """Puts a batch on the mesh, its first axis split over `data`. Raises InputError if that does not divide it."""
    rows, parts = jax.tree.leaves(tree)[0].shape[0], mesh.shape["data"]
    if rows % parts:
        raise InputError("batch does not divide over the devices", where="batch_size",
                         expected=f"a multiple of {parts}", found=rows)  # fmt: skip
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec("data")))


def _partition(path, leaf, model: int) -> PartitionSpec:
    names = [str(getattr(part, "key", getattr(part, "name", ""))) for part in path]
    name = next((n for n in reversed(names) if n in _BY_OUTPUT + _BY_INPUT), None)
    if model == 1 or leaf.ndim < 2 or name is None or "relative_bias" in names:
        return PartitionSpec()
    axis = leaf.ndim - 1 if name in _BY_OUTPUT else leaf.ndim - 2
    if leaf.shape[axis] % model:
        return PartitionSpec()
    return PartitionSpec(*("model" if i == axis else None for i in range(leaf.ndim)))
