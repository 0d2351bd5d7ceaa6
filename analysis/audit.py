"""The audit: general rules over the registry's points, on the paper's own numbers or on a study beside the paper."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis import claims
from analysis.audits import agreement, counts, coverage, curves, precision, provenance, shape
from analysis.audits.finding import FAILURE, SEVERITIES, Finding, Number, reported_numbers
from analysis.ledger.replicates import JointBootstrap, NotPaired
from analysis.points import PAPER, unusable, usable_paper_values
from analysis.runs import load_runs
from glimmer import experiments
from glimmer.errors import GlimmerError, InputError
from glimmer.files import read_json, sha256_file, write_json


def audit_paper(results: Path) -> dict[str, Any]:
    """audit.json of the paper's own numbers. Raises InputError where `results` has none."""
    registry = experiments.load_registry()
    points = registry.points()
    known = {point.id: point for point in points}
    every = experiments.paper_values(results / PAPER / "points.csv")
    reported = {id: one for id, one in every.items() if unusable(one, known.get(id)) is None}
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
    study = experiments.load_study(name)
    directory = results / name
    points, planned, runs = experiments.points(study), experiments.runs_for(study), load_runs(directory)
    bootstrap = JointBootstrap(points={point.id: point for point in points}, runs=runs.by_id, resamples=2000)
    numbers = [
        Number(point=point, value=bootstrap.values([point.id], seeds)[point.id])
        for point in points
        if (seeds := bootstrap.seeds_of([point.id]))
    ]
    registry, file = experiments.load_registry(), results / PAPER / "points.csv"
    reported = reported_numbers(usable_paper_values(file), registry.points()) if file.exists() else []
    resolved = _resolver(bootstrap)
    rules = {
        "run-file": provenance.run_files(directory, planned, runs),
        "origins": provenance.origins(planned, runs),
        "equal-answers": provenance.equal_answers(planned, runs),
        "missing": coverage.missing(points, numbers),
        "drawing": coverage.drawings(directory, numbers),
        "operation-count": counts.of_runs(planned, runs.by_id),
        "same-run": agreement.same_run(numbers, registry.artifacts),
        "sums": agreement.sums(numbers, registry.artifacts),
        "monotone": curves.monotone(numbers, lambda one, other: resolved(one.id, other.id)),
        "shape": shape.compare(numbers, reported, resolved),
    }
    return _document(name, rules) | {"numbers": len(numbers), "trace": provenance.trace(directory, points, runs)}


def _resolver(bootstrap: JointBootstrap) -> shape.Resolved:
    """Whether 95 % of the paired replicates' middle lie on one side of zero; False where nothing can be paired."""

    def resolved(one: str, other: str | None) -> bool:
        try:
            drawn = bootstrap.sample([one] if other is None else [one, other]).replicates
        except NotPaired:
            return False
        low, high = np.quantile(drawn[one] - (0 if other is None else drawn[other]), [0.025, 0.975])
        return bool(low > 0 or high < 0)

    return resolved


def _document(name: str, rules: Mapping[str, Iterable[Finding]]) -> dict[str, Any]:
    by_rule = {rule: list(findings) for rule, findings in rules.items()}
    findings = sorted(itertools.chain(*by_rule.values()), key=lambda f: SEVERITIES.index(f.severity))
    return {
        "study": name,
        "integrity": "failed" if any(f.severity == FAILURE for f in findings) else "sound",
        "rules": {rule: len(found) for rule, found in by_rule.items()},
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


def show(document: Mapping[str, Any]) -> str:
    """The findings as a table for the terminal."""
    findings = document["findings"]
    head = f"Audit of {document['study']}: {document['numbers']} numbers, {len(findings)} findings, run files"
    lines = [f"{head} {document['integrity']}" if document["study"] != PAPER else head.removesuffix(", run files")]
    for one in findings:
        more = f" and {len(one['points']) - 2} more" if len(one["points"]) > 2 else ""
        where = "; ".join(one["points"][:2]) + more
        values = f"expected {_text(one['expected'])}, found {_text(one['found'])}"
        if one["difference"] is not None and not isinstance(one["expected"], str):
            values += f" ({one['difference']:+.4g}, tolerance {_text(one['tolerance'])})"
        if one["severity"] == FAILURE or not where:  # a file or a line that cannot be trusted is called by its name
            where = one["explanation"]
        lines.append(f"{one['severity']:<12} {one['kind']:<16} {where}\n{'':30}{values}")
    tally = Counter(one["kind"] for one in findings)
    return "\n".join([*lines, ", ".join(f"{n} {kind}" for kind, n in tally.items())] if findings else lines)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "–" if value is None else str(value)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m analysis.audit --study NAME [NAME ...] [--paper] [--results DIR]`: writes audit.json, prints a table.

    0 however much was found, 1 where run files cannot be trusted, 2 for bad input.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", nargs="+", default=[], metavar="NAME", help="studies to audit")
    parser.add_argument("--paper", action="store_true", help="also (or only) audit the paper's own numbers")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--record", action="store_true", help="write and exit 0 even where run files cannot be trusted")
    mode.add_argument("--check", action="store_true", help="show what is recorded, and compare the files with it")
    mode.add_argument("--seal", action="store_true", help="record the digests of the run files as they are now")
    args = parser.parse_args(argv)
    names = list(dict.fromkeys(args.study + ([PAPER] if args.paper else [])))
    if not names:
        parser.error("name at least one --study, or --paper")
    try:
        return max(_one(name, args) for name in names)
    except GlimmerError as error:
        print(f"audit: {error}", file=sys.stderr)
        return error.exit_code


def _one(name: str, args: argparse.Namespace) -> int:
    """One study; returns 0, or 1 where its integrity failed."""
    directory = args.results / name
    if args.seal:
        if name == PAPER:
            raise InputError("the paper has no run files to seal", where="--seal", expected="--study NAME")
        print(f"sealed {provenance.seal(directory)}")
        return 0
    document = read_json(directory / "audit.json") if args.check else audit(name, args.results)
    if not args.check:
        write_json(directory / "audit.json", document)
    changed = changed_since(document, directory)
    print(show(document))
    for line in changed:
        print(f"audit: {line}", file=sys.stderr)
    return 0 if args.record else int(bool(changed) or document["integrity"] == "failed")


if __name__ == "__main__":
    sys.exit(main())
