"""What readers, tasks and metrics are called where a person reads them. No other module describes a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glimmer.experiments import ReaderSettings
from glimmer.experiments.settings import TASK_NAMES

__all__ = ["METRIC_NAMES", "READER_NAMES", "TASK_NAMES", "passages_text", "reader_text"]

READER_NAMES = {"fid": "FiD", "lumen": "LUMEN", "glimmer": "GLIMMER"}
METRIC_NAMES = {"em": "exact match", "accuracy": "accuracy"}


def passages_text(k: int, m: int) -> str:
    """The passages of a reader: `k = 25, 5 kept`, of which the second is said where it reranks."""
    return f"k = {k}" + (f", {m} kept" if m != k else "") if k else "no passages"


def reader_text(settings: Mapping[str, Any]) -> str:
    """The reader of a run, of whose file these are the settings, in one line: its name and all that is not usual."""
    reader = ReaderSettings.from_json(settings["reader"])
    parts = [passages_text(reader.k, reader.m)]
    parts += [f"α = {reader.alpha}"] if reader.name != "fid" else []
    parts += [f"β = {reader.beta}"] if reader.beta is not None else []
    parts += [_difference(*item) for item in reader.differences(tuple(settings["data"]["tasks"])).items()]
    return f"{READER_NAMES[reader.name]}: {', '.join(parts)}"


_CONTROLS = {
    ("labels", "shuffled"): "trained on shuffled answers",
    ("evidence", "first"): "the gold passages first",
    ("dev_evidence", "first"): "the gold passages first on dev",
    ("dev_evidence", "of_another_question"): "passages of another question on dev",
    ("memory", "frozen"): "frozen memory",
    ("reranker", "separate"): "a separate reranker",
    ("reranker", "scratch"): "a reranker from scratch",
    ("question_encoder", "separate"): "a separate question encoder",
}
"""What settings are called that a name and a value do not explain."""


def _difference(key: str, value: Any) -> str:
    if key == "trained":
        return "untrained"
    if key == "train_tasks":
        return f"{' '.join(value)} only"
    if (key, value) in _CONTROLS:
        return _CONTROLS[key, value]
    symbol = {"lambda": "λ", "tau": "τ"}.get(key)
    return f"{symbol} = {value:g}" if symbol else f"{key} {value}"
