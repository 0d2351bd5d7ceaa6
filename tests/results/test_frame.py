"""One table of all points: the columns of the CSV files, and every setting of the readers."""

import csv
import dataclasses
import subprocess
import sys

import pytest

from glimmer.experiments import ReaderSettings
from glimmer.results import frame, load_results


def test_the_frame_has_a_row_a_point_and_the_columns_of_the_csv_files_first(results, drawn):
    table = frame("smoke", results)
    assert list(table["point"]) == [result.id for result in load_results("smoke", results).points]
    with open(drawn / "smoke" / "tables" / "table1.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(table.columns[: len(rows[0])]) == list(rows[0])
    mine = table[table["artifact"] == "table1"].iloc[0]
    assert f"{mine['value_percent']:.10g}" == rows[0]["value_percent"] and mine["run_ids"] == rows[0]["run_ids"]


def test_scores_are_percent_and_speeds_are_not(results):
    table = frame("paper", results).set_index("point")
    assert table.loc["figure2/performance/FiD", "value_percent"] > 1
    assert table.loc["figure2/speed/FiD", ["value_percent"]].isna().all()
    assert table.loc["figure2/speed/FiD", "samples_per_tflop"] > 0


def test_every_setting_of_a_reader_is_a_column(results):
    names = {field.name.rstrip("_") for field in dataclasses.fields(ReaderSettings)} - {"name"}
    assert names | {"reader"} <= set(frame("smoke", results).columns)


def test_a_missing_point_is_nan_and_not_zero(results):
    run_id = load_results("smoke", results).of("table1")[1].point.run_ids[0]
    (results / "smoke" / "runs" / f"{run_id}.json").unlink()
    row = frame("smoke", results).query("artifact == 'table1'").iloc[1]
    assert row["status"] == "missing" and row["absent_ids"] == run_id and row["value_percent"] != row["value_percent"]


@pytest.mark.parametrize("module", ["jax", "pandas", "matplotlib"])
def test_reading_results_imports_no_heavy_library(module):
    code = f"import sys, glimmer.results; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
