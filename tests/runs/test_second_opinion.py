"""KILT's own package asked after the fact: what it is asked about, what it says, and where that is shown."""

import json
import sys
import types

import pytest

from analysis.report.pipeline import kilt_check
from glimmer.cli import main
from glimmer.evaluation.kilt_scores import score_files
from glimmer.experiments import load_study, runs_for
from glimmer.files import read_json, sha256_file, write_json, write_json_lines
from glimmer.results import load_results
from glimmer.results.run_files import KILT_CHECK, load_runs
from glimmer.runs.second_opinion import check_runs
from tests.analysis import synthetic

GROUPS = ("downstream", "kilt", "retrieval")


@pytest.fixture
def package(monkeypatch):
    """A stand-in for KILT's package, which says what we say; `add` is what it says too much."""
    module = types.ModuleType("kilt.eval_downstream")
    module.add = 0.0

    def evaluate(gold, guess):
        scores = {group: dict(getattr(score_files(gold, guess), group)) for group in GROUPS}
        scores["downstream"]["em"] += module.add
        return scores

    module.evaluate = evaluate
    monkeypatch.setitem(sys.modules, "kilt", types.ModuleType("kilt"))
    monkeypatch.setitem(sys.modules, "kilt.eval_downstream", module)
    return module


@pytest.fixture
def study(tmp_path):
    """The smoke study with three runs measured; the guess files of the first two are still there."""
    study = load_study("smoke", {"results": str(tmp_path / "results"), "work": str(tmp_path / "work")})
    evidence = [{"wikipedia_id": "1"}]
    for place, id in enumerate(list(runs_for(study))[:3]):
        gold, guess = (study.work_directory / "runs" / id / kind / "nq.jsonl" for kind in ("gold", "guesses"))
        rows = [{"id": str(i), "input": "q", "output": [{"answer": "x", "provenance": evidence}]} for i in range(4)]
        write_json_lines(gold, rows)
        answers = ["x", "y", "x", ""]
        write_json_lines(guess, [row | {"output": [{"answer": a, "provenance": evidence}]}
                                 for row, a in zip(rows, answers, strict=True)])  # fmt: skip
        scores = score_files(gold, guess)
        write_json(study.result_file(id), {"tasks": {"nq": {group: getattr(scores, group) for group in GROUPS}}})
        if place == 2:
            guess.unlink()
    return study


def test_runs_are_checked_whose_guesses_are_there_and_results_stay_as_they_are(study, package):
    ids = list(runs_for(study))
    before = [study.result_file(id).read_bytes() for id in ids[:3]]
    checks = check_runs(study, runs_for(study))
    assert [checks[id]["status"] for id in ids[:3]] == ["agrees", "agrees", "no guesses"] and len(checks) == 3
    assert [study.result_file(id).read_bytes() for id in ids[:3]] == before
    kept = read_json(study.results_directory / KILT_CHECK)
    assert kept == {id: checks[id] | {"result_sha256": sha256_file(study.result_file(id))} for id in ids[:2]}


def test_a_score_that_differs_fails_the_command(study, package, capsys):
    package.add = -1e-6
    places = ["--set", f"results={study.results}", "--set", f"work={study.work}"]
    assert main(["crosscheck", "--study", "smoke", *places, "--json"]) == 1
    out, err = capsys.readouterr()
    assert [row["status"] for row in json.loads(out)] == ["differs", "differs", "no guesses"] and "2 of 3 runs" in err


def test_guesses_of_another_call_are_not_taken_for_those_of_the_result(study, package):
    id = next(iter(runs_for(study)))
    result = read_json(study.result_file(id))
    result["tasks"]["nq"]["downstream"]["em"] += 0.25
    write_json(study.result_file(id), result)
    check = check_runs(study, {id: runs_for(study)[id]})[id]
    assert check["status"] == "other guesses" and "em 0.5 of the guesses, 0.75 of the result" in check["detail"]


def test_without_the_package_or_a_result_there_is_nothing_to_say(study, monkeypatch, tmp_path, package, capsys):
    assert main(["crosscheck", "--study", "smoke", "--set", f"results={tmp_path}/none"]) == 2
    assert "no run is measured" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "kilt", None)
    monkeypatch.delitem(sys.modules, "kilt.eval_downstream")
    assert main(["crosscheck", "--study", "smoke", "--set", f"results={study.results}"]) == 2
    assert "make kilt" in capsys.readouterr().err


def test_the_report_shows_the_later_check_of_exactly_this_result(tmp_path):
    directory = synthetic.write_study(tmp_path, "smoke", n=5)
    first, second, *_ = sorted(directory.glob("runs/*.json"))
    said = {"status": "agrees", "detail": "all scores of 6 tasks within 1e-09"}
    checks = {first.stem: said | {"result_sha256": sha256_file(first)}, second.stem: said | {"result_sha256": "0" * 64}}
    write_json(directory / KILT_CHECK, checks)
    runs = load_runs(directory).by_id
    assert runs[first.stem]["kilt_package_check"] == said
    assert runs[second.stem]["kilt_package_check"]["status"] == "absent", "that file was another one"
    assert kilt_check(load_results("smoke", tmp_path)) == {"agrees": 1, "absent": len(runs) - 1}
