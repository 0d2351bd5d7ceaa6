"""The report's table of whether training happened."""

import pytest

from analysis.report import pictures, training_units
from glimmer.files import read_json, write_json
from glimmer.results import load_results

UNITS = {
    "sum_of_rates": 0.02, "scorer_sum_of_rates": 0.2, "scorer_span_nats": 12.8,
    "rms": {"memory": 0.1, "live": 0.2, "decoder": 0.2, "scorer": 0.0},
    "path": {"memory": 0.2, "live": 0.1, "decoder": 0.1, "scorer": None},
    "moved": {"memory": 0.05, "live": 0.04, "decoder": 0.03, "scorer": None},
    "epochs": {"nq": 2.5, "trex": 0.5}, "rows_seen": 100,
}  # fmt: skip


@pytest.fixture
def table(results):
    """The rows of the smoke study as texts, by reader; its runs are changed by `change(run)` before."""

    def of(change):
        for path in (results / "smoke" / "runs").glob("*.json"):
            run = read_json(path)
            change(run)
            write_json(path, run)
        made = training_units.training_units(load_results("smoke", results))
        return made and {row[0].text: dict(zip(made.heads, row, strict=True)) for row in made.rows}

    return of


def trained(run):
    return run["settings"]["reader"].get("trained", True)


def with_units(run):
    run["training_units"] = UNITS if trained(run) else None
    for task in run["tasks"].values():
        right = [1.0, 0.0] * (task["n"] // 2) if trained(run) else [1.0, 1.0] * (task["n"] // 2)
        task["per_example"]["metric"], task["score"] = right, sum(right) / task["n"]
        task["downstream"][task["metric"]] = task["score"]
    run["average"]["score"] = sum(task["score"] for task in run["tasks"].values()) / len(run["tasks"])


def test_every_trained_reader_has_its_units_and_how_many_answers_training_changed(table):
    rows = table(with_units)
    row = rows["FiD: k = 2"]
    assert (row["Path, memory (of its size)"].text, row["Moved, live (percent)"].text) == ("0.2", "4.00")
    assert row["Scorer's span (nats)"].text == "13" and row["Epochs"].text == "0.5 to 2.5"
    assert row["Epochs"].small == "T-REx to NQ"
    assert row["Answers changed by training (percent)"].text == "50.0"
    assert not any("untrained" in name for name in rows)
    closed_book = rows["FiD: no passages"]
    assert closed_book["Answers changed by training (percent)"].text == "–", "its untrained self was not run"


def test_the_papers_values_are_of_its_rate_width_and_rows(table):
    row = table(with_units)["The paper, 10,000 steps"]
    assert row["Path, live (of its size)"].text == "1"  # 1e-4 of the weights, 10,000 times
    assert row["Scorer's span (nats)"].text == "1,024 (Large), 4,096 (XXL)"
    assert row["Epochs"].text == "0.093 to 3.4"  # 213,333 rows a task of 2,284,168 and of 61,844
    assert row["Moved, live (percent)"].text == "–"


def test_runs_that_do_not_say_how_they_were_trained_make_no_table(table):
    assert table(lambda run: run.pop("training_units", None)) is None


def test_a_reader_that_has_anothers_parameters_has_neither_row_nor_curve(table, results, monkeypatch):
    rows = table(with_units)
    assert rows and not [name for name in rows if "dev_evidence" in name]
    drawn = []
    monkeypatch.setattr(pictures, "_learning_curve", lambda rows, *_: drawn.append(set(rows)) or "")
    study = load_results("smoke", results)
    pictures.learning_curves(study)
    given = {id for id, run in study.runs.by_id.items() if "dev_evidence" in run["settings"]["reader"]}
    main = {id for result in study.of("figure2", "performance") for id in result.point.run_ids}
    assert given and drawn == [main - given] * 2
