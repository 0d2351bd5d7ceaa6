"""What is shown of which source, and what that depends on."""

from types import SimpleNamespace

import pytest

from glimmer.experiments import runs_for
from glimmer.files import write_json
from workflow.drawing import CHECK_CODE, FIGURE_CODE, PAPER, REPORT_CODE, code
from workflow.options import study_of
from workflow.start import start


@pytest.fixture
def two(tmp_path):
    """The drawing of two studies of which each has one run."""
    for name in ("sample", "smoke"):
        study = study_of({"study": name, "results": tmp_path})
        write_json(study.result_file(next(iter(runs_for(study)))), {})
    return start({"results": tmp_path}, ["figures"])[1]


def artifact(drawing, name):
    return next(artifact for artifact in drawing.artifacts if artifact.name == name)


def test_what_draws_checks_or_reports_makes_nothing_else_stale(two):
    drawing, checks, report = (set(code(*patterns)) for patterns in (FIGURE_CODE, CHECK_CODE, REPORT_CODE))
    assert artifact(two, "figure2").code == sorted(drawing), "no artifact has a look of its own now"
    assert {"analysis/figures/lines.py", "analysis/figures/style.py", "glimmer/results/points.py"} <= drawing
    assert {"analysis/audit.py", "analysis/ledger/bootstrap.py", "glimmer/results/points.py"} <= checks
    assert {"analysis/report/page.py", "analysis/report/templates/report.css"} <= report
    shared = ("glimmer/results/*.py", "analysis/ledger/bootstrap.py", "analysis/ledger/chance.py")
    assert checks & drawing == set(code(*shared)), "what reads results, and what pairs them, is all that the two share"


def test_one_job_draws_an_artifact_for_every_source_that_has_it(two):
    assert list(two.sources) == ["sample", "smoke"], "the paper is drawn where its points are under version control"
    assert {file.split("/")[-3] for file in artifact(two, "figure2").files} == {"sample", "smoke"}
    assert {file.split("/")[-3] for file in artifact(two, "table1").files} == {"smoke"}, "the sample has figure 2 alone"
    assert artifact(two, "table1").options[:3] == ["table1", "--study", "smoke"]


def test_every_figure_and_table_of_the_registry_is_drawn_and_the_baselines_are_not(two):
    drawn = {artifact.name for artifact in two.artifacts}
    assert drawn and drawn == {name for source in two.sources.values() for name in source.artifacts} - {"baselines"}


def test_committed_results_are_shown_beside_the_papers():
    drawing = start({}, ["figures"])[1]
    assert list(drawing.sources)[-1] == PAPER and "pilot" in drawing.sources
    assert artifact(drawing, "table3").options[-3:] == ["--paper", "--results", "results"]


def test_an_artifact_depends_on_the_runs_it_shows_and_on_the_papers_points(two, tmp_path):
    files = artifact(two, "figure2").points
    assert files[0] == str(tmp_path / "paper" / "points.csv")
    assert len([file for file in files if "/runs/" in file]) == 2


def test_checks_look_at_every_file_among_the_runs(two, tmp_path):
    stray = tmp_path / "smoke" / "runs" / "0123456789ab.json"
    write_json(stray, {})
    of = {source: two.of_study("every_run_file")(SimpleNamespace(source=source)) for source in (*two.sources, PAPER)}
    assert str(stray) in of["smoke"] and len(of["smoke"]) == 2 and len(of["sample"]) == 1 and of[PAPER] == []


def test_what_describes_a_source_is_its_study_and_those_that_is_like(two):
    assert two.sources["smoke"].configuration == ["config/smoke.yaml", "config/embedded.yaml"]
    assert start({}, ["figures"])[1].sources[PAPER].configuration == []
