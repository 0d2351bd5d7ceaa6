"""A batch in parts is the whole batch: losses, gradients and dropout, whatever each part holds."""

import dataclasses

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.experiments.settings import glimmer
from glimmer.training.losses import DistillationWeights, reader_losses
from glimmer.training.microbatch import gradients_of_parts, key_of_part
from glimmer.training.state import split_reader
from tests.models.tiny import CONFIG, ragged_batch, tiny_reader

ROWS, PARTS = 6, 3


@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 4, 2), (6,)])
def test_a_key_of_a_part_draws_the_whole_batchs_rows(shape):
    key = jax.random.key(3, impl="threefry2x32")
    for derive in (lambda k: k, lambda k: jax.random.split(jax.random.fold_in(k, 7), 4)[2]):
        whole = np.asarray(jax.random.bernoulli(derive(key), 0.7, shape))
        parts = [
            jax.random.bernoulli(derive(key_of_part(key, part)), 0.7, (shape[0] // PARTS, *shape[1:]))
            for part in range(PARTS)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_part_far_into_an_array_of_more_than_two_to_the_32_numbers_is_drawn_by_its_place():
    """The hash of place (part R + row) size + column, counted in 64 bits, computed here by hand."""
    key, part, rows, size = jax.random.key(0, impl="threefry2x32"), 70_001, 3, 65_543
    found = np.asarray(jax.random.bits(key_of_part(key, part), (rows, size)))
    place = (np.uint64(part * rows) + np.arange(rows, dtype=np.uint64))[:, None] * np.uint64(size)
    place = place + np.arange(size, dtype=np.uint64)
    assert place.min() > 2**32
    high, low = ((place >> np.uint64(shift)).astype(np.uint32) for shift in (32, 0))
    first, second = jax.extend.random.threefry2x32_p.bind(*jax.random.key_data(key), high, low)
    np.testing.assert_array_equal(found, np.asarray(first ^ second))


def test_another_kind_of_key_is_an_input_error():
    with pytest.raises(InputError, match="threefry2x32"):
        key_of_part(jax.random.key(0, impl="rbg"), 1)


@pytest.fixture(scope="module")
def whole_and_parts():
    """(gradients, losses) of a distilling GLIMMER with dropout over a batch at once and in three parts.

    The parts differ in their answer tokens, one row has no answer, one question has one passage, one has none.
    """
    settings = glimmer(alpha="1/2", beta=1, k=3, m=2)
    config = dataclasses.replace(CONFIG, encoder_layers=2, decoder_layers=1, dropout=0.2)
    split = split_reader(tiny_reader(settings, config))
    batch = jax.tree.map(np.array, ragged_batch(rows=ROWS, k=3))
    batch.answer[1], batch.answer[0] = 0, [5, 6, 7]
    batch.passages[2, 1:], batch.passages[3] = 0, 0
    batch = type(batch).of(question=batch.question, passages=batch.passages, answer=batch.answer)
    weights = DistillationWeights(lambda_=jnp.float32(2), tau=jnp.float32(0.7))
    key = jax.random.key(5, impl="threefry2x32")

    def both(trained, batch):
        def loss(trained, part, key):
            losses = reader_losses(dataclasses.replace(split, trained=trained).merge(), part, weights, key, batch)
            return losses.total, losses

        return (
            jax.grad(loss, has_aux=True)(trained, batch, key),
            gradients_of_parts(loss, trained, batch, key, PARTS),
        )

    return jax.jit(both)(split.trained, batch)


def test_parts_have_the_losses_of_the_whole_batch(whole_and_parts):
    (_, whole), (_, parts) = whole_and_parts
    for name, value in vars(whole).items():
        assert float(getattr(parts, name)) == pytest.approx(float(value), rel=1e-5), name
        assert float(value) > 0, name


def test_parts_have_the_gradients_of_the_whole_batch(whole_and_parts):
    (whole, _), (parts, _) = whole_and_parts
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(whole), jax.tree.leaves(parts), strict=True):
        scale = np.abs(one).max()
        # Sums of float32 in another order: on one kind of processor 2e-6 of the largest entry, on another 3e-6.
        np.testing.assert_allclose(other, one, atol=1e-5 * scale + 1e-9, err_msg=jax.tree_util.keystr(path))


def test_parts_that_do_not_divide_the_batch_are_an_input_error():
    with pytest.raises(InputError, match="a divisor of 6"):
        gradients_of_parts(None, None, ragged_batch(rows=ROWS, k=3), jax.random.key(0), 4)
