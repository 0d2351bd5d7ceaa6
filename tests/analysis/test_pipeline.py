"""What the report says of the stages before scoring."""

import pytest

from analysis.report import pipeline
from glimmer.results import load_results
from tests.analysis import synthetic


@pytest.fixture
def study(tmp_path):
    synthetic.write_study(tmp_path, "smoke", n=40)
    return load_results("smoke", tmp_path)


def test_a_reader_that_answers_all_it_sees_has_one_hundred_percent(study):
    metrics = {}
    for run in study.runs.by_id.values():
        reader = run["settings"]["reader"]
        if reader["name"] == "lumen" and reader["trained"] and reader["k"]:
            for task, found in run["tasks"].items():
                metrics.setdefault(task, {"dev": {}})["dev"][f"evidence@{reader['k']}"] = found["score"]
            k = reader["k"]
    for task in metrics:  # a GLIMMER that retrieves as many would have a row, if it read them all
        metrics[task]["dev"] |= {f"evidence@{n}": 0.5 for n in range(1, 41) if n != k}
    grid = pipeline.answered_in_view(study, metrics)
    lumen = next(
        row for row in grid.rows if row[0].text.startswith(f"LUMEN: k = {k}") and "untrained" not in row[0].text
    )
    assert [cell.text for cell in lumen[1:]] == ["100"] * 4
    assert not [row for row in grid.rows if row[0].text.startswith("GLIMMER")], "it does not read all it retrieves"


def test_tasks_that_can_be_guessed_are_left_out(study):
    metrics = {"fever": {"dev": {"evidence@3": 0.5}}, "hotpotqa": {"dev": {"evidence@3": 0.5}}}
    assert pipeline.answered_in_view(study, metrics) is None


def test_the_examination_has_a_row_for_each_split_and_a_column_for_each_task():
    rows = [
        {"alpha": "1", "passages": 5, "task": "nq", "examples": 32, "exact_match": 0.5},
        {"alpha": "1", "passages": 5, "task": "trex", "examples": 32, "exact_match": 0.25},
        {"alpha": "0", "passages": 5, "task": "trex", "examples": 32, "exact_match": 0.0},
    ]
    grid = pipeline.reading({"exact_match": rows})
    assert grid.heads[2:] == ("NQ", "T-REx")
    assert [[cell.text for cell in row] for row in grid.rows] == [["1", "5", "50", "25"], ["0", "5", "–", "0"]]


@pytest.mark.parametrize("mode, k, shown", [("labels", None, "not asked"), ("retrieved", 5, "5")])
def test_the_filter_says_its_mode_and_what_the_other_would_keep(mode, k, shown):
    kept = {"before": 100, "after": 90, "threshold": 0.5, "mode": mode, "k": k, "after_by_threshold": {"0": 100}}
    grid = pipeline.filter_counts({"nq": kept | {"after_by_mode": {"labels": 90, "retrieved": 70}}})
    (row,) = [dict(zip(grid.heads, (cell.text for cell in row), strict=True)) for row in grid.rows]
    assert (row["Mode"], row["k"], row["Kept (percent)"]) == (mode, shown, "90.0")
    assert (row["Kept by labels"], row["Kept by retrieved"], row["Kept at 0"]) == ("90", "70", "100")
