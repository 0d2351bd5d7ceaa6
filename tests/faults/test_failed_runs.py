"""A run whose numbers go wrong: the other runs go on, the report names it, a later success takes the record away."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml

from analysis.report import page
from glimmer.errors import CheckFailed
from glimmer.experiments import load_study, runs_for
from glimmer.files import read_json
from glimmer.results import load_results
from glimmer.results.failed_runs import FailedRun, failed_runs, forget_failure, record_failure
from tests.analysis import synthetic
from workflow.layout import Layout

ROOT = Path(__file__).resolve().parents[2]
FAILED = {"step": 40, "what": "the loss is nan", "batch": ["q1", "<script>"], "last_saved": 20, "code_version": "abc"}


@pytest.fixture
def results(tmp_path) -> Path:
    """Results of the smoke study without those of one run, which failed."""
    synthetic.write_paper(tmp_path)
    runs = list(runs_for(load_study("smoke")).values())
    synthetic.write_study(tmp_path, "smoke", keep=lambda run: run.id != runs[0].id, n=4)
    record_failure(tmp_path / "smoke", FailedRun(run=runs[0].id, **FAILED))
    return tmp_path


def failed_id(results) -> str:
    return next((results / "smoke/failed").glob("*.json")).stem


def test_the_report_lists_a_failed_run_and_its_points_as_missing(results):
    text = page.build("smoke", results)
    assert '<a href="#failed">1 run failed</a>' in text and 'id="failed"' in text
    assert f"<code>{failed_id(results)}</code>: the loss is nan at step 40; step 20 was saved before; code abc" in text
    assert "q1, &lt;script&gt;" in text
    assert failed_id(results) not in load_results("smoke", results).runs


def test_a_run_that_was_measured_since_is_no_failed_one(results):
    run = runs_for(load_study("smoke"))[failed_id(results)]
    synthetic.write_study(results, "smoke", keep=lambda each: each.id == run.id, n=4)
    assert 'href="#failed"' not in page.build("smoke", results)
    assert failed_runs(results / "smoke", load_results("smoke", results).runs.by_id) == []


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"run": "another"}', '{"run": 1, "step": []}'])
def test_a_record_that_cannot_be_read_is_a_failure_all_the_same(tmp_path, content):
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed/0123456789ab.json").write_text(content)
    (failed,) = failed_runs(tmp_path, {})
    assert failed.run == "0123456789ab" and "cannot be read" in failed.text


def test_what_only_shows_results_depends_on_the_records(results):
    study = load_study("smoke", {"results": str(results)})
    record = f"{results}/smoke/failed/{failed_id(results)}.json"
    assert record in Layout(study=study, draws_only=True).published()
    assert record not in Layout(study=study, draws_only=False).published()


def test_training_records_what_went_wrong_and_forgets_it_when_it_ends_well(tmp_path, monkeypatch):
    from glimmer.runs import train
    from glimmer.training.loop import NotFinite

    run = types.SimpleNamespace(
        id="0123456789ab", trained_id="0123456789ab", reader=types.SimpleNamespace(trained=True)
    )
    materials = types.SimpleNamespace(run=run, study=types.SimpleNamespace(results_directory=tmp_path / "results"))

    def wrong(*_):
        raise NotFinite("fid", tmp_path, step=7, what="the loss is inf", batch=["a", "b"], last_saved=None)

    monkeypatch.setattr(train, "_train", wrong)
    with pytest.raises(CheckFailed, match="fid went wrong at step 7: the loss is inf; its batch: a, b; no checkpoint"):
        train.train_run(materials, tmp_path / "work/trained")
    record = tmp_path / "results/failed/0123456789ab.json"
    stated = read_json(record)
    assert stated.pop("code_version")
    assert stated == {"run": run.id, "step": 7, "what": "the loss is inf", "batch": ["a", "b"], "last_saved": None}
    monkeypatch.setattr(train, "_train", lambda *_: {"curve": []})
    assert train.train_run(materials, tmp_path / "work/trained") == {"curve": []}
    assert not record.exists()
    forget_failure(tmp_path / "results", run.id)


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_every_profile_lets_other_runs_go_on(profile):
    assert yaml.safe_load((ROOT / f"workflow/profiles/{profile}/config.yaml").read_text())["keep-going"] is True


@pytest.mark.slow
def test_a_failing_job_stops_no_other(tmp_path):
    """The profile as it is, on rules that stand for a grid: two runs, of which the first fails, and their report."""
    (tmp_path / "Snakefile").write_text(
        'rule report:\n    input: "one", "two"\n    output: "report"\n    shell: "touch {output:q}"\n'
        'rule one:\n    output: "one"\n    priority: 1\n    shell: "exit 1"\n'
        'rule two:\n    output: "two"\n    shell: "sleep 1; touch {output:q}"\n'
    )
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", str(ROOT / "workflow/profiles/default")]
    done = subprocess.run([*command, "--cores", "1"], cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 1, done.stderr
    assert (tmp_path / "two").exists() and not (tmp_path / "report").exists()
