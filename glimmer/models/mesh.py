"""Where arrays lie: a device mesh data x fsdp x model, and the partition of parameters and batches over it.

One device is a mesh of one. A batch's rows are split over `data` and `fsdp`. Parameters and what an optimizer keeps of
them are split over `fsdp` by their model width, and over `model` as in Megatron: by heads, feed-forward width and
vocabulary. `data` holds copies. The compiler inserts the collectives.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Shaped

from glimmer.errors import InputError
from glimmer.experiments.sections import Devices

AXES: dict[tuple[str, str], tuple[str, ...]] = {
    ("attention", "query"): ("embed", "heads"),
    ("attention", "key"): ("embed", "heads"),
    ("attention", "value"): ("embed", "heads"),
    ("attention", "output"): ("heads", "embed"),
    ("feed_forward", "gate"): ("embed", "mlp"),
    ("feed_forward", "input"): ("embed", "mlp"),
    ("feed_forward", "output"): ("mlp", "embed"),
    ("embedding", "table"): ("vocab", "embed"),
    ("embedding", "head"): ("embed", "vocab"),
    ("relative_bias", "table"): ("buckets", "heads"),
}
"""(end of a module's name, parameter) -> what its axes are. A stack of layers has one more in front. What is not here
(norms, the scorer, Adafactor's means over rows and columns: a thousandth of a T5) lies whole on every device."""

RULES: dict[str, str | None] = {"embed": "fsdp", "heads": "model", "mlp": "model", "vocab": "model", "buckets": None}
"""What an axis is -> the axis of the mesh that splits it, where that divides it; else, and for None, it stays whole."""

ROWS = ("data", "fsdp")
"""The axes of the mesh over which the rows of a batch are split."""


def device_mesh(layout: Devices | None = None, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """`devices` (default: all) as a mesh (data, fsdp, model) of the sizes in `layout`; without one, data alone.

    Raises InputError if the three sizes do not multiply to the number of devices.
    """
    layout = layout or Devices()
    count = jax.device_count() if devices is None else len(devices)
    parts = layout.fsdp * layout.model
    if count % parts or layout.data not in (None, count // parts):
        found = f"data {layout.data or 'any'} x fsdp {layout.fsdp} x model {layout.model}"
        raise InputError(
            "devices do not divide into the mesh",
            where="devices",
            expected=f"data x fsdp x model = {count}, as many as there are",
            found=found,
        )
    shape = (count // parts, layout.fsdp, layout.model)
    return jax.make_mesh(shape, (*ROWS, "model"), axis_types=(AxisType.Auto,) * 3, devices=devices)


def where_to_read(layout: Devices) -> contextlib.AbstractContextManager:
    """A context in which a reader is read from its checkpoint: on the host where `layout` splits parameters, since no
    device may hold all of them, or where there are several processes, which put their parts from there; else on the
    first device. Raises InputError for a jax that has no CPU."""
    if layout.fsdp * layout.model == 1 and jax.process_count() == 1:
        return contextlib.nullcontext()
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        raise InputError("parameters of several devices or processes are read on the host first", where="JAX_PLATFORMS",
                         expected="cpu among them", found="no CPU") from None  # fmt: skip


def rows_multiple(mesh: Mesh | AbstractMesh) -> int:
    """How many devices share the rows of a batch: its size must be a multiple of it."""
    return mesh.shape["data"] * mesh.shape["fsdp"]


def splits_parameters(mesh: Mesh) -> bool:
    """Whether parameters lie in parts on this mesh, and not whole on each device."""
    return mesh.shape["fsdp"] * mesh.shape["model"] > 1


def parameter_shardings(tree: Any, mesh: Mesh) -> Any:
    """The sharding of every leaf of a tree of parameters, of optimiser state, or of their shapes alone."""
    return on_mesh(tree, mesh, lambda _, sharding: sharding)


def on_mesh(tree: Any, mesh: Mesh, put: Callable[[Array, NamedSharding], Any]) -> Any:
    """`put` of every leaf of a tree of parameters, or of optimiser state, with the sharding that it has on the mesh."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: put(leaf, NamedSharding(mesh, _partition(path, leaf.shape, mesh))), tree
    )


def place_parameters(tree: Any, mesh: Mesh) -> Any:
    """Puts a tree of parameters (or of optimiser state shaped like them) on the mesh.

    Over several processes each puts its parts of what all of them have whole, and what lies on the mesh stays.
    """
    return on_mesh(tree, mesh, _global if mesh.is_multi_process else jax.device_put)


def _global(leaf: Array, sharding: NamedSharding) -> Array:
    # jax.device_put would first send every array to every process, to see that all have the same.
    if isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(sharding, leaf.ndim):
        return leaf
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda place: host[place])


def whole(x: Array | np.ndarray) -> Shaped[np.ndarray, "..."]:
    """An array on the host, whole, wherever its parts lie; all processes must ask."""
    if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(x, tiled=True)


def place_batch(tree: Any, mesh: Mesh, microbatches: int = 1) -> Any:
    """Puts a batch on the mesh, its first axis split over the devices that share rows; every process has all of it.

    Raises InputError if they do not divide its rows, or those of each of `microbatches`.
    """
    rows = jax.tree.leaves(tree)[0].shape[0]
    if mesh.is_multi_process:
        own = own_rows(rows, mesh, microbatches)
        return place_own_rows(jax.tree.map(lambda x: np.asarray(x)[own], tree), mesh, microbatches)
    require_rows(rows, mesh, microbatches)
    return jax.device_put(tree, batch_sharding(mesh))


def own_rows(rows: int, mesh: Mesh, microbatches: int = 1) -> Int[np.ndarray, " own"]:
    """Which of a batch's `rows` lie on this process's devices, in order: all of them for a process that is alone.

    Processes whose devices share rows with each other's, over `model`, have the same. Raises InputError as
    `place_batch` does.
    """
    require_rows(rows, mesh, microbatches)
    places = batch_sharding(mesh).addressable_devices_indices_map((rows,)).values()
    return np.unique(np.concatenate([np.arange(rows)[place] for place in places]))


def place_own_rows(tree: Any, mesh: Mesh, microbatches: int = 1) -> Any:
    """Puts a batch on the mesh of which this process has the `own_rows` alone: `place_batch` where that is all.

    Raises InputError as `place_batch` does.
    """
    if not mesh.is_multi_process:
        return place_batch(tree, mesh, microbatches)
    sharding = batch_sharding(mesh)
    placed = jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)
    require_rows(jax.tree.leaves(placed)[0].shape[0], mesh, microbatches)
    return placed


def require_rows(rows: int, mesh: Mesh, microbatches: int = 1) -> None:
    """Raises InputError unless `rows`, and those of each microbatch, divide over the devices that share rows."""
    parts = rows_multiple(mesh) * microbatches
    if rows % parts:
        raise InputError("batch does not divide over the devices", where="batch_size",
                         expected=f"a multiple of {parts}", found=rows)  # fmt: skip


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch's arrays."""
    return NamedSharding(mesh, PartitionSpec(ROWS))


def while_tracing_on(mesh: Mesh | None) -> contextlib.AbstractContextManager:
    """A context in which `split_rows` knows the mesh. One device, or None, needs none: the program stays as it is."""
    if mesh is None or mesh.size == 1:
        return contextlib.nullcontext()
    return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def row_devices() -> int:
    """How many devices share the rows of a batch, as far as the program being traced knows: 1 outside of
    `while_tracing_on`."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else rows_multiple(mesh)


def split_rows(x: Shaped[Array, "..."], axis: int = 0) -> Shaped[Array, "..."]:
    """`x` with `axis` split over the devices that share rows and the others whole: what layers hand to each other.

    Without it the compiler may split activations as the parameters are, and gather them instead. `x` itself outside of
    `while_tracing_on`.
    """
    if jax.sharding.get_abstract_mesh().empty:
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*(None,) * axis, ROWS))


def gathered(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """`x` whole on every device, for what looks places up in it; `x` itself outside of `while_tracing_on`."""
    if jax.sharding.get_abstract_mesh().empty:
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec())


def _partition(path, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    names = [str(getattr(part, "key", getattr(part, "name", ""))) for part in path]
    axes = next((axes for place in zip(names, names[1:], strict=False) if (axes := _axes(*place))), ())
    if not splits_parameters(mesh) or not axes or {"v_row", "v_col"} & set(names):
        return PartitionSpec()
    axes = ("layers",) * (len(shape) - len(axes)) + axes
    if len(axes) != len(shape):  # Adafactor keeps an empty place where it factors, and the other way round
        return PartitionSpec()
    split = (RULES.get(axis) for axis in axes)
    return PartitionSpec(
        *(by if by and size % mesh.shape[by] == 0 else None for by, size in zip(split, shape, strict=True))
    )


def _axes(module: str, parameter: str) -> tuple[str, ...] | None:
    return next((axes for (end, name), axes in AXES.items() if name == parameter and module.endswith(end)), None)
