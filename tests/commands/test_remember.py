"""`glimmer remember`: which parts there are; what it writes is in tests/runs/test_memory.py."""

from glimmer.cli import main


def test_a_part_is_looked_at_before_anything_is_read(capsys):
    places = [word for name in ("work", "data", "init", "trained") for word in (f"--{name}", "nowhere")]
    assert main(["remember", "--study", "smoke", "--run", "0", *places, "--part", "9/8"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "--part" in captured.err
