"""What the page opens with, in words: the result in one sentence, every claim as one mark, what was not tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.differences import Difference, difference, pairing
from analysis.figures.artifact import value_text
from analysis.ledger.sentences import MEASURED, PRIMARY
from analysis.ledger.verdicts import (
    AGAINST,
    CONTRADICTED,
    IN_DIRECTION,
    MISSING,
    NO_DIFFERENCE,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
)
from analysis.names import READER_NAMES
from analysis.report.ledger_tables import listed
from glimmer.results import PointResult, StudyResults

BASES = ("lumen", "fid", "glimmer")
"""Readers that the others are set beside: LUMEN, as in the paper, and the next where it has no result."""
STATES = {
    "shown": ("✓", "supported by measuring"),
    "built-in": ("=", "supported, but by construction or by k alone"),
    "against": ("✗", "contradicted, or against it"),
    "built-against": ("≠", "contradicted, but by construction or by k alone"),
    "excluded": ("≈", "undecided, and a difference of the paper's size excluded"),
    "weak": ("?", "undecided: too few data to say"),
    "not-tested": ("–", "not tested: the treatment was not delivered"),
    "missing": ("", "missing: not part of the study, or not measured yet"),
}
_ELSEWHERE = "not part of this study"
"""State of a claim -> its mark and what it means. A mark is read without its colour."""


def base_reader(study: StudyResults) -> str:
    """The first of `BASES` that has a result in Figure 2, LUMEN where none has."""
    measured = {result.point.reader.name for result in _measured(study)}
    return next((name for name in BASES if name in measured), BASES[0])


def differences(study: StudyResults, base: str) -> list[Difference]:
    """Each reader of Figure 2 that has a result less the base's; the base itself first. Empty without the base's."""
    readers = _measured(study)
    first = next((result for result in readers if result.point.reader.name == base), None)
    return [] if first is None else _from(first, readers, study)


def _measured(study: StudyResults) -> list[PointResult]:
    return [result for result in study.of("figure2", "performance") if result.value is not None]


def _from(base: PointResult, readers: Sequence[PointResult], study: StudyResults) -> list[Difference]:
    bootstrap = pairing(study)
    others = [result for result in readers if result is not base]
    return [Difference(result=base, value=0.0), *(difference(result, base, bootstrap) for result in others)]


def sentence(study: StudyResults, reference: StudyResults | None) -> str:
    """Who answers most and by how much, with what may be chance said so; then the paper's. Empty without a result."""
    text = _ranked(study)
    papers = _ranked(reference) if reference and text else ""
    return f"{text} In the paper {papers}" if papers else text


def _ranked(study: StudyResults) -> str:
    """`FiD answers most: 48.7 percent (mean of 5 tasks); LUMEN is 5.1 points below (2.9 to 7.3) ...`"""
    readers = sorted(_measured(study), key=lambda result: -result.value)
    if not readers:
        return ""
    best, *others = _from(readers[0], readers, study)
    text = f"{reader_name(best)} answers most: {best.result.value:.1f} percent (mean of {best.result.n_tasks} tasks)"
    if not others:
        return f"{text}."
    text += f"; {listed([f'{reader_name(one)} is {one.text}' for one in others])}."
    unclear = [reader_name(one) for one in others if not one.is_clear]
    return f"{text} What sets {listed(unclear)} apart from it may be chance." if unclear else text


def reader_name(one: Difference) -> str:
    """The reader's name, of what is said of it."""
    return READER_NAMES[one.result.point.reader.name]


def with_state(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim with its state and that state's mark."""
    state = state_of(claim)
    return {**claim, "state": state, "glyph": STATES[state][0]}


def state_of(claim: Mapping[str, Any]) -> str:
    """One of `STATES` for a claim of claims.json."""
    verdict = claim.get("verdict")
    measured = claim.get("rests_on") in (MEASURED, None)
    if verdict in (SUPPORTED, IN_DIRECTION):
        return "shown" if measured else "built-in"
    if verdict in (CONTRADICTED, AGAINST):
        return "against" if measured else "built-against"
    if verdict in (UNDECIDED, NO_DIFFERENCE):
        return "excluded" if claim.get("excludes_paper_effect") else "weak"
    return {NOT_TESTED: "not-tested", MISSING: "missing"}[str(verdict)]


REPORTED = {"shown": "supported by the printed numbers", "weak": "undecided: the printed digits cannot say"}
"""What states mean of the paper's own numbers, where they mean something else."""


def strip(claims: Sequence[Mapping[str, Any]], reported: bool = False) -> dict[str, Any] | None:
    """Every claim as one mark, primary ones first, and how many are in each state; None where none was evaluated.

    `reported`: of the paper's own numbers, which nobody here measured.
    """
    if not claims:
        return None
    meaning = {state: text for state, (_, text) in STATES.items()} | (REPORTED if reported else {})
    rows = [(claim, state_of(claim)) for claim in claims]
    rows.sort(key=lambda row: row[0].get("family", PRIMARY) != PRIMARY)
    counts = Counter(state for _, state in rows)
    return {
        "marks": [
            {
                "id": claim["id"],
                "state": state,
                "glyph": STATES[state][0],
                "text": f"{claim['statement']} {meaning[state].capitalize()}.",
                "primary": claim.get("family", PRIMARY) == PRIMARY,
            }
            for claim, state in rows
        ],
        "legend": [
            {"state": state, "glyph": glyph, "text": meaning[state], "count": counts[state], "ids": _few(rows, state)}
            for state, (glyph, _) in STATES.items()
            if counts[state] and state != "missing"
        ]
        + _missing([claim for claim, state in rows if state == "missing"]),
        "parts": _parts(counts, reported),
    }


def _missing(claims: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Lines of the legend for claims without a result: those still to be measured by name, those of other studies."""
    elsewhere = [one["id"] for one in claims if str(one.get("note", "")).startswith(_ELSEWHERE)]
    waiting = [one["id"] for one in claims if one["id"] not in elsewhere]
    lines = (
        ("not measured yet", waiting, waiting if len(waiting) <= _FEW else []),
        (_ELSEWHERE, elsewhere, []),
    )
    named = [line for line in lines if line[1]]
    return [
        {"state": "missing", "glyph": "", "text": text, "count": len(ids), "ids": shown} for text, ids, shown in named
    ]


def _parts(counts: Mapping[str, int], reported: bool) -> str:
    """Whether anything here speaks against the paper, where no mark of the strip says so; empty where one does."""
    against = counts["against"] + counts["built-against"]
    if reported or against:
        return ""
    if not sum(counts[state] for state in STATES if state not in ("missing", "not-tested")):
        return "No claim was tested here: none is confirmed, none contradicted."
    return "No claim is contradicted here."


_FEW = 3
"""As many claims of one state as the legend calls by name, and as many as are said not to be tested."""


def _few(rows: Sequence[tuple[Mapping[str, Any], str]], state: str) -> list[str]:
    ids = [claim["id"] for claim, of in rows if of == state]
    return ids if len(ids) <= _FEW else []


def untested(claims: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Primary claims that a study could not try, the first few: id, statement and the first reason, without numbers."""
    rows = [one for one in claims if state_of(one) == "not-tested" and one.get("family", PRIMARY) == PRIMARY]
    reasons = [next(iter(one.get("reasons") or ()), "").partition(": ")[0] for one in rows]
    return [
        {"id": one["id"], "statement": one["statement"], "reason": reason}
        for one, reason in zip(rows[:_FEW], reasons, strict=False)
    ]


def levels(study: StudyResults) -> list[dict[str, str]]:
    """The three readers' own scores, one line each, with where they lead."""
    return [
        {"name": result.label, "reader": result.point.reader.name, "text": value_text(result), "anchor": result.anchor}
        for result in study.of("figure2", "performance")
    ]
