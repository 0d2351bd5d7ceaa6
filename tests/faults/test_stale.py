"""Stale caches: what each key of a study makes anew. No result lives on under an id whose number it would change."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from glimmer.experiments import load_study, runs_for
from glimmer.experiments.stages import STAGES, decides

FROM_DATA = {
    "generate", "subset", "chunk", "generate_for_retriever", "chunk_for_retriever", "train_vocabulary",
    "train_retriever", "retrieve", "filter_by_relevance", "lengths", "priors",
}  # fmt: skip
RETRIEVER = {"train_retriever", "retrieve"}
READING = {"copy_tokenizer", "train_vocabulary", "pretrain"}
TEXT = {"train_vocabulary", "pretrain", "lengths"}
WEIGHTS = {"pretrain"}
NOTHING: set[str] = set()
STAGE = {"name": "one", "steps": 5, "passages": [1], "pairs": 16, "facts": [1, 2], "question_tokens": 20,
         "passage_tokens": 32, "learning_rate": 3e-3, "tasks": {"text_cloze": 1}}  # fmt: skip

# key -> (another value, the stages that are stale, the runs that are others). All runs are others where some could do
# without: an untrained reader is measured again for another rate, FiD for another rate of the scorer.
KEYS: Mapping[str, tuple[Any, set[str], str]] = {
    "data.tasks": (["nq", "fever"], FROM_DATA, "all"),
    "data.seed": (1, FROM_DATA, "all"),
    "data.pages": (300, FROM_DATA, "all"),
    "data.dev_examples": (16, FROM_DATA, "all"),
    "data.train_examples.nq": (50, FROM_DATA, "all"),
    "data.train_examples.triviaqa": (50, FROM_DATA, "all"),
    "data.train_examples.hotpotqa": (50, FROM_DATA, "all"),
    "data.train_examples.fever": (50, FROM_DATA, "all"),
    "data.train_examples.zsre": (50, FROM_DATA, "all"),
    "data.train_examples.trex": (50, FROM_DATA, "all"),
    "data.world": ({"namesakes": 3}, FROM_DATA, "all"),
    "corpus.max_words": (9, {"chunk", "chunk_for_retriever"}, "all"),
    "tokenizer.vocabulary_size": (400, READING, "all"),
    "initial.seed": (1, READING, "all"),
    "initial.stages": ([STAGE], READING, "all"),
    "initial.examination.examples": (5, READING, "all"),
    "initial.examination.passages": ([3], READING, "all"),
    "initial.examination.alphas": (["1", "0"], READING, "all"),
    "initial.examination.knobs": ({"namesakes": 3}, READING, "all"),
    "initial.examination.tasks": (["nq"], READING, "all"),
    "model.d_model": (16, WEIGHTS, "all"),
    "model.d_kv": (4, WEIGHTS, "all"),
    "model.d_ff": (32, WEIGHTS, "all"),
    "model.num_heads": (2, WEIGHTS, "all"),
    "model.encoder_layers": (12, WEIGHTS, "all"),
    "model.decoder_layers": (2, WEIGHTS, "all"),
    "retriever.seed": (1, RETRIEVER, "all"),
    "retriever.steps": (30, RETRIEVER, "all"),
    "retriever.batch_size": (8, RETRIEVER, "all"),
    "retriever.learning_rate": (1e-4, RETRIEVER, "all"),
    "retriever.dimension": (16, RETRIEVER, "all"),
    "retriever.depth": (9, RETRIEVER, "all"),
    "retriever.optimizer": ("adafactor", RETRIEVER, "all"),
    "retriever.schedule": ("constant", RETRIEVER, "all"),
    "retriever.warmup_steps": (3, RETRIEVER, "all"),
    "retriever.clip_norm": (2.0, RETRIEVER, "all"),
    "retriever.dropout": (0.2, RETRIEVER, "all"),
    "retriever.temperature": (0.5, RETRIEVER, "all"),
    "retriever.balanced": (False, RETRIEVER, "all"),
    "retriever.bidirectional": (False, RETRIEVER, "all"),
    "retriever.train_embeddings": (False, RETRIEVER, "all"),
    "retriever.hard_negatives": (1, RETRIEVER, "all"),
    "retriever.question_tokens": (9, RETRIEVER, "all"),
    "retriever.passage_tokens": (9, RETRIEVER, "all"),
    "retriever.pairs_per_task": (9, RETRIEVER, "all"),
    "retriever.dtype": ("bfloat16", RETRIEVER | {"embed"}, "all"),
    "relevance_filter.threshold": (0.1, {"filter_by_relevance"}, "all"),
    "relevance_filter.k": (3, {"filter_by_relevance"}, "all"),
    "lengths.question": (9, {"train_retriever", "retrieve", "lengths"}, "all"),
    "lengths.passage": (12, {"train_retriever", "tokenize", "lengths"}, "all"),
    "lengths.target": (9, {"lengths"}, "all"),
    "templates.question": ("frage {question}", TEXT, "all"),
    "templates.passage": ("{text}", TEXT | {"tokenize"}, "all"),
    "distillation.kl": ("lm_rank", NOTHING, "glimmer"),
    "distillation.token_reduction": ("mean", NOTHING, "glimmer"),
    "distillation.teacher_gradient": ("flows", NOTHING, "glimmer"),
    "training.optimizer": ("adafactor", NOTHING, "all"),
    "training.learning_rate": (1e-3, NOTHING, "all"),
    "training.scorer_learning_rate": (2e-2, NOTHING, "all"),
    "training.second_moment_decay": (0.9, NOTHING, "all"),
    "training.schedule": ("constant", NOTHING, "all"),
    "training.warmup_steps": (1, NOTHING, "all"),
    "training.clip_norm": (2.0, NOTHING, "all"),
    "training.batch_size": (8, NOTHING, "all"),
    "training.steps": (9, NOTHING, "all"),
    "training.dropout": (0.1, NOTHING, "all"),
    "training.evaluate_every": (2, NOTHING, "all"),
    "training.patience": (1, NOTHING, "all"),
    "training.keep": ("best", NOTHING, "all"),
    "training.dev_examples": (2, {"priors"}, "all"),
    "training.dtype": ("bfloat16", NOTHING, "all"),
    "training.freeze_embeddings": (True, NOTHING, "all"),
    "training.scale_by_parameter": (True, NOTHING, "all"),
    "training.rematerialise": (False, NOTHING, "all"),
    "training.examples_per_task": (10, NOTHING, "all"),
    "evaluation.dev_examples": (4, {"priors"}, "all"),
    "evaluation.batch_size": (4, NOTHING, "none"),
    "evaluation.bootstrap_samples": (50, NOTHING, "none"),
    "evaluation.not_in_mean": (["zsre"], NOTHING, "all"),
    "evaluation.memory_dtype": ("int8", NOTHING, "all"),
    "evaluation.both": (False, NOTHING, "none"),
    "devices.data": (1, NOTHING, "none"),
    "devices.fsdp": (2, NOTHING, "none"),
    "devices.model": (2, NOTHING, "none"),
    "devices.microbatches": (2, NOTHING, "none"),
    "preemption.checkpoint_seconds": (None, NOTHING, "none"),
    "preemption.grace_seconds": (5, NOTHING, "none"),
    "parts.chunk": (3, NOTHING, "none"),
    "parts.tokenize": (3, NOTHING, "none"),
    "parts.embed": (3, NOTHING, "none"),
    "parts.remember": (3, NOTHING, "none"),
}
ALONG = {"relevance_filter.k": {"relevance_filter.mode": "retrieved"}}  # what a key is not allowed without
WITH_THEIR_SECTION = {"data.kind", "tokenizer.kind", "initial.kind", "retriever.kind", "retriever.initial", "sizes"}
PLAN = {"name", "title", "description", "artifacts", "baselines", "seeds", "fewer_seeds", "replicates", "scale",
        "work", "results", "source"}  # fmt: skip
REPORTED_ONLY = {"lengths", "priors"}  # stages that no run reads


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Every key that holds no keys itself, stated or not, spelled `section.key`."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}".lstrip("."))
    else:
        yield path


@pytest.fixture(scope="module")
def smoke():
    study = load_study("smoke")
    return study, runs_for(study)


def test_every_key_that_the_smoke_study_can_state_is_tried():
    known = {key for key in leaves(load_study("smoke")) if key.partition(".")[0] not in PLAN}
    tried = set(KEYS) | {other for along in ALONG.values() for other in along}
    assert known - WITH_THEIR_SECTION == tried


@pytest.mark.parametrize("key", KEYS)
def test_a_changed_key_makes_anew_exactly_what_hangs_on_it(smoke, key):
    value, stale, others = KEYS[key]
    before, runs = smoke
    after = load_study("smoke", {key: value} | ALONG.get(key, {}))
    assert {stage for stage in STAGES if decides(before, stage) != decides(after, stage)} == stale
    kept = {id for id in runs if id in runs_for(after)}
    changed = {"all": lambda run: True, "none": lambda run: False, "glimmer": lambda run: run.reader.name == "glimmer"}
    assert kept == {id for id, run in runs.items() if not changed[others](run)}


def test_what_makes_a_stage_stale_that_runs_read_makes_all_runs_others():
    """A run's result is kept by its id: of other passages, retrieval or checkpoint it would be another's number."""
    for key, (_, stale, others) in KEYS.items():
        assert others == "all" or not stale - REPORTED_ONLY, key


def test_another_science_version_makes_everything_anew(smoke, monkeypatch):
    before, runs = smoke
    decided = {stage: decides(before, stage) for stage in STAGES}
    monkeypatch.setattr("glimmer.experiments.stages.SCIENCE_VERSION", -1)
    monkeypatch.setattr("glimmer.experiments.study.SCIENCE_VERSION", -1)
    assert all(decides(before, stage) != decided[stage] for stage in STAGES)
    assert not set(runs) & set(runs_for(load_study("smoke")))
