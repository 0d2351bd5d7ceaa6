"""What frozen memory freezes: its stack and its copy of the embedding, exactly; and what stays trained."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from glimmer.experiments.settings import lumen
from glimmer.models.mesh import place_batch, place_parameters
from glimmer.training.state import initial_state, split_reader
from tests.models.tiny import CONFIG, program, ragged_batch, tiny_reader


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
    parts = names(nnx.state(reader))
    assert names(split.fixed) == {name for name in parts if name.startswith("memory.")} | {"memory_embedding.table"}
    for (path, new), old in zip(nnx.to_flat_state(state.parameters), jax.tree.leaves(before), strict=True):
        assert not np.array_equal(new[...], old), f"{path} is trained and did not move"


@pytest.mark.parametrize("question_encoder", ["shared", "separate"])
def test_before_training_frozen_memory_changes_nothing(question_encoder):
    settings = lumen(alpha="1/2", k=2, question_encoder=question_encoder)
    batch = ragged_batch(0, k=2)
    answers = [program(settings.change(memory=memory))[1](batch) for memory in ("trained", "frozen")]
    np.testing.assert_array_equal(answers[1].logits, answers[0].logits)


def test_a_moved_embedding_moves_the_answer_and_not_what_frozen_memory_holds():
    """The question is read as passages are, unless it has an encoder of its own: that one is trained."""
    batch = ragged_batch(0, k=2)
    for question_encoder, reads_by in (("shared", "memory_embedding"), ("separate", "embedding")):
        settings = lumen(alpha="1/2", k=2, memory="frozen", question_encoder=question_encoder)
        reader, run = program(settings)
        state = nnx.state(reader)
        moved = jax.tree.map(lambda leaf: leaf, state)
        moved["embedding"]["table"][...] = state["embedding"]["table"][...] + 1.0
        before, after = run(batch), run(batch, state=moved)
        np.testing.assert_array_equal(after.passage_memory, before.passage_memory)
        unmoved = np.array_equal(after.question_memory, before.question_memory)
        assert unmoved is (reads_by == "memory_embedding")
        assert not np.array_equal(after.logits, before.logits)


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
