"""What readers, tasks and metrics are called where a person reads them. No other module describes a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

READER_NAMES = {"fid": "FiD", "lumen": "LUMEN", "glimmer": "GLIMMER"}
TASK_NAMES = {
    "nq": "NQ",
    "triviaqa": "TriviaQA",
    "hotpotqa": "HotpotQA",
    "fever": "FEVER",
    "zsre": "zsRE",
    "trex": "T-REx",
}
METRIC_NAMES = {"em": "exact match", "accuracy": "accuracy"}


def passages_text(k: int, m: int) -> str:
    """The passages of a reader: `k = 25, 5 kept`, of which the second is said where it reranks."""
    return f"k = {k}" + (f", {m} kept" if m != k else "") if k else "no passages"


def reader_text(reader: Mapping[str, Any]) -> str:
    """A reader's settings, as a run file has them, in one line: its name and what is not the default."""
    parts = [passages_text(reader["k"], reader["m"])]
    parts += [f"α = {reader['alpha']}"] if reader["name"] != "fid" else []
    parts += [f"β = {reader['beta']}"] if reader.get("beta") is not None else []
    usual = {
        "reranker": "shared",
        "scorer": "first_token",
        "memory": "trained",
        "question_encoder": "shared",
        "tau": 1.0,
    }
    parts += [f"{key} {reader[key]}" for key, default in usual.items() if reader.get(key, default) != default]
    parts += [f"λ = {reader['lambda']:g}"] if reader["name"] == "glimmer" and reader.get("lambda", 1.0) != 1.0 else []
    parts += ["untrained"] if not reader.get("trained", True) else []
    tasks = reader.get("train_tasks") or []
    parts += [f"{' '.join(tasks)} only"] if len(tasks) == 1 else []
    return f"{READER_NAMES[reader['name']]}: {', '.join(parts)}"
