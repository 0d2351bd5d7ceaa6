"""The registry against the paper's reported numbers, and the reading of experiments.yaml."""

import csv
from fractions import Fraction

import pytest
import yaml

from glimmer.errors import InputError
from glimmer.experiments import load_registry, paper_values
from glimmer.experiments.documents import repository_path
from glimmer.experiments.settings import TASKS


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def place(artifact, panel, series, x_name, x, metric):
    return artifact, panel, series, x_name or "", "" if x in (None, "") else round(float(x), 9), metric


def places(points):
    return {place(p.artifact, p.panel, p.series, p.x_name, p.x, p.measure.name): p for p in points}


@pytest.fixture(scope="module")
def reported(shared):
    with open(shared / "paper" / "reported.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {place(r["artifact"], r["panel"], r["series"], r["x_name"], r["x"], r["metric"]): r for r in rows}


def test_the_registry_has_exactly_the_reported_points(registry, reported):
    assert set(places(registry.points())) == set(reported)
    assert len(registry.points()) == len(reported) == 73


def test_the_reported_settings_are_those_of_the_readers(registry, reported):
    for key, point in places(registry.points()).items():
        row, reader = reported[key], point.reader
        tasks = "kilt6" if reader.train_tasks == TASKS else ",".join(reader.train_tasks)
        found = {
            "model_size": point.size,
            "alpha": str(reader.alpha),
            "beta": str(reader.beta),
            "k": str(reader.k),
            "m": str(reader.m),
            "train_tasks": tasks,
        }
        stated = {name: row[name] for name in found if row[name]}
        assert stated == {name: found[name] for name in stated}, point.id
        assert point.measure.unit == row["unit"]


def test_results_paper_spells_every_number_as_reported(registry, reported):
    values = paper_values()
    assert list(values) == [point.id for point in registry.points()]
    for key, point in places(registry.points()).items():
        value, row = values[point.id], reported[key]
        assert (value.text, value.source) == (row["value"], row["source"]), point.id
        assert bool(value.percent) == (row["unit"] == "percent"), point.id


def test_point_ids_are_unique_and_stable(registry):
    ids = [point.id for name in registry.artifacts for point in registry.points(name)]
    assert len(ids) == len(set(ids))
    assert {
        "figure3/retrieved/GLIMMER/k=25",
        "figure7/alpha/NQ-only/alpha=1/24",
        "table3/PDist tau=0.1",
        "figure6/Multi-task gain/L1/8",
        "figure4/beta/GLIMMER/beta=1/4",
    } <= set(ids)


def test_the_paper_needs_53_runs_a_seed_and_51_at_one_model_size(registry):
    terms = [(point.size, term.reader.resolved(24)) for point in registry.points() for term in point.terms]
    assert len(set(terms)) == 53
    assert len({reader for _, reader in terms}) == 51


def test_a_gain_is_the_difference_between_all_tasks_and_one(registry):
    gain = next(point for point in registry.points("figure6") if point.id == "figure6/Multi-task gain/L1/3")
    assert [term.weight for term in gain.terms] == [1, -1]
    assert [term.reader.train_tasks for term in gain.terms] == [TASKS, ("nq",)]
    assert gain.terms[1].reader == gain.terms[0].reader.change(train_tasks=("nq",))


def test_a_level_line_is_one_reader_at_both_ends(registry):
    line = [point for point in registry.points("figure3") if point.series == "LUMEN-40"]
    assert [point.x for point in line] == [5, 40] and all(point.level for point in line)
    assert {point.reader.k for point in line} == {40}


def test_labels_are_filled_in_with_the_paper_s_values(registry):
    labels = [series.label for series in registry.artifact("figure5").panels[0].series]
    assert labels == ["rerank layers: 2", "rerank layers: 4"]


def test_x_of_a_proportion_is_exact(registry):
    assert Fraction(1, 24) in {point.x for point in registry.points("figure7")}


@pytest.fixture
def entries():
    return yaml.safe_load(repository_path("config/experiments.yaml").read_text())


def written(tmp_path, entries):
    path = tmp_path / "experiments.yaml"
    path.write_text(yaml.safe_dump(entries, sort_keys=False))
    return path


def test_an_ablation_is_one_entry(tmp_path, entries):
    entries["artifacts"]["table3"]["series"]["Last of all"] = {"set": {"scorer": "mean_pool", "tau": 0.1}}
    point = load_registry(written(tmp_path, entries)).points("table3")[-1]
    assert point.id == "table3/Last of all" and point.reader.tau == 0.1 and point.reader.k == 25


@pytest.mark.parametrize(
    "break_it, message",
    [
        (
            lambda e: e["artifacts"]["table3"]["series"]["Mean pool"]["set"].update(scorer="max_pool"),
            "Mean pool.*scorer",
        ),
        (lambda e: e["artifacts"]["table3"].update(reader="BERT"), "unknown name"),
        (lambda e: e["artifacts"]["figure4"]["panels"]["beta"].update(measure="accuracy"), "unknown name"),
        (lambda e: e["artifacts"]["figure4"]["panels"]["beta"].pop("x"), "x axis"),
        (lambda e: e["artifacts"]["figure4"].update(colour="red"), "colour"),
        (lambda e: e["readers"]["GLIMMER"].update(m=26), "expected at most k = 25"),
        (lambda e: e["artifacts"]["table3"]["series"]["Mean pool"].update(label="{oops}"), "not a label"),
        (
            lambda e: e["artifacts"]["order"]["panels"]["r_precision"]["series"]["retriever"].update(measure="luck"),
            "order.r_precision.retriever.*unknown name",
        ),
        (
            lambda e: e["artifacts"]["order"]["panels"]["r_precision"]["series"]["retriever"].update(
                measure="samples_per_tflop"
            ),
            "order.r_precision.retriever.*two units.*expected percent.*1/TFLOP",
        ),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, entries, break_it, message):
    break_it(entries)
    with pytest.raises(InputError, match=message):
        load_registry(written(tmp_path, entries))


def test_a_series_may_measure_something_else_of_the_same_run(registry):
    panels = {panel.name: panel for panel in registry.artifact("order").panels}
    scores = {"r_precision": ("rprec", "retriever_rprec"), "answer_at_m": ("answer_at_m", "retriever_answer_at_m")}
    for name, expected in scores.items():
        own, retrievers = panels[name].series
        assert (own.points[0].measure.score, retrievers.points[0].measure.score) == expected
        assert own.points[0].measure == panels[name].measure and own.points[0].reader == retrievers.points[0].reader
    others = [point for point in registry.points() if point.measure.score != "metric"]
    assert others == [], "all that the paper reports is the headline metric"


def test_an_unknown_artifact_is_refused(registry):
    with pytest.raises(InputError, match="figure9"):
        registry.points("figure9")
