"""A study against the paper on shape alone: order, sign, direction and where the best lies; never absolute level.

Only what rounding lets the paper say counts. Where ours is the other way round, the severity tells whether our own
examples and seeds resolve it (95 %, paired, not corrected for the number of comparisons) or it may be noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from analysis.audits.curves import Resolved, curves_of
from analysis.audits.finding import DISCREPANCY, EPSILON, NOTE, Finding, Number

_NOISE = "within what the study's examples and seeds can resolve, so it may be chance"
_CLEAR = "beyond what the study's examples and seeds leave to chance, for at least one of them"


def compare(ours: Sequence[Number], papers: Sequence[Number], resolved: Resolved) -> Iterator[Finding]:
    """Every finding on shape; points that either side lacks are left out."""
    reported = {number.id: number for number in papers}
    pairs = [(number, reported[number.id]) for number in ours if number.id in reported]
    yield from _signs(pairs, resolved)
    yield from _orders(pairs, resolved)
    yield from _steps(pairs, resolved)
    yield from _optima(pairs, resolved)


Pairs = Sequence[tuple[Number, Number]]


def _signs(pairs: Pairs, resolved: Resolved) -> Iterator[Finding]:
    """Gains that are losses here, or the other way round."""
    for own, paper in pairs:
        if len(own.point.terms) < 2 or abs(paper.value) <= paper.rounding or own.value * paper.value >= 0:
            continue
        clear = resolved(own.id, None)
        yield Finding(
            kind="shape-sign",
            severity=DISCREPANCY if clear else NOTE,
            points=(own.id,),
            expected="above 0" if paper.value > 0 else "below 0",
            found=own.value,
            difference=None,
            tolerance=0.0,
            explanation=f"{own.point.label}: the paper's {paper} has the other sign; ours is"
            f" {_CLEAR if clear else _NOISE}.",
        )


def _orders(pairs: Pairs, resolved: Resolved) -> Iterator[Finding]:
    """Panels without an axis: series in another order. Panels with level lines: curve points on another side of one."""
    panels: dict[tuple[str, str], list[tuple[Number, Number]]] = {}
    for own, paper in pairs:
        panels.setdefault((own.point.artifact, own.point.panel), []).append((own, paper))
    for (artifact, panel), members in panels.items():
        bars = [pair for pair in members if pair[0].point.x is None]
        levels = {pair[0].point.series: pair for pair in members if pair[0].point.level}
        points = [pair for pair in members if pair[0].point.x is not None and not pair[0].point.level]
        couples = list(itertools.combinations(bars, 2))
        couples += [(point, level) for point in points for level in levels.values()]
        reversed_ = [couple for couple in couples if _reversed(*couple)]
        if not reversed_:
            continue
        clear = any(resolved(first[0].id, second[0].id) for first, second in reversed_)
        whole = bars or [pair for couple in reversed_ for pair in couple]
        yield Finding(
            kind="shape-order",
            severity=DISCREPANCY if clear else NOTE,
            points=tuple(dict.fromkeys(own.id for couple in reversed_ for own, _ in couple)),
            expected=_order(whole, side=1),
            found=_order(whole, side=0),
            difference=len(reversed_),
            tolerance=0,
            explanation=f"{artifact} {panel}: {len(reversed_)} of {len(couples)} pairs stand the other way round than"
            f" in the paper, {_CLEAR if clear else _NOISE}.",
            about="order",
        )


def _reversed(first: tuple[Number, Number], second: tuple[Number, Number]) -> bool:
    """Whether ours differ in the direction opposite to the paper's, which must be beyond rounding."""
    ours, papers = (first[side].value - second[side].value for side in (0, 1))
    return abs(papers) > first[1].rounding + second[1].rounding + EPSILON and ours * papers < 0


def _order(pairs: Pairs, side: int) -> str:
    ranked = sorted(pairs, key=lambda pair: -pair[side].value)
    return " > ".join(dict.fromkeys(_name(own) for own, _ in ranked))


def _name(number: Number) -> str:
    point = number.point
    return point.label if point.x is None or point.level else f"{point.label} {point.x_name} = {point.x}"


def _curves(pairs: Pairs) -> Iterator[tuple[tuple[str, str, str], list[tuple[Number, Number]]]]:
    papers = {own.id: paper for own, paper in pairs}
    for key, curve in curves_of([own for own, _ in pairs]).items():
        yield key, [(own, papers[own.id]) for own in curve]


def _steps(pairs: Pairs, resolved: Resolved) -> Iterator[Finding]:
    """Curves that rise where the paper's falls, or fall where it rises."""
    for (artifact, panel, series), curve in _curves(pairs):
        steps = [couple for couple in itertools.pairwise(curve) if _reversed(*couple)]
        if not steps:
            continue
        clear = any(resolved(first[0].id, second[0].id) for first, second in steps)
        yield Finding(
            kind="shape-steps",
            severity=DISCREPANCY if clear else NOTE,
            points=tuple(dict.fromkeys(own.id for couple in steps for own, _ in couple)),
            expected=_directions(curve, side=1),
            found=_directions(curve, side=0),
            difference=len(steps),
            tolerance=0,
            explanation=f"{artifact} {panel} {series}: along {curve[0][0].point.x_name}, {len(steps)} of"
            f" {len(curve) - 1} steps go the other way than in the paper, {_CLEAR if clear else _NOISE}.",
        )


def _directions(curve: Pairs, side: int) -> str:
    values = [pair[side].value for pair in curve]
    words = {True: "up", False: "down"}
    steps = itertools.pairwise(values)
    return ", ".join("level" if after == before else words[after > before] for before, after in steps)


def _optima(pairs: Pairs, resolved: Resolved) -> Iterator[Finding]:
    """Curves whose best point is another one. What rounding lets the paper call best counts as its best."""
    for (artifact, panel, series), curve in _curves(pairs):
        own = max((own for own, _ in curve), key=lambda n: n.value)
        best = max((paper for _, paper in curve), key=lambda n: n.value)
        papers = [mine for mine, paper in curve if paper.value + paper.rounding >= best.value - best.rounding]
        if own.id in {number.id for number in papers}:
            continue
        clear = all(resolved(own.id, number.id) for number in papers)
        there = next(mine for mine, paper in curve if paper.id == best.id)
        order = [mine.id for mine, _ in curve]
        yield Finding(
            kind="shape-optimum",
            severity=DISCREPANCY if clear else NOTE,
            points=(there.id, own.id),
            expected=f"{there.point.x_name} = {there.point.x}",
            found=f"{own.point.x_name} = {own.point.x}",
            difference=order.index(own.id) - order.index(there.id),
            tolerance=0,
            explanation=f"{artifact} {panel} {series}: the best point is another one than in the paper (difference in"
            f" places along the curve); ours is ahead by {own.value - there.value:.3g}, {_CLEAR if clear else _NOISE}.",
        )
