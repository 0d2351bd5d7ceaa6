"""What every rule of the audit speaks: a number with its rounding, and a finding."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from analysis.audits.identity import Facts, facts
from analysis.papers.printed import PrintedPoint
from glimmer import experiments
from glimmer.experiments import PaperValue
from glimmer.files import canonical_json

FAILURE, DISCREPANCY, NOTE = "failure", "discrepancy", "note"
SEVERITIES = (FAILURE, DISCREPANCY, NOTE)
"""A file that cannot be trusted; two things that should agree and do not; something worth a look."""

EPSILON = 1e-9  # of floating point, not a tolerance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding. `difference` is found minus expected, of either sign; `tolerance` is what it was held against;
    `about` tells findings apart that are of one kind and about the same points. A finding need not be about numbers."""

    kind: str
    severity: str
    points: Sequence[str] = ()
    explanation: str
    expected: Any = None
    found: Any = None
    difference: float | None = None
    tolerance: float | None = None
    about: str = ""

    @property
    def id(self) -> str:
        """Stable as long as the rule and what it speaks of are the same."""
        text = canonical_json([self.kind, self.points, self.about])
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def as_json(self) -> dict[str, Any]:
        """The finding as audit.json has it."""
        values = dataclasses.asdict(self)
        del values["about"]
        return {"id": self.id} | {key: _short(value) for key, value in values.items()}


def unequal(*, expected: float, found: float, **fields: Any) -> Finding:
    """A finding about two numbers that are not equal; their difference is worked out here, so its sign means the same
    everywhere."""
    return Finding(expected=expected, found=found, difference=found - expected, **fields)


def _short(value: Any) -> Any:
    """Without the digits that only floating point adds."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    return [_short(item) for item in value] if isinstance(value, list | tuple) else value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number:
    """One point with its value in the unit of its measure. `text` and `decimals` are how a paper spells it (empty and
    None where measured); `rounding` is half a unit of its last digit (0 where measured)."""

    point: experiments.Point | PrintedPoint
    value: float
    rounding: float = 0.0
    decimals: int | None = None
    text: str = ""

    @property
    def id(self) -> str:
        return self.point.id

    @functools.cached_property
    def facts(self) -> Facts:
        """What is measured, of which configurations, over which examples."""
        return facts(self.point)

    @property
    def where(self) -> str:
        """The artifact and panel that it stands in."""
        return " ".join(part for part in (self.point.artifact, self.point.panel) if part)

    def __str__(self) -> str:
        return self.text or f"{self.value:.6g}"


def between(first: Number, second: Number, **fields: Any) -> Finding:
    """A finding about two numbers that should have been one, or in another order: `first` is what was expected.

    It is held against the rounding of both; `points` are the two, unless more are named.
    """
    named = {"points": (first.id, second.id), "tolerance": first.rounding + second.rounding} | fields
    return unequal(expected=first.value, found=second.value, **named)


def reported_numbers(reported: Mapping[str, PaperValue], points: Iterable[experiments.Point]) -> list[Number]:
    """The points that have a reported value, in the registry's order."""
    return [
        Number(
            point=point,
            value=reported[point.id].value,
            rounding=0.5 * 10.0 ** -reported[point.id].decimals,
            decimals=reported[point.id].decimals,
            text=reported[point.id].text,
        )
        for point in points
        if point.id in reported
    ]


def printed_numbers(points: Iterable[PrintedPoint]) -> list[Number]:
    """The points of a description with their values."""
    return [
        Number(
            point=point,
            value=float(point.value),
            rounding=float(point.rounding),
            decimals=point.decimals,
            text=point.text,
        )
        for point in points
    ]


def measured_run(number: Number) -> tuple[Hashable, Hashable] | None:
    """(what is measured, of which configuration), or None for a number that several make."""
    own = number.facts
    return None if own.configuration is None else (own.quantity, own.configuration)


def by_run(numbers: Iterable[Number]) -> dict[tuple, list[Number]]:
    """Numbers of one configuration each, grouped by what is measured of which."""
    groups: dict[tuple, list[Number]] = {}
    for number in numbers:
        if (key := measured_run(number)) is not None:
            groups.setdefault(key, []).append(number)
    return groups
