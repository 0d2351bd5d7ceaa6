"""The ledger of claims: every entry of config/claims.yaml, evaluated on the paper's own numbers or on a study."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.ledger import carried, verdicts
from analysis.ledger.language import Place, Requirement, compile_statement
from analysis.ledger.replicates import RESAMPLES, JointBootstrap, NotPaired
from analysis.points import PAPER, usable_paper_values
from analysis.runs import load_runs
from glimmer import experiments
from glimmer.errors import GlimmerError, InputError
from glimmer.experiments import PaperValue
from glimmer.experiments.documents import read_yaml, repository_path, validate
from glimmer.files import write_json

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
        used = {id for one in requirements(claim, known, where) for id in one.points}
        if used != set(claim.point_ids):
            unused = ", ".join(sorted(set(claim.point_ids) - used))
            raise InputError("points that the expression does not use", where=where, found=unused)
    return claims


def requirements(
    claim: Claim, points: Mapping[str, experiments.Point], where: object = None, factor: float = 1.0
) -> list[Requirement]:
    """What a claim requires: x as these points have it (a study's own, or the paper's), tolerances times `factor`."""
    places = {alias: _place(points[id]) for alias, id in claim.points.items()}
    return compile_statement(claim.expression, places, where or claim.id, factor)


def _place(point: experiments.Point) -> Place:
    return Place(id=point.id, x=None if point.x is None else float(point.x), unit=point.measure.unit)


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
        part = verdicts.weakest(parts)
        note = EXACT if _is_exact(claim, points) else NO_INTERVAL
        tolerance = (part.interval[1] - part.interval[0]) / 2
        row = _row(claim, verdict, note=note, **_effect(part, parts)) | {"interval": None, "tolerance": tolerance}
        rows.append(row)
    return rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Study:
    """What every claim of a study is evaluated with."""

    bootstrap: JointBootstrap
    paper: Mapping[str, float]
    scale: carried.Scale


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Found:
    """A claim's row, and what is tested once all claims are known: its parts, and an effect of the paper's size."""

    row: dict[str, Any]
    parts: Sequence[verdicts.Part] = ()
    p_as_large: float | None = None


def evaluate_study(
    claims: Sequence[Claim],
    points: Mapping[str, experiments.Point],
    runs: Mapping[str, Mapping[str, Any]],
    reported: Mapping[str, PaperValue],
) -> tuple[list[dict[str, Any]], carried.Scale]:
    """Every claim on a study: `points` by id at its scale, `runs` its trusted run files by run id; and that scale.

    What is left undecided is tested once more, for an effect as large as `reported`: `excludes_paper_effect`.
    """
    bootstrap = JointBootstrap(points=points, runs=runs, resamples=resamples_for(runs))
    paper = {id: one.value for id, one in reported.items()}
    study = _Study(bootstrap=bootstrap, paper=paper, scale=carried.scale(bootstrap, paper))
    found = [_on_study(claim, study) for claim in claims]
    tested = {one.row["id"]: verdicts.p_value(one.parts) for one in found if one.parts}
    adjusted = verdicts.holm({id: p for id, (p, _) in tested.items()})
    for one in found:
        row = one.row
        if row["id"] in tested:
            p, speaks_for = tested[row["id"]]
            row |= {"p": p, "p_holm": adjusted[row["id"]]}
            row["verdict"] = speaks_for if adjusted[row["id"]] <= verdicts.LEVEL else verdicts.UNDECIDED
    undecided = {
        one.row["id"]: one.p_as_large
        for one in found
        if one.p_as_large is not None and one.row["verdict"] == verdicts.UNDECIDED
    }
    too_small = verdicts.holm(undecided)
    for one in found:
        if one.row["id"] in too_small and too_small[one.row["id"]] <= verdicts.LEVEL:
            one.row.update(excludes_paper_effect=True, note=EXCLUDES)
    return [one.row for one in found], study.scale


def resamples_for(runs: Mapping[str, Mapping[str, Any]]) -> int:
    """As many replicates as a few seconds allow: corrected p values of claims with many parts need thousands."""
    examples = max((sum(task["n"] for task in run["tasks"].values()) for run in runs.values()), default=1)
    return min(_MOST_RESAMPLES, max(RESAMPLES, _MOST_DRAWS // examples))


def _on_study(claim: Claim, study: _Study) -> _Found:
    """Undecided until all p values are corrected together; no parts where nothing is sampled."""
    bootstrap, points = study.bootstrap, study.bootstrap.points
    absent = [id for id in claim.point_ids if id not in points]
    if absent:
        return _Found(row=_row(claim, verdicts.MISSING, note=f"not part of this study: {', '.join(absent)}"))
    seeds = bootstrap.seeds_of(claim.point_ids)
    if not seeds:
        without = [id for id in claim.point_ids if not bootstrap.seeds_of([id])]
        note = f"no result: {', '.join(without) or 'no seed has all points'}"
        return _Found(row=_row(claim, verdicts.MISSING, note=note))
    needed = requirements(claim, points, factor=study.scale.factor)
    values, rounding = bootstrap.values(claim.point_ids, seeds), dict.fromkeys(claim.point_ids, 0.0)
    if _is_exact(claim, points):
        verdict, parts = verdicts.by_number(needed, values, rounding)
        row = _row(claim, verdict, note=EXACT, **_effect(verdicts.weakest(parts), parts)) | {"interval": None}
        return _Found(row=row)
    exact = [one for one in needed if all(points[id].measure.kind == "speed" for id in one.points)]
    failed, exact_parts = verdicts.by_number(exact, values, rounding)
    try:
        sample = bootstrap.sample(claim.point_ids)
    except NotPaired as reason:
        _, parts = verdicts.by_number(needed, values, rounding)
        found = _effect(verdicts.weakest(parts), parts) | {"interval": None}
        return _Found(row=_row(claim, verdicts.UNDECIDED, note=f"no interval: {reason}", **found))
    inexact = [one for one in needed if one not in exact]
    sampled = verdicts.by_sample(inexact, sample)
    rests_on = {"n": sample.n, "seeds": list(sample.seeds)}
    if failed == verdicts.CONTRADICTED:  # no sampling can mend an exact count
        found = _effect(verdicts.weakest(exact_parts), exact_parts + sampled) | rests_on | {"interval": None}
        return _Found(row=_row(claim, failed, note=EXACT, **found))
    sizes = verdicts.carried_effects(inexact, study.paper, study.scale.factor)
    shown = _effect(verdicts.weakest(sampled), exact_parts + sampled)
    by_name = {one.name: round(size, 6) for one, size in sizes}
    for one in shown["requirements"]:
        if one["requirement"] in by_name:
            one["carried_over"] = by_name[one["requirement"]]
    row = _row(claim, verdicts.UNDECIDED, **shown, **rests_on)
    return _Found(row=row, parts=sampled, p_as_large=verdicts.p_as_large(sizes, sample))


def _is_exact(claim: Claim, points: Mapping[str, experiments.Point]) -> bool:
    return all(points[id].measure.kind == "speed" for id in claim.point_ids)


def _effect(part: verdicts.Part, parts: Sequence[verdicts.Part]) -> dict[str, Any]:
    return {
        "effect": round(part.shown, 6),
        "unit": part.unit,
        "interval": [round(bound, 6) for bound in part.interval],
        "effect_of": part.name,
        "requirements": [verdicts.as_json(one) for one in parts],
    }


def _row(claim: Claim, verdict: str, **found: Any) -> dict[str, Any]:
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
    } | (empty | found)


def evaluate(name: str, results: Path) -> dict[str, Any]:
    """claims.json of a study, or of the paper. Raises InputError for an unknown study or an absent paper."""
    claims, table = load_claims(), results / PAPER / "points.csv"
    if name == PAPER:
        rows = evaluate_paper(claims, usable_paper_values(table))
        where, method = "on the paper's own numbers", {"verdict": NO_INTERVAL, "correction": "none: nothing is tested"}
    else:
        study = experiments.load_study(name)
        points = {point.id: point for point in experiments.points(study)}
        runs = load_runs(results / name).by_id
        rows, scale = evaluate_study(claims, points, runs, usable_paper_values(table) if table.exists() else {})
        generated = ", a generated benchmark and not KILT" if study.data.kind == "generated" else ""
        where = f"on the data of the study {name}{generated}"
        method = _METHOD | {"resamples": resamples_for(runs), "scale": scale.to_json()}
    for row in rows:
        row["verdict_text"] = f"{row['verdict']} {where}"
    counts = dict(Counter(row["verdict"] for row in rows))
    excluded = sum(row["excludes_paper_effect"] for row in rows)
    return {
        "study": name,
        "evaluated": where,
        "method": method,
        "counts": counts,
        "undecided_without_paper_effect": excluded,
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


def show(document: Mapping[str, Any]) -> str:
    """The ledger as a table for the terminal."""
    lines = [f"Claims {document['evaluated']}; correction: {document['method']['correction']}"]
    for row in document["claims"]:
        effect = "–" if row["effect"] is None else f"{row['effect']:+.4g} {row['unit']}"
        bounds = row["interval"]
        interval = f"[{bounds[0]:.3g}, {bounds[1]:.3g}]" if bounds else ""
        rests_on = f"{row['n'] or '':<6}{'not as large as the paper' if row['excludes_paper_effect'] else ''}"
        lines.append(f"{row['verdict']:<13} {row['id']:<42} {effect:<26} {interval:<20} {rests_on}".rstrip())
    lines.append(", ".join(f"{n} {verdict}" for verdict, n in document["counts"].items()))
    if document["undecided_without_paper_effect"]:
        lines.append(f"{document['undecided_without_paper_effect']} of the undecided: {EXCLUDES}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m analysis.claims --study NAME [NAME ...] [--paper] [--results DIR]`: 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", nargs="+", default=[], metavar="NAME", help="studies to evaluate the claims on")
    parser.add_argument("--paper", action="store_true", help="also (or only) evaluate them on the paper's own numbers")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    args = parser.parse_args(argv)
    names = list(dict.fromkeys(args.study + ([PAPER] if args.paper else [])))
    if not names:
        parser.error("name at least one --study, or --paper")
    try:
        for name in names:
            document = evaluate(name, args.results)
            write_json(args.results / name / "claims.json", document)
            print(show(document))
    except GlimmerError as error:
        print(f"claims: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
