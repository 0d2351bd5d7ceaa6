"""What a call that shows results says at its end: what was found, in at most ten lines."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from glimmer.files import read_json

MOST_LINES = 10


def summary(results: Path, sources: Iterable[str], logs: str) -> str:
    """Of each source a line: points drawn and missing, claims by verdict, discrepancies; then where the files are.

    What was not made yet is left out of its line; of more sources than lines the last ones share one.
    """
    lines = [line for name in sources if (line := _of_source(results / name, name))]
    room = MOST_LINES - 1
    if len(lines) > room:
        lines = [*lines[: room - 1], f"and {len(lines) - room + 1} sources more"]
    places = f"Files: {results}/<name>/figures, tables, audit.json, claims.json, report.html; logs: {logs}"
    return "\n".join([*lines, places])


def _of_source(directory: Path, name: str) -> str:
    parts = [part for part in (_points(directory, name), _claims(directory), _audit(directory)) if part]
    return f"{name}: {'; '.join(parts)}" if parts else ""


def _points(directory: Path, name: str) -> str:
    status: dict[str, str] = {}
    for path in [*directory.glob("figures/*.csv"), *directory.glob("tables/*.csv")]:
        with open(path, encoding="utf-8", newline="") as file:
            status |= {row["point"]: row["status"] for row in csv.DictReader(file) if row.get("study") == name}
    counts = Counter(status.values())
    foreign = f", {counts['foreign']} foreign" if counts["foreign"] else ""
    return f"{counts['present']} points drawn, {counts['missing']} missing{foreign}" if status else ""


def _claims(directory: Path) -> str:
    counts = _document(directory / "claims.json").get("counts") or {}
    known = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    return f"claims: {', '.join(known)}" if known else ""


def _audit(directory: Path) -> str:
    document = _document(directory / "audit.json")
    if "findings" not in document:
        return ""
    counts = Counter(finding["severity"] for finding in document["findings"])
    words = {"failure": "failures", "discrepancy": "discrepancies", "note": "notes"}
    told = (f"{counts[one]} {one if counts[one] == 1 else many}" for one, many in words.items())
    return f"audit: {', '.join(told)}"


def _document(path: Path) -> Mapping:
    document = read_json(path) if path.exists() else {}
    return document if isinstance(document, Mapping) else {}
