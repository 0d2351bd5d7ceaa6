"""`glimmer remember`: which parts there are; what it writes is in tests/runs/test_memory.py."""

import pytest

from glimmer.cli import main


def test_a_part_is_looked_at_before_anything_is_read(capsys):
    places = [word for name in ("work", "data", "init", "trained") for word in (f"--{name}", "nowhere")]
    with pytest.raises(SystemExit, match="2"):
        main(["remember", "--study", "smoke", "--run", "0", *places, "--part", "9/8"])
    captured = capsys.readouterr()
    assert captured.out == "" and "--part" in captured.err
