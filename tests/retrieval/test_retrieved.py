"""Arrays of an .npz file mapped from where they lie: those that were saved, and nothing else is taken for one."""

import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.retrieval.retrieved import mapped_arrays

ARRAYS = {
    "passages": np.arange(12).reshape(4, 3),
    "complete": np.asfortranarray(np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)),
    "gold": np.zeros((0, 2), np.int64),
}


def test_mapped_arrays_are_those_that_were_saved_and_cannot_be_written(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    mapped = mapped_arrays(tmp_path / "a.npz")
    assert list(mapped) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert mapped[name].dtype == array.dtype
        np.testing.assert_array_equal(mapped[name], array)
    with pytest.raises(ValueError, match="read-only"):
        mapped["passages"][0] = 1


def compressed(path):
    np.savez_compressed(path, **ARRAYS)


def of_objects(path):
    np.savez(path, passages=np.array([{}], object))


def cut(path):
    np.savez(path, **ARRAYS)
    path.write_bytes(path.read_bytes()[:-30])


def no_zip(path):
    path.write_bytes(b"PK")


@pytest.mark.parametrize("write", [compressed, of_objects, cut, no_zip, lambda path: None])
def test_what_cannot_be_mapped_is_an_input_error_that_names_the_file(tmp_path, write):
    write(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"a\.npz"):
        mapped_arrays(tmp_path / "a.npz")
