"""A trained reader that is given other passages on dev: nobody trains it, and it has the parameters of one run only."""

from types import SimpleNamespace

import pytest

from glimmer.errors import InputError
from glimmer.experiments import load_study, runs_for
from glimmer.files import write_json
from glimmer.runs import evaluate
from glimmer.runs.evaluate import evaluate_run
from glimmer.runs.train import train_run

RUNS = runs_for(load_study("smoke"))
OTHER = next(run for run in RUNS.values() if run.reader.dev_evidence != "as_trained")
BASE = RUNS[OTHER.trained_id]


class Enough(Exception):
    """What the test asks about has happened."""


def materials(run, digests=None):
    return SimpleNamespace(run=run, study=load_study("smoke"), digests=digests or {})


@pytest.fixture
def trained(tmp_path):
    """What training the base run left, as far as evaluation reads it."""
    step = {"step": 3, "dev_average": 0.5}
    selection = {"keep": "last", "best": step | {"step": 2}, "last": step}
    content = {"run": BASE.id, "selection": selection, "training_units": None, "digests": {}, "seconds": 1.0}
    write_json(tmp_path / "runs" / BASE.id / "trained" / "training.json", content)
    return tmp_path / "runs" / BASE.id / "trained"


def test_a_run_with_the_parameters_of_another_is_not_trained(tmp_path):
    with pytest.raises(InputError, match=f"not a run that is trained.*{BASE.id}.*dev_evidence of_another_question"):
        train_run(materials(OTHER), tmp_path / "trained")
    assert not list(tmp_path.iterdir())


def test_parameters_of_a_third_run_are_refused(trained):
    third = next(run for run in RUNS.values() if run.trained_id not in (BASE.id, OTHER.id))
    with pytest.raises(InputError, match=f"parameters of another run.*{third.trained_id}.*{BASE.id}"):
        evaluate_run(materials(third), trained)


def test_parameters_that_do_not_say_whose_they_are_are_refused(trained):
    write_json(trained / "training.json", {"selection": None, "training_units": None, "digests": {}})
    with pytest.raises(InputError, match="trained by an earlier version.*run"):
        evaluate_run(materials(BASE), trained)


def test_parameters_computed_from_other_files_are_refused_for_both(trained):
    write_json(trained / "training.json", {"run": BASE.id, "selection": None, "training_units": None,
                                           "digests": {"tokens": "a"}})  # fmt: skip
    for run in (BASE, OTHER):
        with pytest.raises(InputError, match="files changed since training.*tokens"):
            evaluate_run(materials(run, {"tokens": "b"}), trained)


@pytest.mark.parametrize("run", [BASE, OTHER], ids=["base", "other passages"])
def test_what_a_run_leaves_lies_in_its_own_folder_whosever_parameters_it_has(trained, run, monkeypatch):
    asides = []

    def answer(materials, answerer, reader, aside, identity):
        asides.append(aside)
        if len(asides) == 2 or run is OTHER:  # of the kept parameters, then of the others, which OTHER leaves alone
            raise Enough

    monkeypatch.setattr(evaluate, "_answer", answer)
    monkeypatch.setattr(evaluate, "_with_parameters", lambda *_: None)
    monkeypatch.setattr(evaluate, "Answerer", lambda *_: None)
    monkeypatch.setattr(evaluate, "split_reader", lambda *_: None)
    monkeypatch.setattr(evaluate, "place_parameters", lambda *_: None)
    parts = vars(materials(run)) | dict.fromkeys(("batcher", "tokenizer", "reader", "frozen"))
    parts["read_for_evaluation"] = lambda: None
    with pytest.raises(Enough):
        evaluate_run(SimpleNamespace(**parts), trained)
    own = trained.parent.parent / run.id
    assert asides == ([own] if run is OTHER else [own, own / "other"])
