"""The audit: general rules over the registry's points, on the paper's own numbers or on a study beside the paper."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from analysis import claims
from analysis.audits import agreement, counts, coverage, curves, exposure, precision, record, shape, truncation
from analysis.audits.finding import FAILURE, SEVERITIES, Finding, Number, reported_numbers
from analysis.ledger.bootstrap import JointBootstrap, NotPaired
from analysis.stage_files import stage_files
from glimmer import experiments
from glimmer.files import read_json, sha256_file
from glimmer.results import PAPER, load_results
from glimmer.results.points import unusable, usable_paper_values


def audit_paper(results: Path) -> dict[str, Any]:
    """audit.json of the paper's own numbers. Raises InputError where `results` has none."""
    registry = experiments.load_registry()
    points = registry.points()
    known = {point.id: point for point in points}
    every = experiments.paper_values(results / PAPER / "points.csv")
    reported = {id: line for id, line in every.items() if unusable(line, known.get(id)) is None}
    numbers = reported_numbers(reported, points)
    rules = {
        "reported": coverage.reported_file(every, known),
        "missing": coverage.missing(points, numbers),
        "drawing": coverage.drawings(results / PAPER, numbers),
        "same-run": agreement.same_run(numbers, registry.artifacts),
        "sums": agreement.sums(numbers, registry.artifacts),
        "same-function": agreement.same_function(numbers),
        "equal-values": agreement.equal_values(numbers),
        "monotone": curves.monotone(numbers),
        "statement": curves.statements(claims.evaluate_paper(claims.load_claims(), reported)),
        "operation-count": counts.speeds(numbers),
        "token-count": counts.token_counts(numbers),
        "formula": counts.coefficients(numbers),
        "precision": precision.unsupported(numbers),
        "mixed-precision": precision.mixed(numbers),
        "granularity": precision.granular(numbers),
    }
    return _document(PAPER, rules) | {
        "numbers": len(numbers),
        "stated_tokens": counts.stated_tokens(),
        "speeds": counts.table(numbers),
        "fitted_tokens": [fit.as_json() for fit in counts.fits(numbers)],
        "granularity_tested": len(precision.granular_numbers(numbers)),
        "trace": {"files": {"points.csv": sha256_file(results / PAPER / "points.csv")}},
    }


def audit_study(name: str, results: Path) -> dict[str, Any]:
    """audit.json of a study: its run files and where they come from, its numbers, and their shape beside the paper's.

    Raises InputError for an unknown study.
    """
    directory, planned = results / name, experiments.runs_for(experiments.load_study(name))
    study = load_results(name, results)
    points, runs = study.planned.values(), study.runs
    bootstrap = JointBootstrap(results=study, resamples=2000)
    numbers = [
        Number(point=point, value=bootstrap.values([point.id], seeds)[point.id])
        for point in points
        if (seeds := bootstrap.seeds_of([point.id]))
    ]
    registry, file = experiments.load_registry(), results / PAPER / "points.csv"
    reported = reported_numbers(usable_paper_values(file), registry.points()) if file.exists() else []
    resolved = _resolver(bootstrap)
    retrieval = stage_files(directory, "retrieval")
    rules = {
        "run-file": record.run_files(directory, planned, runs),
        "origins": record.origins(planned, runs),
        "equal-answers": record.equal_answers(planned, runs),
        "train-and-dev": [
            finding
            for replicate, path in retrieval.items()
            for finding in exposure.train_and_dev(read_json(path), planned.values(), replicate)
        ],
        "missing": coverage.missing(points, numbers),
        "drawing": coverage.drawings(directory, numbers),
        "operation-count": counts.of_runs(planned, runs.by_id),
        "same-run": agreement.same_run(numbers, registry.artifacts),
        "sums": agreement.sums(numbers, registry.artifacts),
        "monotone": curves.monotone(numbers, resolved),
        "shape": shape.compare(numbers, reported, resolved),
        "cut": truncation.cuts(directory),
    }
    trace = record.trace(directory, points, runs)
    if retrieval:
        trace["files"] = {str(path.relative_to(directory)): sha256_file(path) for path in retrieval.values()}
    return _document(name, rules) | {"numbers": len(numbers), "trace": trace}


def _resolver(bootstrap: JointBootstrap) -> curves.Resolved:
    """Whether the 95 % interval of a difference lies on one side of zero; False where nothing can be paired."""

    def resolved(first: str, second: str | None) -> bool:
        try:
            return bootstrap.difference(first, second).verdict() != "crosses"
        except NotPaired:
            return False

    return resolved


def _document(name: str, rules: Mapping[str, Iterable[Finding]]) -> dict[str, Any]:
    by_rule = {rule: list(findings) for rule, findings in rules.items()}
    findings = sorted(itertools.chain(*by_rule.values()), key=lambda f: SEVERITIES.index(f.severity))
    return {
        "study": name,
        "integrity": "failed" if any(f.severity == FAILURE for f in findings) else "sound",
        "rules": {rule: len(its_findings) for rule, its_findings in by_rule.items()},
        "severities": dict(Counter(f.severity for f in findings)),
        "kinds": dict(Counter(f.kind for f in findings)),
        "findings": [finding.as_json() for finding in findings],
    }


def audit(name: str, results: Path) -> dict[str, Any]:
    """audit.json of a study or, called `paper`, of the paper."""
    return audit_paper(results) if name == PAPER else audit_study(name, results)


def changed_since(document: Mapping[str, Any], directory: Path) -> list[str]:
    """What is not as it was when the audit was written: a line for each file whose digest differs, or that is gone."""
    files = dict(document["trace"].get("files", {}))
    files |= {run["file"]: run["sha256"] for run in document["trace"].get("runs", {}).values()}
    return [
        f"{directory / name}: changed since the audit was written"
        for name, digest in files.items()
        if not (directory / name).exists() or sha256_file(directory / name) != digest
    ]
