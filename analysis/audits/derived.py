"""Numbers that follow from other printed numbers: sums and means over measures, and what a description states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from analysis.audits.finding import DISCREPANCY, EPSILON, Finding, Number, unequal
from analysis.papers.arithmetic import evaluate, names_of
from analysis.papers.description import FILE, PrintedPaper
from analysis.papers.printed import PrintedPoint
from glimmer.errors import InputError


def composed(numbers: Sequence[Number], paper: PrintedPaper) -> Iterator[Finding]:
    """A number of a measure that is the sum or the mean of others follows from them, in its own artifact.

    Where a part is not printed nothing is tested. The tolerance is the rounding of the number and that of its parts.
    """
    printed = {_place(number, number.point.quantity): number for number in numbers}
    for number in numbers:
        measure = paper.measures[number.point.quantity]
        names = measure.mean_of or measure.sum_of
        parts = [printed.get(_place(number, name)) for name in names]
        if not names or None in parts:
            continue
        over = len(parts) if measure.mean_of else 1
        expected = sum(part.point.value for part in parts) / over
        tolerance = number.point.rounding + sum(part.point.rounding for part in parts) / over
        if abs(number.point.value - expected) <= tolerance:
            continue
        what = "mean" if measure.mean_of else "sum"
        yield unequal(
            kind=f"{what}-of-parts",
            severity=DISCREPANCY,
            points=(number.id, *(part.id for part in parts)),
            expected=float(expected),
            found=number.value,
            tolerance=float(tolerance),
            explanation=f"{number.where} has {number} as the {what} of {len(parts)} numbers beside it, which is"
            f" {_shown(expected)}. Parts of another version, others or more of them than are printed, or a slip, would"
            " explain it.",
        )


def _place(number: Number, quantity: str) -> tuple:
    point: PrintedPoint = number.point
    return point.artifact, point.panel, point.system, point.less, point.x, quantity


def check(paper: PrintedPaper, points: Mapping[str, PrintedPoint], folder: Path) -> None:
    """Raises InputError where an entry of `derived` names points that there are not, or is no arithmetic over them."""
    for index, entry in enumerate(paper.derived):
        key, path = f"derived.{index}", folder / FILE
        for where, id in [(f"{key}.point", entry.point), *((f"{key}.of.{a}", id) for a, id in entry.of.items())]:
            if id not in points:
                raise InputError(f"{where} is not valid", where=path, expected="a point of the tables", found=repr(id))
        names = names_of(entry.value, f"{path}: {key}.value")
        if names != set(entry.of):
            raise InputError(f"{key}.value is not valid", where=path, expected="the names " + ", ".join(entry.of),
                             found=", ".join(sorted(names)) or "none")  # fmt: skip


def stated(numbers: Sequence[Number], paper: PrintedPaper) -> Iterator[Finding]:
    """Every entry of `derived`: the printed number is what the arithmetic over its parts gives.

    The tolerance is its own rounding, and for each part the larger change that the rounding of this part alone makes,
    added up.
    """
    printed = {number.id: number for number in numbers}
    for index, entry in enumerate(paper.derived):
        number, where = printed[entry.point], f"{FILE}: derived.{index}.value"
        values = {alias: printed[id].point.value for alias, id in entry.of.items()}
        expected = evaluate(entry.value, values, where)
        tolerance = number.point.rounding
        for alias, id in entry.of.items():
            off = printed[id].point.rounding
            moved = [evaluate(entry.value, {**values, alias: values[alias] + side}, where) for side in (-off, off)]
            tolerance += max(abs(value - expected) for value in moved)
        if abs(number.point.value - expected) <= tolerance + Fraction(EPSILON):
            continue
        parts = ", ".join(f"{alias} = {printed[id]}" for alias, id in entry.of.items())
        other = printed.get(entry.same_as or "")
        while_ = f"{other.where} has {other} for it" if other else f"{entry.value} with {parts} is {_shown(expected)}"
        yield unequal(
            kind="arithmetic",
            severity=DISCREPANCY,
            points=(number.id, *entry.of.values()),
            expected=float(expected),
            found=number.value,
            tolerance=float(tolerance),
            explanation=f"{number.where} has {number}, while {while_}.{' ' + entry.says if entry.says else ''} Numbers"
            " of another version, or a slip, would explain it.",
            about=str(index),
        )


def _shown(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):.6g}"
