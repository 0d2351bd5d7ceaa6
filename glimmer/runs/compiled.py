"""The training step of a run, compiled for a mesh without any of its arrays: does it fit there?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from glimmer.experiments import Run, Study
from glimmer.models.batch import Batch
from glimmer.models.config import T5Config
from glimmer.models.mesh import batch_sharding, device_mesh, on_mesh, require_rows
from glimmer.models.reader import Reader
from glimmer.models.t5 import T5
from glimmer.training.losses import DistillationWeights
from glimmer.training.optimizer import build_optimizer
from glimmer.training.state import TrainState, compile_step, split_reader


def compiled_memory(study: Study, run: Run, devices: Sequence[jax.Device] | None = None) -> dict[str, Any]:
    """Bytes that one device needs for the training step of `run`, laid out as `study.devices` says on `devices`.

    `arguments_bytes` are parameters, optimiser state and batch; `outputs_bytes` the new ones, of which `aliased_bytes`
    lie where the old ones did; `temporaries_bytes` everything in between; `total_bytes` is what is needed at once. As
    the compiler of this machine counts it. `devices` None: all. Raises InputError where the devices do not divide into
    the mesh, or the batch over the devices.
    """
    training, lengths, k = study.training, study.lengths, run.reader.k
    mesh = device_mesh(study.devices, devices)
    config = T5Config(
        **vars(study.dimensions(run.size)),
        dtype=training.dtype,
        dropout=training.dropout,
        rematerialise=training.rematerialise,
    )
    reader = nnx.eval_shape(lambda: Reader(T5(config, rngs=nnx.Rngs(0)), run.reader, rngs=nnx.Rngs(0)))
    split = split_reader(reader, ("embedding",) if training.freeze_embeddings else ())
    optimizer = build_optimizer(training)
    state = TrainState(
        step=jax.ShapeDtypeStruct((), jnp.int32),
        parameters=split.trained,
        optimizer=jax.eval_shape(optimizer.init, split.trained),
    )
    rows, slots = training.batch_size, (k, lengths.passage) if k else (1, 1)
    shapes = {"question": (lengths.question,), "passages": slots, "answer": (lengths.target,)}
    tokens = {name: np.broadcast_to(np.int32(1), (rows, *shape)) for name, shape in shapes.items()}
    require_rows(rows, mesh, study.devices.microbatches)
    batch = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=batch_sharding(mesh)), Batch.of(**tokens)
    )
    weights = DistillationWeights(lambda_=jnp.float32(run.reader.lambda_), tau=jnp.float32(run.reader.tau))
    step = compile_step(split.definition, optimizer, mesh, study.devices.microbatches)
    key = jax.eval_shape(lambda: jax.random.key(0))
    placed, fixed = (
        on_mesh(tree, mesh, lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding))
        for tree in (state, split.fixed)
    )
    lowered = step.lower(placed, fixed, batch, weights, key)
    counted = lowered.compile().memory_analysis()
    parts = {
        "arguments": counted.argument_size_in_bytes,
        "temporaries": counted.temp_size_in_bytes,
        "outputs": counted.output_size_in_bytes,
        "aliased": counted.alias_size_in_bytes,
    }
    total = parts["arguments"] + parts["temporaries"] + parts["outputs"] - parts["aliased"]
    return {
        "run": run.id,
        "reader": run.reader.name,
        "mesh": " x ".join(f"{name} {size}" for name, size in mesh.shape.items()),
        "microbatches": study.devices.microbatches,
        **{f"{name}_bytes": size for name, size in parts.items()},
        "total_bytes": total,
        "total_gib": total / 2**30,
        "platform": mesh.devices.flat[0].platform,
    }
