"""The language of claims: a statement in YAML becomes requirements, each an effect that has to be above zero.

A term is a point (by the alias that the claim gives it), or {difference: [a, b]}, {sum: [...]}, {mean: [...]} of terms:
always a linear combination of points. A statement is one of

    greater: [a, b, c]          each term above the next
    increasing: [a, b, c]       each term below the next (decreasing: the reverse, the same as greater)
    positive: [a, b]            each term above zero
    exceeds: {of: a, by: t}     a above t, in the points of the study itself
    within: {of: a, tolerance: t}      a lies in [-t, t]; t in points of the paper, see analysis/ledger/scale_factor.py
    diminishing: [p1, p2, p3]   along x, the gain for one step of x falls from point to point
    best: {point: p, of: [...]} p is above every other one
    best_before: [[...], [...]] the best x of the first curve lies below the best x of the second
    all: [...]                  every statement of a list

Nothing is evaluated as code: a statement is data, checked by config/schema/claims.schema.json.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from glimmer.errors import InputError

Values = Mapping[str, Any]
"""Point id -> a number, or an array of replicates."""


class Requirement(Protocol):
    """One effect that has to be above zero (or, where `closed`, not below)."""

    name: str
    unit: str
    closed: bool

    @property
    def points(self) -> tuple[str, ...]:
        """Ids of the points it rests on."""

    @property
    def arms(self) -> tuple[tuple[str, str], ...]:
        """The pairs of points that it compares; empty where each point is a comparison itself."""

    def effect(self, values: Values) -> Any:
        """The effect, elementwise over arrays of replicates."""

    def shown(self, effect: float) -> float:
        """The effect as people want it: of `within`, the term itself rather than what is left of the tolerance."""

    def bounds(self, values: Values, rounding: Values) -> tuple[float, float]:
        """Between which numbers the effect lies if every value may be off by its rounding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear:
    """constant + sum of weight x point."""

    name: str
    weights: Mapping[str, float]
    constant: float = 0.0
    unit: str = ""
    closed: bool = False
    shown_sign: float = 1.0
    shown_constant: float = 0.0
    arms: tuple[tuple[str, str], ...] = ()

    @property
    def points(self) -> tuple[str, ...]:
        return tuple(self.weights)

    def shown(self, effect: float) -> float:
        return self.shown_sign * effect + self.shown_constant

    def effect(self, values: Values) -> Any:
        return self.constant + sum(weight * values[point] for point, weight in self.weights.items())

    def bounds(self, values: Values, rounding: Values) -> tuple[float, float]:
        slack = sum(abs(weight) * rounding[point] for point, weight in self.weights.items())
        return self.effect(values) - slack, self.effect(values) + slack


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestBefore:
    """x of the second curve's best point minus x of the first one's; a curve is (point id, x) pairs."""

    name: str
    first: tuple[tuple[str, float], ...]
    second: tuple[tuple[str, float], ...]
    unit: str = ""
    closed: bool = False

    @property
    def points(self) -> tuple[str, ...]:
        return tuple(point for point, _ in (*self.first, *self.second))

    @property
    def arms(self) -> tuple[tuple[str, str], ...]:
        """The two curves at equal x."""
        second = {x: point for point, x in self.second}
        return tuple((point, second[x]) for point, x in self.first if x in second)

    def effect(self, values: Values) -> Any:
        return _best_x(self.second, values) - _best_x(self.first, values)

    def shown(self, effect: float) -> float:
        return effect

    def bounds(self, values: Values, rounding: Values) -> tuple[float, float]:
        first, second = (_candidates(curve, values, rounding) for curve in (self.first, self.second))
        return min(second) - max(first), max(second) - min(first)


def _best_x(curve: Sequence[tuple[str, float]], values: Values) -> Any:
    stacked = np.stack([np.asarray(values[point], dtype=float) for point, _ in curve])
    return np.asarray([x for _, x in curve])[np.argmax(stacked, axis=0)]


def _candidates(curve: Sequence[tuple[str, float]], values: Values, rounding: Values) -> list[float]:
    """Every x that rounding allows to be the best."""
    floor = max(values[point] - rounding[point] for point, _ in curve)
    return [x for point, x in curve if values[point] + rounding[point] >= floor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AliasedPoint:
    """What an alias stands for: the point's id, its x (None without an axis) and unit."""

    id: str
    x: float | None
    unit: str


def compile_statement(
    expression: Mapping[str, Any], aliases: Mapping[str, AliasedPoint], where: object, factor: float = 1.0
) -> list[Requirement]:
    """The requirements of one statement; `aliases` are the claim's, tolerances are taken `factor` times.

    Raises InputError for a meaningless statement.
    """
    return list(_Compiler(aliases=aliases, where=where, factor=factor).statement(expression))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Compiler:
    aliases: Mapping[str, AliasedPoint]
    where: object
    factor: float

    def statement(self, expression: Mapping[str, Any]) -> Iterator[Requirement]:
        operators: dict[str, Callable[[Any], Iterator[Requirement]]] = {
            "greater": self.greater,
            "decreasing": self.greater,
            "increasing": lambda terms: self.greater(terms[::-1]),
            "positive": self.positive,
            "exceeds": self.exceeds,
            "within": self.within,
            "diminishing": self.diminishing,
            "best": lambda named: self.best(named["point"], named["of"]),
            "best_before": self.best_before,
            "all": lambda parts: (required for part in parts for required in self.statement(part)),
        }
        if not isinstance(expression, Mapping) or len(expression) != 1 or not set(expression) <= set(operators):
            self.refuse("not a statement", "one of " + ", ".join(operators), expression)
        ((operator, argument),) = expression.items()
        yield from operators[operator](argument)

    def greater(self, terms: Sequence[Any]) -> Iterator[Requirement]:
        for above, below in itertools.pairwise(terms):
            yield self.linear(f"{name_of(above)} above {name_of(below)}", {"difference": [above, below]})

    def positive(self, terms: Sequence[Any]) -> Iterator[Requirement]:
        for term in terms:
            yield self.linear(f"{name_of(term)} above 0", term)

    def exceeds(self, limits: Mapping[str, Any]) -> Iterator[Requirement]:
        term, least = self.linear(name_of(limits["of"]), limits["of"]), float(limits["by"])
        name = f"{term.name} above {least:g}"
        yield dataclasses.replace(term, name=name, constant=-least, shown_constant=least)

    def within(self, limits: Mapping[str, Any]) -> Iterator[Requirement]:
        term, tolerance = self.linear(name_of(limits["of"]), limits["of"]), self.factor * float(limits["tolerance"])
        for sign, side in ((-1, "from above"), (1, "from below")):
            yield Linear(
                name=f"{term.name} within {tolerance:.3g}, {side}",
                weights=_times(term.weights, sign),
                constant=tolerance,
                unit=term.unit,
                closed=True,
                shown_sign=sign,
                shown_constant=-sign * tolerance,
                arms=term.arms,
            )

    def diminishing(self, along: Sequence[str]) -> Iterator[Requirement]:
        slopes = []
        for low, high in itertools.pairwise(along):
            step = self.x(high) - self.x(low)
            if step <= 0:
                self.refuse("x does not rise", "points in the order of their x", f"{low}, {high}")
            slopes.append((f"{low} to {high}", self.linear("", {"difference": [high, low]}), step))
        for (before, gain, step), (after, next_gain, next_step) in itertools.pairwise(slopes):
            first, second = gain.weights, next_gain.weights
            weights = _added(_times(first, 1 / step), _times(second, -1 / next_step))
            unit = f"{self.unit_of(weights)} a step"
            name = f"gain {before} above gain {after}"
            yield Linear(name=name, weights=weights, unit=unit, arms=gain.arms + next_gain.arms)

    def best(self, point: Any, others: Sequence[Any]) -> Iterator[Requirement]:
        for other in others:
            if other != point:
                yield from self.greater([point, other])

    def best_before(self, curves: Sequence[Sequence[str]]) -> Iterator[Requirement]:
        first, second = (tuple((self.point(alias).id, self.x(alias)) for alias in curve) for curve in curves)
        text = f"best of {', '.join(curves[0])} before best of {', '.join(curves[1])}"
        yield BestBefore(name=text, first=first, second=second, unit="along x")

    def linear(self, name: str, term: Any) -> Linear:
        weights = self.weights(term)
        return Linear(name=name, weights=weights, unit=self.unit_of(weights), arms=tuple(self.arms(term)))

    def arms(self, term: Any) -> Iterator[tuple[str, str]]:
        """The pairs of points whose difference is taken: innermost differences, or all between two sides without."""
        if isinstance(term, str):
            return
        ((operator, parts),) = term.items()
        inner = [pair for part in parts for pair in self.arms(part)]
        if inner or operator != "difference":
            yield from inner
        else:
            yield from itertools.product(*(self.weights(part) for part in parts))

    def weights(self, term: Any) -> dict[str, float]:
        if isinstance(term, str):
            return {self.point(term).id: 1.0}
        if isinstance(term, Mapping) and len(term) == 1:
            ((operator, parts),) = term.items()
            weights = [self.weights(part) for part in parts]
            if operator == "difference" and len(weights) == 2:
                return _added(weights[0], _times(weights[1], -1))
            if operator == "sum":
                return _added(*weights)
            if operator == "mean" and weights:
                return _times(_added(*weights), 1 / len(weights))
        self.refuse("not a term", "a point's alias, or difference (of two), sum or mean of terms", term)

    def unit_of(self, weights: Mapping[str, float]) -> str:
        units = {point.unit for point in self.aliases.values() if point.id in weights}
        if len(units) > 1:
            self.refuse("mixes units", "points of one unit in a term", ", ".join(sorted(units)))
        return "points" if units == {"percent"} else next(iter(units), "")

    def point(self, alias: Any) -> AliasedPoint:
        if not isinstance(alias, str) or alias not in self.aliases:
            self.refuse("no such alias", "one of " + ", ".join(self.aliases), alias)
        return self.aliases[alias]

    def x(self, alias: Any) -> float:
        point = self.point(alias)
        if point.x is None:
            self.refuse("a point without x", "a point of a curve", point.id)
        return point.x

    def refuse(self, what: str, expected: str, found: Any):
        raise InputError(what, where=self.where, expected=expected, found=found)


def name_of(term: Any) -> str:
    """A term as people read it: `GLIMMER`, `(a - b)`."""
    if isinstance(term, str):
        return term
    ((operator, parts),) = term.items()
    names = [name_of(part) for part in parts]
    if operator == "difference":
        return f"({names[0]} - {names[1]})"
    return f"{operator} of {', '.join(names)}"


def _added(*terms: Mapping[str, float]) -> dict[str, float]:
    total: dict[str, float] = {}
    for term in terms:
        for point, weight in term.items():
            total[point] = total.get(point, 0.0) + weight
    return total


def _times(term: Mapping[str, float], factor: float) -> dict[str, float]:
    return {point: factor * weight for point, weight in term.items()}
