"""Sentences that rest on differences smaller than what test sets of the stated size can resolve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scipy.special import ndtri

from analysis.audits.finding import NOTE, Finding, Number, facts
from analysis.audits.precision import standard_error
from analysis.ledger.language import AliasedPoint, Linear, compile_statement
from analysis.ledger.verdicts import SUPPORTED


def unresolved(numbers: Sequence[Number], rows: Sequence[Mapping[str, Any]], level: float) -> Iterator[Finding]:
    """Claims that the printed numbers bear out, though by less than z standard errors of the difference.

    The error is sqrt(sum of squared weight x p (1 - p) / n) over shares of test sets, as if every number came from
    questions of its own; z is the two-sided normal quantile of `level`. Systems that answer the same questions agree on
    many, so a paired test could resolve less; printed numbers do not allow one. Requirements over a number that is no
    share, or of a tolerance (`within`), are passed over.
    """
    printed, z = {number.id: number for number in numbers}, float(ndtri((1 + level) / 2))
    values = {number.id: number.value for number in numbers}
    for row in rows:
        if row["verdict"] != SUPPORTED:
            continue
        needed = [(required, _error(required, printed)) for required in _requirements(row, printed)]
        tested = [(float(required.effect(values)), error, required) for required, error in needed if error is not None]
        weak = [(effect, error, required) for effect, error, required in tested if effect < z * error]
        if not weak:
            continue
        effect, error, required = min(weak, key=lambda part: part[0] / part[1])
        yield Finding(
            kind="sampling",
            severity=NOTE,
            points=tuple(row["points"]),
            expected=f"above {z * error:.2f}",
            found=effect,
            difference=effect - z * error,
            tolerance=z * error,
            explanation=f"Claim {row['id']} ({row['source']}): of its {len(tested)} comparisons {len(weak)} could come"
            f" from sampling alone ({100 * level:g} percent, each number on questions of its own). The weakest,"
            f" {required.name}, has {effect:.3g} where {z * error:.2g} would be resolved. A paired test over the same"
            " questions could resolve less; printed numbers allow none.",
            about=row["id"],
        )


def _requirements(row: Mapping[str, Any], printed: Mapping[str, Number]) -> list[Linear]:
    aliases = {
        alias: AliasedPoint(
            id=id,
            x=None if printed[id].point.x is None else float(printed[id].point.x),
            unit=printed[id].point.measure.unit,
        )
        for alias, id in row["aliases"].items()
    }
    compiled = compile_statement(row["expression"], aliases, row["id"])
    return [required for required in compiled if isinstance(required, Linear) and not required.closed]


def _error(required: Linear, printed: Mapping[str, Number]) -> float | None:
    """The standard error of an effect; None where a number is no share of test sets."""
    members = [printed[id] for id in required.points]
    if not all(facts(member.point).sets for member in members):
        return None
    squares = [(required.weights[member.id] * standard_error(member)) ** 2 for member in members]
    return math.sqrt(sum(squares))
