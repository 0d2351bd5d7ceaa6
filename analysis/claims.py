"""The ledger of claims: every entry of config/claims.yaml, evaluated on the paper's own numbers or on a study."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.ledger import verdicts
from analysis.ledger.bootstrap import RESAMPLES, JointBootstrap, NotPaired, Sample
from analysis.ledger.delivered import Delivery
from analysis.ledger.endpoints import endpoints_document
from analysis.ledger.frozen import frozen
from analysis.ledger.language import Requirement
from analysis.ledger.scale_factor import ScaleFactor, scale_factor, share_of_gap
from analysis.ledger.sentences import MEASURED, PRIMARY, Claim, load_claims
from analysis.papers.description import PrintedPaper
from analysis.papers.printed import PrintedPoint
from glimmer import experiments
from glimmer.experiments import PaperValue
from glimmer.results import PAPER, StudyResults, load_results
from glimmer.results.points import usable_paper_values

EXCLUDES = "an effect as large as the paper's, carried over, is excluded"
EXACT = "operation counts: exact, nothing is sampled"
_MOST_RESAMPLES, _MOST_DRAWS = 20_000, 200_000_000
NO_INTERVAL = "the paper gives no scores per example: no interval, only what rounding allows"
OTHER_FACTORS = (1.0, 1.5, 4.0)


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
        verdict, outcome = _by_rounding(claim, points, values, rounding)
        note = EXACT if _is_exact(claim.point_ids, points) else NO_INTERVAL
        rows.append(_row(claim, verdict, note=note, **outcome))
    return rows


def evaluate_printed(claims: Sequence[Claim], points: Mapping[str, PrintedPoint]) -> list[dict[str, Any]]:
    """Every claim of a description on its printed points; read as `evaluate_paper`'s."""
    values = {id: float(point.value) for id, point in points.items()}
    rounding = {id: float(point.rounding) for id, point in points.items()}
    rows = []
    for claim in claims:
        verdict, outcome = _by_rounding(claim, points, values, rounding)
        row = {key: getattr(claim, key) for key in ("id", "statement", "source", "reading", "expression")}
        row |= {"points": list(claim.point_ids), "aliases": dict(claim.points), "verdict": verdict, "n": None}
        rows.append(row | outcome)
    return rows


def printed_document(paper: PrintedPaper, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """claims.json of a description."""
    return {
        "study": paper.name,
        "evaluated": "on the paper's own numbers",
        "method": {"verdict": NO_INTERVAL, "correction": "none: nothing is tested"},
        "counts": _in_order(Counter(row["verdict"] for row in rows)),
        "claims": list(rows),
    }


def _by_rounding(
    claim: Claim, points: Mapping[str, Any], values: Mapping[str, float], rounding: Mapping[str, float]
) -> tuple[str, dict[str, Any]]:
    """(verdict, what the row says of the effect) where only printed numbers are known."""
    verdict, parts = verdicts.by_number(claim.requirements(points), values, rounding)
    low, high = verdicts.weakest(parts).interval
    return verdict, _effect(parts) | {"interval": None, "tolerance": (high - low) / 2}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Evaluated:
    """A claim's row; and, where something was sampled, its parts and the p of an effect of the paper's size."""

    row: dict[str, Any]
    parts: Sequence[verdicts.Part] = ()
    p_as_large: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ledger:
    """Claims on the results of one study. `reported` are the paper's numbers by point id, for the size of effects."""

    claims: Sequence[Claim]
    results: StudyResults
    reported: Mapping[str, PaperValue]

    @functools.cached_property
    def bootstrap(self) -> JointBootstrap:
        """All points of the study, drawn together."""
        return JointBootstrap(results=self.results, resamples=resamples_for(self.results))

    @functools.cached_property
    def scale(self) -> ScaleFactor:
        """What a point of the paper counts here."""
        return scale_factor(self.bootstrap, self._paper)

    def rows(self, factor: float | None = None) -> list[dict[str, Any]]:
        """Every claim with its verdict, tolerances and effects of the paper taken `factor` times (default: `scale`'s).

        Primary claims are tested together. One that is tested and left undecided is tested once more, for an effect as
        large as the paper's: `excludes_paper_effect`.
        """
        factor = self.scale.factor if factor is None else factor
        evaluated = [self._evaluated(claim, factor) for claim in self.claims]
        sampled = {each.row["id"]: each for each in evaluated if each.parts}
        primary = {id: each for id, each in sampled.items() if each.row["family"] == PRIMARY}
        tests = {id: verdicts.p_value(each.parts) for id, each in primary.items()}
        adjusted = verdicts.holm({id: p for id, (p, _) in tests.items()})
        for id, each in sampled.items():
            if id not in primary:
                each.row["verdict"] = verdicts.of_secondary(each.parts)
                continue
            p, speaks_for = tests[id]
            each.row.update(p=p, p_holm=adjusted[id])
            each.row["verdict"] = verdicts.of_primary(each.parts, adjusted[id], speaks_for)
        for each in sampled.values():
            if each.row["reasons"]:
                each.row["verdict"] = verdicts.NOT_TESTED
            elif each.row["verdict"] == verdicts.NOT_TESTED:
                each.row["reasons"] = list(dict.fromkeys(part.alike for part in each.parts if part.alike))
        self._exclude(primary)
        return [each.row for each in evaluated]

    def _exclude(self, primary: Mapping[str, _Evaluated]) -> None:
        """Says of each undecided claim whether it excludes the paper's effects; one not tested excludes none."""
        undecided = {id: each for id, each in primary.items() if each.row["verdict"] == verdicts.UNDECIDED}
        too_small = verdicts.holm(
            {id: each.p_as_large for id, each in undecided.items() if each.p_as_large is not None}
        )
        for id, p in too_small.items():
            if p <= verdicts.LEVEL:
                undecided[id].row.update(excludes_paper_effect=True, note=EXCLUDES)

    def by_factor(self) -> list[dict[str, Any]]:
        """How many verdicts of each kind other factors would give, and which claims they move; empty without a gain."""
        gain, own = self.scale.gain, {row["id"]: _said(row) for row in self.rows()}
        if gain is None:
            return []
        ends = {"lower end, ours": self.scale.factor, "mean": gain.mean / self.scale.papers_gain}
        ends |= {"upper end": gain.high / self.scale.papers_gain} | {f"{factor:g}": factor for factor in OTHER_FACTORS}
        table = []
        for name, factor in sorted(ends.items(), key=lambda item: item[1]):
            said = {row["id"]: _said(row) for row in self.rows(factor)}
            changed = {id: text for id, text in said.items() if text != own[id]}
            table.append(
                {"factor": round(factor, 4), "of": name, "counts": dict(Counter(said.values())), "changed": changed}
            )
        return table

    @property
    def draws(self) -> dict[str, Any]:
        """What the study's intervals know of: replicates, or one draw and its seeds."""
        seeds = sorted({run["settings"]["seed"] for run in self.results.runs.by_id.values()})
        return {"replicated": self.bootstrap.replicated, "seeds": seeds, "redrawn": list(self.results.redrawn)}

    @functools.cached_property
    def _paper(self) -> dict[str, float]:
        return {id: line.value for id, line in self.reported.items()}

    @functools.cached_property
    def _delivery(self) -> Delivery:
        return Delivery(bootstrap=self.bootstrap)

    def _evaluated(self, claim: Claim, factor: float) -> _Evaluated:
        """Undecided until all p values are corrected together; no parts where nothing is sampled."""
        points = self.results.planned
        if absent := [id for id in claim.point_ids if id not in points]:
            note = f"not part of this study: {', '.join(absent)}"
            return _Evaluated(row=_row(claim, verdicts.MISSING, note=note))
        if not (seeds := self.bootstrap.seeds_of(claim.point_ids)):
            without = [id for id in claim.point_ids if not self.bootstrap.seeds_of([id])]
            note = f"no result: {', '.join(without) or 'no seed has all points'}"
            return _Evaluated(row=_row(claim, verdicts.MISSING, note=note))
        needed = claim.requirements(points, factor=factor)
        exact = [required for required in needed if _is_exact(required.points, points)]
        values, rounding = self.bootstrap.values(claim.point_ids, seeds), dict.fromkeys(claim.point_ids, 0.0)
        exact_verdict, exact_parts = verdicts.by_number(exact, values, rounding)
        if len(exact) == len(needed):
            outcome = _effect(exact_parts) | {"interval": None}
            return _Evaluated(row=_row(claim, exact_verdict, note=EXACT, **outcome))
        try:
            sample = self.bootstrap.sample(claim.point_ids)
        except NotPaired as reason:
            outcome = _effect(verdicts.by_number(needed, values, rounding)[1]) | {"interval": None}
            return _Evaluated(row=_row(claim, verdicts.UNDECIDED, note=f"no interval: {reason}", **outcome))
        inexact = [required for required in needed if required not in exact]
        sampled = verdicts.by_sample(inexact, sample, [self._delivery.alike(required) for required in inexact])
        rests = {"n": sample.n, "seeds": list(sample.seeds)}
        if exact_verdict == verdicts.CONTRADICTED:  # no sampling can mend an exact count
            outcome = _effect(exact_parts, exact_parts + sampled) | rests | {"interval": None}
            return _Evaluated(row=_row(claim, exact_verdict, note=EXACT, **outcome))
        outcome = rests | self._sampled(inexact, sample, exact_parts, sampled, factor)
        outcome["reasons"] = self._delivery.reasons(inexact, claim.rests_on.basis == MEASURED)
        row = _row(claim, verdicts.UNDECIDED, **outcome)
        sizes = verdicts.carried_effects(inexact, self._paper, factor)
        return _Evaluated(row=row, parts=sampled, p_as_large=verdicts.p_as_large(sizes, sample))

    def _sampled(
        self,
        needed: Sequence[Requirement],
        sample: Sample,
        exact: Sequence[verdicts.Part],
        sampled: Sequence[verdicts.Part],
        factor: float,
    ) -> dict[str, Any]:
        """What a row says of sampled effects: the weakest, all, the paper's beside them, and its share of the gap."""
        sizes = verdicts.carried_effects(needed, self._paper, factor)
        by_name = {required.name: {"carried_over": round(size, 6)} for required, size in sizes}
        effect = _effect(sampled, [*exact, *sampled])
        effect["requirements"] = [part | by_name.get(part["requirement"], {}) for part in effect["requirements"]]
        weakest = next(required for required in needed if required.name == effect["effect_of"])
        return effect | {"share": share_of_gap(weakest, self.bootstrap, self._paper)}


def resamples_for(results: StudyResults) -> int:
    """As many replicates as a few seconds allow: corrected p values of claims with many parts need thousands."""
    runs = results.runs.by_id.values()
    examples = max((sum(task["n"] for task in run["tasks"].values()) for run in runs), default=1)
    return min(_MOST_RESAMPLES, max(RESAMPLES, _MOST_DRAWS // examples))


def _is_exact(ids: Sequence[str], points: Mapping[str, experiments.Point]) -> bool:
    return all(points[id].measure.kind == "speed" for id in ids)


def _said(row: Mapping[str, Any]) -> str:
    return f"{row['verdict']}, not as large" if row["excludes_paper_effect"] else row["verdict"]


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
    basis = claim.rests_on
    empty = {"effect": None, "unit": "", "interval": None, "n": None, "share": None, "note": "", "requirements": []}
    empty |= {"excludes_paper_effect": False, "reasons": []}
    return {
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "reading": claim.reading,
        "family": claim.family,
        "sentence": claim.sentence,
        "rests_on": basis.basis,
        "because": basis.because,
        "points": list(claim.point_ids),
        "expression": claim.expression,
        "verdict": verdict,
    } | (empty | outcome)


def evaluate(name: str, results: Path) -> dict[str, Any]:
    """claims.json of a study, or of the paper. Raises InputError for an unknown study or an absent paper."""
    claims, table = load_claims(), results / PAPER / "points.csv"
    document: dict[str, Any] = {"study": name}
    if name == PAPER:
        rows = evaluate_paper(claims, usable_paper_values(table))
        document["evaluated"] = "on the paper's own numbers"
        document["method"] = {"verdict": NO_INTERVAL, "correction": "none: nothing is tested"}
    else:
        study = load_results(name, results)
        ledger = Ledger(claims=claims, results=study, reported=usable_paper_values(table) if table.exists() else {})
        rows = ledger.rows()
        is_generated = experiments.load_study(name).data.kind == "generated"
        kind = ", a generated benchmark and not KILT" if is_generated else ""
        document["evaluated"] = f"on the data of the study {name}{kind}"
        interval = _OVER_REPLICATES if ledger.draws["replicated"] else _ONE_DRAW
        sampled = {"resamples": resamples_for(study), "scale": ledger.scale.to_json()}
        document["method"] = {"interval": interval} | _METHOD | sampled
        document |= {"draws": ledger.draws, "by_factor": ledger.by_factor(), "frozen": frozen(study)}
        document["own_endpoints"] = endpoints_document(study, ledger.bootstrap)
    for row in rows:
        row["verdict_text"] = f"{row['verdict']} {document['evaluated']}"
    return document | {
        "counts": _in_order(Counter(row["verdict"] for row in rows)),
        "by_family": {family: _in_order(Counter(r["verdict"] for r in rows if r["family"] == family))
                      for family in dict.fromkeys(row["family"] for row in rows)},
        "by_sentence": dict(Counter(row["sentence"] for row in rows)),
        "by_basis": dict(Counter(row["rests_on"] for row in rows)),
        "undecided_without_paper_effect": sum(row["excludes_paper_effect"] for row in rows),
        "claims": rows,
    }  # fmt: skip


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return {verdict: counts[verdict] for verdict in verdicts.VERDICTS if verdict in counts}


_ONE_DRAW = (
    "95 %, percentile bootstrap: dev examples (within tasks) and seeds crossed, drawn once for all runs; of the"
    " requirement that the claim hangs on; not corrected. One draw of world, checkpoint and retriever: it knows of no"
    " other"
)
_OVER_REPLICATES = (
    "95 %, Student's t over the paired effects of replicates, each with a world, checkpoint, retriever and fine-tuning"
    " of its own; of the requirement that the claim hangs on; not corrected"
)
_METHOD = {
    "test": "two-sided; a claim of several requirements is supported if all are shown (intersection-union)",
    "correction": f"Holm over the primary claims of the study that are sampled, at {verdicts.LEVEL:g}; none over the"
    " secondary ones, whose words say where their interval lies",
    "not_tested": "by rule, with its reason: a reader not above its untrained self; arms that answer alike, as two"
    " seeds of one arm do; a distillation loss not below that of equal scores; a ranking no better than the retriever's"
    " (analysis/ledger/delivered.py)",
    "paper_effect": "undecided primary claims are tested, and corrected, once more: can every effect be as large as"
    " the paper's times the scale's factor? Tolerances are taken times the factor too",
    "share": "of what forty passages instead of five gain LUMEN in the same study; needs no factor",
}
