"""What frozen memory freezes: its stack and the embedding below it, exactly; and what stays trained."""

import jax
import numpy as np
import pytest
from flax import nnx

from glimmer.experiments.settings import lumen
from glimmer.models.mesh import place_batch, place_parameters
from glimmer.training.state import initial_state, split_reader
from tests.models.tiny import tiny_reader


def names(state):
    return {".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)}


def test_frozen_memory_gets_exactly_no_update_and_everything_else_does(toy):
    reader, batch = toy.reader(), place_batch(toy.batch(1), toy.mesh)
    definition, trained, fixed = toy.placed()
    before = jax.tree.map(np.array, trained)
    remember = nnx.jit(lambda model: model.remember_passages(batch.passages))
    memory_before = np.asarray(remember(reader))
    state = place_parameters(initial_state(trained, toy.optimizer), toy.mesh)  # as train() does: one program for both
    for _ in range(2):
        state, _ = toy.step(state, fixed, batch, toy.weights, jax.random.key(0))
    after = nnx.merge(definition, state.parameters, fixed)
    np.testing.assert_array_equal(remember(after), memory_before)
    assert {n for n in names(fixed)} == {n for n in names(nnx.state(reader)) if n.startswith("memory.")} | {
        "embedding.table"
    }
    for (path, new), old in zip(nnx.to_flat_state(state.parameters), jax.tree.leaves(before), strict=True):
        assert not np.array_equal(new[...], old), f"{path} is trained and did not move"


@pytest.mark.parametrize(
    ("settings", "frozen", "expected"),
    [
        (lumen(alpha="1/2", k=2), (), set()),
        (lumen(alpha="1/2", k=2), ("embedding",), {"embedding.table", "embedding.head"}),
        (lumen(alpha="1/2", k=2), ("embedding.head",), {"embedding.head"}),
        (lumen(alpha="1/2", k=2), ("embedding.he",), set()),
    ],
)
def test_parts_are_frozen_by_name(settings, frozen, expected):
    _, trained, fixed = split_reader(tiny_reader(settings), frozen)
    assert names(fixed) == expected
    assert not names(trained) & expected
