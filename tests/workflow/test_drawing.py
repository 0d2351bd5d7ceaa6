"""What is shown of which source, and what that depends on."""

from types import SimpleNamespace

import pytest

from glimmer.experiments import runs_for
from glimmer.files import write_json
from workflow.drawing import PAPER
from workflow.options import study_of
from workflow.start import start


@pytest.fixture
def two(tmp_path):
    """The drawing of two studies of which each has one run."""
    for name in ("sample", "smoke"):
        study = study_of({"study": name, "results": tmp_path})
        write_json(study.result_file(next(iter(runs_for(study)))), {})
    return start({"results": tmp_path}, ["figures"])[1]


def test_an_artifact_depends_on_its_own_module_and_the_shared_ones_alone(two):
    code = two.code_of("figure2")
    assert "analysis/figure2.py" in code and "analysis/style.py" in code
    alone = ("figure3.py", "table1.py", "report.py", "audit.py", "claims.py", "crate.py", "power.py", "reproduced.py")
    assert not [path for path in code if path.endswith(alone)], code


def test_one_job_draws_an_artifact_for_every_source_that_has_it(two):
    assert two.sources == ("sample", "smoke"), "the paper is drawn where its points are under version control"
    assert {file.split("/")[-3] for file in two.files_of("figure2")} == {"sample", "smoke"}
    assert {file.split("/")[-3] for file in two.files_of("table1")} == {"smoke"}, "the sample has figure 2 alone"
    assert two.options_of("table1")[:2] == ["--study", "smoke"]


def test_committed_results_are_shown_beside_the_papers():
    drawing = start({}, ["figures"])[1]
    assert drawing.sources[-1] == PAPER and "embedded" in drawing.sources
    assert drawing.options_of("table3")[-3:] == ["--paper", "--results", "results"]


def test_an_artifact_depends_on_the_runs_it_shows_and_on_the_papers_points(two, tmp_path):
    found = two.points_of("figure2")
    assert found[0] == str(tmp_path / "paper" / "points.csv")
    assert len([file for file in found if "/runs/" in file]) == 2


def test_checks_look_at_every_file_among_the_runs(two, tmp_path):
    stray = tmp_path / "smoke" / "runs" / "0123456789ab.json"
    write_json(stray, {})
    of = {source: two.numbers_of(SimpleNamespace(source=source)) for source in two.sources}
    assert str(stray) in of["smoke"] and len(of["smoke"]) == 3 and len(of["sample"]) == 2


def test_what_describes_a_source_is_its_study_and_those_that_is_like(two):
    assert two.configuration_of(SimpleNamespace(source="smoke")) == ["config/smoke.yaml", "config/embedded.yaml"]
    assert two.configuration_of(SimpleNamespace(source=PAPER)) == []
