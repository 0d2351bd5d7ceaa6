"""Is every point there, is the paper's file usable, and do the drawings show what the results say?"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from analysis.audits.finding import DISCREPANCY, FAILURE, NOTE, Finding, Number, unequal
from glimmer import experiments
from glimmer.experiments import PaperValue
from glimmer.results.foreign import FOREIGN, foreign_rows, load_foreign
from glimmer.results.points import unusable


def reported_file(reported: Mapping[str, PaperValue], known: Mapping[str, experiments.Point]) -> Iterator[Finding]:
    """Lines of the paper's points that cannot be used; their points count as missing."""
    for id, line in reported.items():
        if reason := unusable(line, known.get(id)):
            why, usable = f"points.csv: {id} is left out: {reason}.", "a finite number of a known point"
            yield Finding(
                kind="reported", severity=FAILURE, points=[id], expected=usable, found=reason, explanation=why
            )


def missing(points: Iterable[experiments.Point], numbers: Iterable[Number]) -> Iterator[Finding]:
    """Per artifact the points without a number."""
    present = {number.id for number in numbers}
    artifacts: dict[str, list[str]] = {}
    for point in points:
        artifacts.setdefault(point.artifact, []).append(point.id)
    for artifact, ids in artifacts.items():
        if absent := [id for id in ids if id not in present]:
            yield unequal(
                kind="missing",
                severity=NOTE,
                points=absent,
                expected=len(ids),
                found=len(ids) - len(absent),
                tolerance=0,
                explanation=f"{artifact}: {len(absent)} of {len(ids)} points have no result and are drawn as missing.",
                about=artifact,
            )


def drawings(directory: Path, numbers: Sequence[Number]) -> Iterator[Finding]:
    """Values in the .csv beside a figure or table that are not those of the results they claim to show."""
    known = {number.id: number.value for number in numbers}
    known |= {f"{FOREIGN}/{row.name}": row.value for row in foreign_rows(load_foreign(directory)[0])}
    for path in sorted([*directory.glob("figures/*.csv"), *directory.glob("tables/*.csv")]):
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("study") == directory.name]
        for row in rows:
            drawn = row.get("value_percent") or row.get("samples_per_tflop") or ""
            value = known.get(row.get("point", ""))
            if drawn == ("" if value is None else f"{value:.10g}"):
                continue
            yield Finding(
                kind="drawing",
                severity=DISCREPANCY,
                points=[row["point"]],
                expected=value,
                found=float(drawn) if drawn else None,
                difference=float(drawn) - value if drawn and value is not None else None,
                tolerance=0.0,
                explanation=f"{path.parent.name}/{path.name} does not show what the results say now; it was drawn from"
                " others, or edited.",
                about=path.name,
            )
