"""Search over shards equals brute force, ties included, whatever the blocks; shards resume and refuse strangers."""

import dataclasses
import json
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glimmer.errors import InputError
from glimmer.files import SEAL, add_to_seal
from glimmer.retrieval import device_search as on_devices
from glimmer.retrieval.device_search import device_search
from glimmer.retrieval.search import exact_scores, search
from glimmer.retrieval.shards import ShardPlan, open_shards, shard_path, write_shards


def brute_force(questions, passages, k):
    """All scores at once, sorted by score downwards, then by id."""
    ids = np.empty((len(questions), k), np.int64)
    scores = np.empty((len(questions), k), np.float32)
    for row, question in enumerate(questions):
        every = exact_scores(np.broadcast_to(question, passages.shape), passages)
        ids[row] = np.lexsort((np.arange(len(passages)), -every))[:k]
        scores[row] = every[ids[row]]
    return ids, scores


@settings(max_examples=60)
@given(data=st.data())
def test_search_equals_brute_force_with_ties_for_any_shards_and_blocks(data):
    passages = data.draw(st.integers(1, 60), label="passages")
    width = data.draw(st.integers(1, 9), label="width")
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    # Few distinct values: most scores tie, some exactly and some only after rounding.
    draw = [lambda n: random.integers(-1, 2, (n, width)), lambda n: random.choice([0.1, 0.3, -0.7], (n, width))]
    values = draw[data.draw(st.integers(0, 1), label="kind")]
    corpus, questions = values(passages).astype(np.float32), values(5).astype(np.float32)
    cuts = sorted(data.draw(st.lists(st.integers(0, passages), max_size=3), label="cuts"))
    k = data.draw(st.integers(1, passages), label="k")
    ids, scores = search(
        questions,
        np.split(corpus, cuts),
        k,
        question_rows=data.draw(st.integers(1, 6), label="question rows"),
        passage_rows=data.draw(st.integers(1, 70), label="passage rows"),
    )
    expected_ids, expected_scores = brute_force(questions, corpus, k)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


@pytest.fixture(params=["cpu", "float32", "bfloat16"])
def any_search(request):
    """The search on a CPU, and that on devices, by the dtype of its rough products."""
    if request.param == "cpu":
        return search
    return partial(device_search, dtype=request.param, question_rows=16)


def test_search_equals_brute_force_on_unit_vectors_with_copies(any_search):
    random = np.random.default_rng(0)
    corpus = random.standard_normal((700, 48)).astype(np.float32)
    corpus[300:500] = corpus[:200]
    corpus /= np.linalg.norm(corpus, axis=1, keepdims=True)
    questions = corpus[random.integers(700, size=40)] + np.float32(1e-3)
    ids, scores = any_search(questions, [corpus[:333], corpus[333:]], 25, passage_rows=64)
    expected_ids, expected_scores = brute_force(questions, corpus, 25)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_questions_whose_candidates_may_not_be_all_are_searched_again(monkeypatch, dtype):
    asked_again = []

    def counted(asked, *others):
        asked_again.append(len(asked))
        return search(asked, *others)

    monkeypatch.setattr(on_devices, "search", counted)
    random = np.random.default_rng(0)
    apart = random.standard_normal((900, 32)).astype(np.float32)
    apart[:5] *= 10  # five far above the rest: proven at once
    device_search(np.abs(apart[:5]), [np.abs(apart)], 5, dtype=dtype)
    assert sum(asked_again) == 0
    device_search(apart[:3], [np.full((900, 32), 0.5, np.float32)], 5, dtype=dtype)
    assert sum(asked_again) == 3, "all scores tie, and no bound can tell which candidates are the lowest ids"


ON_EIGHT = """
import json, sys
import jax, numpy as np
from glimmer.retrieval.device_search import device_search
from glimmer.retrieval.search import search
random = np.random.default_rng(3)
corpus = random.standard_normal((1003, 24)).astype(np.float32)
corpus[500:600] = corpus[:100]
questions = random.standard_normal((21, 24)).astype(np.float32)
shards = [corpus[:333], corpus[333:]]
expected = search(questions, shards, 9)
same = []
for n, rows, dtype in [(n, rows, dtype) for n in (1, 3, 8) for rows in (64, 5000) for dtype in ("float32", "bfloat16")]:
    found = device_search(questions, shards, 9, passage_rows=rows, dtype=dtype, devices=jax.devices()[:n])
    same.append([bool(np.array_equal(*pair)) for pair in zip(found, expected)])
print(json.dumps([jax.device_count(), same]))
"""


def test_the_number_of_devices_and_the_block_change_nothing():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", ON_EIGHT], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    devices, same = json.loads(done.stdout)
    assert devices == 8 and same == [[True, True]] * 12


def test_a_corpus_of_equal_passages_comes_back_in_order_of_id(any_search):
    corpus = np.full((1000, 16), 0.25, np.float32)
    ids, _ = any_search(np.full((3, 16), 0.1, np.float32), [corpus], 40, passage_rows=37)
    np.testing.assert_array_equal(ids, np.tile(np.arange(40), (3, 1)))


def test_passages_that_only_rounding_tells_apart_come_back_in_order_of_id(any_search):
    random = np.random.default_rng(1)
    one = random.uniform(0.1, 1, 256).astype(np.float32)
    corpus = np.stack([random.permutation(one) for _ in range(600)])
    questions = np.full((4, 256), 0.1, np.float32)
    rough = corpus @ questions[0]
    assert len(np.unique(rough)) > 1 and len(np.unique(exact_scores(np.tile(questions[0], (600, 1)), corpus))) == 1
    ids, _ = any_search(questions, [corpus], 7, passage_rows=64)
    np.testing.assert_array_equal(ids, np.tile(np.arange(7), (4, 1)))


@pytest.mark.parametrize("order", ["rising", "falling", "one question's first"])
def test_the_order_of_the_corpus_changes_no_score(order):
    random = np.random.default_rng(2)
    questions, corpus = (random.standard_normal((n, 24)).astype(np.float32) for n in (3, 900))
    towards = (corpus @ questions.T).max(axis=1) if order != "one question's first" else -(corpus @ questions[0])
    corpus = corpus[np.argsort(-towards if order == "falling" else towards)]
    found, expected = search(questions, [corpus[:5], corpus[5:]], 9, passage_rows=50), brute_force(questions, corpus, 9)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("k", [0, 5])
def test_k_outside_the_corpus_is_an_input_error(k, any_search):
    with pytest.raises(InputError, match="1 <= k <= 4"):
        any_search(np.zeros((1, 2), np.float32), [np.zeros((4, 2), np.float32)], k)


def test_widths_that_differ_and_numbers_that_are_none_are_input_errors(any_search):
    with pytest.raises(InputError, match="widths"):
        any_search(np.zeros((1, 3), np.float32), [np.zeros((4, 2), np.float32)], 1)
    with pytest.raises(InputError, match="not finite"):
        any_search(np.zeros((1, 2), np.float32), [np.full((4, 2), np.nan, np.float32)], 1)


PLAN = ShardPlan(
    model_digest="m",
    passages_digest="p",
    passages=10,
    dimension=2,
    passages_per_shard=4,
    passage_tokens=8,
    dtype="float32",
)


def rows(start, end):
    return np.arange(2 * start, 2 * end, dtype=np.float32).reshape(-1, 2)


def test_only_the_shard_that_is_missing_is_computed_again(tmp_path):
    assert write_shards(tmp_path, PLAN, rows) == [0, 1, 2]
    assert write_shards(tmp_path, PLAN, rows) == []
    shard_path(tmp_path, 1).unlink()
    assert write_shards(tmp_path, PLAN, rows) == [1]
    np.testing.assert_array_equal(np.concatenate(open_shards(tmp_path)), rows(0, 10))


def test_a_broken_shard_is_computed_again(tmp_path):
    write_shards(tmp_path, PLAN, rows)
    shard_path(tmp_path, 2).write_bytes(b"\x93NUMPY")
    assert write_shards(tmp_path, PLAN, rows) == [2]


def test_an_interrupted_run_leaves_whole_shards_and_goes_on(tmp_path):
    def fails_at_the_second(start, end):
        if start == 4:
            raise KeyboardInterrupt
        return rows(start, end)

    with pytest.raises(KeyboardInterrupt):
        write_shards(tmp_path, PLAN, fails_at_the_second)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".plan.json", SEAL, "shard-00000.npy"]
    assert write_shards(tmp_path, PLAN, rows) == [1, 2]


@pytest.mark.parametrize("change", [{"model_digest": "n"}, {"passages_digest": "q"}, {"passages_per_shard": 5}])
def test_shards_made_by_another_model_corpus_or_size_are_not_reused(tmp_path, change):
    write_shards(tmp_path, PLAN, rows)
    other = dataclasses.replace(PLAN, **change)
    assert write_shards(tmp_path, other, rows) == list(range(len(other.shards())))
    assert len(open_shards(tmp_path)) == len(other.shards())


def test_opening_says_which_shard_is_missing_or_wrong(tmp_path):
    write_shards(tmp_path, PLAN, rows)
    np.save(shard_path(tmp_path, 1), np.zeros((4, 2), np.float64))
    with pytest.raises(InputError, match=r"shard-00001.npy: not the bytes that were written"):
        open_shards(tmp_path)
    add_to_seal(tmp_path, [shard_path(tmp_path, 1)])
    with pytest.raises(InputError, match=r"shard-00001.npy.*float32 \(4, 2\).*float64"):
        open_shards(tmp_path)
    shard_path(tmp_path, 1).unlink()
    with pytest.raises(InputError, match="shard-00001.npy: no such file"):
        open_shards(tmp_path)
