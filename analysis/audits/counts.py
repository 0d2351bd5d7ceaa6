"""Costs: reported speeds against the formulas of a description, at the stated lengths and at those that fit best, and
a formula's coefficients against the model's own; and the counts in run files against the settings beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from analysis.audits.finding import DISCREPANCY, NOTE, Finding, Number, unequal
from analysis.papers.arithmetic import evaluate
from analysis.papers.description import Formulas
from glimmer.compute import operation_counts
from glimmer.errors import InputError
from glimmer.experiments import Run

_EQUAL = 1e-9  # relative; a count is exact, floats are not
_RELATIVE = 1e-6  # a fit this close reproduces every digit that matters
_WITHIN = 0.5  # of a length, which is a whole number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """The lengths that come closest to reported speeds under one formula, by relative error of the cost."""

    convention: str
    lengths: Mapping[str, float]
    largest_relative_error: float

    def as_json(self) -> dict[str, Any]:
        """The fit as audit.json has it."""
        values = {**self.lengths, "largest_relative_error": self.largest_relative_error}
        return {"convention": self.convention} | {key: float(f"{value:.8g}") for key, value in values.items()}


def formulas_of(numbers: Sequence[Number]) -> tuple[Formulas | None, list[Number]]:
    """(the formulas of the description behind these numbers, the numbers that they speak of)."""
    formulas = next((n.facts.paper.formulas for n in numbers if n.facts.paper.formulas), None)
    return formulas, [n for n in numbers if formulas and n.facts.measure == formulas.measure and n.value > 0]


def stated_lengths(formulas: Formulas) -> dict[str, float]:
    """The lengths that the paper states, by the names that formulas give them."""
    return {name: unknown.stated for name, unknown in formulas.unknown.items() if unknown.stated is not None}


def fits(numbers: Sequence[Number], stated: Mapping[str, float] | None = None) -> list[Fit]:
    """Per formula the lengths that fit these speeds best (least squares of relative errors of the cost).

    Formulas are linear in the lengths. Those `stated` are kept, and the others then are at least 0. Empty where there
    are fewer than two speeds.
    """
    formulas, speeds = formulas_of(numbers)
    return [_fit(speeds, formulas, name, stated or {}) for name in formulas.costs] if len(speeds) > 1 else []


def _fit(speeds: Sequence[Number], formulas: Formulas, name: str, stated: Mapping[str, float]) -> Fit:
    costs = np.array([formulas.per / n.value for n in speeds])
    fixed, by_length = zip(*(_terms(n, formulas, name) for n in speeds), strict=True)
    units, rest = np.array([list(each.values()) for each in by_length]) / costs[:, None], 1 - np.array(fixed) / costs
    unknown = list(formulas.unknown)
    free = [index for index, length in enumerate(unknown) if length not in stated]
    solved = np.array([stated.get(length, 0.0) for length in unknown])
    best = np.linalg.lstsq(units[:, free], rest - units @ solved, rcond=None)[0]
    solved[free] = np.maximum(best, 0.0) if stated else best
    return Fit(
        convention=name,
        lengths={length: float(value) for length, value in zip(unknown, solved, strict=True)},
        largest_relative_error=float(np.abs(units @ solved - rest).max()),
    )


def _terms(number: Number, formulas: Formulas, name: str) -> tuple[float, dict[str, float]]:
    """(what it costs at no length, what one of each unknown length costs besides).

    Raises InputError for a formula that is not linear in them, or that needs a setting which the system has not.
    """
    where, settings = f"paper.yaml: formulas.costs.{name}.cost ({number.id})", number.facts.settings

    def cost(lengths: Mapping[str, int]) -> Fraction:
        every = {length: Fraction(lengths.get(length, 0)) for length in formulas.unknown}
        return evaluate(formulas.costs[name].cost, {**settings, **every}, where)

    fixed = cost({})
    units = {length: cost({length: 1}) - fixed for length in formulas.unknown}
    if cost(dict.fromkeys(units, 2)) != fixed + 2 * sum(units.values()):
        found = formulas.costs[name].cost
        raise InputError("not linear", where=where, expected="a cost linear in " + ", ".join(units), found=repr(found))
    return float(fixed), {length: float(unit) for length, unit in units.items()}


def _cost(number: Number, formulas: Formulas, fit: Fit) -> float:
    fixed, units = _terms(number, formulas, fit.convention)
    return fixed + sum(units[length] * value for length, value in fit.lengths.items())


def speeds(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Every reported speed against each formula at the stated lengths, the others chosen to fit best."""
    formulas, members = formulas_of(numbers)
    if formulas is None:
        return
    stated = stated_lengths(formulas)
    for fit in fits(numbers, stated):
        for number in members:
            expected = formulas.per / _cost(number, formulas, fit)
            if abs(number.value - expected) <= number.rounding:
                continue
            kept = " and ".join(f"{value:g} {formulas.unknown[length].unit}" for length, value in stated.items())
            chosen = [
                f"{each.called} that fits best ({fit.lengths[length]:.1f})"
                for length, each in formulas.unknown.items()
                if length not in stated
            ]
            yield unequal(
                kind="operation-count",
                severity=DISCREPANCY,
                points=(number.id,),
                expected=expected,
                found=number.value,
                tolerance=number.rounding,
                explanation=f"Under {formulas.costs[fit.convention].words} at the stated {kept}"
                f"{''.join(f', and {each},' for each in chosen)} {number.point.series} would reach"
                f" {expected:.4g} {formulas.in_words}; {number.value:.4g} are reported"
                f" ({100 * (number.value / expected - 1):+z.1f} percent). Other lengths behind the figure than those"
                " stated would explain it: see the fitted token counts.",
                about=fit.convention,
            )


def token_counts(numbers: Sequence[Number]) -> Iterator[Finding]:
    """The lengths that fit the reported speeds best, per formula, against those stated."""
    formulas, members = formulas_of(numbers)
    points = tuple(n.id for n in members)
    for fit in fits(numbers):
        exact = fit.largest_relative_error < _RELATIVE
        how = "exactly to" if exact else "no better than"
        so = "The speeds were computed with those lengths, it seems." if exact else "So not by these formulas."
        give = " and ".join(f"{fit.lengths[name]:.2f} {each.unit}" for name, each in formulas.unknown.items())
        for length, stated in stated_lengths(formulas).items():
            value = fit.lengths[length]
            if exact and abs(value - stated) < _WITHIN:
                continue
            yield unequal(
                kind="token-count",
                severity=DISCREPANCY if exact else NOTE,
                points=points,
                expected=int(stated) if float(stated).is_integer() else stated,
                found=round(value, 3),
                tolerance=_WITHIN,
                explanation=f"Counting by {formulas.costs[fit.convention].words}, {give} give the reported speeds {how}"
                f" {fit.largest_relative_error:.1e} (largest relative error); {stated:g} are stated. {so}",
                about=fit.convention,
            )


def coefficients(numbers: Sequence[Number]) -> Iterator[Finding]:
    """A printed formula's coefficients against those of the model that was used, for every model in use."""
    formulas, members = formulas_of(numbers)
    models: dict[tuple, list[Number]] = {}
    for number in members if formulas else []:
        models.setdefault(number.facts.model, []).append(number)
    for model, its_numbers in models.items():
        settings = its_numbers[0].facts.settings
        for each in formulas.coefficients:
            where = f"paper.yaml: formulas.coefficients: {each.what} ({model})"
            printed, own = (evaluate(text, settings, where) for text in (each.printed, each.own))
            if printed != own:
                yield unequal(
                    kind="formula",
                    severity=NOTE,
                    points=tuple(n.id for n in its_numbers),
                    expected=float(own),
                    found=float(printed),
                    tolerance=0.0,
                    explanation=f"The printed formula counts {float(printed):g} {each.unit} for {each.what};"
                    f" {each.of.format(model=model)} has {float(own):g} {each.unit}. {each.because}",
                    about=f"{model}: {each.what}",
                )


def of_runs(planned: Mapping[str, Run], runs: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Counts in run files that are not those of the run's settings."""
    for run_id, run in runs.items():
        if run_id not in planned:
            continue
        own = operation_counts(planned[run_id].dimensions, planned[run_id].workload)
        recorded = run.get("operation_counts") or {}
        wrong = [name for name, macs in own.items() if abs(recorded.get(name, -1.0) - macs) > _EQUAL * macs]
        if wrong:
            expected, recorded_macs = own[wrong[0]], recorded.get(wrong[0])
            yield Finding(
                kind="operation-count",
                severity=DISCREPANCY,
                points=planned[run_id].points,
                expected=expected,
                found=recorded_macs,
                difference=None if recorded_macs is None else recorded_macs - expected,
                tolerance=_EQUAL * expected,
                explanation=f"Run {run_id} records other numbers of operations than its settings give:"
                f" {', '.join(wrong)} (shown: the first). Code of another version would explain it.",
                about=run_id,
            )
