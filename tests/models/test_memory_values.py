"""Memory as bytes: what int8 is off by, what it holds at its ends, and what it refuses."""

import ml_dtypes
import numpy as np
import pytest

from glimmer.compute import bytes_per_vector
from glimmer.errors import InputError
from glimmer.models.memory_values import INT8_STEPS, RELATIVE_PRECISION, from_bytes, to_bytes

LARGEST, SMALLEST = np.finfo(np.float32).max, np.float32(1e-45)
RANDOM = np.random.default_rng(0)
VECTORS = {
    "normal": RANDOM.normal(size=(50, 7, 32)),
    "heavy tails": RANDOM.standard_cauchy(size=(50, 7, 32)),
    "every size": RANDOM.normal(size=(400, 9)) * 10.0 ** RANDOM.integers(-36, 37, (400, 1)),
    "near the smallest": RANDOM.integers(-400, 401, (400, 9)) * np.float64(SMALLEST),
    "near the largest": RANDOM.uniform(-1, 1, (400, 9)) * LARGEST,
    "the ends": [[LARGEST, -LARGEST, 0, 1], [SMALLEST, -SMALLEST, 0, 0], [0, 0, 0, 0], [-1, 127, -127, 63.5]],
}


def scales(stored: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(stored[..., -4:]).view("<f4").astype(np.float64)


@pytest.mark.parametrize("kind", VECTORS)
def test_int8_is_off_by_half_a_step_of_each_vector_s_scale_at_most(kind):
    memory = np.asarray(VECTORS[kind], np.float32)
    stored = to_bytes(memory, "int8")
    back = from_bytes(stored, "int8")
    assert back.dtype == np.float32 and back.shape == memory.shape and np.isfinite(back).all()
    assert (np.abs(back.astype(np.float64) - memory) <= INT8_STEPS * scales(stored)).all()
    # The scale is the largest absolute value over 127, to float32's last digit.
    largest = np.abs(memory.astype(np.float64)).max(axis=-1, keepdims=True)
    assert (np.abs(scales(stored) - largest / 127) <= np.maximum(2.0**-22 * largest / 127, float(SMALLEST))).all()


def test_whole_numbers_of_steps_come_back_as_they_were():
    steps = np.concatenate([RANDOM.integers(-127, 128, (20, 15)), np.full((20, 1), -127)], axis=1)
    memory = (steps * 2.0 ** RANDOM.integers(-100, 100, (20, 1))).astype(np.float32)
    np.testing.assert_array_equal(from_bytes(to_bytes(memory, "int8"), "int8"), memory)


def test_a_vector_of_zeros_is_zeros_beside_others_that_are_not():
    memory = np.array([[0, 0, 0], [1, -2, 3]], np.float32)
    back = from_bytes(to_bytes(memory, "int8"), "int8")
    assert not back[0].any() and back[1].all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_finite_number_is_refused_by_int8_and_kept_by_bfloat16(value):
    memory = np.array([[1, value], [1, 2]], np.float32)
    with pytest.raises(InputError, match="int8 cannot hold.*finite numbers"):
        to_bytes(memory, "int8")
    np.testing.assert_array_equal(from_bytes(to_bytes(memory, "bfloat16"), "bfloat16").astype(np.float32), memory)


def test_bfloat16_is_the_nearest_one():
    memory = np.asarray(VECTORS["every size"], np.float32)
    back = from_bytes(to_bytes(memory, "bfloat16"), "bfloat16")
    np.testing.assert_array_equal(back, memory.astype(ml_dtypes.bfloat16))
    assert (np.abs(back.astype(np.float64) - memory) <= RELATIVE_PRECISION * np.abs(memory)).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("computed", [np.float32, ml_dtypes.bfloat16])
def test_a_vector_takes_the_bytes_that_are_counted_whatever_it_was_computed_in(dtype, computed):
    stored = to_bytes(RANDOM.normal(size=(2, 3, 10)).astype(computed), dtype)
    assert stored.dtype == np.uint8 and stored.shape == (2, 3, bytes_per_vector(10, dtype))
