"""Verdicts: from rounding where only numbers are known, from draws where something was sampled; Holm's correction over
the primary claims of a study, weaker words for the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.ledger.bootstrap import Sample
from analysis.ledger.language import Linear, Requirement, Values

SUPPORTED, CONTRADICTED, UNDECIDED, MISSING = "supported", "contradicted", "undecided", "missing"
NOT_TESTED = "not tested"
IN_DIRECTION, AGAINST, NO_DIFFERENCE = "in the paper's direction", "against it", "no difference seen"
VERDICTS = (SUPPORTED, CONTRADICTED, UNDECIDED, IN_DIRECTION, AGAINST, NO_DIFFERENCE, NOT_TESTED, MISSING)
LEVEL = 0.05
_SLACK = 1e-9  # of floating point, not a tolerance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One requirement, evaluated: it holds where `effect` is above zero. `shown` and `interval` are what people read:
    the effect (of `within`, the term itself) and its interval, or on reported numbers what rounding allows. `alike`
    says why its arms are no test of it, empty where they are one.
    """

    name: str
    effect: float
    shown: float
    unit: str
    interval: tuple[float, float]
    p_above: float | None = None
    p_below: float | None = None
    alike: str = ""


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


def by_sample(requirements: Sequence[Requirement], sample: Sample, alike: Sequence[str]) -> list[Part]:
    """Each requirement with its interval and one-sided p values, of "not above zero" and of "not below zero"; `alike`
    says of each why its arms are no test of it, or nothing."""
    parts = []
    for required, reason in zip(requirements, alike, strict=True):
        chance = sample.chance(required.effect(sample.replicates))
        p = {"p_above": chance.p_above(), "p_below": chance.p_below()}
        parts.append(_part(required, sample.values, *chance.interval, **p, alike=reason))
    return parts


def p_value(parts: Sequence[Part]) -> tuple[float, str]:
    """(p, the verdict it speaks for) of a claim whose requirements must all hold.

    For: the largest p of its parts (intersection-union test: all have to be shown, so a part that was not tested leaves
    nothing to show). Against: the smallest p of the reverse among tested parts, times the number of parts (one failure
    refutes it, and it could be any). Doubled, since either may win.
    """
    tested = [part for part in parts if not part.alike]
    for_it = max(part.p_above for part in parts) if len(tested) == len(parts) else 1.0
    against = min((1.0, *(len(parts) * part.p_below for part in tested)))
    return min(1.0, 2 * min(for_it, against)), SUPPORTED if for_it <= against else CONTRADICTED


def of_primary(parts: Sequence[Part], p_holm: float, speaks_for: str) -> str:
    """The verdict of a primary claim, given its corrected p."""
    if p_holm <= LEVEL:
        return speaks_for
    return NOT_TESTED if any(part.alike for part in parts) else UNDECIDED


def of_secondary(parts: Sequence[Part]) -> str:
    """The words for a secondary claim: where the 95 % intervals of its requirements lie, uncorrected."""
    if any(part.p_below <= LEVEL / 2 for part in parts if not part.alike):
        return AGAINST
    if any(part.alike for part in parts):
        return NOT_TESTED
    return IN_DIRECTION if all(part.p_above <= LEVEL / 2 for part in parts) else NO_DIFFERENCE


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
    p_values = [sample.chance(required.effect(sample.replicates)).p_below(size) for required, size in carried]
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
    document |= {} if part.p_above is None else {"p": part.p_above}
    return document | {"not_tested": part.alike} if part.alike else document
