"""What the registry is made of: artifacts, their panels and series, and points with the readers that yield them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from glimmer.errors import InputError, did_you_mean
from glimmer.experiments.settings import ReaderSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    """What a point measures. `kind`: "average" over tasks, one "task"'s score, or "speed" (no run needed).

    `score` names the scores per example that are meant: "metric", the task's headline metric, or another that run
    files keep (glimmer/runs/evaluate.py); an average is over the tasks that have it. `label` is what an axis says of
    it; {tasks} in it stands for how many tasks were averaged.
    """

    name: str
    label: str
    unit: str
    kind: str
    task: str | None = None
    score: str = "metric"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Term:
    """One reader's part in a point. `run_ids` maps a seed to its run; empty in the paper's own points."""

    weight: int
    reader: ReaderSettings
    run_ids: Mapping[int, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One number of one artifact: the weighted sum of its terms' measures (one term, or two for a gain).

    `id` is stable and the same in every study; it is a name, not something to parse. `x` is on the study's own axis.
    `level` marks the two ends of a line that is one run. `rounding` says in words where whole layers could not give
    the proportion asked for, else None.
    """

    id: str
    artifact: str
    panel: str
    series: str
    label: str
    measure: Measure
    size: str
    terms: tuple[Term, ...]
    x_name: str | None = None
    x: int | Fraction | None = None
    level: bool = False
    rounding: str | None = None

    @property
    def reader(self) -> ReaderSettings:
        """The reader that the point is about (the first term's; a gain subtracts a second one)."""
        return self.terms[0].reader

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Every run that the point rests on, all seeds and terms, without repeats."""
        return tuple(dict.fromkeys(id for term in self.terms for id in term.run_ids.values()))

    def value(self, seed: int, measured: Callable[[str], float | None]) -> float | None:
        """The point at one seed, given what `measured(run id)` says; None as soon as one of its runs is missing."""
        parts = [measured(term.run_ids[seed]) for term in self.terms]
        if any(part is None for part in parts):
            return None
        return sum(term.weight * part for term, part in zip(self.terms, parts, strict=True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """Points under one name: a bar, a table row, a curve or a level line."""

    name: str
    label: str
    level: bool
    points: tuple[Point, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes, or one table. `heading` is empty where there is but one panel; `x_label` is None where the x
    axis only lists the series."""

    name: str
    heading: str
    measure: Measure
    x_name: str | None
    x_label: str | None
    series: tuple[Series, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artifact:
    """A figure or a table. `kind`: bars, stacked_bars, lines or table; `size`: the model size the paper used.

    `title` and `caption` are what is drawn, in our words; `rows` heads the first column of a table.
    """

    name: str
    title: str
    caption: str
    rows: str
    kind: str
    size: str
    in_paper: bool
    panels: tuple[Panel, ...]

    @property
    def full_title(self) -> str:
        """`Figure 3: passages retrieved ...`, from its name and title; the title alone where the name has no number."""
        kind, number = re.fullmatch(r"([a-z_]*)(.*)", self.name).groups()
        return f"{kind.capitalize()} {number}: {self.title}" if number else self.title[:1].upper() + self.title[1:]

    @property
    def points(self) -> tuple[Point, ...]:
        """All points, in the order of the panels and series."""
        return tuple(point for panel in self.panels for series in panel.series for point in series.points)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registry:
    """Artifacts by name, in the order of config/experiments.yaml."""

    artifacts: Mapping[str, Artifact]

    def points(self, *artifacts: str) -> tuple[Point, ...]:
        """The points of these artifacts, or (none named) every point of the paper."""
        chosen = artifacts or [name for name, artifact in self.artifacts.items() if artifact.in_paper]
        return tuple(point for name in chosen for point in self.artifact(name).points)

    def artifact(self, name: str) -> Artifact:
        """One artifact by name. Raises InputError if there is none."""
        if name not in self.artifacts:
            near = did_you_mean(name, self.artifacts)
            raise InputError(f"no such artifact{near}", where=name, expected="one of " + ", ".join(self.artifacts))
        return self.artifacts[name]
