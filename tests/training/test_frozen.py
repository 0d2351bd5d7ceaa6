"""What frozen memory freezes: its stack and the embedding below it, exactly; and what stays trained."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from glimmer.experiments.settings import lumen
from glimmer.models.mesh import place_batch, place_parameters
from glimmer.training.state import initial_state, split_reader
from tests.models.tiny import CONFIG, ragged_batch, tiny_reader


def names(state):
    return {".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)}


def test_frozen_memory_gets_exactly_no_update_and_everything_else_does(toy):
    reader, batch = toy.reader(), place_batch(toy.batch(1), toy.mesh)
    split = toy.placed()
    before = jax.tree.map(np.array, split.trained)
    remember = nnx.jit(lambda model: model.remember_passages(batch.passages))
    memory_before = np.asarray(remember(reader))
    state = place_parameters(
        initial_state(split.trained, toy.optimizer), toy.mesh
    )  # as train() does: one program for both
    for _ in range(2):
        state, _ = toy.step(state, split.fixed, batch, toy.weights, jax.random.key(0))
    after = dataclasses.replace(split, trained=state.parameters).merge()
    np.testing.assert_array_equal(remember(after), memory_before)
    assert names(split.fixed) == {n for n in names(nnx.state(reader)) if n.startswith("memory.")} | {"embedding.table"}
    for (path, new), old in zip(nnx.to_flat_state(state.parameters), jax.tree.leaves(before), strict=True):
        assert not np.array_equal(new[...], old), f"{path} is trained and did not move"


@pytest.mark.parametrize(
    ("choices", "question", "passages"),
    [
        ({"memory": "trained"}, True, True),
        ({"memory": "frozen"}, False, False),
        ({"memory": "frozen", "question_encoder": "separate"}, True, False),
    ],
    ids=["trained", "frozen", "frozen under a separate question encoder"],
)
def test_frozen_memory_gets_no_dropout(choices, question, passages):
    """What training sees of a passage is what the store will hold."""
    config = dataclasses.replace(CONFIG, dropout=0.5)
    reader, batch = tiny_reader(lumen(alpha="1/2", k=2, **choices), config), ragged_batch(0, k=2)

    @nnx.jit
    def memories(reader, key):
        return reader.remember_question(batch.question, key), reader.remember_passages(batch.passages, key)

    dropped, whole = memories(reader, jax.random.key(0)), memories(reader, None)
    differ = [not np.array_equal(a, b) for a, b in zip(dropped, whole, strict=True)]
    assert differ == [question, passages]


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
    split = split_reader(tiny_reader(settings), frozen)
    assert names(split.fixed) == expected
    assert not names(split.trained) & expected
