"""The points of a description, from `tables/<artifact>.csv`: one file a table or figure, as it is printed.

A header is one of three. `system, <measure>, <measure> ...`: a line a system. `measure, <system>, <system> ...`: a line
a measure. `system, measure, value`: a line a number. Columns `panel`, `series`, `x` and `less` may stand before the
measures or the value. An empty cell is a number that the paper does not print.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from analysis.papers.description import PrintedMeasure, PrintedPaper
from glimmer.errors import InputError
from glimmer.files import existing

TABLES = "tables"
_KEYS = ("system", "measure", "value", "panel", "series", "x", "less")
_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)?(\.\d+)?")
_RANGES = {"percent": 100, "fraction": 1, "count": math.inf}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrintedPoint:
    """One printed number of an artifact: `system`'s `measure`, or its difference to that of the system `less`.

    `text` is how it is spelled, without separators of thousands; `where` is file and line. `x` stands on the axis
    `x_name`. `measure` has the unit, `paper` everything that the description says.
    """

    id: str
    artifact: str
    panel: str
    series: str
    system: str
    less: str | None
    x_name: str | None
    x: Fraction | None
    quantity: str
    text: str
    where: str
    paper: PrintedPaper = dataclasses.field(repr=False, compare=False)
    level: bool = False

    @property
    def measure(self) -> PrintedMeasure:
        """What is measured."""
        return self.paper.measures[self.quantity]

    @property
    def value(self) -> Fraction:
        """The number in the unit of its measure, exact."""
        return Fraction(self.text)

    @property
    def decimals(self) -> int:
        """To how many decimals it is printed: as spelled, or more where the measure says that zeros are dropped."""
        return max(len(self.text.partition(".")[2]), self.measure.decimals or 0)

    @property
    def rounding(self) -> Fraction:
        """Half a unit of its last digit; 0 for a count."""
        return Fraction(0) if self.measure.unit == "count" else Fraction(1, 2 * 10**self.decimals)

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.series


def read_points(folder: Path, paper: PrintedPaper) -> dict[str, PrintedPoint]:
    """Every point of a description by id, in the order of `artifacts`.

    Raises InputError naming file and line of a table that is missing, not stated or cannot be read.
    """
    files = {path.stem: path for path in sorted((folder / TABLES).glob("*.csv"))}
    for name, path in files.items():
        if name not in paper.artifacts:
            expected = "one of " + ", ".join(paper.artifacts)
            raise InputError("a table that paper.yaml does not state", where=path, expected=expected, found=name)
    points: dict[str, PrintedPoint] = {}
    for name in paper.artifacts:
        for point in _of_table(name, existing(folder / TABLES / f"{name}.csv"), paper):
            if point.id in points:
                first = points[point.id].where
                raise InputError("point given twice", where=point.where, expected=f"it once ({first})", found=point.id)
            points[point.id] = point
    return points


def _of_table(artifact: str, path: Path, paper: PrintedPaper) -> Iterator[PrintedPoint]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            lines = [(number, cells) for number, cells in enumerate(csv.reader(file), start=1) if any(cells)]
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError("not CSV", where=path, expected="one table", found=str(error)) from None
    if not lines:
        raise InputError("an empty table", where=path, expected="a header and lines", found="nothing")
    header = [cell.strip() for cell in lines[0][1]]
    rest = _columns(header, f"{path}:{lines[0][0]}", artifact, paper)
    for number, cells in lines[1:]:
        where = f"{path}:{number}"
        if len(cells) != len(header):
            raise InputError("not a line of this table", where=where, expected=f"{len(header)} cells", found=len(cells))
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        stated = {key: row[key] for key in _KEYS if key in row}
        for column in rest:
            if text := row[column]:
                yield _point(artifact, stated | {rest[column]: column, "value": text}, where, paper)


def _columns(header: list[str], where: str, artifact: str, paper: PrintedPaper) -> dict[str, str]:
    """The columns that hold numbers -> which key their header is."""
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise InputError("column given twice", where=where, found=", ".join(twice))
    if "x" in header and paper.artifacts[artifact].x is None:
        expected = f"artifacts.{artifact}.x in paper.yaml"
        raise InputError("a column x without an axis", where=where, expected=expected, found="none")
    rest = [column for column in header if column not in _KEYS]
    if {"system", "measure", "value"} <= set(header) and not rest:
        return {"value": "value"}
    if ("system" in header) + ("measure" in header) != 1 or "value" in header or not rest:
        expected = "system and measures, measure and systems, or system, measure, value"
        raise InputError("not a header", where=where, expected=expected, found=", ".join(header))
    key, names = ("measure", paper.measures) if "system" in header else ("system", paper.systems)
    for column in rest:
        _known(key, column, names, where)
    return dict.fromkeys(rest, key)


def _known(key: str, name: str, names: Mapping[str, Any], where: str) -> None:
    if name not in names:
        expected = f"one of the {key}s of paper.yaml ({', '.join(names)})"
        raise InputError(f"unknown {key}", where=where, expected=expected, found=repr(name))


def _point(artifact: str, row: Mapping[str, str], where: str, paper: PrintedPaper) -> PrintedPoint:
    system, quantity, less = row["system"], row["measure"], row.get("less") or None
    _known("system", system, paper.systems, where)
    _known("measure", quantity, paper.measures, where)
    if less is not None:
        _known("system", less, paper.systems, where)
    axis = paper.artifacts[artifact].x if row.get("x") else None
    x = _number(row["x"], where, "x") if axis else None
    name = f"{system} - {less}" if less else system
    _number(row["value"], where, quantity)
    parts = [artifact, row.get("panel", ""), name, quantity, "" if x is None else f"{axis}={row['x']}"]
    point = PrintedPoint(
        id="/".join(part for part in parts if part),
        artifact=artifact,
        panel=row.get("panel", ""),
        series=row.get("series") or name,
        system=system,
        less=less,
        x_name=axis,
        x=x,
        quantity=quantity,
        text=_plain(row["value"]),
        where=where,
        paper=paper,
    )
    _check(point)
    return point


def _number(text: str, where: str, what: str) -> Fraction:
    signed = text.replace("\N{MINUS SIGN}", "-")
    if not _NUMBER.fullmatch(signed) or not any(map(str.isdigit, signed)):
        raise InputError(f"{what} is no number", where=where, expected="digits as printed", found=repr(text))
    return Fraction(_plain(text))


def _plain(text: str) -> str:
    """A printed number without separators of thousands, with a sign that programs read."""
    return text.replace(",", "").replace("\N{MINUS SIGN}", "-").removeprefix("+")


def _check(point: PrintedPoint) -> None:
    """A number that its unit allows."""
    value, measure = point.value, point.measure
    high = _RANGES.get(measure.unit, math.inf)
    low = 0 if measure.unit in _RANGES and not point.less else -high
    if not low <= value <= high or (measure.unit == "count" and value.denominator != 1):
        expected = "a whole number" if measure.unit == "count" else f"{low} to {high} ({measure.unit})"
        raise InputError(f"{point.quantity} is out of range", where=point.where, expected=expected, found=point.text)
    spelled = len(point.text.partition(".")[2])
    if measure.decimals is not None and spelled > measure.decimals:
        expected = f"at most {measure.decimals} decimals (measures.{point.quantity}.decimals)"
        raise InputError(f"{point.quantity} has more digits", where=point.where, expected=expected, found=point.text)
