"""Operation counts: reported speeds against the printed formulas and against the layers' real widths, at the stated
number of tokens and at the number that fits best; and the counts in run files against the settings beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from analysis.audits.finding import DISCREPANCY, NOTE, Finding, Number, unequal
from glimmer.compute import MACS_PER_TFLOP, SIZES, Convention, Dimensions, Workload, operation_count, operation_counts
from glimmer.experiments import Run, load_study

PUBLISHED = "kilt"
"""The study whose lengths are those that the paper states (question and passage; it states no target length)."""

_WORDS = {"printed": "the printed formulas", "figure2": "the layers' own widths"}
_EQUAL = 1e-9  # relative; a count is exact, floats are not
_RELATIVE = 1e-6  # a fit this close reproduces every digit that matters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """Tokens of a question-passage pair and of the target that come closest to reported speeds, by relative error."""

    convention: Convention
    tokens: float
    target_tokens: float
    largest_relative_error: float

    def as_json(self) -> dict[str, Any]:
        """The fit as audit.json has it."""
        return {key: value if isinstance(value, str) else float(f"{value:.8g}") for key, value in vars(self).items()}


def stated_tokens() -> int:
    """Tokens of one question and passage as the paper states them."""
    lengths = load_study(PUBLISHED).lengths
    return lengths.question + lengths.passage


def fits(numbers: Sequence[Number], tokens: int | None = None) -> list[Fit]:
    """Per closed formula the token counts that fit these speeds best (least squares of relative errors in macs).

    Both formulas are linear in both counts. With `tokens` given, only the target's is solved for, at least 0.
    """
    speeds = [n for n in numbers if n.point.measure.kind == "speed"]
    return [_fit(speeds, convention, tokens) for convention in ("printed", "figure2")] if len(speeds) > 1 else []


def _fit(speeds: Sequence[Number], convention: Convention, tokens: int | None) -> Fit:
    macs = np.array([MACS_PER_TFLOP / n.value for n in speeds])
    costs = np.array([[_macs(n, convention, 1, 0), _macs(n, convention, 0, 1)] for n in speeds]) / macs[:, None]
    if tokens is None:
        solved = np.linalg.lstsq(costs, np.ones(len(speeds)), rcond=None)[0]
    else:
        target = costs[:, 1] @ (1 - costs[:, 0] * tokens) / (costs[:, 1] @ costs[:, 1])
        solved = np.array([tokens, max(0.0, target)])
    error = float(np.abs(costs @ solved - 1).max())
    return Fit(
        convention=convention,
        tokens=float(solved[0]),
        target_tokens=float(solved[1]),
        largest_relative_error=error,
    )


def _macs(number: Number, convention: Convention, tokens: float, target_tokens: float) -> float:
    """Macs of a reported reader; linear in the two counts of tokens."""
    reader, dimensions = number.point.reader, _dimensions(number)
    work = {key: getattr(reader, key) for key in ("alpha", "beta", "k", "m")}
    unit = {
        key: operation_count(dimensions, Workload(**work, tokens=t, target_tokens=n), convention)
        for key, t, n in (("tokens", 1, 0), ("target", 0, 1))
    }
    return float(unit["tokens"]) * tokens + float(unit["target"]) * target_tokens


def _dimensions(number: Number) -> Dimensions:
    return SIZES[number.point.size.lower()]()


def speeds(numbers: Sequence[Number]) -> Iterator[Finding]:
    """Every reported speed against both formulas at the stated tokens, the target length chosen to fit best."""
    stated = stated_tokens()
    for fit in fits(numbers, stated):
        for number in numbers:
            if number.point.measure.kind != "speed":
                continue
            expected = MACS_PER_TFLOP / _macs(number, fit.convention, fit.tokens, fit.target_tokens)
            if abs(number.value - expected) <= number.rounding:
                continue
            yield unequal(
                kind="operation-count",
                severity=DISCREPANCY,
                points=(number.id,),
                expected=expected,
                found=number.value,
                tolerance=number.rounding,
                explanation=f"Under {_WORDS[fit.convention]} at the stated {stated} tokens a question and passage, and"
                f" the target length that fits best ({fit.target_tokens:.1f}), {number.point.series} would reach"
                f" {expected:.4g} samples a TFLOP; {number.value:.4g} are reported"
                f" ({100 * (number.value / expected - 1):+.1f} percent). Other lengths behind the figure than those"
                " stated would explain it: see the fitted token counts.",
                about=fit.convention,
            )


def table(numbers: Sequence[Number]) -> list[dict[str, Any]]:
    """Every reported speed beside each convention's at the published study's lengths (the target's is ours)."""
    study, rows = load_study(PUBLISHED), []
    for number in numbers:
        if number.point.measure.kind == "speed":
            macs = operation_counts(_dimensions(number), study.workload(number.point.reader))
            own = {convention: MACS_PER_TFLOP / count for convention, count in macs.items()}
            rows.append({"point": number.id, "reported": number.value, "lengths": vars(study.lengths), **own})
    return rows


def token_counts(numbers: Sequence[Number]) -> Iterator[Finding]:
    """The tokens that fit the reported speeds best, per formula, against those stated."""
    stated = stated_tokens()
    points = tuple(n.id for n in numbers if n.point.measure.kind == "speed")
    for fit in fits(numbers):
        exact = fit.largest_relative_error < _RELATIVE
        if exact and abs(fit.tokens - stated) < 0.5:
            continue
        how = "exactly" if exact else "no better than"
        yield unequal(
            kind="token-count",
            severity=DISCREPANCY if exact else NOTE,
            points=points,
            expected=stated,
            found=round(fit.tokens, 3),
            tolerance=0.5,
            explanation=f"Counting by {_WORDS[fit.convention]}, {fit.tokens:.2f} tokens a question and passage and"
            f" {fit.target_tokens:.2f} target tokens give the reported speeds {how}"
            f" {'to ' if exact else ''}{fit.largest_relative_error:.1e} (largest relative error); {stated} are stated."
            + (" The speeds were computed with those lengths, it seems." if exact else " So not by these formulas."),
            about=fit.convention,
        )


def coefficients(numbers: Sequence[Number]) -> Iterator[Finding]:
    """The printed formulas' cost of a layer against the published model's own widths, for every size in use."""
    sizes: dict[str, list[Number]] = {}
    for number in numbers:
        if number.point.measure.kind == "speed":
            sizes.setdefault(number.point.size, []).append(number)
    for size, members in sizes.items():
        for what, printed, own in _layer_costs(_dimensions(members[0])):
            if printed != own:
                yield unequal(
                    kind="formula",
                    severity=NOTE,
                    points=tuple(n.id for n in members),
                    expected=float(own),
                    found=float(printed),
                    tolerance=0.0,
                    explanation=f"The printed formula counts {float(printed):g} d² for {what}; T5.1.1-{size}, with its"
                    f" gated feed-forward, has {float(own):g} d². A feed-forward of 4 d without a gate would be the"
                    " printed count.",
                    about=f"{size}: {what}",
                )


def _layer_costs(d: Dimensions) -> Iterator[tuple[str, Fraction, Fraction]]:
    """(what, printed, own) in units of d squared: differences of the formulas, so that they are written down once."""

    def cost(convention: Convention, *, alpha: int, tokens: int, target: int) -> Fraction:
        work = Workload(alpha=Fraction(alpha), beta=None, k=1, m=1, tokens=tokens, target_tokens=target)
        return operation_count(d, work, convention) / (d.encoder_layers * d.d_model**2)

    both: tuple[Convention, Convention] = ("printed", "figure2")
    encoder = [cost(c, alpha=1, tokens=1, target=0) - cost(c, alpha=0, tokens=1, target=0) for c in both]
    decoder = [cost(c, alpha=1, tokens=0, target=1) for c in both]
    yield "an encoder layer and token", *encoder
    yield "a decoder layer and target token", *decoder


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
