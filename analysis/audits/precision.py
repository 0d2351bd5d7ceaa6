"""Digits: how many a number can support, digits that others of its kind do not have, and shares that no whole number
of right answers gives. The test sets and their sizes are those of the description."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from analysis.audits.finding import DISCREPANCY, EPSILON, NOTE, Finding, Number, unequal
from analysis.papers.description import SCALES

_FINER = 100  # a unit this many times finer than the sampling error is no information about the model
_FEWER = 3  # trailing zeros that would have to be dropped: one number in 10^3


_FRACTIONS = {1: "itself", 2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth", 7: "a seventh"}
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven"}


def standard_error(number: Number) -> float:
    """Sampling error of a share of right answers of a test set, or of the mean of such shares of N sets, in its unit.

    sqrt(p (1 - p) / n), every set taken at the number's own p; for the mean, sqrt of the sum of squares over N.
    """
    scale, sizes = SCALES[number.point.measure.unit], number.facts.sets.values()
    p = min(max(number.value / scale, 0.0), 1.0)
    return scale * math.sqrt(sum(p * (1 - p) / n for n in sizes)) / len(sizes)


def unsupported(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Per panel, digits that are a hundred times finer than the sampling error."""
    for members in _panels(numbers).values():
        sharp = [n for n in members if n.facts.sets and 2 * n.rounding < standard_error(n) / _FINER]
        if not sharp:
            continue
        finest = max(sharp, key=lambda n: n.decimals)
        error = standard_error(finest)
        supported = max(0, math.ceil(-math.log10(error)))
        about = f"{error:.2f} points" if finest.point.measure.unit == "percent" else f"{error:.2g}"
        yield unequal(
            kind="precision",
            severity=NOTE,
            points=tuple(n.id for n in sharp),
            expected=supported,
            found=finest.decimals,
            tolerance=round(error, 3),
            explanation=f"{finest} has {finest.decimals} decimals; over {finest.facts.paper.test_sets.called} one such"
            f" number has a standard error of about {about} (the tolerance given here), which supports"
            f" {supported}.{_why(sharp)}",
        )


def _why(sharp: Sequence[Number]) -> str:
    """What would explain fine digits: the division by the number of test sets, or none."""
    sizes = {len(number.facts.sets) for number in sharp}
    if sizes == {1}:
        return ""
    if all(map(_mean_of_two_decimals, sharp)):
        part = _FRACTIONS.get(max(sizes), f"one part in {max(sizes)}")
        return f" Each is {part} of a sum of scores with two decimals, so the digits come from the division."
    count = _NUMBERS.get(max(sizes), str(max(sizes)))
    return f" They are no mean of {count} scores with two decimals either: plotted from scores in full precision."


def mixed(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Per panel, numbers with at least three digits fewer than the others; not where all are means of two-decimal
    scores, which explains both."""
    for members in _panels(numbers).values():
        most = max(n.decimals for n in members)
        short = [n for n in members if n.decimals <= most - _FEWER]
        if len(members) < 3 or not short or all(map(_mean_of_two_decimals, members)):
            continue
        best = {max(group, key=lambda n: n.value).id for group in _series(members)}
        peak = " Each is the best of its curve." if {n.id for n in short} <= best else ""
        texts = ", ".join(map(str, short))
        yield unequal(
            kind="mixed-precision",
            severity=NOTE,
            points=tuple(n.id for n in short),
            expected=most,
            found=max(n.decimals for n in short),
            tolerance=_FEWER - 1,
            explanation=f"{texts} stand among numbers with up to {most} decimals; trailing zeros would be a chance of"
            f" one in {10 ** (most - max(n.decimals for n in short)):,} or less.{peak} Numbers from another source, or"
            " rounded by hand, would explain it.",
        )


def granular(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Shares of one test set that no whole number of right answers rounds to.

    N. J. L. Brown and J. A. J. Heathers, "The GRIM test", Social Psychological and Personality Science 8 (2017): a mean
    of n whole numbers is a whole number over n. With d decimals it can tell nothing once n reaches 10^(d + 2).
    """
    for number in granular_numbers(numbers):
        ((name, n),) = number.facts.sets.items()
        scale, unit = SCALES[number.point.measure.unit], number.point.measure.unit
        nearest = scale * round(number.value / scale * n) / n
        if abs(nearest - number.value) > number.rounding + EPSILON:
            yield unequal(
                kind="granularity",
                severity=DISCREPANCY,
                points=(number.id,),
                expected=nearest,
                found=number.value,
                tolerance=number.rounding,
                explanation=f"No whole number of {n} answers ({name}) is {number} {unit}; the nearest is"
                f" {nearest:.6g}. Another number of examples, or credit in parts, would explain it.",
            )


def granular_numbers(numbers: Sequence[Number]) -> list[Number]:
    """The numbers that test can speak about: a share of one test set, with a unit finer than one answer."""
    return [n for n in _shares(numbers) if 2 * n.rounding < _answer(n)]


def _answer(number: Number) -> float:
    """What one answer counts in a share of one test set."""
    (examples,) = number.facts.sets.values()
    return SCALES[number.point.measure.unit] / examples


def _shares(numbers: Sequence[Number]) -> list[Number]:
    """Printed shares of one test set; a difference of two is a whole number of answers too."""
    return [n for n in numbers if len(n.facts.sets) == 1 and n.decimals is not None]


def granularity(numbers: Sequence[Number]) -> list[dict[str, Any]]:
    """What the test of `granular` can tell, per test set and number of decimals.

    `share_possible`: of all spellings with so many decimals the share that some whole number of right answers rounds
    to, which is the chance that a number made up would pass; at 1 nothing is tested.
    """
    groups: dict[tuple[str, int, str, int], list[Number]] = {}
    for number in _shares(numbers):
        ((name, n),) = number.facts.sets.items()
        groups.setdefault((name, n, number.point.measure.unit, number.decimals), []).append(number)
    rows = []
    for (name, n, unit, decimals), members in groups.items():
        tested, steps = granular_numbers(members), SCALES[unit] * 10**decimals
        possible = len({round(Fraction(right * steps, n)) for right in range(n + 1)}) / (steps + 1)
        row = {"set": name, "examples": n, "decimals": decimals, "numbers": len(members), "tested": len(tested)}
        rows.append(row | {"impossible": len(list(granular(tested))), "share_possible": round(possible, 4)})
    return rows


def _mean_of_two_decimals(number: Number) -> bool:
    """Whether the number is, within its rounding, a whole number of hundredths over the number of test sets."""
    sets = len(number.facts.sets)
    if sets < 2:
        return False
    steps = number.value * 100 * sets
    return abs(steps - round(steps)) <= number.rounding * 100 * sets + 1e-6


def _panels(numbers: Sequence[Number]) -> dict[tuple[str, str, str], list[Number]]:
    """Percentages and fractions with known digits, by artifact, panel and unit."""
    panels: dict[tuple[str, str, str], list[Number]] = {}
    for number in numbers:
        if number.point.measure.unit in SCALES and number.decimals is not None:
            key = number.point.artifact, number.point.panel, number.point.measure.unit
            panels.setdefault(key, []).append(number)
    return panels


def _series(numbers: Sequence[Number]) -> list[list[Number]]:
    series: dict[str, list[Number]] = {}
    for number in numbers:
        series.setdefault(number.point.series, []).append(number)
    return list(series.values())
