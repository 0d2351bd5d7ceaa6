"""The registry: artifacts, their panels and series, and every point of the paper with the reader that yields it."""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from glimmer.compute import SIZES, Dimensions
from glimmer.errors import InputError
from glimmer.experiments.config import read_yaml, repository_path, validate
from glimmer.experiments.settings import ReaderSettings, fraction
from glimmer.files import existing

_PASSAGES = ("k", "m")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    """What a point measures. `kind`: "average" over tasks, one "task"'s headline score, or "speed" (no run needed)."""

    name: str
    label: str
    unit: str
    kind: str
    task: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Term:
    """One reader's part in a point. `run_ids` maps a seed to its run; empty in the paper's own points."""

    weight: int
    reader: ReaderSettings
    run_ids: Mapping[int, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One number of one artifact: the weighted sum of its terms' measures (one term, or two for a gain).

    `id` is stable and the same in every study; it is a name, not something to parse. `x` is on the study's own axis,
    `paper_x` the paper's value of it. `level` marks the two ends of a line that is one run. `rounding` says in words
    where whole layers could not give the proportion asked for, else None.
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
    paper_x: int | Fraction | None = None
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
    """Points under one name: a bar, a table row, a curve or a level line. `template` is the label, unfilled."""

    name: str
    label: str
    template: str
    level: bool
    points: tuple[Point, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes, or one table. `x_label` is None where the x axis only lists the series; `template`: the title,
    unfilled."""

    name: str
    title: str
    template: str
    measure: Measure
    x_name: str | None
    x_label: str | None
    series: tuple[Series, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artifact:
    """A figure or a table. `kind`: bars, stacked_bars, lines or table; `size`: the model size the paper used."""

    name: str
    title: str
    kind: str
    size: str
    in_paper: bool
    panels: tuple[Panel, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """All points, in the order of the panels and series."""
        return tuple(point for panel in self.panels for series in panel.series for point in series.points)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registry:
    """Everything config/experiments.yaml says, in the paper's terms."""

    artifacts: Mapping[str, Artifact]
    measures: Mapping[str, Measure]
    choices: Mapping[str, Any]

    def points(self, *artifacts: str) -> tuple[Point, ...]:
        """The points of these artifacts, or (none named) every point of the paper."""
        chosen = artifacts or [name for name, artifact in self.artifacts.items() if artifact.in_paper]
        return tuple(point for name in chosen for point in self.artifact(name).points)

    def artifact(self, name: str) -> Artifact:
        """One artifact by name. Raises InputError if there is none."""
        if name not in self.artifacts:
            raise InputError("no such artifact", where=name, expected="one of " + ", ".join(self.artifacts))
        return self.artifacts[name]


def load_registry(path: str | Path | None = None) -> Registry:
    """Reads config/experiments.yaml (or `path`). Raises InputError naming the entry that is wrong."""
    return _load_registry(Path(path or repository_path("config/experiments.yaml")).resolve())


@functools.cache
def _load_registry(path: Path) -> Registry:
    document = read_yaml(path)
    validate(document, "experiments", path)
    measures = {name: Measure(name=name, **entry) for name, entry in document["measures"].items()}
    builder = _Builder(where=path, readers=document["readers"], measures=measures, axes=document["axes"])
    artifacts = {name: builder.artifact(name, entry) for name, entry in document["artifacts"].items()}
    return Registry(artifacts=artifacts, measures=measures, choices=document["choices"])


def fill_in(template: str, reader: ReaderSettings, dimensions: Dimensions) -> str:
    """A label with {k}, {m}, {alpha}, {beta}, {live_layers}, {rerank_layers} filled in for one reader."""
    split = reader.split(dimensions.encoder_layers)
    words = {"k": reader.k, "m": reader.m, "alpha": str(reader.alpha), "beta": str(reader.beta)} | split._asdict()
    try:
        return template.format_map(words)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise InputError("not a label", where=template, expected="names of " + ", ".join(words)) from None


def paper_values(path: str | Path | None = None) -> dict[str, PaperValue]:
    """What the paper reports, by point id, from results/paper/points.csv.

    Raises InputError for a file of other columns, or with a point given twice.
    """
    path = existing(path or repository_path("results/paper/points.csv"))
    columns = [field.name for field in dataclasses.fields(PaperValue)]
    found: dict[str, PaperValue] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for number, cells in enumerate(csv.reader(file), start=1):
            if len(cells) != len(columns) or (number == 1 and cells != columns):
                expected = f"the columns {', '.join(columns)}"
                raise InputError("not a reported point", where=f"{path}:{number}", expected=expected, found=cells)
            if number > 1:
                value = PaperValue(*cells)
                if value.point in found:
                    raise InputError("point given twice", where=f"{path}:{number}", found=value.point)
                found[value.point] = value
    return found


@dataclasses.dataclass(frozen=True)
class PaperValue:
    """One reported number as it is spelled: `percent` or `samples_per_tflop`, the other one empty."""

    point: str
    percent: str
    samples_per_tflop: str
    source: str  # "vector": a plot's own coordinates; "printed": a table's cell

    @property
    def text(self) -> str:
        """The number as the paper spells it."""
        return self.percent or self.samples_per_tflop

    @property
    def value(self) -> float:
        """The number in the unit of its point's measure (percent or 1/TFLOP)."""
        return float(self.text)

    @property
    def decimals(self) -> int:
        """How many digits stand after the point: half a unit of the last one is the rounding error."""
        return len(self.text.partition(".")[2])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Builder:
    """Turns entries of experiments.yaml into artifacts."""

    where: Path
    readers: Mapping[str, Mapping]
    measures: Mapping[str, Measure]
    axes: Mapping[str, str]

    def artifact(self, name: str, entry: Mapping) -> Artifact:
        panels = entry.get("panels") or {"": {key: entry[key] for key in ("measure", "series")}}
        return Artifact(
            name=name,
            title=entry["title"],
            kind=entry["kind"],
            size=entry["size"],
            in_paper=entry.get("in_paper", True),
            panels=tuple(self.panel(name, entry, key, panel) for key, panel in panels.items()),
        )

    def panel(self, artifact: str, outer: Mapping, name: str, entry: Mapping) -> Panel:
        measure = self.known(self.measures, entry["measure"], f"{artifact}.{name}.measure")
        x_name = entry.get("x")
        series = tuple(self.series(artifact, outer, name, entry, key, one) for key, one in entry["series"].items())
        about = next((one for one in series if not one.level), series[0]).points[0].reader
        template = entry.get("title", name)
        return Panel(
            name=name,
            title=fill_in(template, about, _dimensions(outer)),
            template=template,
            measure=measure,
            x_name=x_name,
            x_label=self.known(self.axes, x_name, f"{artifact}.{name}.x") if x_name else None,
            series=series,
        )

    def series(self, artifact: str, outer: Mapping, panel: str, inner: Mapping, name: str, entry: Mapping) -> Series:
        path = ".".join(part for part in (artifact, panel, name) if part)
        reader = entry.get("reader") or inner.get("reader") or outer.get("reader")
        base = dict(self.known(self.readers, reader, f"{path}.reader"))
        for changes in (outer, inner, entry):
            base |= changes.get("set", {})
        level, x_name = "level" in entry, inner.get("x")
        values = entry.get("level") or entry.get("at") or [None]
        if (values == [None]) != (x_name is None):
            raise InputError(
                "series and x axis do not fit",
                where=f"{self.where}: {path}",
                expected="`at` or `level` in a panel with x, neither without",
                found=f"x {x_name}",
            )
        template = entry.get("label", name)
        points = []
        for value in values:
            x = None if value is None else _number(x_name, value, f"{self.where}: {path}")
            own = base if level or x is None else base | {x_name: x}
            terms = self.terms(own, inner.get("less"), f"{self.where}: {path}")
            parts = [artifact, panel, name, None if x is None else f"{x_name}={x}"]
            points.append(
                Point(
                    id="/".join(part for part in parts if part),
                    artifact=artifact,
                    panel=panel,
                    series=name,
                    label=fill_in(template, terms[0].reader, _dimensions(outer)),
                    measure=self.measures[inner["measure"]],
                    size=outer["size"],
                    terms=terms,
                    x_name=x_name,
                    x=x,
                    paper_x=x,
                    level=level,
                )
            )
        return Series(name=name, label=points[0].label, template=template, level=level, points=tuple(points))

    def terms(self, reader: Mapping, less: Mapping | None, where: str) -> tuple[Term, ...]:
        first = Term(weight=1, reader=ReaderSettings.from_json(reader, where))
        if less is None:
            return (first,)
        return first, Term(weight=-1, reader=ReaderSettings.from_json({**reader, **less}, where))

    def known(self, entries: Mapping, name: str | None, where: str):
        if name not in entries:
            raise InputError(
                "unknown name", where=f"{self.where}: {where}", expected="one of " + ", ".join(entries), found=name
            )
        return entries[name]


def _number(x_name: str, value: Any, where: object) -> int | Fraction:
    return int(value) if x_name in _PASSAGES else fraction(value, where)


def _dimensions(artifact: Mapping[str, Any]) -> Dimensions:
    return SIZES[artifact["size"].lower()]()
