"""Findings of the audit as the page lists them: counted by severity, and grouped by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.audits.finding import SEVERITIES


def audit_text(findings: Sequence[Mapping[str, Any]]) -> str:
    """`1 discrepancy, 2 notes`, worst first."""
    counts = Counter(finding.get("severity", "finding") for finding in findings)
    plural = {"discrepancy": "discrepancies"}
    order = sorted(counts, key=lambda severity: SEVERITIES.index(severity) if severity in SEVERITIES else 0)
    parts = [f"{counts[one]} {one if counts[one] == 1 else plural.get(one, f'{one}s')}" for one in order]
    return ", ".join(parts) or "no findings"


def audit_kinds(findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Findings by kind: those with the worst severity first, then those with the most findings."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for finding in findings:
        kinds.setdefault(finding["kind"], []).append(finding)
    groups = [
        {
            "kind": kind,
            "findings": sorted(found, key=_gravity)[:_OF_A_KIND],
            "more": max(0, len(found) - _OF_A_KIND),
            "worst": min(map(_gravity, found)),
            "counts": audit_text(found),
        }
        for kind, found in kinds.items()
    ]
    return sorted(groups, key=lambda group: (group["worst"], -len(kinds[group["kind"]])))


_OF_A_KIND = 12
"""Findings of one kind that a page lists; audit.json has all."""


def _gravity(finding: Mapping[str, Any]) -> int:
    severity = finding.get("severity")
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
