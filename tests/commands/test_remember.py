"""`glimmer remember`: which shares there are; what it writes is in tests/runs/test_memory.py."""

import pytest

from glimmer.cli import main
from glimmer.commands.remember import _share
from glimmer.errors import InputError


def test_the_shares_of_n_jobs_are_numbered_from_0():
    assert [_share(f"{i}/3") for i in range(3)] == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize("text", ["3/3", "0/0", "1", "-1/3", "1/-3", "0.5/2", "1/2/3", "a/b", "", "1/9999999999"])
def test_what_is_no_share_is_refused_and_named(text):
    with pytest.raises(InputError, match="--share: not a share.*I from 0 to N - 1"):
        _share(text)


def test_a_share_is_looked_at_before_anything_is_read(capsys):
    places = [word for name in ("work", "data", "init", "trained") for word in (f"--{name}", "nowhere")]
    assert main(["remember", "--study", "smoke", "--run", "0", *places, "--share", "8/8"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "--share" in captured.err
