"""What the report and the documents say about the ledger of claims: families, what verdicts rest on, other factors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.ledger.sentences import BY_CONSTRUCTION, BY_K_ALONE, MEASURED, PRIMARY, SECONDARY
from analysis.ledger.verdicts import CONTRADICTED, IN_DIRECTION, LEVEL, SUPPORTED, UNDECIDED, VERDICTS
from analysis.report.cells import Cell, CellTable

_TITLES = {PRIMARY: "Primary claims", SECONDARY: "Secondary claims"}
_PARTS = {"data": "world", "initial": "checkpoint", "retriever": "retriever"}


def families(claims: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The claims by family, primary first: name, title, claims, tally of verdicts, what the positive ones rest on."""
    found = []
    for name, title in _TITLES.items():
        rows = [{**claim, "why": why(claim)} for claim in claims if claim.get("family", PRIMARY) == name]
        counts = Counter(row.get("verdict") for row in rows)
        tally = {verdict: counts[verdict] for verdict in VERDICTS if verdict in counts}
        if rows:
            found.append({"name": name, "title": title, "claims": rows, "tally": tally, "bases": bases_text(rows)})
    return found


def why(claim: Mapping[str, Any]) -> str:
    """p of a primary claim, alone and among the others; and, where only that makes it undecided, that it does."""
    p, corrected = claim.get("p"), claim.get("p_holm")
    if p is None or corrected is None or claim.get("verdict") not in (SUPPORTED, CONTRADICTED, UNDECIDED):
        return ""
    text = f"p {p:.2g}, corrected {corrected:.2g}"
    only_corrected = claim["verdict"] == UNDECIDED and p <= LEVEL < corrected
    return f"{text}: clear alone, not among all that were tested" if only_corrected else text


def bases_text(claims: Sequence[Mapping[str, Any]]) -> str:
    """`supported: 0 measured, 1 by k alone, 5 by construction`; empty where nothing speaks for the paper."""
    positive = [claim for claim in claims if claim.get("verdict") in (SUPPORTED, IN_DIRECTION)]
    counts = Counter(claim.get("rests_on") for claim in positive)
    if not set(counts) & {MEASURED, BY_K_ALONE, BY_CONSTRUCTION}:
        return ""
    parts = ", ".join(f"{counts[basis]} {basis}" for basis in (MEASURED, BY_K_ALONE, BY_CONSTRUCTION))
    return f"{' or '.join(dict.fromkeys(claim['verdict'] for claim in positive))}: {parts}"


def draws_text(document: Mapping[str, Any] | None) -> str:
    """What a study's intervals know of, in one or two sentences; empty where nothing was drawn."""
    draws = (document or {}).get("draws") if isinstance(document, Mapping) else None
    if not draws or not draws["seeds"]:
        return ""
    n, redrawn = len(draws["seeds"]), [_PARTS[part] for part in draws["redrawn"]]
    if draws["replicated"]:
        own = listed([*redrawn, "fine-tuning"])
        return f"{n} replicates, each with its own {own}: intervals are Student's t over them."
    others = [name for name in _PARTS.values() if name not in redrawn]
    seeds = "one seed" if n == 1 else f"{n} seeds"
    return f"One draw of {listed(others)}, {seeds} of fine-tuning: the intervals know of no other draw."


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def factors(document: Mapping[str, Any] | None) -> CellTable | None:
    """How many verdicts of each kind other factors give; None where no factor was measured."""
    rows = (document or {}).get("by_factor") if isinstance(document, Mapping) else None
    if not rows:
        return None
    said = list(dict.fromkeys(verdict for row in rows for verdict in row["counts"]))
    return CellTable(
        caption="Verdicts if a point of the paper counted so much here. The claims named are those that another factor"
        " moves.",
        heads=("Factor", "Which", *(verdict.capitalize() for verdict in said), "Moved"),
        rows=tuple(
            (
                Cell(f"{row['factor']:.2f}"),
                Cell(row["of"]),
                *(Cell(str(row["counts"].get(verdict, 0))) for verdict in said),
                Cell("; ".join(f"{id}: {verdict}" for id, verdict in row["changed"].items()) or "none"),
            )
            for row in rows
        ),
        numeric_from=2,
    )
