"""A study: one config/<name>.yaml, read, completed and checked; what in it decides a run's numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from glimmer.compute import SIZES, Dimensions, Workload
from glimmer.errors import InputError, did_you_mean
from glimmer.experiments import sections
from glimmer.experiments.documents import read_yaml, repository_path, yaml_value
from glimmer.experiments.settings import SCIENCE_VERSION, TASKS, ReaderSettings
from glimmer.experiments.strict import Count, Distinct, Like, read, record


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """The paper's numbers of passages and its proportions -> this study's; what is not named stays as it is."""

    passages: Mapping[int, Count] = dataclasses.field(default_factory=dict)
    alpha: sections.Proportions = dataclasses.field(default_factory=dict)
    beta: sections.Proportions = dataclasses.field(default_factory=dict)

    def reader(self, reader: ReaderSettings) -> ReaderSettings:
        """A reader in the paper's terms -> the same reader at this scale."""
        return dataclasses.replace(
            reader,
            k=self.passages.get(reader.k, reader.k),
            m=self.passages.get(reader.m, reader.m),
            alpha=self.alpha.get(reader.alpha, reader.alpha),
            beta=self.beta.get(reader.beta, reader.beta),
        )

    def x(self, x_name: str, value: int | Fraction) -> int | Fraction:
        """A value of the paper's x axis -> this study's."""
        values = self.passages if x_name in ("k", "m") else getattr(self, x_name)
        return values.get(value, value)

    def check_order(self, kind: str, used: Iterable[int | Fraction], where: object) -> None:
        """Raises InputError if values that differ in the paper fall together or change places at this scale."""
        pairs = [(value, getattr(self, kind).get(value, value)) for value in sorted(set(used))]
        for (low, scaled_low), (high, scaled_high) in zip(pairs, pairs[1:], strict=False):
            if scaled_low >= scaled_high:
                raise InputError(
                    f"scale.{kind} loses the order",
                    where=where,
                    expected=f"{low} to become less than what {high} becomes",
                    found=f"{scaled_low} and {scaled_high}",
                )


REDRAWN = ("data", "initial", "retriever")
"""Sections whose seed a replicate moves, where they have one; fine-tuning's seed is the replicate's own."""

Baseline = Literal["untrained", "no_passages", "other_passages", "gold_first", "as_many_kept"]
"""The panels of the artifact `baselines`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A named set of sizes, data and seeds over which artifacts are produced."""

    name: Annotated[str, Like("^[a-z][a-z0-9-]*$")]
    title: str
    description: str
    data: sections.Data
    corpus: sections.Chunking
    tokenizer: sections.Tokenizer
    initial: sections.Initial
    model: sections.Model
    sizes: Mapping[sections.PaperSize, sections.SizeSection] = dataclasses.field(default_factory=dict)
    """The model and checkpoint that stand for one of the paper's sizes, where they differ from `model`."""
    retriever: sections.Retriever
    relevance_filter: sections.RelevanceSettings
    lengths: sections.Lengths
    templates: sections.Templates
    distillation: sections.Distillation
    training: sections.Training
    evaluation: sections.Evaluation
    devices: sections.Devices = dataclasses.field(default_factory=sections.Devices)
    preemption: sections.Preemption = dataclasses.field(default_factory=sections.Preemption)
    parts: sections.Parts = dataclasses.field(default_factory=sections.Parts)
    artifacts: Annotated[tuple[str, ...], Distinct(1)]
    scale: Scale
    baselines: Annotated[tuple[Baseline, ...], Distinct()]
    seeds: Annotated[tuple[sections.Seed, ...], Distinct(1)]
    fewer_seeds: Mapping[str, Count] = dataclasses.field(default_factory=dict)
    """Artifact -> how many of `seeds`, the first ones, its points are measured at; the others are at all of them."""
    replicates: bool = False
    """Each seed draws world, initial checkpoint and retriever anew too, and not fine-tuning alone."""
    work: Path
    results: Path
    source: Path

    def __post_init__(self):
        k, depth = self.relevance_filter.k, self.retriever.depth
        if k is not None and k > depth:
            expected = f"at most retriever.depth, {depth}"
            raise InputError("relevance_filter.k is not valid", expected=expected, found=k)
        if self.training.batch_size % self.devices.microbatches:
            expected = f"a divisor of training.batch_size, {self.training.batch_size}"
            raise InputError("devices.microbatches is not valid", expected=expected, found=self.devices.microbatches)
        if self.replicates and not isinstance(self.data, sections.GeneratedData):
            raise InputError(
                "replicates is not valid", expected="false, since given data cannot be redrawn", found=True
            )

    def replicate(self, seed: int) -> Study:
        """One replicate as a study of its own: the seeds of world, checkpoint and retriever moved by `seed`.

        A study without replicates is every seed's.
        """
        if not self.replicates:
            return self
        parts = {name: getattr(self, name) for name in REDRAWN}
        drawn = {
            name: dataclasses.replace(part, seed=part.seed + seed)
            for name, part in parts.items()
            if hasattr(part, "seed")
        }
        return dataclasses.replace(self, replicates=False, seeds=(seed,), **drawn)

    def run_directory(self, run_id: str, seed: int) -> Path:
        """Where what training and evaluation of a run leave lies: beside the study's stages, or its replicate's."""
        whole = self.work_directory / f"replicate-{seed}" if self.replicates else self.work_directory
        return whole / "runs" / run_id

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks present, in the order of every table."""
        return tuple(task for task in TASKS if task in self.data.tasks)

    @property
    def work_directory(self) -> Path:
        """Where this study's heavy files lie."""
        return self.work / self.name

    @property
    def results_directory(self) -> Path:
        """Where this study's small results lie."""
        return self.results / self.name

    def result_file(self, run_id: str) -> Path:
        """The result file of one run."""
        return self.results_directory / "runs" / f"{run_id}.json"

    def initial_for(self, size: str) -> sections.Initial:
        """The `initial` section for one of the paper's sizes."""
        return self.sizes[size].initial if size and size in self.sizes else self.initial

    def dimensions(self, size: str = "") -> Dimensions:
        """The model that stands for one of the paper's sizes ("Large", "XXL") in this study."""
        model = self.sizes[size].model if size and size in self.sizes else self.model
        if isinstance(model, sections.PublishedModel):
            return SIZES[model.preset]()
        if isinstance(self.tokenizer, sections.UnigramTokenizer):
            return Dimensions(**vars(model), vocabulary=self.tokenizer.vocabulary_size)
        return Dimensions(**vars(model))

    def retriever_length(self, part: Literal["question", "passage"]) -> int:
        """Tokens that the retriever reads of a question or a passage: its own number, or as many as readers do."""
        return getattr(self.retriever, f"{part}_tokens", None) or getattr(self.lengths, part)

    @property
    def trains_retriever(self) -> bool:
        """Whether towers are trained here."""
        return isinstance(self.retriever, sections.Gtr) and self.retriever.steps > 0

    @property
    def retriever_has_world(self) -> bool:
        """Whether the retriever learns from a generated world of its own."""
        return self.trains_retriever and isinstance(self.data, sections.GeneratedData)

    @property
    def cross_fits_retriever(self) -> bool:
        """Whether two towers learn from one half of the train questions each, and serve the other."""
        return self.trains_retriever and not isinstance(self.data, sections.GeneratedData)

    def workload(self, reader: ReaderSettings) -> Workload:
        """What one example of this study makes `reader` do, for the operation counts."""
        return workload(reader, vars(self.lengths))

    def run_settings(self, reader: ReaderSettings, seed: int, size: str = "") -> dict[str, Any]:
        """Everything that decides the numbers of one run, and nothing else: no paths, no artifact names, no batch size
        of the evaluation. `glimmer.experiments.run_id` digests it."""
        drawn = self.replicate(seed)
        return {
            "science_version": SCIENCE_VERSION,
            "seed": seed,
            "model": dataclasses.asdict(self.dimensions(size)),
            "initial": record(drawn.initial_for(size)),
            "data": record(drawn.data) | {"tasks": list(self.tasks)},
            **{name: record(getattr(drawn, name)) for name in _IN_EVERY_RUN},
            "reader": reader.to_json(),
        }


def workload(reader: ReaderSettings, lengths: Mapping[str, int]) -> Workload:
    """What one example makes `reader` do; `lengths` are the tokens of a question, a passage and a target, by name."""
    return Workload(
        alpha=reader.alpha,
        beta=reader.beta,
        k=reader.k,
        m=reader.m,
        tokens=lengths["question"] + lengths["passage"],
        question_tokens=lengths["question"],
        target_tokens=lengths["target"],
        separate_reranker=reader.reranker != "shared",
    )


_IN_EVERY_RUN = (
    "corpus", "tokenizer", "retriever", "relevance_filter", "lengths", "templates", "training", "evaluation",
)  # fmt: skip
"""Sections that decide every run alike. `distillation` decides through the reader, `model` through its dimensions."""


def load_study(name_or_path: str | Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Reads config/<name>.yaml, or a .yaml file given by its path.

    `overrides` maps dotted keys to values ({"training.steps": 10}); text given for a whole section that has a
    `directory` sets that, so {"data": DIR} says where the data lies. Raises InputError naming the key that is wrong.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = _study_file(str(name_or_path))
    document = _with_likeness(path)
    for key, value in (overrides or {}).items():
        _override(document, key, value, path)
    return read(Study, document, path, source=path)


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """["training.steps=10", "data=DIR"] -> overrides for `load_study`; values are YAML (10, null, [0, 1])."""
    overrides = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError("not an override", where=text, expected="KEY=VALUE, as in training.steps=10")
        try:
            overrides[key] = yaml_value(value)
        except yaml.YAMLError as error:
            raise InputError("not a YAML value", where=text, found=str(error)) from None
    return overrides


def study_names() -> list[str]:
    """The studies beside config/experiments.yaml, by name."""
    # The registry marks a config/ as ours; another project's config/ in the current directory is none.
    directory = repository_path("config/experiments.yaml").parent
    return sorted(path.stem for path in directory.glob("*.yaml") if path.stem not in _NOT_STUDIES)


_NOT_STUDIES = ("experiments", "claims", "endpoints", "gates")


def _study_file(name: str) -> Path:
    if name not in study_names():
        is_paper = name == "paper"
        near = " (`--paper` of audit, claims, figures and report)" if is_paper else did_you_mean(name, study_names())
        expected = f"one of {', '.join(study_names())}, or a .yaml file"
        raise InputError(f"no such study{near}", where=name, expected=expected)
    return repository_path("config/experiments.yaml").with_name(f"{name}.yaml")


def study_files(path: Path) -> list[Path]:
    """A study's file and those it is `like`, nearest first. Raises InputError where `like` leads to none, or round."""
    return list(_documents(path))


def _documents(path: Path) -> dict[Path, dict[str, Any]]:
    """`study_files` with what each states."""
    documents: dict[Path, dict[str, Any]] = {}
    while True:
        document = read_yaml(path)
        if not isinstance(document, dict):
            raise InputError("not a study", where=path, expected="a mapping", found=type(document).__name__)
        other = document.pop("like", None)
        if path in documents or not isinstance(other, str | None):
            raise InputError("`like` leads nowhere", where=path, expected="the name of another study", found=other)
        documents[path] = document
        if other is None:
            return documents
        path = _study_file(other)


def _with_likeness(path: Path) -> dict[str, Any]:
    """The document with what it takes over by `like: <study>`: keys, and the keys one level below, replace the other's.

    A section whose `kind` differs takes nothing over.
    """
    merged: dict[str, Any] = {}
    for document in reversed(_documents(path).values()):
        for key, value in document.items():
            old = merged.get(key)
            joins = isinstance(value, dict) and isinstance(old, dict) and value.get("kind") in (None, old.get("kind"))
            merged[key] = old | value if joins and "preset" not in value else value
    return merged


def _override(document: dict[str, Any], key: str, value: Any, where: Path) -> None:
    *parents, last = key.split(".")
    section = document
    for parent in parents:
        may_be_silent = section is document and parent in ("devices", "preemption", "parts")
        section = section.setdefault(parent, {}) if may_be_silent else section.get(parent)
        if not isinstance(section, dict):
            raise InputError("no such key to override", where=where, expected="a key of the study", found=key)
    if isinstance(section.get(last), dict) and isinstance(value, str | Path):
        section, last = section[last], "directory"
    section[last] = str(value) if isinstance(value, Path) else value
