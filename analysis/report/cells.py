"""The report's tables before any HTML: cells, and how runs and scores are written in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from glimmer.files import canonical_json
from glimmer.results import StudyResults


@dataclasses.dataclass(frozen=True)
class Cell:
    """One table cell: its text, what it sorts by, where it links, and a second line of small print."""

    text: str
    _: dataclasses.KW_ONLY
    sort: float | str | None = None
    links: tuple[tuple[str, str], ...] = ()  # (target id, text) pairs after the text
    small: str = ""
    anchor: str = ""
    state: str = ""
    tag: str = ""  # what kind of row it begins, where that is not the usual one
    words: str = ""  # what else a search finds its row by


NOTHING = Cell("–", sort="")
"""What was not measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellTable:
    """A table: heads, rows of cells, and a caption. `anchors` are row ids."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    anchors: tuple[str, ...] = ()
    numeric_from: int = 1


def run_links(run_ids: Iterable[str], known: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Links to the runs that have results (the others have no entry to lead to)."""
    return tuple((f"run-{run_id}", run_id) for run_id in run_ids if run_id in known)


def settings_by_run(study: StudyResults) -> dict[str, str]:
    """Run id -> what links call its setting."""
    return {run_id: setting_anchor(run_ids) for run_ids in settings_of(study) for run_id in run_ids}


def setting_anchor(run_ids: Sequence[str]) -> str:
    """What links call a setting, of whose runs these are the ids."""
    return f"setting-{run_ids[0]}"


def setting_links(run_ids: Iterable[str], settings: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """One link to each setting that has results among these runs: to the run's own row where it is the only one."""
    groups: dict[str, list[str]] = {}
    for run_id in run_ids:
        if run_id in settings:
            groups.setdefault(settings[run_id], []).append(run_id)
    return tuple(
        (f"run-{ids[0]}", ids[0]) if len(ids) == 1 else (anchor, f"{len(ids)} runs") for anchor, ids in groups.items()
    )


def percent(score: Mapping | None) -> Cell:
    """A score with its interval, from fractions to percent."""
    if not score or score.get("score") is None:
        return NOTHING
    bounds = score.get("interval")
    small = f"{100 * bounds[0]:z.1f} to {100 * bounds[1]:z.1f}" if bounds else ""
    return Cell(f"{100 * score['score']:.1f}", sort=score["score"], small=small)


def count(value: float | None, pattern: str) -> Cell:
    """A number written by a format pattern."""
    return NOTHING if value is None else Cell(pattern.format(value), sort=value)


def ordered_runs(study: StudyResults) -> list[tuple[str, dict]]:
    """Runs in the order in which the study's points first name them; runs that serve no point come last."""
    place: dict[str, int] = {}
    for result in study.points:
        for run_id in result.point.run_ids:
            place.setdefault(run_id, len(place))
    return sorted(study.runs.by_id.items(), key=lambda item: place.get(item[0], len(place)))


_DRAWN = ("seed", "data", "initial", "retriever")
"""Settings in which the runs of one reader differ: what each replicate, or seed, draws anew."""


def settings_of(study: StudyResults) -> list[list[str]]:
    """Run ids by setting: what is the same but for what seeds draw, in the order of `ordered_runs`."""
    groups: dict[str, list[str]] = {}
    for run_id, run in ordered_runs(study):
        shared = {key: value for key, value in run["settings"].items() if key not in _DRAWN}
        groups.setdefault(canonical_json(shared), []).append(run_id)
    return list(groups.values())
