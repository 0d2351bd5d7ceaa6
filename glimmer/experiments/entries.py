"""config/experiments.yaml, read: entries become artifacts, in the paper's terms or as one study has them.

An entry states what the paper states. An `Edition` says what becomes of that: nothing, in the paper itself; a study
maps passages and proportions to its scale and fills in what the entry leaves open, but what an entry states it keeps.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from glimmer.compute import SIZES, Dimensions
from glimmer.errors import InputError
from glimmer.experiments.documents import read_yaml, repository_path, validate
from glimmer.experiments.registry import Artifact, Measure, Panel, Point, Registry, Series, Term
from glimmer.experiments.settings import ReaderSettings, fraction

X = int | Fraction | None


class Edition(Protocol):
    """What becomes of an entry. `stated` are the keys of a reader that the entry names itself."""

    def dimensions(self, size: str) -> Dimensions:
        """The model that stands for one of the paper's sizes."""

    def reader(self, paper: ReaderSettings, stated: frozenset[str], size: str) -> ReaderSettings:
        """The reader that stands for the entry's."""

    def x(self, name: str, value: int | Fraction, own: Fraction | None) -> int | Fraction:
        """Where a point stands on the x axis; `own` is the proportion that the reader really has."""

    def rounding(self, paper: ReaderSettings, reader: ReaderSettings, size: str) -> str | None:
        """In words, where whole layers could not give the proportion asked for."""

    def run_ids(self, reader: ReaderSettings, size: str) -> Mapping[int, str]:
        """The run of each seed."""


class AsPublished:
    """The paper itself: every entry as it stands, and no runs."""

    def dimensions(self, size: str) -> Dimensions:
        return SIZES[size.lower()]()

    def reader(self, paper: ReaderSettings, stated: frozenset[str], size: str) -> ReaderSettings:
        return paper

    def x(self, name: str, value: int | Fraction, own: Fraction | None) -> int | Fraction:
        return value

    def rounding(self, paper: ReaderSettings, reader: ReaderSettings, size: str) -> str | None:
        return None

    def run_ids(self, reader: ReaderSettings, size: str) -> Mapping[int, str]:
        return {}


def load_registry(path: str | Path | None = None) -> Registry:
    """Every artifact of config/experiments.yaml (or `path`) in the paper's terms.

    Raises InputError naming the entry that is wrong.
    """
    return _published(_experiments_file(path))


def build_artifacts(names: Iterable[str], edition: Edition, path: str | Path | None = None) -> dict[str, Artifact]:
    """These artifacts of config/experiments.yaml (or `path`) as an edition has them.

    Raises InputError naming the entry that is wrong, or two points of an artifact that are one run and do not say so.
    """
    file = _experiments_file(path)
    registry, builder = _published(file), _Builder(where=file, document=_document(file), edition=edition)
    return {name: builder.artifact(registry.artifact(name).name) for name in names}


def _experiments_file(path: str | Path | None) -> Path:
    return Path(path or repository_path("config/experiments.yaml")).resolve()


@functools.cache
def _document(path: Path) -> Mapping[str, Any]:
    document = read_yaml(path)
    validate(document, "experiments", path)
    return document


@functools.cache
def _published(path: Path) -> Registry:
    builder = _Builder(where=path, document=_document(path), edition=AsPublished())
    return Registry(artifacts={name: builder.artifact(name) for name in builder.document["artifacts"]})


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Builder:
    where: Path
    document: Mapping[str, Any]
    edition: Edition

    def artifact(self, name: str) -> Artifact:
        entry = self.document["artifacts"][name]
        panels = entry.get("panels") or {"": {key: entry[key] for key in ("measure", "series")}}
        artifact = Artifact(
            name=name,
            title=entry["title"],
            caption=entry.get("caption", ""),
            rows=entry.get("rows", ""),
            kind=entry["kind"],
            size=entry["size"],
            in_paper=entry.get("in_paper", True),
            panels=tuple(self.panel(name, entry, key, panel) for key, panel in panels.items()),
        )
        if artifact.points[0].run_ids:
            _check_distinct(artifact, panels, self.where)
        return artifact

    def panel(self, artifact: str, outer: Mapping, name: str, entry: Mapping) -> Panel:
        x_name, axes = entry.get("x"), self.document["axes"]
        measure = self.measure(entry["measure"], f"{artifact}.{name}.measure")
        series = (self.series(artifact, outer, name, entry, key, one) for key, one in entry["series"].items())
        return Panel(
            name=name,
            heading=entry.get("heading", ""),
            measure=measure,
            x_name=x_name,
            x_label=self.known(axes, x_name, f"{artifact}.{name}.x") if x_name else None,
            series=tuple(series),
        )

    def series(self, artifact: str, outer: Mapping, panel: str, inner: Mapping, name: str, entry: Mapping) -> Series:
        where = f"{self.where}: {'.'.join(part for part in (artifact, panel, name) if part)}"
        reader = entry.get("reader") or inner.get("reader") or outer.get("reader")
        base = dict(self.known(self.document["readers"], reader, f"{where}.reader"))
        for changes in (outer, inner, entry):
            base |= changes.get("set", {})
        level, x_name, size = "level" in entry, inner.get("x"), outer["size"]
        values = entry.get("level") or entry.get("at") or [None]
        if (values == [None]) != (x_name is None):
            expected = "`at` or `level` in a panel with x, neither without"
            raise InputError("series and x axis do not fit", where=where, expected=expected, found=f"x {x_name}")
        points, measure = [], self.measure(entry.get("measure", inner["measure"]), where)
        if measure.unit != (unit := self.measure(inner["measure"], where).unit):
            raise InputError("two units in one panel", where=where, expected=unit, found=measure.unit)
        for value in values:
            x = None if value is None else _number(x_name, value, where)
            own = base if level or x is None else base | {x_name: x}
            papers = [own] if inner.get("less") is None else [own, {**own, **inner["less"]}]
            points.append(
                Point(
                    id="/".join(part for part in (artifact, panel, name, x is not None and f"{x_name}={x}") if part),
                    artifact=artifact,
                    panel=panel,
                    series=name,
                    label=name,
                    measure=measure,
                    size=size,
                    x_name=x_name,
                    level=level,
                    **self.in_edition(papers, x_name, x, level, size, where),
                )
            )
        label = fill_in(entry.get("label", name), points[0].reader, self.edition.dimensions(size))
        labelled = tuple(dataclasses.replace(point, label=label) for point in points)
        return Series(name=name, label=label, level=level, points=labelled)

    def in_edition(self, papers: list[Mapping], x_name: str | None, x: X, level: bool, size: str, where: str) -> dict:
        """What of a point is the edition's: its terms (the reader, then one that is subtracted), x and rounding."""
        stated = [ReaderSettings.from_json(paper, where) for paper in papers]
        readers = [
            self.edition.reader(reader, frozenset(paper), size) for reader, paper in zip(stated, papers, strict=True)
        ]
        terms = [
            Term(weight=weight, reader=reader, run_ids=self.edition.run_ids(reader, size))
            for weight, reader in zip((1, -1), readers, strict=False)
        ]
        own = getattr(readers[0], x_name) if x_name in ("alpha", "beta") and not level else None
        return {
            "terms": tuple(terms),
            "x": None if x is None else self.edition.x(x_name, x, own),
            "rounding": self.edition.rounding(stated[0], readers[0], size),
        }

    def measure(self, name: str, where: str) -> Measure:
        return Measure(name=name, **self.known(self.document["measures"], name, where))

    def known(self, entries: Mapping, name: str | None, where: str) -> Any:
        if name not in entries:
            path = where if where.startswith(str(self.where)) else f"{self.where}: {where}"
            raise InputError("unknown name", where=path, expected="one of " + ", ".join(entries), found=name)
        return entries[name]


def fill_in(template: str, reader: ReaderSettings, dimensions: Dimensions) -> str:
    """A label with {k}, {m}, {alpha}, {beta}, {live_layers}, {rerank_layers} filled in for one reader."""
    split = reader.split(dimensions.encoder_layers)
    words = {"k": reader.k, "m": reader.m, "alpha": str(reader.alpha), "beta": str(reader.beta)} | split._asdict()
    try:
        return template.format_map(words)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise InputError("not a label", where=template, expected="names of " + ", ".join(words)) from None


def _check_distinct(artifact: Artifact, panels: Mapping[str, Mapping], where: Path) -> None:
    """Raises InputError where two points of an artifact measure the same of the same run, and no entry says so.

    A level line is one run by its nature; a series says `same_as: [panel/series, ...]` (itself included, where whole
    layers may make one split of two proportions).
    """
    first: dict[Any, tuple[Point, str]] = {}
    for panel in artifact.panels:
        for series in panel.series:
            path = "/".join(part for part in (panel.name, series.name) if part)
            may_be = panels[panel.name]["series"][series.name].get("same_as", [])
            for point in series.points:
                key = (point.measure, tuple((term.weight, term.reader) for term in point.terms))
                other, other_path = first.setdefault(key, (point, path))
                if other is point or other_path in may_be or (series.level and other_path == path):
                    continue
                raise InputError(
                    "two points of one run",
                    where=f"{where}: {point.id}",
                    expected=f"another reader than {other.id}, or `same_as: [{other_path}]` if they are one",
                    found=f"equal settings in both{f' ({point.rounding})' if point.rounding else ''}",
                )


def _number(x_name: str, value: Any, where: object) -> int | Fraction:
    return int(value) if x_name in ("k", "m") else fraction(value, where)
