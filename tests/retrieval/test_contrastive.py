"""The contrastive loss against numpy, its masks, its batches, and that training finds what it is shown."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glimmer.errors import InputError
from glimmer.experiments import load_study
from glimmer.experiments.sections import ContrastiveSettings
from glimmer.retrieval.contrastive import (
    TrainingPairs,
    batches,
    contrastive_loss,
    retriever_optimizer,
    train_gtr,
)


def unit(random, rows):
    values = random.standard_normal((rows, 6))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def reference(questions, passages, supporting, passage_ids, temperature, bidirectional):
    """The docstring's formula, a question at a time. `supporting`: a set of passage ids for each question."""
    scores = questions.astype(np.float64) @ passages.astype(np.float64).T / temperature
    rows = len(questions)
    forth, back = [], []
    for i in range(rows):
        counted = [j for j in range(len(passages)) if j == i or passage_ids[j] not in supporting[i]]
        forth.append(np.log(np.exp(scores[i, counted] - scores[i, i]).sum()))
        counted = [j for j in range(rows) if j == i or passage_ids[i] not in supporting[j]]
        back.append(np.log(np.exp(scores[counted, i] - scores[i, i]).sum()))
    return (np.mean(forth) + np.mean(back)) / 2 if bidirectional else np.mean(forth)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("negatives", [0, 1, 2])
def test_loss_is_the_formula_with_copies_of_the_gold_left_out(bidirectional, negatives):
    random = np.random.default_rng(negatives)
    gold = np.array([3, 1, 3, 2, 9])
    ids = np.concatenate([gold, random.integers(0, 5, 5 * negatives)])
    questions, passages = unit(random, 5), unit(random, len(ids))
    only_gold = gold[:, None]
    loss, right = contrastive_loss(questions, passages, only_gold, ids, temperature=0.1, bidirectional=bidirectional)
    sets = [{number} for number in gold]
    np.testing.assert_allclose(loss, reference(questions, passages, sets, ids, 0.1, bidirectional), rtol=1e-5)
    assert 0 <= right <= 1


@pytest.mark.parametrize("bidirectional", [False, True])
def test_passages_that_support_a_question_are_none_of_its_negatives(bidirectional):
    random = np.random.default_rng(7)
    # Pairs 0 and 1 are one question over two pages; passage 5, a hard negative of others, supports question 3.
    supporting = np.array([[8, 9], [8, 9], [2, -1], [4, 5]])
    ids = np.array([8, 9, 2, 4, 5, 6, 5, 7])
    questions, passages = unit(random, 4), unit(random, 8)
    questions[1] = questions[0]
    loss, _ = contrastive_loss(questions, passages, supporting, ids, temperature=0.1, bidirectional=bidirectional)
    sets = [set(row.tolist()) - {-1} for row in supporting]
    np.testing.assert_allclose(loss, reference(questions, passages, sets, ids, 0.1, bidirectional), rtol=1e-5)


def test_two_pairs_of_one_question_do_not_push_each_other_away():
    """By hand: alone in a batch, with no other passage, each has nothing to be told from: no loss, no gradient."""
    passages, both = jnp.eye(2, 6), jnp.array([[0, 1], [0, 1]])

    def loss(question):
        same = jnp.stack([question, question])
        return contrastive_loss(same, passages, both, jnp.array([0, 1]), temperature=0.1, bidirectional=True)[0]

    value, gradient = jax.value_and_grad(loss)(jnp.full(6, 6**-0.5))
    assert value == 0 and not np.asarray(gradient).any()


def test_a_batch_of_one_passage_only_has_no_loss_and_finite_gradients():
    random = np.random.default_rng(0)
    questions, passages, same = unit(random, 4), unit(random, 4), np.full(4, 7)

    def loss(q):
        return contrastive_loss(q, passages, same[:, None], same, temperature=0.01, bidirectional=True)[0]

    value, gradient = jax.value_and_grad(loss)(jnp.asarray(questions))
    assert value == 0 and not np.asarray(gradient).any()


def toy_pairs(count=32, negatives=0):
    """Questions are pieces of their passages; three tasks of different sizes."""
    random = np.random.default_rng(0)
    passages = random.integers(2, 120, (count, 8)).astype(np.int32)
    return TrainingPairs(
        questions=passages[:, 2:6].copy(),
        passages=passages,
        gold=np.arange(count),
        negatives=random.integers(0, count, (count, negatives)),
        supporting=np.arange(count)[:, None],
        tasks=np.repeat([0, 1, 2], [count - 6, 4, 2]),
    )


SETTINGS = ContrastiveSettings(steps=15, batch_size=8, learning_rate=3e-3, seed=0, temperature=0.05)


@pytest.fixture(scope="module")
def first_run(make_gtr):
    return train_gtr(make_gtr(), toy_pairs(negatives=1), SETTINGS)


def _lowers(log):
    assert [row["step"] for row in log] == list(range(1, 16))
    assert np.mean([row["loss"] for row in log[-3:]]) < 0.5 * log[0]["loss"]


def test_training_lowers_the_loss(first_run):
    _lowers(first_run[1])


@pytest.mark.slow
def test_training_with_adafactor_and_dropout_lowers_the_loss(make_gtr):
    # Adafactor's rate is relative to the size of a weight, hence larger than Adam's.
    settings = dataclasses.replace(SETTINGS, optimizer="adafactor", dropout=0.02, learning_rate=3e-2)
    _lowers(train_gtr(make_gtr(), toy_pairs(negatives=1), settings)[1])


def test_the_same_seed_gives_the_same_tower_and_leaves_the_first_one_alone(make_gtr, first_run):
    gtr = make_gtr()
    before = jax.tree.map(np.asarray, nnx.state(gtr))
    trained, log = train_gtr(gtr, toy_pairs(negatives=1), SETTINGS)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(trained), nnx.state(first_run[0]))
    assert log == first_run[1] and trained.config == gtr.config
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(gtr))
    assert train_gtr(gtr, toy_pairs(negatives=1), dataclasses.replace(SETTINGS, seed=1))[1] != log


def test_embeddings_get_no_update_when_they_are_not_trained(make_gtr):
    state = nnx.state(make_gtr())
    optimizer = retriever_optimizer(dataclasses.replace(SETTINGS, train_embeddings=False))
    updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, state), optimizer.init(state), state)
    moved = {".".join(map(str, path)): float(jnp.abs(v[...]).max()) for path, v in nnx.to_flat_state(updates)}
    assert [name for name, size in moved.items() if size == 0] == ["embedding_table"]


def test_batches_put_gold_passages_first_then_hard_negatives_by_rank():
    pairs = toy_pairs(negatives=2)
    batch = next(batches(pairs, SETTINGS))
    rows = batch["supporting"][:, 0]  # here pair i has gold i, which alone supports it
    np.testing.assert_array_equal(
        batch["passage_ids"], np.concatenate([rows, pairs.negatives[rows, 0], pairs.negatives[rows, 1]])
    )
    np.testing.assert_array_equal(batch["passages"], pairs.passages[batch["passage_ids"]])
    np.testing.assert_array_equal(batch["questions"], pairs.questions[rows])


def test_tasks_are_drawn_uniformly_and_each_pair_once_an_epoch():
    pairs = toy_pairs()
    stream = batches(pairs, dataclasses.replace(SETTINGS, batch_size=30))
    drawn = np.concatenate([next(stream)["supporting"][:, 0] for _ in range(40)])
    shares = np.bincount(pairs.tasks[drawn], minlength=3) / len(drawn)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.05)
    large = drawn[pairs.tasks[drawn] == 0]
    assert sorted(large[:26]) == list(range(26))


def test_settings_and_pairs_out_of_range_are_input_errors(make_gtr):
    for bad in ({"temperature": 0}, {"batch_size": 1}, {"optimizer": "sgd"}, {"learning_rate": 0}):
        with pytest.raises(InputError, match=f"retriever.{next(iter(bad))} is not valid"):
            load_study("smoke", {f"retriever.{key}": value for key, value in bad.items()})
    with pytest.raises(InputError, match="at least 64; found 32"):
        train_gtr(make_gtr(), toy_pairs(), dataclasses.replace(SETTINGS, batch_size=64))
