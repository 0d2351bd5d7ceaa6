"""Digits: how many a number can support, digits that others of its kind do not have, and shares that no whole number
of right answers gives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from analysis.audits.finding import DISCREPANCY, EPSILON, NOTE, Finding, Number, unequal
from glimmer.kilt.download import PUBLISHED

KILT_DEV_EXAMPLES = {file.task: file.lines for file in PUBLISHED if "-dev" in file.name}
"""Lines of KILT's published dev files (the benchmark's README)."""

_FINER = 100  # a unit this many times finer than the sampling error is no information about the model
_FEWER = 3  # trailing zeros that would have to be dropped: one number in 10^3


def standard_error(number: Number) -> float:
    """Sampling error (points) of a share of right answers over KILT's dev sets, or of the mean of six such shares.

    sqrt(p (1 - p) / n), every task taken at the average's p; for the mean, sqrt of the sum of squares over 6.
    """
    p = min(max(number.value / 100, 0.0), 1.0)
    sizes = [KILT_DEV_EXAMPLES[number.point.measure.task]] if number.point.measure.task else KILT_DEV_EXAMPLES.values()
    return 100 * math.sqrt(sum(p * (1 - p) / n for n in sizes)) / len(sizes)


def unsupported(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Per panel, digits that are a hundred times finer than the sampling error."""
    for members in _panels(numbers).values():
        sharp = [n for n in members if 2 * n.rounding < standard_error(n) / _FINER]
        if not sharp:
            continue
        finest = max(sharp, key=lambda n: n.decimals)
        error = standard_error(finest)
        supported = max(0, math.ceil(-math.log10(error)))
        why = (
            " Each is a sixth of a sum of scores with two decimals, so the digits come from the division."
            if all(map(_mean_of_two_decimals, sharp))
            else " They are no mean of six scores with two decimals either: plotted from scores in full precision."
        )
        yield unequal(
            kind="precision",
            severity=NOTE,
            points=tuple(n.id for n in sharp),
            expected=supported,
            found=finest.decimals,
            tolerance=round(error, 3),
            explanation=f"{finest} has {finest.decimals} decimals; over KILT's dev sets one such number has a standard"
            f" error of about {error:.2f} points (the tolerance given here), which supports {supported}.{why}",
        )


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
    """Shares of one task that no whole number of right answers of its published dev set rounds to (the GRIM test)."""
    for number in granular_numbers(numbers):
        n = KILT_DEV_EXAMPLES[number.point.measure.task]
        nearest = 100 * round(number.value / 100 * n) / n
        if abs(nearest - number.value) > number.rounding + EPSILON:
            yield unequal(
                kind="granularity",
                severity=DISCREPANCY,
                points=(number.id,),
                expected=nearest,
                found=number.value,
                tolerance=number.rounding,
                explanation=f"No whole number of {n} dev answers is {number} percent; the nearest is {nearest:.4f}."
                " Another number of examples would explain it.",
            )


def granular_numbers(numbers: Sequence[Number]) -> list[Number]:
    """The numbers that test can speak about: of one task, with a unit finer than one answer."""
    tested = [n for n in numbers if n.point.measure.kind == "task"]
    return [n for n in tested if 2 * n.rounding < 100 / KILT_DEV_EXAMPLES[n.point.measure.task]]


def _mean_of_two_decimals(number: Number) -> bool:
    """Whether the number is, within its rounding, a whole number of hundredths over the number of tasks."""
    if number.point.measure.kind != "average":
        return False
    steps = number.value * 100 * len(KILT_DEV_EXAMPLES)
    return abs(steps - round(steps)) <= number.rounding * 100 * len(KILT_DEV_EXAMPLES) + 1e-6


def _panels(numbers: Sequence[Number]) -> dict[tuple[str, str], list[Number]]:
    """Percentages with known digits, by artifact and panel."""
    panels: dict[tuple[str, str], list[Number]] = {}
    for number in numbers:
        if number.point.measure.unit == "percent" and number.decimals is not None:
            panels.setdefault((number.point.artifact, number.point.panel), []).append(number)
    return panels


def _series(numbers: Sequence[Number]) -> list[list[Number]]:
    series: dict[str, list[Number]] = {}
    for number in numbers:
        series.setdefault(number.point.series, []).append(number)
    return list(series.values())
