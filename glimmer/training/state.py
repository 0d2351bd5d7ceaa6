"""What a training step reads and writes, and the compiled step itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Int, Key

from glimmer.models.batch import Batch
from glimmer.models.reader import Reader
from glimmer.training.losses import DistillationWeights, Losses, reader_losses


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


def initial_state(trained: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """Step 0."""
    return TrainState(step=jnp.zeros((), jnp.int32), parameters=trained, optimizer=optimizer.init(trained))


StepFunction = Callable[[TrainState, Any, Batch, DistillationWeights, Key[Array, ""]], tuple[TrainState, Losses]]


def compile_step(definition: Any, optimizer: optax.GradientTransformation) -> StepFunction:
    """The training step, compiled. Its dropout key is folded from the run's key and the step, so it can be resumed."""

    def step(state: TrainState, fixed: Any, batch: Batch, weights: DistillationWeights, run_key):
        key = jax.random.fold_in(run_key, state.step)

        def loss(trained):
            losses = reader_losses(nnx.merge(definition, trained, fixed), batch, weights, key)
            return losses.total, losses

        gradients, losses = jax.grad(loss, has_aux=True)(state.parameters)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        return TrainState(step=state.step + 1, parameters=parameters, optimizer=optimizer_state), losses

    return jax.jit(step, donate_argnums=0)
