"""What a stage reads of a study is said once: by it a stage becomes stale, and its command sees nothing else."""

import dataclasses

import pytest

from glimmer.experiments import load_study
from glimmer.experiments.stages import FILES, STAGES, UndeclaredRead, decides, view
from glimmer.experiments.study import Study


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_sections_and_keys_that_a_study_has_and_files_that_stages_leave(stage):
    study = load_study("smoke")
    sections = {field.name for field in dataclasses.fields(Study)}
    for name in (*STAGES[stage].reads, *STAGES[stage].checks):
        section, _, key = name.partition(".")
        assert section in sections
        assert not key or hasattr(getattr(study, section), key), name
    assert {*STAGES[stage].inputs, STAGES[stage].output} <= set(FILES)


def test_a_stage_sees_what_it_declares():
    study = load_study("smoke")
    seen = view(study, "tokenize")
    assert seen.lengths.passage == study.lengths.passage and seen.templates.passage == study.templates.passage
    assert (seen.name, seen.source, seen.results_directory) == (study.name, study.source, study.results_directory)
    assert view(study, "chunk").tasks == study.tasks and view(study, "pretrain").dimensions() == study.dimensions()


def test_the_stage_that_trains_the_retriever_sees_whether_towers_are_cross_fitted():
    assert view(load_study("kilt", {"retriever.steps": 10}), "train_retriever").cross_fits_retriever
    assert not view(load_study("smoke"), "train_retriever").cross_fits_retriever


@pytest.mark.parametrize(
    "stage, read",
    [
        ("tokenize", lambda study: study.lengths.question),
        ("tokenize", lambda study: study.training),
        ("train_vocabulary", lambda study: study.retriever),
        ("chunk", lambda study: study.retriever.steps),
        ("embed", lambda study: study.tasks),
        ("filter_by_relevance", lambda study: study.retriever_length("question")),
    ],
)
def test_a_stage_that_reads_more_is_stopped_and_told_where_to_declare_it(stage, read):
    with pytest.raises(UndeclaredRead, match=f"stage {stage} reads `.*glimmer/experiments/stages.py"):
        read(view(load_study("smoke"), stage))


@pytest.mark.parametrize(
    "key, value, stale",
    [
        ("templates.question", "frage {question}", {"train_vocabulary", "pretrain", "lengths"}),
        ("templates.passage", "{text}", {"train_vocabulary", "tokenize", "pretrain", "lengths"}),
        ("lengths.question", 9, {"train_retriever", "retrieve", "lengths"}),
        ("lengths.target", 9, {"lengths"}),
        ("retriever.depth", 60, {"train_retriever", "retrieve"}),
        ("retriever.dtype", "bfloat16", {"train_retriever", "embed", "retrieve"}),
        ("relevance_filter.threshold", 0.1, {"filter_by_relevance"}),
        ("relevance_filter", {"threshold": 0.5, "mode": "retrieved", "k": 5}, {"filter_by_relevance"}),
        ("corpus.max_words", 9, {"chunk", "chunk_for_retriever"}),
        ("training.steps", 9, set()),
        ("work", "elsewhere", set()),
    ],
)
def test_a_changed_key_makes_exactly_those_stages_stale_that_read_it(key, value, stale):
    before, after = load_study("smoke"), load_study("smoke", {key: value})
    assert {stage for stage in STAGES if decides(before, stage) != decides(after, stage)} == stale
