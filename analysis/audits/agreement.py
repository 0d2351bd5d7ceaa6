"""Numbers that must be equal since they are the same run, sums that must be equal to their parts, and numbers that are
equal although their runs are not the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from analysis.audits.finding import (
    DISCREPANCY,
    EPSILON,
    NOTE,
    Finding,
    Number,
    between,
    by_run,
    unequal,
)
from analysis.papers.description import stated_equal


def same_run(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Numbers of one configuration agree within the rounding of both. Where a table differs from a figure or from the
    text, the kind says so."""
    for group in by_run(numbers).values():
        spelled: dict[float, list[Number]] = {}
        for number in group:
            spelled.setdefault(number.value, []).append(number)
        for firsts, seconds in itertools.combinations(spelled.values(), 2):
            first, second = firsts[0], seconds[0]
            if abs(second.value - first.value) <= first.rounding + second.rounding + EPSILON:
                continue
            paper, is_count = first.facts.paper, first.point.measure.unit == "count"
            why = (
                "Another way of counting, or others counted"
                if is_count
                else "Another training run or checkpoint, or a setting that differs without being stated"
            )
            yield between(
                first,
                second,
                kind=_kind({number.facts.artifact_kind for number in firsts + seconds}),
                severity=DISCREPANCY,
                points=[number.id for number in firsts + seconds],
                explanation=f"{paper.described_by} gives these points one configuration, but {first.where} has {first}"
                f" and {second.where} has {second}. {why}, would explain it; {paper.open_settings}.",
            )


def _kind(artifacts: set[str]) -> str:
    """What disagrees: the text with a table or figure, a table with a figure, or two of a kind."""
    if "text" in artifacts and len(artifacts) > 1:
        return "text-and-table"
    return "table-and-figure" if "table" in artifacts and len(artifacts) > 1 else "same-run"


def sums(numbers: Sequence[Number]) -> Iterator[Finding]:
    """A gain is the difference of its two runs, and a stack ends where the run it adds up to stands elsewhere."""
    known = by_run(numbers)
    for number in numbers:
        if len(number.facts.parts) > 1:
            yield from _against_parts(number, known)
    stacked = [number for number in numbers if number.facts.artifact_kind == "stacked_bars"]
    for artifact in dict.fromkeys(number.point.artifact for number in stacked):
        yield from _stacks([number for number in stacked if number.point.artifact == artifact], known)


def _against_parts(number: Number, known: Mapping[tuple, list[Number]]) -> Iterator[Finding]:
    own = number.facts
    parts = [_elsewhere(known.get((own.quantity, key), ()), number.point.artifact) for _, key in own.parts]
    if None in parts:
        return
    expected = sum(weight * part.value for (weight, _), part in zip(own.parts, parts, strict=True))
    tolerance = number.rounding + sum(part.rounding for part in parts)
    if abs(number.value - expected) <= tolerance + EPSILON:
        return
    made = " - ".join(str(part) for part in parts)
    yield unequal(
        kind="gain-and-parts",
        severity=DISCREPANCY,
        points=(number.id, *(part.id for part in parts)),
        expected=expected,
        found=number.value,
        tolerance=tolerance,
        explanation=f"The gain is given as {number}, while {parts[0].where} gives {made} = {expected:.4g} for the"
        f" same two configurations. Other runs, or another unstated setting, behind one of the artifacts would explain"
        f" it; {own.paper.open_settings}.",
    )


def _stacks(numbers: Sequence[Number], known: Mapping[tuple, list[Number]]) -> Iterator[Finding]:
    by_series: dict[str, list[Number]] = {}
    for number in numbers:
        by_series.setdefault(number.point.series, []).append(number)
    for parts in by_series.values():
        total: dict[tuple, int] = {}
        for number in parts:
            for weight, configuration in number.facts.parts:
                key = number.facts.quantity, configuration
                total[key] = total.get(key, 0) + weight
        total = {key: weight for key, weight in total.items() if weight}
        if len(parts) < 2 or list(total.values()) != [1]:
            continue
        same = _elsewhere(known.get(next(iter(total)), ()), parts[0].point.artifact)
        if same is None:
            continue
        height = sum(number.value for number in parts)
        tolerance = same.rounding + sum(number.rounding for number in parts)
        if abs(height - same.value) > tolerance + EPSILON:
            yield unequal(
                kind="stack-and-whole",
                severity=DISCREPANCY,
                points=(*(number.id for number in parts), same.id),
                expected=same.value,
                found=height,
                tolerance=tolerance,
                explanation=f"The stacked parts {' + '.join(map(str, parts))} end at {height:.4g}, while {same.where}"
                f" has {same} for the configuration they add up to. Other runs, or another unstated setting, behind one"
                f" of the artifacts would explain it; {same.facts.paper.open_settings}.",
            )


def _elsewhere(numbers: Iterable[Number], artifact: str) -> Number | None:
    """The most precise of these numbers outside one artifact."""
    return min((n for n in numbers if n.point.artifact != artifact), key=lambda n: n.rounding, default=None)


def same_function(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Different configurations that compute one function of their parameters, and differ in training alone. Where some
    such pairs have equal numbers and some have not, each that has not is worth a look."""
    pairs = [pair for pair in _different_runs(numbers) if _function(pair[0]) == _function(pair[1])]
    differing = [pair for pair in pairs if not _agree(*pair)]
    for pair in differing:
        words = pair[0].facts.paper.same_function
        yield between(
            *pair,
            kind="same-function",
            severity=NOTE,
            explanation=f"{words.because} Of {len(pairs)} such pairs {len(pairs) - len(differing)} have the same"
            f" number; {words.explained_by}, would explain both.",
        )


def _function(number: Number) -> tuple:
    """What is measured of which function, however its parameters were trained."""
    return number.facts.quantity, number.facts.function


def equal_values(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Numbers that agree to the last digit although their configurations differ: chance, or one run shown twice.

    Compared where both are spelled with equally many digits, or both with two or more; the explanation says how many
    such pairs chance alone would give among so many numbers. Counts, zeros and what a description states to be
    one number are left out: they are equal for reasons.
    """
    groups: dict[tuple, dict[str, list[Number]]] = {}
    runs = list(by_run(n for n in numbers if n.value and n.point.measure.unit != "count").items())
    linked = stated_equal(numbers[0].facts.paper) if numbers else frozenset()
    for ((what, _), firsts), ((other_what, _), seconds) in itertools.combinations(runs, 2):
        pairs = (pair for pair in itertools.product(firsts, seconds) if what == other_what and _equally_spelled(*pair))
        is_linked = linked and any(frozenset((a.id, b.id)) in linked for a, b in itertools.product(firsts, seconds))
        if not is_linked and (pair := next(pairs, None)):
            coarse = min(pair, key=lambda number: number.decimals or 0)
            members = groups.setdefault((what, coarse.decimals), {}).setdefault(coarse.text, [])
            members += [number for number in pair if number not in members]
    for (what, digits), equal in groups.items():
        alike = [n for n in numbers if n.facts.quantity == what and (n.decimals or 0) >= digits]
        chance = _expected_pairs(alike, digits)
        for text, members in equal.items():
            functions = {_function(number) for number in members}
            same = " They compute the same function, trained in different ways." if len(functions) == 1 else ""
            yield Finding(
                kind="equal-values",
                severity=NOTE,
                points=tuple(number.id for number in members),
                expected="different numbers",
                found=float(text),
                difference=0.0,
                tolerance=max(number.rounding for number in members),
                explanation=f"{len(members)} points of different configurations agree at {text}, to as many decimals as"
                f" are given ({digits}).{same} Chance alone would give about {chance:.2g} such pairs among the numbers"
                " of this kind; one run shown twice would explain it too.",
            )


def _different_runs(numbers: Sequence[Number]) -> list[tuple[Number, Number]]:
    """Pairs of numbers that measure the same of different runs; one number stands for each run."""
    firsts = [min(group, key=lambda n: n.rounding) for group in by_run(numbers).values()]
    pairs = itertools.combinations(firsts, 2)
    return [(first, second) for first, second in pairs if first.facts.quantity == second.facts.quantity]


def _agree(first: Number, second: Number) -> bool:
    return abs(first.value - second.value) <= max(first.rounding, second.rounding) + EPSILON


def _equally_spelled(first: Number, second: Number) -> bool:
    """Whether both have the same digits, as far as the coarser one has any (two decimals at least, or equally many)."""
    comparable = first.decimals == second.decimals or min(first.decimals or 0, second.decimals or 0) >= 2
    return comparable and _agree(first, second)


def _expected_pairs(numbers: Sequence[Number], digits: int) -> float:
    """How many of all pairs would agree to `digits` decimals if the numbers lay anywhere in the range they span."""
    values = [min(group, key=lambda n: n.rounding).value for group in by_run(numbers).values()]
    spread = max(values) - min(values)
    cells = Fraction(10) ** digits
    return len(values) * (len(values) - 1) / 2 / float(max(1, cells * Fraction(spread).limit_denominator(10**6)))
