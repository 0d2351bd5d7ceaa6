"""The audit: general rules over points, on the paper's own numbers, on those of any paper that a folder describes, or
on a study beside the paper."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis import claims
from analysis.audits import (
    agreement,
    counts,
    coverage,
    curves,
    derived,
    exposure,
    precision,
    record,
    resolution,
    shape,
    truncation,
)
from analysis.audits.finding import FAILURE, SEVERITIES, Finding, Number, printed_numbers, reported_numbers
from analysis.ledger.bootstrap import JointBootstrap, NotPaired
from analysis.ledger.sentences import load_printed_claims
from analysis.papers.description import Paper, PrintedPaper, files_of, load_paper, own_paper
from analysis.papers.printed import read_points
from analysis.stage_files import stage_files
from glimmer import experiments
from glimmer.compute import MACS_PER_TFLOP, SIZES, operation_counts
from glimmer.errors import InputError
from glimmer.files import read_json, sha256_file
from glimmer.results import PAPER, load_results
from glimmer.results.points import unusable, usable_paper_values


def audit_paper(results: Path) -> dict[str, Any]:
    """audit.json of the paper that this repository reproduces. Raises InputError where `results` has none."""
    registry = experiments.load_registry()
    points = registry.points()
    known = {point.id: point for point in points}
    every = experiments.paper_values(results / PAPER / "points.csv")
    reported = {id: line for id, line in every.items() if unusable(line, known.get(id)) is None}
    numbers = reported_numbers(reported, points)
    formulas, _ = counts.formulas_of(numbers)
    of_files = {
        "reported": coverage.reported_file(every, known),
        "missing": coverage.missing(points, numbers),
        "drawing": coverage.drawings(results / PAPER, numbers),
    }
    rows = claims.evaluate_paper(claims.load_claims(), reported)
    return _document(PAPER, of_files | paper_rules(own_paper(), numbers, rows)) | {
        "numbers": len(numbers),
        "stated_tokens": sum(map(int, counts.stated_lengths(formulas).values())) if formulas else None,
        "speeds": _speeds_at_published_lengths(numbers),
        "fitted_tokens": [fit.as_json() for fit in counts.fits(numbers)],
        "granularity_tested": len(precision.granular_numbers(numbers)),
        "trace": {"files": {"points.csv": sha256_file(results / PAPER / "points.csv")}},
    }


def paper_rules(
    paper: Paper, numbers: Sequence[Number], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Iterable[Finding]]:
    """Every rule over the printed numbers of a paper, by name; `rows` are its claims, evaluated (claims.json).

    What a rule needs to know of the paper, the numbers' facts and the description say; none knows a paper.
    """
    rules = {
        "same-run": agreement.same_run(numbers),
        "sums": agreement.sums(numbers),
        "same-function": agreement.same_function(numbers),
        "equal-values": agreement.equal_values(numbers),
        "monotone": curves.monotone(numbers),
        "statement": curves.statements(rows),
        "operation-count": counts.speeds(numbers),
        "token-count": counts.token_counts(numbers),
        "formula": counts.coefficients(numbers),
        "precision": precision.unsupported(numbers),
        "mixed-precision": precision.mixed(numbers),
        "granularity": precision.granular(numbers),
    }
    if isinstance(paper, PrintedPaper):
        rules["derived"] = derived.composed(numbers, paper)
        rules["arithmetic"] = derived.stated(numbers, paper)
    if paper.sampling is not None:
        rules["sampling"] = resolution.unresolved(numbers, rows, paper.sampling)
    return rules


def audit_description(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(audit.json, claims.json) of a paper whose description has its points in tables.

    Raises InputError naming the file and key, or line, that is wrong.
    """
    paper = load_paper(folder)
    if not isinstance(paper, PrintedPaper):
        raise InputError("no tables", where=folder, expected="points: tables", found=f"points: {paper.points}")
    points = read_points(folder, paper)
    numbers = printed_numbers(points.values())
    derived.check(paper, points, folder)
    rows = claims.evaluate_printed(load_printed_claims(folder, points), points)
    document = _document(paper.name, paper_rules(paper, numbers, rows)) | {
        "title": paper.title,
        "cite": paper.cite,
        "sources": list(paper.sources),
        "numbers": len(numbers),
        "granularity": precision.granularity(numbers),
        "fitted_lengths": [fit.as_json() for fit in counts.fits(numbers)],
        "trace": {"description": {str(path.relative_to(folder)): sha256_file(path) for path in files_of(folder)}},
    }
    return document, claims.printed_document(paper, rows)


def _speeds_at_published_lengths(numbers: Sequence[Number]) -> list[dict[str, Any]]:
    """Every reported speed of the registry beside each convention's at the published study's lengths (the target's is
    ours)."""
    study, rows = experiments.load_study("kilt"), []
    for number in numbers:
        if number.point.measure.kind == "speed":
            macs = operation_counts(SIZES[number.point.size.lower()](), study.workload(number.point.reader))
            own = {convention: MACS_PER_TFLOP / count for convention, count in macs.items()}
            rows.append({"point": number.id, "reported": number.value, "lengths": vars(study.lengths), **own})
    return rows


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
        "same-run": agreement.same_run(numbers),
        "sums": agreement.sums(numbers),
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
