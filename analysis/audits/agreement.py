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
    OPEN_SETTINGS,
    Finding,
    Number,
    between,
    by_run,
    quantity,
    run_key,
    unequal,
)
from glimmer.compute import SIZES
from glimmer.experiments.registry import Artifact
from glimmer.experiments.settings import ReaderSettings

_OF_THE_LOSS = ("tau", "scorer", "kl", "token_reduction", "teacher_gradient")  # fields that a LUMEN has no use for


def same_run(numbers: Sequence[Number], artifacts: Mapping[str, Artifact]) -> Iterator[Finding]:
    """Numbers of one run agree within the rounding of both. Where a table and a figure differ, the kind says so."""
    for group in by_run(numbers).values():
        spelled: dict[float, list[Number]] = {}
        for number in group:
            spelled.setdefault(number.value, []).append(number)
        for firsts, seconds in itertools.combinations(spelled.values(), 2):
            first, second = firsts[0], seconds[0]
            if abs(second.value - first.value) <= first.rounding + second.rounding + EPSILON:
                continue
            tables = {artifacts[number.point.artifact].kind == "table" for number in firsts + seconds}
            yield between(
                first,
                second,
                kind="table-and-figure" if len(tables) == 2 else "same-run",
                severity=DISCREPANCY,
                points=[number.id for number in firsts + seconds],
                explanation=f"The registry gives these points one configuration, but {_where(first)} has {first} and"
                f" {_where(second)} has {second}. Another training run or checkpoint, or a setting that differs without"
                f" being stated, would explain it; {OPEN_SETTINGS}.",
            )


def _where(number: Number) -> str:
    point = number.point
    return " ".join(part for part in (point.artifact, point.panel) if part)


def sums(numbers: Sequence[Number], artifacts: Mapping[str, Artifact]) -> Iterator[Finding]:
    """A gain is the difference of its two runs, and a stack ends where the run it adds up to stands elsewhere."""
    known = by_run(numbers)
    for number in numbers:
        if len(number.point.terms) > 1:
            yield from _against_parts(number, known)
    for artifact in artifacts.values():
        if artifact.kind == "stacked_bars":
            yield from _stacks([n for n in numbers if n.point.artifact == artifact.name], known)


def _against_parts(number: Number, known: Mapping[tuple, list[Number]]) -> Iterator[Finding]:
    point = number.point
    parts = [_elsewhere(known.get((quantity(point), run_key(point, term)), ()), point.artifact) for term in point.terms]
    if None in parts:
        return
    expected = sum(term.weight * part.value for term, part in zip(point.terms, parts, strict=True))
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
        explanation=f"The gain is given as {number}, while {_where(parts[0])} gives {made} = {expected:.4g} for the"
        f" same two configurations. Other runs, or another unstated setting, behind one of the artifacts would explain"
        f" it; {OPEN_SETTINGS}.",
    )


def _stacks(numbers: Sequence[Number], known: Mapping[tuple, list[Number]]) -> Iterator[Finding]:
    by_series: dict[str, list[Number]] = {}
    for number in numbers:
        by_series.setdefault(number.point.series, []).append(number)
    for parts in by_series.values():
        total: dict[tuple, int] = {}
        for number in parts:
            for term in number.point.terms:
                key = quantity(number.point), run_key(number.point, term)
                total[key] = total.get(key, 0) + term.weight
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
                explanation=f"The stacked parts {' + '.join(map(str, parts))} end at {height:.4g}, while {_where(same)}"
                f" has {same} for the configuration they add up to. Other runs, or another unstated setting, behind one"
                f" of the artifacts would explain it; {OPEN_SETTINGS}.",
            )


def _elsewhere(numbers: Iterable[Number], artifact: str) -> Number | None:
    """The most precise of these numbers outside one artifact."""
    return min((n for n in numbers if n.point.artifact != artifact), key=lambda n: n.rounding, default=None)


def same_function(numbers: Sequence[Number]) -> Iterator[Finding]:
    """GLIMMER that keeps all it retrieves computes what LUMEN does; only training tells the two apart. Where some such
    pairs have equal numbers and some have not, each that has not is worth a look."""
    pairs = [pair for pair in _different_runs(numbers) if _function(pair[0]) == _function(pair[1])]
    differing = [pair for pair in pairs if not _agree(*pair)]
    for pair in differing:
        yield between(
            *pair,
            kind="same-function",
            severity=NOTE,
            explanation=f"With every retrieved passage kept, both are the same function of their parameters and differ"
            f" in the training loss alone. Of {len(pairs)} such pairs {len(pairs) - len(differing)} have the same"
            f" number; a LUMEN run standing in for GLIMMER in those, and separate runs here, would explain both.",
        )


def _function(number: Number) -> tuple:
    """What the reader computes, apart from how it was trained to."""
    point = number.point
    reader: ReaderSettings = point.terms[0].reader.resolved(SIZES[point.size.lower()]().encoder_layers)
    if reader.name == "glimmer" and reader.m == reader.k and reader.reranker == "shared":
        of_the_loss = {"lambda_": 0.0} | {key: getattr(ReaderSettings, key) for key in _OF_THE_LOSS}
        reader = reader.change(name="lumen", beta=None, **of_the_loss)
    return quantity(point), point.size, reader


def equal_values(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Numbers that agree to the last digit although their configurations differ: chance, or one run shown twice.

    Compared where both are spelled with equally many digits, or both with two or more; the explanation says how many
    such pairs chance alone would give among so many numbers.
    """
    groups: dict[tuple, dict[str, list[Number]]] = {}
    runs = list(by_run(numbers).items())
    for ((what, _), firsts), ((other_what, _), seconds) in itertools.combinations(runs, 2):
        pairs = (pair for pair in itertools.product(firsts, seconds) if what == other_what and _equally_spelled(*pair))
        if pair := next(pairs, None):
            coarse = min(pair, key=lambda number: number.decimals or 0)
            members = groups.setdefault((what, coarse.decimals), {}).setdefault(coarse.text, [])
            members += [number for number in pair if number not in members]
    for (what, digits), equal in groups.items():
        alike = [n for n in numbers if quantity(n.point) == what and (n.decimals or 0) >= digits]
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
    return [(first, second) for first, second in pairs if quantity(first.point) == quantity(second.point)]


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
