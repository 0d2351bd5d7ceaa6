"""The report's tables before any HTML: cells, grids, and how runs, readers and scores are written in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from analysis.points import StudyPoints

TASK_NAMES = {
    "nq": "NQ",
    "triviaqa": "TriviaQA",
    "hotpotqa": "HotpotQA",
    "fever": "FEVER",
    "zsre": "zsRE",
    "trex": "T-REx",
}
METRIC_NAMES = {"em": "exact match", "accuracy": "accuracy"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One table cell: its text, what it sorts by, where it links, and a second line of small print."""

    text: str
    sort: float | str | None = None
    links: tuple[tuple[str, str], ...] = ()  # (target id, text) pairs after the text
    small: str = ""
    anchor: str = ""
    state: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """A table: heads, rows of cells, and a caption. `anchors` are row ids."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    anchors: tuple[str, ...] = ()
    numeric_from: int = 1


def run_links(run_ids: Iterable[str], known: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Links to the runs that have results (the others have no entry to lead to)."""
    return tuple((f"run-{run_id}", run_id) for run_id in run_ids if run_id in known)


def percent(score: Mapping | None) -> Cell:
    """A score with its interval, from fractions to percent; `–` where it was not measured."""
    if not score or score.get("score") is None:
        return Cell(text="–", sort="")
    bounds = score.get("interval")
    small = f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}" if bounds else ""
    return Cell(text=f"{100 * score['score']:.1f}", sort=score["score"], small=small)


def count(value: float | None, pattern: str) -> Cell:
    """A number written by a format pattern; a dash where it was not measured."""
    return Cell(text="–", sort="") if value is None else Cell(text=pattern.format(value), sort=value)


def reader_text(reader: Mapping[str, Any]) -> str:
    """A reader's settings in one line: its name and what is not the default."""
    k, m = reader.get("k"), reader.get("m")
    parts = [f"k = {k}" if k else "no passages"] + ([f"{m} kept"] if m != k else [])
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
    return f"{ {'fid': 'FiD', 'lumen': 'LUMEN', 'glimmer': 'GLIMMER'}[reader['name']] }: {', '.join(parts)}"


def ordered_runs(study: StudyPoints) -> list[tuple[str, dict]]:
    """Runs in the order in which the study's points first name them; runs that serve no point come last."""
    place: dict[str, int] = {}
    for point in study.points:
        for run_id in point.run_ids:
            place.setdefault(run_id, len(place))
    return sorted(study.runs.by_id.items(), key=lambda item: place.get(item[0], len(place)))
