"""The stages before training: what each reads of a study, what it reads of files, what it leaves, and its command.

Said once. A rule takes its parameters, and so what makes it stale, from here; a command gets a view of the study that
holds what its stage reads and nothing else, so that reading more is an error at the first call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimmer.experiments.settings import SCIENCE_VERSION
from glimmer.experiments.strict import record
from glimmer.experiments.study import Study

FILES: Mapping[str, str] = {
    "data": "data",
    "passages": "passages",
    "tokenizer": "tokenizer/tokenizer.json",
    "tokens": "tokens",
    "initial": "init",
    "retriever_data": "retriever-world/data",
    "retriever_passages": "retriever-world/passages",
    "gtr": "gtr",
    "embeddings": "embeddings",
    "retrieved": "retrieved",
    "filtered": "filtered",
    "lengths": "lengths.json",
    "priors": "priors.json",
}
"""What stages leave in a study's work directory, by name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage. `reads` are sections of the study, or single keys of one ("retriever.dtype"): what decides its output.

    `checks` it reads too, but only to refuse early what could not work: they make nothing stale. `inputs` and `output`
    are names of FILES, `command` is the subcommand of `glimmer`.
    """

    command: str
    reads: tuple[str, ...]
    checks: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    output: str


STAGES: Mapping[str, Stage] = {
    "generate": Stage(command="generate", reads=("data",), output="data"),
    "subset": Stage(command="subset", reads=("data",), output="data"),
    "chunk": Stage(
        command="chunk", reads=("data", "corpus"), checks=("retriever.depth",), inputs=("data",), output="passages"
    ),
    "generate_for_retriever": Stage(command="generate", reads=("data",), output="retriever_data"),
    "chunk_for_retriever": Stage(
        command="chunk",
        reads=("data", "corpus"),
        checks=("retriever.depth",),
        inputs=("retriever_data",),
        output="retriever_passages",
    ),
    "copy_tokenizer": Stage(command="tokenizer", reads=("tokenizer", "initial"), output="tokenizer"),
    "train_vocabulary": Stage(
        command="vocabulary",
        reads=("tokenizer", "templates", "data", "initial"),
        inputs=("data", "passages"),
        output="tokenizer",
    ),
    "tokenize": Stage(
        command="tokenize",
        reads=("lengths.passage", "templates.passage"),
        inputs=("passages", "tokenizer"),
        output="tokens",
    ),
    "pretrain": Stage(
        command="pretrain",
        reads=("initial", "model", "templates", "tokenizer"),
        inputs=("tokenizer",),
        output="initial",
    ),
    "train_retriever": Stage(
        command="train-retriever",
        reads=("retriever", "lengths.question", "lengths.passage", "data"),
        checks=("initial",),
        # Of its own world, or of the study where that has none: workflow/layout.py.
        inputs=("initial", "retriever_passages", "retriever_data", "passages", "data"),
        output="gtr",
    ),
    "embed": Stage(command="embed", reads=("retriever.dtype",), inputs=("gtr", "passages"), output="embeddings"),
    "retrieve": Stage(
        command="retrieve",
        reads=("data", "retriever", "lengths.question"),
        inputs=("data", "passages", "gtr", "embeddings"),
        output="retrieved",
    ),
    "filter_by_relevance": Stage(
        command="filter", reads=("relevance_filter", "data"), inputs=("retrieved",), output="filtered"
    ),
    "lengths": Stage(
        command="lengths",
        reads=("lengths", "templates", "data"),
        inputs=("data", "passages", "tokenizer"),
        output="lengths",
    ),
    "priors": Stage(
        command="priors",
        reads=("data", "training.dev_examples", "evaluation.dev_examples"),
        inputs=("data",),
        output="priors",
    ),
}
"""By name. Two of them are one rule, `tokenizer`: a study takes its vocabulary or trains one."""

_SECTIONS = tuple(
    field.name
    for field in dataclasses.fields(Study)
    if field.name not in ("name", "title", "description", "replicates", "work", "results", "source")
)


def work_file(work: Path, name: str) -> Path:
    """Where a file of FILES lies below a study's work directory."""
    return work / FILES[name]


def decides(study: Study, stage: str) -> dict[str, Any]:
    """What of a study decides a stage's output: a stage is stale when this changes, whatever the clock says.

    SCIENCE_VERSION is in it, since it stands for the code; where files lie is not.
    """
    parts: dict[str, Any] = {"science_version": SCIENCE_VERSION}
    for name in STAGES[stage].reads:
        section, _, key = name.partition(".")
        value = getattr(study, section)
        parts[name] = record(getattr(value, key, None) if key else value)
    return parts


def view(study: Study, stage: str) -> Study:
    """The study as one stage may see it: `name`, where its files lie, and what the stage declares.

    Everything that a Study computes works on a view as far as it reads only that. Raises UndeclaredRead otherwise.
    """
    return _View(study, stage, (*STAGES[stage].reads, *STAGES[stage].checks))  # type: ignore[return-value]


class UndeclaredRead(RuntimeError):
    """A stage read what glimmer/experiments/stages.py does not declare: what it leaves would not become stale."""


class _View:
    """A study, or one section of it, of which only some names can be read."""

    def __init__(self, whole: Any, stage: str, allowed: tuple[str, ...], prefix: str = ""):
        self._whole, self._stage, self._allowed, self._prefix = whole, stage, allowed, prefix

    def __getattr__(self, name: str) -> Any:
        if not self._prefix and name not in _SECTIONS:
            computed = getattr(type(self._whole), name, None)
            # What is computed runs over the view; what is stored (name, work, results ...) is never a section.
            return computed.__get__(self) if computed is not None else getattr(self._whole, name)
        value = getattr(self._whole, name)
        if name in self._allowed:
            return value
        parts = tuple(item.partition(".")[2] for item in self._allowed if item.startswith(f"{name}."))
        if not parts:
            raise UndeclaredRead(
                f"stage {self._stage} reads `{self._prefix}{name}` of the study, which its entry in "
                f"glimmer/experiments/stages.py does not declare; declared: {', '.join(self._allowed)}"
            )
        return _View(value, self._stage, parts, f"{name}.")
