"""Figures and tables: the same bytes every time, missing points shown as missing, percent said wherever it is."""

import csv
import dataclasses
import importlib
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from matplotlib.figure import Figure

from analysis import artifact, curves, style
from analysis.pictures import FIGURES, TABLES
from analysis.points import load_points
from tests.analysis import synthetic

SVG = "{http://www.w3.org/2000/svg}"


def _artifact(name):
    module = importlib.import_module(f"analysis.{name}")
    return module.FIGURE if name.startswith("figure") else module.TABLE


def _write(name, results, *studies):
    assert artifact.main(_artifact(name), ["--study", *studies, "--results", str(results)]) == 0


@pytest.mark.parametrize("name", FIGURES + TABLES)
def test_regenerating_gives_the_same_bytes(name, drawn, results):
    _write(name, results, "smoke", "paper")
    first, again = (sorted(root.glob(f"*/*/{name}.*")) for root in (drawn, results))
    assert [path.relative_to(drawn) for path in first] == [path.relative_to(results) for path in again]
    assert len(first) == 6
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_well_formed_says_what_it_shows_and_asks_for_nothing(name, drawn):
    text = (drawn / "smoke" / "figures" / f"{name}.svg").read_text()
    root = ElementTree.fromstring(text)
    assert root.find(f"{SVG}title").text and root.find(f"{SVG}desc").text
    assert not re.search(r'(?:href|src)="https?://', text) and "<image" not in text
    assert not re.search(r"\d{4}-\d\d-\d\dT", text), "a date would change the bytes"


@pytest.mark.parametrize("name", FIGURES + TABLES)
def test_what_is_drawn_of_the_paper_is_what_its_file_says(name, drawn):
    with open(drawn / "paper" / "points.csv", newline="") as file:
        reported = {row["point"]: (row["percent"], row["samples_per_tflop"]) for row in csv.DictReader(file)}
    folder = "figures" if name in FIGURES else "tables"
    with open(drawn / "paper" / folder / f"{name}.csv", newline="") as file:
        drawn = list(csv.DictReader(file))
    assert drawn and {row["study"] for row in drawn} == {"paper"}
    for row in drawn:
        percent, speed = reported[row["point"]]
        assert (row["value_percent"] or None, row["samples_per_tflop"] or None) == (
            f"{float(percent):.10g}" if percent else None,
            f"{float(speed):.10g}" if speed else None,
        )


def test_missing_points_are_listed_in_the_picture_and_empty_in_the_csv(results):
    study = load_points("smoke", results)
    lumen = next(p for p in study.of("figure2", "performance") if p.reader == "lumen")
    (results / "smoke" / "runs" / f"{lumen.run_ids[0]}.json").unlink()
    _write("figure2", results, "smoke")
    text = (results / "smoke" / "figures" / "figure2.svg").read_text()
    assert "Missing, 2 of 6 points" in text and "LUMEN: missing" in text
    with open(results / "smoke" / "figures" / "figure2.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["study"] == "smoke" and row["status"] == "missing"]
    assert [row["series"] for row in rows] == ["LUMEN", "LUMEN"]
    assert all(row["value_percent"] == row["samples_per_tflop"] == "" for row in rows)


def test_a_study_without_any_result_is_drawn_as_missing_throughout(results):
    for path in (results / "smoke" / "runs").iterdir():
        path.unlink()
    for name in ("figure2", "table1"):
        _write(name, results, "smoke")
    assert "no results yet" in (results / "smoke" / "figures" / "figure2.svg").read_text()
    table = (results / "smoke" / "tables" / "table1.md").read_text()
    assert "Missing, 3 of 3 rows" in table and "| 0.0" not in table


def test_missing_points_beyond_the_present_ones_stand_inside_the_picture(results):
    points = load_points("embedded", results).of("figure7", "alpha")
    points = [dataclasses.replace(point, value=50.0 if point.x == 1 / 3 else None) for point in points]
    axes = Figure().add_subplot()
    curves.curves(axes, points, lambda series: style.Look(color="#000000", marker="o"))
    low, high = axes.get_xlim()
    assert min(point.x for point in points) == 0 and max(point.x for point in points) == 1
    assert low <= 0 and high >= 1, "crosses of missing points are off the panel"


def test_an_artifact_outside_the_study_says_so(drawn):
    assert "not part of this study" in (drawn / "smoke" / "figures" / "figure7.svg").read_text()


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_with_scores_says_percent(name, drawn):
    text = (drawn / "paper" / "figures" / f"{name}.svg").read_text()
    assert "(percent)" in text


@pytest.mark.parametrize("name", TABLES)
def test_every_column_with_scores_says_percent(name, drawn):
    for study in ("smoke", "paper"):
        head = (drawn / study / "tables" / f"{name}.md").read_text().splitlines()[2]
        columns = [column.strip() for column in head.strip("|").split("|")][1:]
        assert columns and all("(percent)" in column or "(points)" in column for column in columns)


def test_the_paper_stands_in_its_own_panel_and_its_own_rows(drawn):
    assert "paper (reported)" in (drawn / "smoke" / "figures" / "figure2.svg").read_text()
    with open(drawn / "smoke" / "tables" / "table1.csv", newline="") as file:
        sources = {row["study"]: row["source"] for row in csv.DictReader(file)}
    assert sources == {"smoke": "measured", "paper": "vector"}


def test_a_refused_run_file_is_named_on_stderr(results, capsys):
    run_id = load_points("smoke", results).of("table1")[0].run_ids[0]
    path = results / "smoke" / "runs" / f"{run_id}.json"
    run = json.loads(path.read_text())
    run["average"]["score"] = 64.0
    path.write_text(json.dumps(run))
    _write("table1", results, "smoke")
    assert path.name in capsys.readouterr().err


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert artifact.main(_artifact("table1"), ["--study", "nonsense", "--results", str(tmp_path)]) == 2
    assert artifact.main(_artifact("table1"), ["--paper", "--results", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "no such study" in lines[0] and "points.csv" in lines[1]


def test_all_modules_run_from_the_command_line_without_jax(results):
    synthetic.write_study(results, "kilt", keep=lambda run: run.seed == 0, n=10)
    code = (
        "import runpy, sys; sys.modules['jax'] = None; sys.modules['pandas'] = None; "
        f"sys.argv = ['x', '--study', 'kilt', '--results', {str(results)!r}]; "
        "runpy.run_module('analysis.figure7', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (results / "kilt" / "figures" / "figure7.pdf").read_bytes().startswith(b"%PDF")
