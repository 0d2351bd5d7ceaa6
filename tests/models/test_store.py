"""The memory store: what is read is what was computed, within its precision; what is there is not computed again."""

import ml_dtypes
import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.experiments.settings import glimmer
from glimmer.files import read_json
from glimmer.models.batch import Batch
from glimmer.models.memory_values import INT8_STEPS, RELATIVE_PRECISION
from glimmer.models.store import MemoryStore, StorePlan, write_blocks, write_store
from glimmer.parts import StagePart
from glimmer.preemption import Preempted
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
    shape = (PASSAGE, CONFIG.d_model)
    plan = StorePlan.of(ids.ravel(), made_with={"parameters": "abc"}, shape=shape, dtype=dtype, rows_per_block=4)
    remember = lambda block: np.stack([states[int(i)] for i in block])  # noqa: E731
    store = write_store(directory / "memory", plan, lambda block: block, remember)
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


WANTED = np.array([7, 2, -1, 2, 130, 5])


def remember(block):
    """A memory that tells the passage: its number, in every value."""
    return np.broadcast_to(block[:, None, None], (len(block), 2, CONFIG.d_model)).astype(np.float32)


class Counting:
    """`remember` that keeps the passages of each of its calls, and is interrupted at one of them."""

    def __init__(self, stops_at=None):
        self.stops_at, self.calls = stops_at, []

    def __call__(self, block):
        if len(self.calls) == self.stops_at:
            raise Preempted
        self.calls.append(block.tolist())
        return remember(block)


def planned(passages=WANTED, **changes):
    settings = {"made_with": {"parameters": "abc"}, "shape": (2, CONFIG.d_model), "rows_per_block": 3}
    return StorePlan.of(passages, **settings | changes)


def same(ids):
    return ids


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "memory", planned(), same, remember)


def test_passages_are_read_by_id_in_any_order_and_minus_one_reads_as_zeros(store):
    found = store.read(np.array([[5, -1, 130], [2, 2, 7]])).astype(int)
    np.testing.assert_array_equal(found[:, :, 0, 0], [[5, 0, 130], [2, 2, 7]])
    assert not found[0, 1].any()


def test_questions_without_any_passage_read_zeros_of_the_store_s_shape(store):
    found = store.read(np.full((2, 3), -1))
    assert found.shape == (2, 3, 2, CONFIG.d_model) and not found.any()


@pytest.mark.parametrize("unknown", [0, 6, 131])
def test_an_unknown_passage_is_an_input_error(store, unknown):
    with pytest.raises(InputError, match=f"not in the memory store.*{unknown}"):
        store.read(np.array([[2, unknown]]))


def test_the_store_says_what_it_was_made_with_and_what_a_passage_takes(store):
    again = MemoryStore(store.directory)
    said = read_json(store.directory / "meta.json")
    assert (said["made_with"], said["passages"], said["dtype"]) == ({"parameters": "abc"}, 4, "bfloat16")
    assert again.bytes_per_passage == 2 * CONFIG.d_model * 2
    np.testing.assert_array_equal(again.ids, [2, 5, 7, 130])


def test_a_store_of_no_passages_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no passages"):
        write_store(tmp_path / "memory", planned(np.array([-1, -1])), same, remember)
    assert list(tmp_path.iterdir()) == []


def test_memory_of_another_shape_than_was_planned_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"wrong shape.*expected \(3, 3, 8\).*found \(3, 2, 8\)"):
        write_store(tmp_path / "memory", planned(shape=(3, CONFIG.d_model)), same, remember)


# -- blocks: what is there, what is not, and who makes it --------------------------------------------------------------

MANY = np.arange(0, 40, 2)  # seven blocks of three, the last of two


def test_a_store_that_was_stopped_goes_on_behind_its_last_whole_block(tmp_path):
    stopped, going_on = Counting(stops_at=4), Counting()
    with pytest.raises(Preempted):
        write_store(tmp_path / "memory", planned(MANY), same, stopped)
    write_store(tmp_path / "memory", planned(MANY), same, going_on)
    assert stopped.calls + going_on.calls == [[0, 2, 4], [6, 8, 10], [12, 14, 16], [18, 20, 22], [24, 26, 28],
                                              [30, 32, 34], [36, 38, 38]]  # fmt: skip
    write_store(tmp_path / "whole", planned(MANY), same, remember)
    assert files(tmp_path / "memory") == files(tmp_path / "whole")


def test_a_store_that_is_whole_is_not_computed_again(tmp_path):
    write_store(tmp_path / "memory", planned(MANY), same, remember)
    again = Counting()
    write_store(tmp_path / "memory", planned(MANY), same, again)
    assert again.calls == []


def test_jobs_write_their_parts_in_any_order_and_the_store_is_that_of_one(tmp_path):
    parts = [
        write_blocks(tmp_path / "memory", planned(MANY), same, remember, StagePart(number=i, of=3)) for i in (3, 1)
    ]
    assert parts == [[2, 5], [0, 3, 6]]
    rest = Counting()
    write_store(tmp_path / "memory", planned(MANY), same, rest)
    assert rest.calls == [[6, 8, 10], [24, 26, 28]]
    write_store(tmp_path / "whole", planned(MANY), same, remember)
    assert files(tmp_path / "memory") == files(tmp_path / "whole")


def test_a_part_of_a_store_can_be_read_and_what_is_missing_is_named(tmp_path):
    write_blocks(tmp_path / "memory", planned(MANY), same, remember, StagePart(number=1, of=2))
    store = MemoryStore(tmp_path / "memory")
    assert store.read(np.array([[4, 38]]))[0, :, 0, 0].tolist() == [4, 38]
    with pytest.raises(InputError, match="block-0000001-.*not a whole memory store.*makes it again.*found nothing"):
        store.read(np.array([[4, 6]]))


@pytest.mark.parametrize(
    "other",
    [
        {"made_with": {"parameters": "xyz"}},
        {"dtype": "int8"},
        {"passages": MANY + 1},
        {"rows_per_block": 4},
    ],
    ids=lambda other: next(iter(other)),
)
def test_blocks_of_another_store_are_not_gone_on_from(tmp_path, other):
    write_store(tmp_path / "memory", planned(MANY), same, remember)
    again, plan = Counting(), planned(**{"passages": MANY} | other)
    store = write_store(tmp_path / "memory", plan, same, again)
    assert len(again.calls) == plan.blocks
    assert store.read(plan.ids[None])[0, :, 0, 0].astype(int).tolist() == plan.ids.tolist()
    write_store(tmp_path / "alone", plan, same, remember)
    assert files(tmp_path / "memory") == files(tmp_path / "alone")


def test_another_store_that_takes_the_place_meanwhile_is_not_read(tmp_path):
    def remember_while_another_writes(block):
        write_store(tmp_path / "memory", planned(made_with={"parameters": "xyz"}), same, remember)
        return remember(block)

    with pytest.raises(InputError, match="another memory store in its place"):
        write_store(tmp_path / "memory", planned(), same, remember_while_another_writes)


def test_a_store_of_before_there_were_blocks_makes_room(tmp_path):
    (tmp_path / "memory" / "memory").mkdir(parents=True)
    (tmp_path / "memory" / "memory" / "zarr.json").write_text("{}")
    write_store(tmp_path / "memory", planned(), same, remember)
    assert not (tmp_path / "memory" / "memory").exists()
