"""Studies: reading and rejecting them, and the grid of runs each of them has."""

import itertools

import pytest
import yaml

from glimmer.errors import InputError
from glimmer.experiments import (
    artifacts_of,
    load_registry,
    load_study,
    parse_overrides,
    points,
    run_id,
    runs_for,
    study_names,
)
from glimmer.experiments.documents import read_yaml, repository_path
from glimmer.experiments.settings import glimmer

FULL = ["figure2", "figure3", "figure4", "figure5", "figure6", "figure7", "table1", "table2", "table3"]
DEPTH = {"model.encoder_layers": 24, "scale": {}}  # as deep as the paper, so that nothing is scaled


def document():
    return yaml.safe_load(repository_path("config/embedded.yaml").read_text())


def written(tmp_path, value):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


@pytest.mark.parametrize("name", study_names())
def test_every_committed_study_has_a_valid_grid_under_its_own_name(name):
    study = load_study(name)
    assert study.name == name
    runs = runs_for(study)
    assert runs and all(run_id(run.settings) == id == run.id for id, run in runs.items())
    assert {id for point in points(study) for id in point.run_ids} == set(runs)


def test_the_full_grid_has_51_runs_a_seed_with_one_model_and_53_with_two():
    small = load_study("embedded", {"artifacts": FULL, "baselines": [], **DEPTH, "seeds": [0]})
    assert len(points(small)) == 73 and len(runs_for(small)) == 51
    published = load_study("kilt", {"artifacts": FULL, "baselines": []})
    assert len(runs_for(published)) == 53 * len(published.seeds)


def test_figure_2_figure_3_and_table_1_need_14_runs():
    study = load_study("embedded", {"artifacts": ["figure2", "figure3", "table1"], "baselines": [], "seeds": [0]})
    assert len(runs_for(study)) == 14


def test_the_smoke_study_trains_8_to_14_runs():
    assert 8 <= len({run.trained_id for run in runs_for(load_study("smoke")).values()}) <= 14


def test_the_baseline_of_every_table_and_figure_is_one_run():
    study = load_study("embedded", {"artifacts": FULL, **DEPTH, "seeds": [0]})
    shared = next(run for run in runs_for(study).values() if "table1/GLIMMER (shared)" in run.points)
    assert {
        "table2/GLIMMER",
        "table3/GLIMMER",
        "figure3/retrieved/GLIMMER/k=25",
        "figure3/selected/GLIMMER/m=5",
        "figure4/beta/GLIMMER/beta=1/4",
        "figure2/performance/GLIMMER",
    } <= set(shared.points)


def test_every_seed_has_its_own_runs_and_a_point_knows_them_all():
    study = load_study("embedded", {"seeds": [0, 1, 7], "replicates": False})
    runs = runs_for(study)
    one = runs_for(load_study("embedded", {"seeds": [0], "replicates": False}))
    drawn = [run for run in one.values() if run.reader.is_drawn]
    assert len([run for run in runs.values() if run.reader.is_drawn]) == 3 * len(drawn)
    for point in points(study):
        for term in point.terms:
            own = [0, 1, 7] if term.reader.is_drawn else [0, 0, 0]
            assert [runs[id].seed for id in term.run_ids.values()] == own and list(term.run_ids) == [0, 1, 7]


def test_a_reader_that_no_seed_changes_is_one_run():
    study = load_study("embedded", {"seeds": [0, 1, 7], "replicates": False})
    untrained = [run for run in runs_for(study).values() if not run.reader.trained]
    assert len(untrained) == 3 and {run.seed for run in untrained} == {0}
    assert glimmer(alpha="1/3", beta="1/4", k=25, m=5, trained=False, reranker="scratch").is_drawn


def test_a_baseline_without_passages_is_one_closed_book_run_for_all_readers():
    study = load_study("sample")
    closed = [point for point in points(study) if point.panel == "no_passages"]
    assert len(closed) == 3 and len({point.run_ids for point in closed}) == 1
    untrained = [point for point in points(study) if point.panel == "untrained"]
    assert len({point.run_ids for point in untrained}) == 3 and not any(point.reader.trained for point in untrained)


def as_trained(run):
    """The id of the same settings without what the reader is given on dev."""
    reader = {key: value for key, value in run.settings["reader"].items() if key != "dev_evidence"}
    return run_id(run.settings | {"reader": reader})


@pytest.mark.parametrize(
    "study, changes",
    [("smoke", {}), ("sample", {}), ("smoke", {"seeds": [0, 3]}), ("smoke", {"seeds": [0, 3], "replicates": True})],
)
def test_a_reader_given_other_passages_on_dev_has_the_parameters_of_the_run_without(study, changes):
    runs = runs_for(load_study(study, changes))
    assert any(run.trained_id != id for id, run in runs.items())
    for id, run in runs.items():
        trained = runs[run.trained_id]
        assert trained.id == as_trained(run) and trained.trained_id == trained.id
        assert (trained.id == id) == (run.reader.dev_evidence == "as_trained")
        assert (trained.seed, trained.size, trained.settings["data"]) == (run.seed, run.size, run.settings["data"])


def test_a_run_whose_parameters_another_has_is_trained_though_no_point_asks_for_it():
    changes = {"artifacts": ["order"], "baselines": ["other_passages"], "seeds": [0, 1]}
    study = load_study("smoke", changes)
    runs, asked = runs_for(study), {id for point in points(study) for id in point.run_ids}
    unasked = [run for id, run in runs.items() if id not in asked]
    assert sorted((run.reader.name, run.seed) for run in unasked) == [
        ("fid", 0),
        ("fid", 1),
        ("lumen", 0),
        ("lumen", 1),
    ]
    assert all(run.points == () and run.reader.dev_evidence == "as_trained" for run in unasked)
    glimmer = next(run for run in runs.values() if run.reader.name == "glimmer" and run.id == run.trained_id)
    assert set(glimmer.points) == {point.id for point in points(study) if point.artifact == "order"}


def test_a_series_of_a_task_that_the_study_lacks_is_refused_too(tmp_path, monkeypatch):
    entries = yaml.safe_load(repository_path("config/experiments.yaml").read_text())
    entries["artifacts"]["order"]["panels"]["r_precision"]["series"]["retriever"]["measure"] = "nq_exact_match"
    registry = load_registry(written(tmp_path, entries))
    monkeypatch.setattr("glimmer.experiments.grid.load_registry", lambda: registry)
    with pytest.raises(InputError, match="order.*a task that the study lacks.*expected nq"):
        artifacts_of(load_study("smoke", {"artifacts": ["order"], "data.tasks": ["fever"]}))


def test_the_sample_study_has_the_settings_asked_for():
    at = {point.id: point for point in points(load_study("sample"))}
    readers = {name: at[f"figure2/performance/{name}"].reader for name in ("FiD", "LUMEN", "GLIMMER")}
    assert [(reader.k, reader.m) for reader in readers.values()] == [(3, 3), (6, 6), (12, 3)]
    assert str(readers["GLIMMER"].alpha) == str(readers["LUMEN"].alpha) == "3/8"
    assert "zsre" not in load_study("sample").tasks and "zsre" not in readers["FiD"].train_tasks
    at = {point.id: point for point in points(load_study("sample-gpu"))}
    assert [(at[f"figure2/performance/{name}"].reader.k) for name in readers] == [5, 10, 25]


def test_the_published_study_has_two_sizes_and_no_rounding():
    study = load_study("kilt")
    assert study.dimensions("XXL").d_model == 4096 and study.dimensions("Large").d_model == 1024
    assert not any(point.rounding for point in points(study))


def test_the_four_forms_of_the_distillation_at_two_temperatures_are_eight_readers_of_which_the_paper_has_two():
    study = load_study("kilt", {"baselines": [], "seeds": [0]})
    panel = artifacts_of(study)["distillation"].panels[0]
    forms = {
        (point.reader.kl, point.reader.token_reduction, point.reader.tau)
        for series in panel.series
        for point in series.points
    }
    assert forms == set(itertools.product(("rank_lm", "lm_rank"), ("sum", "mean"), (1.0, 0.1)))
    at = {point.id: point for point in points(study)}
    assert at["distillation/rank_lm sum tau=1"].run_ids == at["figure3/retrieved/GLIMMER/k=25"].run_ids
    assert at["distillation/rank_lm sum tau=0.1"].run_ids == at["table3/PDist tau=0.1"].run_ids
    assert (
        len(runs_for(study))
        == len(runs_for(load_study("kilt", {"artifacts": FULL, "baselines": [], "seeds": [0]}))) + 6
    )


@pytest.mark.parametrize("key, value", [("kl", "lm_rank"), ("token_reduction", "mean")])
def test_the_forms_of_the_distillation_are_stated_and_no_study_moves_them(key, value):
    at = [artifacts_of(load_study("kilt", changes))["distillation"] for changes in ({}, {f"distillation.{key}": value})]
    assert [point.run_ids for point in at[0].points] == [point.run_ids for point in at[1].points]


def test_a_point_that_rounds_says_so_and_sits_where_its_layers_are():
    study = load_study("embedded", {"artifacts": ["figure7"], "baselines": []})
    at = {point.id: point for point in points(study)}
    eighth = at["figure7/alpha/KILT/alpha=1/8"]
    assert str(eighth.x) == "1/12" and "1 of 12 layers" in eighth.rounding
    assert at["figure7/alpha/KILT/alpha=1/24"].run_ids == at["figure7/alpha/KILT/alpha=0"].run_ids
    assert at["figure7/alpha/KILT/alpha=1/3"].rounding is None


def test_labels_axes_and_lines_follow_the_scale():
    changes = {"artifacts": ["figure3"], "baselines": [], "scale": {"passages": {"40": 20, "25": 12}}}
    artifact = artifacts_of(load_study("embedded", changes))["figure3"]
    retrieved, selected = artifact.panels
    assert [series.label for series in retrieved.series] == ["LUMEN-20", "GLIMMER", "LUMEN-5"]
    assert [point.x for point in retrieved.series[1].points] == [5, 10, 12, 20]
    assert [point.x for point in retrieved.series[0].points] == [5, 20]
    assert selected.series[1].label == "LUMEN-12"
    assert retrieved.series[1].points[2].id == "figure3/retrieved/GLIMMER/k=25"


def test_a_point_s_value_is_the_weighted_sum_and_none_when_a_run_is_missing():
    study = load_study("embedded", {"artifacts": ["figure6"], "baselines": [], "seeds": [0]})
    gain = next(point for point in points(study) if point.id == "figure6/Multi-task gain/FiD")
    all_tasks, one_task = (term.run_ids[0] for term in gain.terms)
    assert gain.value(0, {all_tasks: 0.6, one_task: 0.5}.get) == pytest.approx(0.1)
    assert gain.value(0, {all_tasks: 0.6}.get) is None


@pytest.mark.parametrize("key, value", [
    ("data.seed", 5), ("data.pages", 77), ("corpus.max_words", 33), ("tokenizer.vocabulary_size", 999),
    ("initial.seed", 7),
    ("model.d_ff", 96), ("retriever.steps", 9), ("retriever.depth", 60), ("relevance_filter.threshold", 0.25),
    ("lengths.question", 25), ("lengths.passage", 57), ("lengths.target", 9), ("distillation.kl", "lm_rank"),
    ("training.learning_rate", 0.5), ("training.scorer_learning_rate", 0.5), ("training.steps", 3),
    ("training.batch_size", 3), ("training.dropout", 0.5),
    ("training.dtype", "bfloat16"), ("training.scale_by_parameter", True), ("training.dev_examples", 5),
    ("training.freeze_embeddings", True), ("evaluation.dev_examples", 9),
    ("data.dev_examples", 9),
])  # fmt: skip
def test_whatever_decides_the_number_changes_the_id(key, value):
    def glimmer_id(overrides):
        return points(load_study("smoke", overrides))[2].run_ids[0]

    assert glimmer_id({key: value}) != glimmer_id({})


@pytest.mark.parametrize("key, value", [
    ("work", "elsewhere"), ("results", "elsewhere"), ("title", "Another"), ("evaluation.batch_size", 3),
    ("evaluation.bootstrap_samples", 7), ("evaluation.both", False), ("artifacts", ["figure2"]), ("baselines", []),
    ("seeds", [0, 1]), ("devices.data", 4), ("devices.fsdp", 8), ("devices.model", 2), ("devices.microbatches", 2),
])  # fmt: skip
def test_what_does_not_decide_the_number_leaves_the_id(key, value):
    def glimmer_id(overrides):
        return points(load_study("smoke", overrides))[2].run_ids[0]

    assert glimmer_id({key: value}) == glimmer_id({})


def test_where_data_and_checkpoint_lie_is_no_part_of_the_id():
    moved = load_study("sample", parse_overrides(["data=/some/where", "initial.directory=/else/where"]))
    assert moved.data.directory == "/some/where" and moved.initial.directory == "/else/where"
    assert runs_for(moved).keys() == runs_for(load_study("sample")).keys()
    assert "/some/where" not in str([run.settings for run in runs_for(moved).values()])


def test_studies_that_are_like_each_other_are_refused(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    for name, text in {"experiments": "{}", "one": "like: two", "two": "like: one"}.items():
        (tmp_path / "config" / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="`like` leads nowhere"):
        load_study("one")


def test_a_study_like_another_states_only_what_differs(tmp_path):
    path = written(tmp_path, {"like": "embedded", "name": "mine", "training": {"steps": 3}})
    mine, embedded = load_study(path), load_study("embedded")
    assert mine.training.steps == 3 and mine.training.batch_size == embedded.training.batch_size
    assert mine.name == "mine" and mine.seeds == embedded.seeds


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda d: d["training"].update(stepz=1), "training is not valid"),
        (lambda d: d["training"].update(dropout=1.5), "training.dropout"),
        (lambda d: d["training"].update(learning_rate="fast"), "training.learning_rate"),
        (lambda d: d["model"].pop("d_ff"), "model is not valid"),
        (lambda d: d["data"].update(kind="wikipedia"), "data.kind"),
        (lambda d: d["data"].update(kind=["generated"]), "data.kind"),
        (lambda d: d["training"].update(learning_rate=float("inf")), "training.learning_rate"),
        (lambda d: d["data"].update(tasks=["nq", "wow"]), "data.tasks.1"),
        (lambda d: d.pop("seeds"), "seeds"),
        (lambda d: d.update(seeds=[0, 0]), "seeds"),
        (lambda d: d.update(name="../evil"), "name"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d.update(scale={"alpha": {"1/3": 0.375}}), "scale.alpha.1/3"),
        (lambda d: d.update(like="nobody"), "no such study"),
        (lambda d: d.update(like=["smoke"]), "`like` leads nowhere"),
    ],
)
def test_a_wrong_study_is_refused_by_key_in_one_line(tmp_path, break_it, message):
    value = document()
    break_it(value)
    with pytest.raises(InputError, match=message) as caught:
        load_study(written(tmp_path, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"scale": {"passages": {"25": 5}}}, "scale.passages loses the order"),
        ({"scale": {"passages": {"25": 4}}}, "scale.passages loses the order"),
        ({"retriever.depth": 19}, "at least k = 20"),
        ({"artifacts": ["figure9"]}, "no such artifact"),
        ({"artifacts": ["figure6"], "data.tasks": ["fever"]}, "task that the study lacks"),
    ],
)
def test_a_study_that_cannot_hold_an_artifact_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        runs_for(load_study("embedded", changes))


def test_a_missing_study_names_those_there_are():
    with pytest.raises(InputError, match="embedded"):
        load_study("nope")


@pytest.mark.parametrize("text", ["a: [1", "a: 1\na: 2", "5: x\n'5': y"])
def test_broken_yaml_and_keys_given_twice_are_refused(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match="not YAML"):
        read_yaml(tmp_path / "x.yaml")


@pytest.mark.parametrize("text", ["steps", "=3", "a=[1"])
def test_an_override_that_is_not_key_and_value_is_refused(text):
    with pytest.raises(InputError):
        parse_overrides([text])


def test_microbatches_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(InputError, match="a divisor of training.batch_size, 10"):
        load_study("smoke", {"training.batch_size": 10, "devices.microbatches": 4})
