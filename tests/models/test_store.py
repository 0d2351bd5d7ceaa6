"""The memory store: what is read is what was computed, within bfloat16; unknown passages are errors."""

import ml_dtypes
import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.experiments.settings import glimmer
from glimmer.files import read_json
from glimmer.models.batch import Batch
from glimmer.models.memory_values import INT8_STEPS, RELATIVE_PRECISION
from glimmer.models.store import MemoryStore, write_store
from tests.models.tiny import CONFIG, PASSAGE, K, program, ragged, ragged_batch

PASSAGES = 10
TOKENS = ragged(np.random.default_rng(0), PASSAGES, PASSAGE)


@pytest.fixture(scope="module")
def asked():
    """Passage ids of two questions, their batch, what a reader makes of it, and its memory of each passage by id."""
    _, run = program(glimmer(alpha="1/2", beta="1/2", k=K, m=2))
    ids = np.array([[3, 9, 0, 4], [5, -1, 9, 8]])
    batch = ragged_batch(0)
    tokens = np.where(ids[..., None] >= 0, TOKENS[ids], 0)
    batch = Batch.of(question=batch.question, passages=tokens, answer=batch.answer)
    fresh = run(batch)
    states = {int(i): np.asarray(fresh.passage_memory)[place] for place, i in np.ndenumerate(ids) if i >= 0}
    return ids, batch, run, fresh, states


def stored_memory(asked, directory, dtype):
    """What the store gives back of the passages asked for; and what was computed, zeros where there is no passage."""
    ids, _, _, fresh, states = asked
    store = write_store(
        directory / "memory",
        ids.ravel(),
        lambda block: block,
        lambda block: np.stack([states[int(i)] for i in block]),
        {"parameters": "abc"},
        dtype=dtype,
        batch_size=4,
    )
    return store.read(ids), np.where(ids[..., None, None] >= 0, np.asarray(fresh.passage_memory), 0)


def test_memory_from_the_store_is_memory_on_the_fly_within_its_stated_precision(asked, tmp_path):
    _, batch, run, fresh, _ = asked
    stored, exact = stored_memory(asked, tmp_path, "bfloat16")
    assert stored.dtype == ml_dtypes.bfloat16
    assert (np.abs(stored.astype(np.float32) - exact) <= RELATIVE_PRECISION * np.abs(exact)).all()
    found = run(batch, stored.astype(np.float32))
    np.testing.assert_allclose(found.logits, fresh.logits, atol=0.1)
    np.testing.assert_array_equal(found.scores, run(batch, exact.astype(ml_dtypes.bfloat16).astype(np.float32)).scores)


def test_a_reader_answers_from_an_int8_store_as_from_values_rounded_by_hand(asked, tmp_path):
    _, batch, run, fresh, _ = asked
    stored, exact = stored_memory(asked, tmp_path, "int8")
    scale = np.abs(exact).max(axis=-1, keepdims=True) / np.float32(127)
    by_hand = np.round(exact / np.where(scale > 0, scale, 1)) * scale
    assert stored.dtype == np.float32
    assert (np.abs(stored - exact) <= INT8_STEPS * scale).all() and (stored != exact).any()
    found, expected = run(batch, stored), run(batch, by_hand)
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert (found.logits != fresh.logits).any()
    np.testing.assert_allclose(found.logits, fresh.logits, atol=0.1)


@pytest.fixture
def store(tmp_path):
    def remember(block):
        return np.broadcast_to(block[:, None, None], (len(block), 2, CONFIG.d_model)).astype(np.float32)

    wanted = np.array([7, 2, -1, 2, 130, 5])
    return write_store(tmp_path / "memory", wanted, lambda ids: ids, remember, {"parameters": "abc"}, batch_size=3)


def test_passages_are_read_by_id_in_any_order_and_minus_one_reads_as_zeros(store):
    found = store.read(np.array([[5, -1, 130], [2, 2, 7]])).astype(int)
    np.testing.assert_array_equal(found[:, :, 0, 0], [[5, 0, 130], [2, 2, 7]])
    assert not found[0, 1].any()


@pytest.mark.parametrize("unknown", [0, 6, 131])
def test_an_unknown_passage_is_an_input_error(store, unknown):
    with pytest.raises(InputError, match=f"not in the memory store.*{unknown}"):
        store.read(np.array([[2, unknown]]))


def test_the_store_says_what_it_was_made_with_and_what_a_passage_takes(store):
    again = MemoryStore(store.directory)
    assert read_json(store.directory / "meta.json") == {"parameters": "abc", "passages": 4, "dtype": "bfloat16"}
    assert again.bytes_per_passage == 2 * CONFIG.d_model * 2
    np.testing.assert_array_equal(again.ids, [2, 5, 7, 130])


def test_a_store_of_no_passages_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no passages"):
        write_store(tmp_path / "memory", np.array([-1, -1]), lambda ids: ids, lambda block: block, {})


def test_nothing_is_left_of_a_store_that_failed_half_way(tmp_path):
    def fail(block):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_store(tmp_path / "memory", np.array([1]), lambda ids: ids, fail, {})
    assert list(tmp_path.iterdir()) == []
