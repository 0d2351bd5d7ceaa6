"""What a study was run to find out, written down before its first run (config/endpoints.yaml), and what came of it.

Endpoints are our sentences about a study, where claims are the paper's: nothing is carried over from the paper, and no
rule of `not tested` stands before them, since they ask what those rules ask (does training teach?).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.ledger import verdicts
from analysis.ledger.bootstrap import JointBootstrap, NotPaired
from analysis.ledger.frozen import frozen
from analysis.ledger.language import compile_statement
from analysis.ledger.sentences import aliased
from glimmer.errors import InputError, did_you_mean
from glimmer.experiments import Point, load_registry, study_names
from glimmer.experiments.documents import read_yaml, repository_path, validate
from glimmer.results import StudyResults


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One sentence about some studies. `points` maps the aliases of its expression to point ids of the registry."""

    id: str
    statement: str
    studies: tuple[str, ...]
    points: Mapping[str, str]
    expression: Mapping[str, Any]

    def requirements(self, points: Mapping[str, Point], where: object = None):
        """What it requires, above zero."""
        aliases = {alias: aliased(points[id]) for alias, id in self.points.items()}
        return compile_statement(self.expression, aliases, where or self.id)


def load_endpoints(study: str, path: str | Path | None = None) -> tuple[Endpoint, ...]:
    """The endpoints of a study; none where it has none. Raises InputError naming the entry that is wrong."""
    path = Path(path or repository_path("config/endpoints.yaml"))
    document = read_yaml(path)
    validate(document, "endpoints", path)
    found = [
        Endpoint(studies=tuple(entry["in"]), **{key: value for key, value in entry.items() if key != "in"})
        for entry in document["endpoints"]
    ]
    twice = [id for id, n in Counter(endpoint.id for endpoint in found).items() if n > 1]
    if twice:
        raise InputError("endpoint given twice", where=path, found=", ".join(twice))
    unknown = sorted({name for endpoint in found for name in endpoint.studies} - set(study_names()))
    if unknown:  # it would be left out of every study, and nobody told
        raise InputError("no such study", where=path, expected=", ".join(study_names()), found=", ".join(unknown))
    known = {point.id: point for point in load_registry().points(*load_registry().artifacts)}
    for endpoint in found:
        for id in endpoint.points.values():
            if id not in known:
                expected = "a point of experiments.yaml"
                near = did_you_mean(id, known)
                raise InputError(f"no such point{near}", where=f"{path}: {endpoint.id}", expected=expected, found=id)
        endpoint.requirements(known, f"{path}: {endpoint.id}")
    return tuple(endpoint for endpoint in found if study in endpoint.studies)


def evaluate_endpoints(results: StudyResults, bootstrap: JointBootstrap, endpoints: tuple[Endpoint, ...]) -> list[dict]:
    """Each endpoint with its verdict, effects and 95 % intervals; those with results are corrected together (Holm).

    `missing` where a point has no result, `undecided` where an interval cannot be had.
    """
    rows, parts = [], {}
    for endpoint in endpoints:
        row = {"id": endpoint.id, "statement": endpoint.statement, "points": list(endpoint.points.values())}
        row |= {"verdict": verdicts.MISSING, "p_holm": None, "n": None, "requirements": [], "note": ""}
        rows.append(row)
        absent = [id for id in endpoint.points.values() if id not in results.planned or not bootstrap.seeds_of([id])]
        if absent:
            row["note"] = f"no result: {', '.join(absent)}"
            continue
        try:
            sample = bootstrap.sample(endpoint.points.values())
        except NotPaired as reason:
            row.update(verdict=verdicts.UNDECIDED, note=f"no interval: {reason}")
            continue
        needed = endpoint.requirements(results.planned)
        parts[endpoint.id] = verdicts.by_sample(needed, sample, [""] * len(needed))
        row.update(n=sample.n, requirements=[verdicts.as_json(part) for part in parts[endpoint.id]])
    tests = {id: verdicts.p_value(of_one) for id, of_one in parts.items()}
    adjusted = verdicts.holm({id: p for id, (p, _) in tests.items()})
    for row in rows:
        if (id := row["id"]) in parts:
            row.update(p_holm=adjusted[id], verdict=verdicts.of_primary(parts[id], adjusted[id], tests[id][1]))
    return rows


def endpoints_document(results: StudyResults, bootstrap: JointBootstrap) -> dict[str, Any] | None:
    """What claims.json says of a study's endpoints, and whether they stood before its runs; None where it has none."""
    endpoints = load_endpoints(results.study)
    if not endpoints:
        return None
    rows = evaluate_endpoints(results, bootstrap, endpoints)
    return {"endpoints": rows, "frozen": frozen(results, "endpoints")}
