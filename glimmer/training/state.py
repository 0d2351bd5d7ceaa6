"""What a training step reads and writes, and the compiled step itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Int, Key

from glimmer.models.batch import Batch
from glimmer.models.mesh import on_mesh, parameter_shardings, splits_parameters, while_tracing_on
from glimmer.models.reader import Reader
from glimmer.training.losses import DistillationWeights, Losses, reader_losses
from glimmer.training.microbatch import gradients_of_parts


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """Step, trained parameters and optimiser state: all that changes. Frozen parameters stay outside."""

    step: Int[Array, ""]
    parameters: Any
    optimizer: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitReader:
    """A reader as compiled functions take it: what it computes (static), and its parameters, trained and fixed.

    A tree of arrays to JAX, so that it can be placed on a mesh or be an argument of a compiled function as it is.
    """

    definition: Any = dataclasses.field(metadata={"static": True})
    trained: Any
    fixed: Any

    def merge(self) -> Reader:
        """The reader itself."""
        return nnx.merge(self.definition, self.trained, self.fixed)


def split_reader(reader: Reader, frozen: tuple[str, ...] = ()) -> SplitReader:
    """A reader split into what is trained and what stays fixed.

    `frozen` names parts ("embedding", "embedding.head", "decoder", ...). Frozen memory freezes its stack and its copy
    of the token embedding: were they trained, stored memory would go stale. The decoder's embedding is trained all the
    same, and so is a separate question encoder, which reads tokens by that one.
    """
    if reader.settings.memory == "frozen":
        frozen = (*frozen, "memory", "memory_embedding")

    def is_frozen(path, _value) -> bool:
        name = ".".join(map(str, path))
        return any(name == part or name.startswith(part + ".") for part in frozen)

    definition, fixed, trained = nnx.split(reader, is_frozen, ...)
    return SplitReader(definition=definition, trained=trained, fixed=fixed)


def initial_state(trained: Any, optimizer: optax.GradientTransformation, mesh: Mesh | None = None) -> TrainState:
    """Step 0. On a mesh that splits parameters, what the optimizer keeps is made in parts, and is never whole."""
    step = jnp.zeros((), jnp.int32)
    if not _is_placed(mesh):
        return TrainState(step=step, parameters=trained, optimizer=optimizer.init(trained))
    shardings = parameter_shardings(jax.eval_shape(optimizer.init, trained), mesh)
    kept = jax.jit(optimizer.init, out_shardings=shardings)(trained)
    return TrainState(step=step, parameters=trained, optimizer=kept)


StepFunction = Callable[[TrainState, Any, Batch, DistillationWeights, Key[Array, ""]], tuple[TrainState, Losses]]


def compile_step(
    definition: Any, optimizer: optax.GradientTransformation, mesh: Mesh | None = None, microbatches: int = 1
) -> StepFunction:
    """The training step, compiled. Its dropout key is folded from the run's key and the step, so it can be resumed.

    On a `mesh` the new state lies as the old one did. `microbatches` parts of the batch go through it one after the
    other, with the gradients and losses of the whole.
    """

    def step(state: TrainState, fixed: Any, batch: Batch, weights: DistillationWeights, run_key):
        key = jax.random.fold_in(run_key, state.step)

        def loss(trained, part, key):
            losses = reader_losses(nnx.merge(definition, trained, fixed), part, weights, key, batch)
            return losses.total, losses

        with while_tracing_on(mesh):
            if microbatches == 1:
                gradients, losses = jax.grad(loss, has_aux=True)(state.parameters, batch, key)
            else:
                gradients, losses = gradients_of_parts(loss, state.parameters, batch, key, microbatches)
        gradients = _as_placed(gradients, mesh)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        new = TrainState(step=state.step + 1, parameters=parameters, optimizer=optimizer_state)
        return _as_placed(new, mesh), losses

    return jax.jit(step, donate_argnums=0)


def _is_placed(mesh: Mesh | None) -> bool:
    """Whether it is said where each array lies: where parameters are split, or lie on devices of several processes."""
    return mesh is not None and (splits_parameters(mesh) or mesh.is_multi_process)


def _as_placed(tree: Any, mesh: Mesh | None) -> Any:
    if not _is_placed(mesh):
        return tree
    return on_mesh(tree, mesh, jax.lax.with_sharding_constraint)
