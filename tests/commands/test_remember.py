"""`glimmer remember`: which parts there are; what it writes is in tests/runs/test_memory.py."""

import pytest

from glimmer.cli import main
from glimmer.commands.remember import _part
from glimmer.errors import InputError


def test_the_parts_of_n_jobs_are_numbered_from_1():
    assert [_part(f"{i}/3") for i in (1, 2, 3)] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("text", ["4/3", "0/3", "0/0", "1", "-1/3", "0.5/2", "1/2/3", "a/b", "", "1/9876543210"])
def test_what_is_no_part_is_refused_and_named(text):
    with pytest.raises(InputError, match="--part: not a part.*1/N to N/N"):
        _part(text)


def test_a_part_is_looked_at_before_anything_is_read(capsys):
    places = [word for name in ("work", "data", "init", "trained") for word in (f"--{name}", "nowhere")]
    assert main(["remember", "--study", "smoke", "--run", "0", *places, "--part", "9/8"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "--part" in captured.err
