"""Two results directories, number by number: what is paired, what is not, and that both directions agree."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from analysis.comparison import MEAN, OF_MEANS, PAIRED, compare, side_of, square_and_add
from glimmer.cli import main
from glimmer.experiments import TASKS
from tests.analysis import synthetic


def give_questions(folder, digest):
    """Lets every run file say which questions it answered."""
    for path in (folder / "runs").glob("*.json"):
        run = json.loads(path.read_text())
        run["digests"]["data"] = {f"{task}-dev-kilt.jsonl": digest * 64 for task in TASKS}
        run["dev_slices"] = {task: {"evaluated": {"n": 40, "sha256": digest * 64}} for task in TASKS}
        path.write_text(json.dumps(run))


@pytest.fixture
def two(tmp_path):
    for name, quality in (("a", 0.4), ("b", 0.6)):
        synthetic.write_study(tmp_path / name, "smoke", quality=lambda reader, right=quality: right)
        give_questions(tmp_path / name / "smoke", "1")
    return tmp_path / "a" / "smoke", tmp_path / "b" / "smoke"


def by_number(rows):
    return {(row["point"], row["task"]): row for row in rows}


def test_the_same_questions_are_paired_and_either_direction_says_the_same(two):
    a, b = map(side_of, two)
    there, back = by_number(compare(a, b)), by_number(compare(b, a))
    assert there.keys() == back.keys() and there
    for number, row in there.items():
        other = back[number]
        assert row["difference"] == pytest.approx(row["second"] - row["first"]) == pytest.approx(-other["difference"])
        if row["unit"] == "percent":
            assert row["how"] == PAIRED and row["low"] - 1e-9 <= row["difference"] <= row["high"] + 1e-9
            assert (row["low"], row["high"]) == pytest.approx((-other["high"], -other["low"]), abs=2.5)


def test_a_directory_against_itself_has_differences_of_exactly_nothing(two):
    a = side_of(two[0])
    rows = compare(a, a)
    assert {(row["difference"], row["low"], row["high"]) for row in rows if row["how"] == PAIRED} == {(0.0, 0.0, 0.0)}


def test_the_mean_row_is_the_mean_of_the_task_rows(two):
    rows = by_number(compare(*map(side_of, two)))
    for (point, task), row in rows.items():
        tasks = [other["difference"] for (name, what), other in rows.items() if name == point and what in TASKS]
        if task == MEAN:
            assert row["difference"] == pytest.approx(np.mean(tasks))


def test_other_questions_are_compared_by_means_and_said_to_be(two):
    give_questions(two[1], "2")
    rows = [row for row in compare(*map(side_of, two)) if row["unit"] == "percent"]
    assert {row["how"] for row in rows if row["task"] == MEAN and row["low"] is not None} == {OF_MEANS}
    assert PAIRED not in {row["how"] for row in rows}


def test_squares_of_normal_intervals_add_as_variances_do():
    low, high = square_and_add((10, 10 - 3, 10 + 3), (4, 4 - 4, 4 + 4))
    assert (low, high) == pytest.approx((6 - 5, 6 + 5))


def test_a_missing_point_is_no_row_and_never_a_zero(two):
    a, b = map(side_of, two)
    gone = b.points[0].id
    runs = {id: run for id, run in b.runs.by_id.items() if id not in b.points[0].point.run_ids}
    rest = dataclasses.replace(b, runs=dataclasses.replace(b.runs, by_id=runs))
    assert gone not in {row["point"] for row in compare(a, rest)}


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_the_command_prints_rows_in_any_format_and_draws(two, tmp_path, suffix, capsys):
    figure = tmp_path / f"both{suffix}"
    assert main(["compare", *map(str, two), "--paper", "--figure", str(figure), "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert {"difference", "low", "high", "how", "paper"} <= rows[0].keys() and figure.stat().st_size > 1000


def test_wrong_directories_are_one_line(two, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for words in ([str(two[0]), str(tmp_path / "empty")], [str(two[0]), str(tmp_path / "none")],
                  [*map(str, two), "--figure", "x.txt"]):  # fmt: skip
        assert main(["compare", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
