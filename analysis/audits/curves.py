"""Curves over something of which more should help (passages, live layers, rerank layers), or hurt: do they turn?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from analysis.audits.finding import DISCREPANCY, EPSILON, NOTE, Finding, Number, between
from analysis.ledger.verdicts import CONTRADICTED, UNDECIDED

Resolved = Callable[[str, str | None], bool]
"""Whether two points of a study (or one and zero) differ by more than noise; takes their ids."""


def curves_of(numbers: Sequence[Number]) -> dict[tuple[str, str, str], list[Number]]:
    """(artifact, panel, series) -> its numbers in the order of x; level lines and lone points are no curves."""
    curves: dict[tuple[str, str, str], list[Number]] = {}
    for number in numbers:
        point = number.point
        if point.x is not None and not point.level:
            curves.setdefault((point.artifact, point.panel, point.series), []).append(number)
    return {key: sorted(curve, key=lambda n: n.point.x) for key, curve in curves.items() if len(curve) > 2}


def monotone(numbers: Sequence[Number], resolved: Resolved | None = None) -> Iterator[Finding]:
    """Curves that turn somewhere although a description gives reason to expect that they rise (or fall) throughout.

    The registry's curves rise: every step along x costs operations. A turn counts where it is larger than the rounding
    of its two ends, and, with `resolved`, larger than noise.
    """
    for (artifact, panel, series), curve in curves_of(numbers).items():
        rising = curve[0].facts.rising
        if rising is None:
            continue
        sign, turns = (1 if rising else -1), []
        for index, number in enumerate(curve[1:], start=1):
            before = max(curve[:index], key=lambda n: sign * n.value)
            beyond = sign * (number.value - before.value) < -(number.rounding + before.rounding + EPSILON)
            if beyond and (resolved is None or resolved(before.id, number.id)):
                turns.append((before, number))
        if not turns:
            continue
        best, worst = min(turns, key=lambda turn: sign * (turn[1].value - turn[0].value))
        symbol = best.point.x_name
        listed = "; ".join(f"{low} at {symbol} = {low.point.x}" for _, low in turns)
        side, best_so_far = ("below", "best") if rising else ("above", "lowest")
        yield between(
            best,
            worst,
            kind="monotone",
            severity=NOTE,
            explanation=f"{artifact} {panel} {series}: {best.facts.expected} along {symbol}, yet {side} the"
            f" {best_so_far} so far: {listed} ({best_so_far} {best} at {symbol} = {best.point.x}). A real optimum, or"
            " the spread between training runs, would explain it.",
        )


def statements(rows: Sequence[dict]) -> Iterator[Finding]:
    """Sentences of the ledger that the numbers they stand on do not bear out, or not beyond rounding."""
    for row in rows:
        if row["verdict"] not in (CONTRADICTED, UNDECIDED):
            continue
        against = row["verdict"] == CONTRADICTED
        why = (
            "the numbers say otherwise"
            if against
            else "the numbers agree with it, but only within what rounding of their last digits could undo"
        )
        read_so = f" We read it so: {row['reading']}." if row.get("reading") else ""
        yield Finding(
            kind="statement",
            severity=DISCREPANCY if against else NOTE,
            points=tuple(row["points"]),
            expected="above 0",
            found=row["effect"],
            difference=row["effect"],
            tolerance=row.get("tolerance"),
            explanation=f"Claim {row['id']} ({row['source']}): {why}. {row['statement']}"
            f"{read_so} The effect is that of: {row.get('effect_of', '')}.",
            about=row["id"],
        )
