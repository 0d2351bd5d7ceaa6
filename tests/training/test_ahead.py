"""Batches made in a thread come in order, and so do the errors of making them."""

import pytest

from glimmer.training.ahead import made_ahead


def test_made_ahead_keeps_order_and_raises_the_errors_of_its_thread():
    def numbers():
        yield from range(7)
        raise RuntimeError("broken exercise")

    seen = []
    with pytest.raises(RuntimeError, match="broken exercise"):
        for number in made_ahead(numbers()):
            seen.append(number)
    assert seen == list(range(7))
