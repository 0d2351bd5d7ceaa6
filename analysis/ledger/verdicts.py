"""Verdicts: from rounding where only numbers are known, from the joint bootstrap where there are examples; Holm's
correction over all claims of a study."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.ledger.bootstrap import Sample
from analysis.ledger.language import Linear, Requirement, Values
from glimmer.evaluation.intervals import quantiles

SUPPORTED, CONTRADICTED, UNDECIDED, MISSING = "supported", "contradicted", "undecided", "missing"
LEVEL = 0.05
_SLACK = 1e-9  # of floating point, not a tolerance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One requirement, evaluated: it holds where `effect` is above zero. `shown` and `interval` are what people read:
    the effect (of `within`, the term itself) and the bootstrap's interval, or on reported numbers what rounding allows.
    """

    name: str
    effect: float
    shown: float
    unit: str
    interval: tuple[float, float]
    p_above: float | None = None
    p_below: float | None = None


def by_number(requirements: Sequence[Requirement], values: Values, rounding: Values) -> tuple[str, list[Part]]:
    """(verdict, parts) where every value may be off by its rounding: supported only if every requirement holds however
    the digits were rounded, contradicted only if one fails however they were."""
    parts, verdicts = [], []
    for required in requirements:
        low, high = required.bounds(values, rounding)
        parts.append(_part(required, values, low, high))
        holds = low >= -_SLACK if required.closed else low > _SLACK
        verdicts.append(SUPPORTED if holds else CONTRADICTED if high < -_SLACK else UNDECIDED)
    return _together(verdicts), parts


def _part(required: Requirement, values: Values, low: float, high: float, **p: float) -> Part:
    effect = float(required.effect(values))
    ends = sorted((float(required.shown(low)), float(required.shown(high))))
    shown = float(required.shown(effect))
    return Part(name=required.name, unit=required.unit, effect=effect, shown=shown, interval=(ends[0], ends[1]), **p)


def _together(verdicts: Sequence[str]) -> str:
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return UNDECIDED if UNDECIDED in verdicts else SUPPORTED


def by_sample(requirements: Sequence[Requirement], sample: Sample) -> list[Part]:
    """Each requirement with its percentile interval and one-sided p values over the joint replicates.

    p_above is for "not above zero", (1 + replicates at or below zero) / (1 + replicates); p_below the reverse.
    """
    parts = []
    for required in requirements:
        replicates = np.asarray(required.effect(sample.replicates), dtype=float)
        p_above = (1 + int((replicates <= _SLACK).sum())) / (1 + len(replicates))
        p_below = (1 + int((replicates >= -_SLACK).sum())) / (1 + len(replicates))
        parts.append(_part(required, sample.values, *quantiles(replicates), p_above=p_above, p_below=p_below))
    return parts


def p_value(parts: Sequence[Part]) -> tuple[float, str]:
    """(p, the verdict it speaks for) of a claim whose requirements must all hold.

    For: the largest p of its parts (intersection-union test: all have to be shown). Against: the smallest p of the
    reverse, times the number of parts (one failure refutes it, and it could be any). Doubled, since either may win.
    """
    for_it = max(part.p_above for part in parts)
    against = min(1.0, len(parts) * min(part.p_below for part in parts))
    return min(1.0, 2 * min(for_it, against)), SUPPORTED if for_it <= against else CONTRADICTED


def carried_effects(
    requirements: Sequence[Requirement], paper: Values, factor: float
) -> list[tuple[Requirement, float]]:
    """Requirements of a size (neither a tolerance nor a place along x) with the paper's effect, `factor` times."""
    sized = [r for r in requirements if isinstance(r, Linear) and not r.closed and {*r.points} <= paper.keys()]
    return [(required, factor * float(required.effect(paper))) for required in sized if required.effect(paper) > 0]


def p_as_large(carried: Sequence[tuple[Requirement, float]], sample: Sample) -> float | None:
    """p of "every effect is at least what is carried over" (two-sided, as `p_value`); None if nothing is.

    The smallest p of the requirements, times their number: one smaller effect refutes it, and it could be any.
    """
    p_values = []
    for required, size in carried:
        replicates = np.asarray(required.effect(sample.replicates), dtype=float)
        p_values.append((1 + int((replicates >= size - _SLACK).sum())) / (1 + len(replicates)))
    return min(1.0, 2 * len(p_values) * min(p_values)) if p_values else None


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p values (Holm, 1979): the i-th smallest of n times n - i + 1, never below the one before, at most 1.

    Holds however the tests depend on each other, which claims that share runs do.
    """
    adjusted, largest = {}, 0.0
    for index, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - index) * p))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def weakest(parts: Sequence[Part]) -> Part:
    """The part that a claim hangs on: the least sure to be above zero, then one that fails, then the smallest effect
    (in the unit of the first part, since effects in different units have no order)."""
    unit = parts[0].unit
    return min(parts, key=lambda part: (-(part.p_above or 0.0), part.effect > 0, part.unit != unit, part.effect))


def as_json(part: Part) -> dict[str, Any]:
    """A part as claims.json shows it."""
    interval = [round(bound, 6) for bound in part.interval]
    document = {"requirement": part.name, "effect": round(part.shown, 6), "unit": part.unit, "interval": interval}
    return document if part.p_above is None else document | {"p": part.p_above}
