"""Figures and tables: the same bytes every time, missing points shown as missing, percent said wherever it is."""

import csv
import dataclasses
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from matplotlib.figure import Figure

from analysis import figures
from analysis.figures import FigureArtifact, marks, stacked_bars, style
from analysis.report.page import build
from analysis.sources import words_after_studies
from glimmer.cli import main
from glimmer.experiments import PaperValue
from glimmer.results import load_results
from tests.analysis import synthetic

SVG = "{http://www.w3.org/2000/svg}"


PAPERS = [artifact for artifact in figures.everything() if artifact.entry.in_paper]
FIGURES = [artifact.name for artifact in PAPERS if isinstance(artifact, FigureArtifact)]
TABLES = [artifact.name for artifact in PAPERS if artifact.name not in FIGURES]


def _write(name, results, *studies):
    assert main(["figures", name, "--study", *studies, "--results", str(results)]) == 0


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
    study = load_results("smoke", results)
    lumen = next(p for p in study.of("figure2", "performance") if p.point.reader.name == "lumen")
    (results / "smoke" / "runs" / f"{lumen.point.run_ids[0]}.json").unlink()
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
    points = load_results("embedded", results).of("figure7", "alpha")
    points = [dataclasses.replace(point, value=50.0 if point.x == 1 / 3 else None) for point in points]
    axes = Figure().add_subplot()
    marks.curves(axes, points, dict.fromkeys(("KILT", "NQ-only"), style.Look(color="#000000", marker="o")))
    low, high = axes.get_xlim()
    assert min(point.x for point in points) == 0 and max(point.x for point in points) == 1
    assert low <= 0 and high >= 1, "crosses of missing points are off the panel"


def test_a_loss_is_a_line_across_the_bar_and_no_block_on_top_of_it(results):
    """As a block it would look like a gain of a lower bar."""
    gain, loss = 4.0, -2.5
    points = load_results("paper", results).of("figure6")
    of_gain = [one for one in points if one.point.panel != points[0].point.panel]
    changed = {one.id: loss if one is of_gain[0] else gain for one in of_gain}
    points = [dataclasses.replace(one, value=changed.get(one.id, 50.0)) for one in points]
    axes = Figure().add_subplot()
    stacked_bars.draw(axes, points)
    blocks = [patch.get_height() for patch in axes.patches if patch.get_height() and patch.get_hatch()]
    assert blocks == [gain] * (len(of_gain) - 1)
    assert [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata())] == [50.0 + loss]
    assert "left with all tasks" in axes.get_legend_handles_labels()[1]
    axes = Figure().add_subplot()
    stacked_bars.draw(axes, [dataclasses.replace(one, value=9.0) for one in points])
    assert "left with all tasks" not in axes.get_legend_handles_labels()[1], "there is none"


def test_an_artifact_may_stand_behind_the_study(results):
    assert main(["figures", "--study", "smoke", "table1", "--results", str(results)]) == 0
    assert [path.name for path in sorted((results / "smoke").glob("*/*.md"))] == ["table1.md"]
    assert words_after_studies(["a", "b"], {"b"}.__contains__) == (["a"], ["b"])


def test_an_artifact_outside_the_study_is_drawn_where_it_is_asked_for_and_says_so(drawn, results):
    assert "not part of this study" in (drawn / "smoke" / "figures" / "figure7.svg").read_text()
    assert main(["figures", "--study", "smoke", "--results", str(results)]) == 0
    assert {path.stem for path in (results / "smoke").glob("*/*.csv")} == {
        "figure2",
        "table1",
        "table2",
        "controls",
        "order",
    }


def test_an_artifact_that_the_paper_lacks_has_no_paper_beside_it_and_is_none_of_the_papers(results):
    assert main(["figures", "--study", "smoke", "paper", "--results", str(results)]) == 0
    table = (results / "smoke" / "tables" / "controls.md").read_text()
    assert "Shuffled labels" in table and "paper" not in table
    with open(results / "smoke" / "tables" / "controls.csv", newline="") as file:
        assert {row["study"] for row in csv.DictReader(file)} == {"smoke"}
    assert (results / "paper" / "tables" / "table1.md").exists()
    assert not (results / "paper" / "tables" / "controls.md").exists()


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
    run_id = load_results("smoke", results).of("table1")[0].point.run_ids[0]
    path = results / "smoke" / "runs" / f"{run_id}.json"
    run = json.loads(path.read_text())
    run["average"]["score"] = 64.0
    path.write_text(json.dumps(run))
    _write("table1", results, "smoke")
    assert path.name in capsys.readouterr().err


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys):
    for options in (["table1", "--study", "nonsense"], ["table1", "--paper"], ["table9"]):
        assert main(["figures", *options, "--results", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [what in line for what, line in zip(("no such study", "points.csv", "no such artifact"), lines, strict=True)]


def test_figures_are_drawn_without_jax_pandas_or_rocrate(results):
    synthetic.write_study(results, "kilt", keep=lambda run: run.seed == 0, n=10)
    code = "import sys; sys.modules.update(dict.fromkeys(('jax', 'pandas', 'rocrate')));"
    code += "from glimmer.cli import main; sys.exit(main(sys.argv[1:]))"
    options = ["figures", "figure7", "--study", "kilt", "--results", str(results)]
    done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (results / "kilt" / "figures" / "figure7.pdf").read_bytes().startswith(b"%PDF")


def test_an_artifact_of_ours_has_no_column_of_the_paper(results):
    """The paper misses nothing there: a table of its own study's rows, in the report too."""
    synthetic.write_study(results, "kilt", keep=lambda run: run.seed == 0 and run.size == "Large", n=10)
    _write("distillation", results, "kilt")
    text = (results / "kilt" / "tables" / "distillation.md").read_text()
    assert text.startswith("**Direction and reduction of the distillation loss: kilt.**")
    assert "paper, reported" not in text and "missing" not in text
    assert text.count("KL(rank, LM)") == text.count("KL(LM, rank)") == 4
    page = build("kilt", results)
    shown = page[page.index('id="distillation"') :]
    assert "paper, reported" not in shown[: shown.index("</table>")]
    for other in ("paper", "smoke"):
        assert "distillation" not in load_results(other, results).artifacts


def test_a_new_line_figure_needs_its_entry_alone(results):
    """Two readers over k, each with two curves: drawn in four looks, under the registry's own titles and labels."""
    base = load_results("paper", results)
    panel = base.artifacts["figure3"].panels[0]
    curve = next(series for series in panel.series if not series.level)
    lumen = dataclasses.replace(
        curve.points[0].reader, name="lumen", beta=None, lambda_=0.0, m=curve.points[0].reader.k
    )
    series = []
    for name, reader in (("a", None), ("b", None), ("c", lumen), ("d", lumen)):
        points = [
            dataclasses.replace(
                point,
                id=f"figure8/all/{name}/{point.x}",
                artifact="figure8",
                panel="all",
                series=name,
                terms=point.terms if reader is None else (dataclasses.replace(point.terms[0], reader=reader),),
            )
            for point in curve.points
        ]
        series.append(dataclasses.replace(curve, name=name, points=tuple(points)))
    panel = dataclasses.replace(panel, name="all", heading="A panel of its own", series=tuple(series))
    entry = dataclasses.replace(base.artifacts["figure3"], name="figure8", title="Another figure", panels=(panel,))
    values = {p.id: PaperValue(p.id, f"{60 + i}", "", "vector") for i, p in enumerate(entry.points)}
    source = dataclasses.replace(base, artifacts={"figure8": entry}, reported=values)
    paths = FigureArtifact(entry).write(source, None, results / "paper")
    text = paths[0].read_text()
    assert "Another figure" in text and "A panel of its own" in text and panel.x_label in text
    with style.house_look():
        (axes,) = FigureArtifact(entry).picture(source, None).axes
    looks = {
        (line.get_color(), line.get_linestyle(), line.get_markerfacecolor()) for line in axes.get_legend().get_lines()
    }
    assert len(looks) == 4
