"""The measured properties of a study, as documents show them."""

import pytest

from analysis.properties import properties
from glimmer.errors import InputError
from glimmer.files import read_json, write_json
from glimmer.results import load_results
from tests.analysis import synthetic


@pytest.fixture
def results(tmp_path):
    synthetic.write_study(tmp_path, "smoke", n=40)
    synthetic.write_stages(tmp_path, "smoke")
    return tmp_path


def measured(results):
    return {what: values for what, values, _ in properties(load_results("smoke", results), results)}


def test_evidence_is_the_mean_over_tasks_of_their_dev_sets(results):
    path = results / "smoke" / "retrieval.json"
    found = read_json(path)
    found["nq"]["dev"]["evidence@5"] = 0.58 + 0.06 * len(found)
    found["nq"]["train"]["evidence@5"] = 0.0
    write_json(path, found)
    assert measured(results)["evidence of dev questions in the retriever's top 1 / 5, mean of tasks"] == "30 / 64"


def test_a_row_for_each_split_that_was_examined_each_baseline_and_the_filter(results):
    study, found = load_results("smoke", results), measured(results)
    assert len([what for what in found if what.startswith("exact match before fine-tuning")]) == 2
    panels = {point.point.panel for point in study.of("baselines")}
    assert len([what for what in found if what.startswith("mean of tasks, ")]) == len(panels) > 0
    untrained = [point for point in study.of("baselines", "untrained") if point.value is not None]
    assert " / ".join(f"{point.value:.1f}" for point in untrained) in found.values()
    assert any(values.startswith("500 to 420 / ") for values in found.values())


def test_what_a_study_did_not_measure_has_no_row_and_retrieval_is_always_measured(results):
    for name in ("reading.json", "filter.json"):
        (results / "smoke" / name).unlink()
    assert not [what for what in measured(results) if "before" in what]
    (results / "smoke" / "retrieval.json").unlink()
    with pytest.raises(InputError, match=r"retrieval\.json"):
        measured(results)
