"""The second opinion of KILT's package: agrees, differs, absent; with a stand-in for the package."""

import gzip
import json
import sys
import types
from pathlib import Path

import pytest

from glimmer.evaluation.kilt_package import cross_check
from glimmer.evaluation.kilt_scores import score_files


@pytest.fixture
def files(tmp_path):
    evidence = [{"wikipedia_id": "1"}]
    row = {"id": "a", "input": "q", "output": [{"answer": "x", "provenance": evidence}]}
    for name in ("gold.jsonl", "guess.jsonl"):
        (tmp_path / name).write_text(json.dumps(row) + "\n")
    return tmp_path / "gold.jsonl", tmp_path / "guess.jsonl"


def install(monkeypatch, evaluate):
    module = types.ModuleType("kilt.eval_downstream")
    module.evaluate = evaluate
    monkeypatch.setitem(sys.modules, "kilt", types.ModuleType("kilt"))
    monkeypatch.setitem(sys.modules, "kilt.eval_downstream", module)


def official(gold, guess):
    print("WARNING: the official program prints")
    assert [json.loads(Path(name).read_text())["id"] for name in (gold, guess)] == ["a", "a"]  # plain text, not gzip
    scores = score_files(gold, guess).as_dict()
    return {group: scores[group] for group in ("kilt", "downstream", "retrieval")}


def test_equal_scores_agree_and_nothing_is_printed(files, monkeypatch, capsys):
    install(monkeypatch, official)
    ours = score_files(*files)
    assert cross_check(*files, ours)["status"] == cross_check(*files, ours.as_dict())["status"] == "agrees"
    assert capsys.readouterr().out == ""


def test_gzipped_files_are_unpacked_for_it(files, monkeypatch):
    install(monkeypatch, official)
    packed = []
    for path in files:
        packed.append(path.with_suffix(".gz"))
        packed[-1].write_bytes(gzip.compress(path.read_bytes()))
    assert cross_check(*packed, score_files(*packed))["status"] == "agrees"


@pytest.mark.parametrize("change", [1e-6, -1e-6, float("nan")])
def test_a_score_above_differs_as_much_as_one_below(files, monkeypatch, change):
    def evaluate(gold, guess):
        scores = official(gold, guess)
        scores["kilt"] = scores["kilt"] | {"KILT-f1": scores["kilt"]["KILT-f1"] + change}
        return scores

    install(monkeypatch, evaluate)
    result = cross_check(*files, score_files(*files))
    assert result["status"] == "differs" and "kilt.KILT-f1" in result["detail"]


def test_a_missing_score_and_a_crash_there_differ(files, monkeypatch):
    install(monkeypatch, lambda gold, guess: {"downstream": {}})
    assert "one side only" in cross_check(*files, score_files(*files))["detail"]

    def dies(gold, guess):
        raise KeyError("input")

    install(monkeypatch, dies)
    assert cross_check(*files, score_files(*files)) == {
        "status": "differs", "detail": "the official program failed: KeyError: 'input'"}  # fmt: skip


def test_a_package_that_is_not_there_is_absent(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "kilt", None)
    assert cross_check(*files, score_files(*files))["status"] == "absent"
