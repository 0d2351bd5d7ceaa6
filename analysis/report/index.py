"""results/index.html: every study that has a report, with its result in a sentence and its claims as marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.report import opening
from analysis.report.findings_by_kind import audit_text
from analysis.report.page import about, coverage, entries, optional
from analysis.report.rendering import rendered
from analysis.report.repository import repository_address
from glimmer.errors import InputError
from glimmer.results import PAPER, load_reference, load_results

_PAPERS = "papers"


def build_index(results: Path) -> str:
    """The page as HTML text. Raises InputError where no study under `results` has a report."""
    names = sorted(path.parent.name for path in results.glob("*/report.html"))
    if not names:
        raise InputError("no report to list", where=results, expected="NAME/report.html of one study or more")
    studies = [_study(name, results) for name in names]
    studies.sort(key=lambda study: (study["name"] == PAPER, -study["coverage"]["points_present"]))
    context = {"studies": studies, "papers": _papers(results), "repository": repository_address()}
    return rendered("index.html.j2", context)


def _study(name: str, results: Path) -> dict[str, Any]:
    study = load_results(name, results)
    reference = None if name == PAPER else load_reference(results)
    directory = results / name
    audit = optional(directory / "audit.json")
    return {
        **about(name),
        "sentence": opening.sentence(study, reference),
        "levels": opening.levels(study),
        "claims": opening.strip(entries(optional(directory / "claims.json"), "claims"), reported=name == PAPER),
        "audit": None if audit is None else audit_text(entries(audit, "findings")),
        "coverage": coverage(study),
    }


def _papers(results: Path) -> list[dict[str, str]]:
    """Papers of others that were audited: name, findings by severity, where they stand."""
    found = []
    for path in sorted((results / _PAPERS).glob("*/audit.json")):
        page = path.with_name("findings.md")
        counts = audit_text(entries(optional(path), "findings"))
        found.append({"name": path.parent.name, "audit": counts, "page": f"{_PAPERS}/{path.parent.name}/{page.name}"})
    return found
