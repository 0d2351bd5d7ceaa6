"""The entries of config/claims.yaml: the paper's checkable sentences, whose they are and what they rest on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.ledger.language import AliasedPoint, Requirement, compile_statement
from analysis.papers.description import CLAIMS
from analysis.papers.printed import PrintedPoint
from glimmer.errors import InputError, did_you_mean
from glimmer.experiments import Point, load_registry
from glimmer.experiments.documents import read_yaml, repository_path, validate

PRIMARY, SECONDARY = "primary", "secondary"
QUOTED, FROM_A_FIGURE, DERIVED = "quoted", "from a figure", "derived"
MEASURED, BY_K_ALONE, BY_CONSTRUCTION = "measured", "by k alone", "by construction"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Basis:
    """What a verdict would rest on if nothing were learnt, and why."""

    basis: str
    because: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One checkable sentence. `points` maps the aliases of its expression to point ids of the registry.

    `family` is primary or secondary, `sentence` whose sentence it is: quoted, from a figure, or derived.
    """

    id: str
    statement: str
    source: str
    family: str
    sentence: str
    rests_on: Basis
    points: Mapping[str, str]
    expression: Mapping[str, Any]
    reading: str = ""

    @property
    def point_ids(self) -> tuple[str, ...]:
        """The ids of its points, without repeats."""
        return tuple(dict.fromkeys(self.points.values()))

    def requirements(
        self, points: Mapping[str, Point | PrintedPoint], where: object = None, factor: float = 1.0
    ) -> list[Requirement]:
        """What it requires: x as these points have it (a study's own, or the paper's), tolerances times `factor`."""
        aliases = {alias: aliased(points[id]) for alias, id in self.points.items()}
        return compile_statement(self.expression, aliases, where or self.id, factor)


def load_claims(path: str | Path | None = None) -> tuple[Claim, ...]:
    """Reads config/claims.yaml (or `path`). Raises InputError naming the claim that is wrong."""
    path = Path(path or repository_path("config/claims.yaml"))
    document = read_yaml(path)
    validate(document, "claims", path)
    claims = tuple(map(_claim, document["claims"]))
    known = {point.id: point for point in load_registry().points()}
    return _checked(claims, known, path, "a point of experiments.yaml")


def _checked(claims: tuple[Claim, ...], known: Mapping[str, Any], path: Path, what: str) -> tuple[Claim, ...]:
    """These claims. Raises InputError for one given twice, and for points that are not known or not used."""
    twice = [id for id, n in Counter(claim.id for claim in claims).items() if n > 1]
    if twice:
        raise InputError("claim given twice", where=path, found=", ".join(twice))
    for claim in claims:
        where = f"{path}: {claim.id}"
        for id in claim.point_ids:
            if id not in known:
                raise InputError(f"no such point{did_you_mean(id, known)}", where=where, expected=what, found=id)
        used = {id for required in claim.requirements(known, where) for id in required.points}
        if used != set(claim.point_ids):
            unused = ", ".join(sorted(set(claim.point_ids) - used))
            raise InputError("points that the expression does not use", where=where, found=unused)
    return claims


def load_printed_claims(folder: Path, points: Mapping[str, PrintedPoint]) -> tuple[Claim, ...]:
    """Reads `claims.yaml` of a description, if it has one: entries of id, statement, source, points, expression.

    Raises InputError naming the claim that is wrong.
    """
    path = folder / CLAIMS
    if not path.exists():
        return ()
    document = read_yaml(path)
    if not isinstance(document, Mapping) or not isinstance(document.get("claims"), list):
        raise InputError("no claims", where=path, expected="the key claims: a list", found=type(document).__name__)
    unstated = {"family": PRIMARY, "sentence": QUOTED, "rests_on": {"basis": MEASURED, "because": "printed"}}
    needed, entries = {"id", "statement", "source", "points", "expression"}, []
    for number, entry in enumerate(document["claims"], start=1):
        keys = set(entry) if isinstance(entry, Mapping) else set()
        if not needed <= keys <= needed | {"reading"}:
            name = entry["id"] if "id" in keys else f"claim {number}"
            found = ", ".join(sorted(keys)) or repr(entry)
            expected = "id, statement, source, points, expression, and reading if need be"
            raise InputError("not a claim", where=f"{path}: {name}", expected=expected, found=found)
        entries.append({**unstated, **entry})
    validate({**document, "claims": entries}, "claims", path)
    return _checked(tuple(map(_claim, entries)), points, path, "a point of the tables")


def _claim(entry: Mapping[str, Any]) -> Claim:
    return Claim(**{**entry, "rests_on": Basis(**entry["rests_on"])})


def aliased(point: Point | PrintedPoint) -> AliasedPoint:
    """What an alias of a point stands for."""
    return AliasedPoint(id=point.id, x=None if point.x is None else float(point.x), unit=point.measure.unit)
