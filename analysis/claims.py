"""The ledger of claims: every entry of config/claims.yaml, evaluated on the paper's own numbers or on a study."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.ledger import verdicts
from analysis.ledger.bootstrap import RESAMPLES, JointBootstrap, NotPaired
from analysis.ledger.language import AliasedPoint, Requirement, compile_statement
from analysis.ledger.scale_factor import ScaleFactor, scale_factor
from glimmer import experiments
from glimmer.errors import InputError
from glimmer.experiments import PaperValue
from glimmer.experiments.documents import read_yaml, repository_path, validate
from glimmer.results import PAPER, StudyResults, load_results
from glimmer.results.points import usable_paper_values

EXCLUDES = "an effect as large as the paper's, carried over, is excluded"
EXACT = "operation counts: exact, nothing is sampled"
_MOST_RESAMPLES, _MOST_DRAWS = 20_000, 200_000_000
NO_INTERVAL = "the paper gives no scores per example: no interval, only what rounding allows"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One checkable sentence. `points` maps the aliases of its expression to point ids of the registry."""

    id: str
    statement: str
    source: str
    points: Mapping[str, str]
    expression: Mapping[str, Any]
    reading: str = ""

    @property
    def point_ids(self) -> tuple[str, ...]:
        """The ids of its points, without repeats."""
        return tuple(dict.fromkeys(self.points.values()))


def load_claims(path: str | Path | None = None) -> tuple[Claim, ...]:
    """Reads config/claims.yaml (or `path`). Raises InputError naming the claim that is wrong."""
    path = Path(path or repository_path("config/claims.yaml"))
    document = read_yaml(path)
    validate(document, "claims", path)
    claims = tuple(Claim(**entry) for entry in document["claims"])
    twice = [id for id, n in Counter(claim.id for claim in claims).items() if n > 1]
    if twice:
        raise InputError("claim given twice", where=path, found=", ".join(twice))
    known = {point.id: point for point in experiments.load_registry().points()}
    for claim in claims:
        where = f"{path}: {claim.id}"
        for id in claim.point_ids:
            if id not in known:
                raise InputError("no such point", where=where, expected="a point of experiments.yaml", found=id)
        used = {id for required in requirements(claim, known, where) for id in required.points}
        if used != set(claim.point_ids):
            unused = ", ".join(sorted(set(claim.point_ids) - used))
            raise InputError("points that the expression does not use", where=where, found=unused)
    return claims


def requirements(
    claim: Claim, points: Mapping[str, experiments.Point], where: object = None, factor: float = 1.0
) -> list[Requirement]:
    """What a claim requires: x as these points have it (a study's own, or the paper's), tolerances times `factor`."""
    aliases = {alias: _aliased(points[id]) for alias, id in claim.points.items()}
    return compile_statement(claim.expression, aliases, where or claim.id, factor)


def _aliased(point: experiments.Point) -> AliasedPoint:
    return AliasedPoint(id=point.id, x=None if point.x is None else float(point.x), unit=point.measure.unit)


def evaluate_paper(claims: Sequence[Claim], reported: Mapping[str, PaperValue]) -> list[dict[str, Any]]:
    """Every claim on reported numbers: the verdict is what holds however their last digits were rounded."""
    points = {point.id: point for point in experiments.load_registry().points()}
    rows = []
    for claim in claims:
        absent = [id for id in claim.point_ids if id not in reported]
        if absent:
            rows.append(_row(claim, verdicts.MISSING, note=f"not reported: {', '.join(absent)}"))
            continue
        values = {id: reported[id].value for id in claim.point_ids}
        rounding = {id: 0.5 * 10.0 ** -reported[id].decimals for id in claim.point_ids}
        verdict, parts = verdicts.by_number(requirements(claim, points), values, rounding)
        low, high = verdicts.weakest(parts).interval
        note = EXACT if _is_exact(claim.point_ids, points) else NO_INTERVAL
        effect = _effect(parts) | {"interval": None, "tolerance": (high - low) / 2}
        rows.append(_row(claim, verdict, note=note, **effect))
    return rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Evaluated:
    """A claim's row, and what is tested once all claims are known: its parts, and an effect of the paper's size."""

    row: dict[str, Any]
    parts: Sequence[verdicts.Part] = ()
    p_as_large: float | None = None


def evaluate_study(
    claims: Sequence[Claim], results: StudyResults, reported: Mapping[str, PaperValue]
) -> tuple[list[dict[str, Any]], ScaleFactor]:
    """Every claim on the results of a study, and the factor that its tolerances were taken times.

    What is left undecided is tested once more, for an effect as large as `reported`: `excludes_paper_effect`.
    """
    bootstrap = JointBootstrap(results=results, resamples=resamples_for(results))
    paper = {id: line.value for id, line in reported.items()}
    scale = scale_factor(bootstrap, paper)
    evaluated = [_on_study(claim, bootstrap, paper, scale.factor) for claim in claims]
    tested = {each.row["id"]: verdicts.p_value(each.parts) for each in evaluated if each.parts}
    adjusted = verdicts.holm({id: p for id, (p, _) in tested.items()})
    for row in (each.row for each in evaluated if each.row["id"] in tested):
        p, speaks_for = tested[row["id"]]
        row |= {"p": p, "p_holm": adjusted[row["id"]]}
        row["verdict"] = speaks_for if row["p_holm"] <= verdicts.LEVEL else verdicts.UNDECIDED
    undecided = [each for each in evaluated if each.row["verdict"] == verdicts.UNDECIDED]
    too_small = verdicts.holm({each.row["id"]: each.p_as_large for each in undecided if each.p_as_large is not None})
    for row in (each.row for each in undecided):
        if too_small.get(row["id"], 1.0) <= verdicts.LEVEL:
            row |= {"excludes_paper_effect": True, "note": EXCLUDES}
    return [each.row for each in evaluated], scale


def resamples_for(results: StudyResults) -> int:
    """As many replicates as a few seconds allow: corrected p values of claims with many parts need thousands."""
    runs = results.runs.by_id.values()
    examples = max((sum(task["n"] for task in run["tasks"].values()) for run in runs), default=1)
    return min(_MOST_RESAMPLES, max(RESAMPLES, _MOST_DRAWS // examples))


def _on_study(claim: Claim, bootstrap: JointBootstrap, paper: Mapping[str, float], factor: float) -> _Evaluated:
    """Undecided until all p values are corrected together; no parts where nothing is sampled."""
    points = bootstrap.results.planned
    if absent := [id for id in claim.point_ids if id not in points]:
        return _Evaluated(row=_row(claim, verdicts.MISSING, note=f"not part of this study: {', '.join(absent)}"))
    if not (seeds := bootstrap.seeds_of(claim.point_ids)):
        without = [id for id in claim.point_ids if not bootstrap.seeds_of([id])]
        note = f"no result: {', '.join(without) or 'no seed has all points'}"
        return _Evaluated(row=_row(claim, verdicts.MISSING, note=note))
    needed = requirements(claim, points, factor=factor)
    exact = [required for required in needed if _is_exact(required.points, points)]
    values, rounding = bootstrap.values(claim.point_ids, seeds), dict.fromkeys(claim.point_ids, 0.0)
    exact_verdict, exact_parts = verdicts.by_number(exact, values, rounding)
    if len(exact) == len(needed):
        return _Evaluated(row=_row(claim, exact_verdict, note=EXACT, **_effect(exact_parts) | {"interval": None}))
    try:
        sample = bootstrap.sample(claim.point_ids)
    except NotPaired as reason:
        effect = _effect(verdicts.by_number(needed, values, rounding)[1]) | {"interval": None}
        return _Evaluated(row=_row(claim, verdicts.UNDECIDED, note=f"no interval: {reason}", **effect))
    inexact = [required for required in needed if required not in exact]
    sampled = verdicts.by_sample(inexact, sample)
    rests_on = {"n": sample.n, "seeds": list(sample.seeds)}
    if exact_verdict == verdicts.CONTRADICTED:  # no sampling can mend an exact count
        effect = _effect(exact_parts, exact_parts + sampled) | rests_on | {"interval": None}
        return _Evaluated(row=_row(claim, exact_verdict, note=EXACT, **effect))
    sizes = verdicts.carried_effects(inexact, paper, factor)
    effect = _effect(sampled, exact_parts + sampled)
    by_name = {required.name: {"carried_over": round(size, 6)} for required, size in sizes}
    effect["requirements"] = [part | by_name.get(part["requirement"], {}) for part in effect["requirements"]]
    row = _row(claim, verdicts.UNDECIDED, **effect, **rests_on)
    return _Evaluated(row=row, parts=sampled, p_as_large=verdicts.p_as_large(sizes, sample))


def _is_exact(ids: Sequence[str], points: Mapping[str, experiments.Point]) -> bool:
    return all(points[id].measure.kind == "speed" for id in ids)


def _effect(hangs_on: Sequence[verdicts.Part], parts: Sequence[verdicts.Part] | None = None) -> dict[str, Any]:
    """The weakest of the parts that a claim hangs on, and all of its parts (by default the same)."""
    part = verdicts.weakest(hangs_on)
    return {
        "effect": round(part.shown, 6),
        "unit": part.unit,
        "interval": [round(bound, 6) for bound in part.interval],
        "effect_of": part.name,
        "requirements": [verdicts.as_json(each) for each in parts or hangs_on],
    }


def _row(claim: Claim, verdict: str, **outcome: Any) -> dict[str, Any]:
    numbers = {"effect": None, "unit": "", "interval": None, "n": None}
    empty = numbers | {"note": "", "requirements": [], "excludes_paper_effect": False}
    return {
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "reading": claim.reading,
        "points": list(claim.point_ids),
        "expression": claim.expression,
        "verdict": verdict,
    } | (empty | outcome)


def evaluate(name: str, results: Path) -> dict[str, Any]:
    """claims.json of a study, or of the paper. Raises InputError for an unknown study or an absent paper."""
    claims, table = load_claims(), results / PAPER / "points.csv"
    if name == PAPER:
        rows = evaluate_paper(claims, usable_paper_values(table))
        where, method = "on the paper's own numbers", {"verdict": NO_INTERVAL, "correction": "none: nothing is tested"}
    else:
        study = load_results(name, results)
        rows, scale = evaluate_study(claims, study, usable_paper_values(table) if table.exists() else {})
        is_generated = experiments.load_study(name).data.kind == "generated"
        where = f"on the data of the study {name}{', a generated benchmark and not KILT' if is_generated else ''}"
        method = _METHOD | {"resamples": resamples_for(study), "scale": scale.to_json()}
    for row in rows:
        row["verdict_text"] = f"{row['verdict']} {where}"
    return {
        "study": name,
        "evaluated": where,
        "method": method,
        "counts": dict(Counter(row["verdict"] for row in rows)),
        "undecided_without_paper_effect": sum(row["excludes_paper_effect"] for row in rows),
        "claims": rows,
    }


_METHOD = {
    "interval": "95 %, percentile bootstrap: dev examples (within tasks) and seeds crossed, drawn once for all runs;"
    " of the requirement that the claim hangs on; not corrected",
    "test": "bootstrap, two-sided; a claim of several requirements is supported if all are shown (intersection-union)",
    "correction": f"Holm over the claims of the study that are tested, at {verdicts.LEVEL:g}",
    "paper_effect": "undecided claims are tested, and corrected, once more: can every effect be as large as the paper's"
    " times the scale's factor? Tolerances are taken times the factor too",
}
