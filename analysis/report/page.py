"""report.html: one self-contained page of a study, its verdicts first, every number leading to its run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis import figures, reproduced
from analysis.audits.finding import SEVERITIES
from analysis.figures import BASELINES, FigureArtifact, TableArtifact, style
from analysis.figures.artifact import missing_note
from analysis.report import (
    ledger_tables,
    opening,
    overlay,
    pictures,
    pipeline,
    reader_tables,
    run_entries,
    shown_tables,
    takeaway,
    training_units,
)
from analysis.report.cells import NOTHING, Cell, CellTable, ordered_runs
from analysis.report.forest import forest
from analysis.stage_files import stage_document, stage_files
from glimmer import experiments
from glimmer.files import canonical_json, existing, read_json
from glimmer.results import PAPER, StudyResults, load_reference, load_results, load_runs
from glimmer.results.failed_runs import failed_runs
from glimmer.results.foreign import LEGEND
from glimmer.results.run_files import is_of_changed_code

TEMPLATES = Path(__file__).parent / "templates"
GLOSSARY = (
    ("FiD, LUMEN, GLIMMER", "Readers: T5 that answers from passages. FiD reads question and passages together in all"
     " layers. LUMEN runs its first layers, the memory, on passages ahead of time. GLIMMER also ranks them."),
    ("k, m", "Passages retrieved; passages that GLIMMER keeps after ranking."),
    ("α, β", "Live proportion: share of encoder layers that read question and passage together. Rerank proportion:"
     " share of the live layers before passages are scored."),
    ("λ, τ", "Weight and temperature of the perplexity distillation that teaches the scorer."),
    ("run, point", "One trained and evaluated reader; one number of a figure or table, which rests on runs."),
    ("replicate", "One redraw of world, checkpoint and fine-tuning: what intervals are taken over."),
    ("in view", "Evidence in view: a passage that answers the question is among those that the reader reads."),
    ("rests on", "What a verdict would have been without training: measured, by k alone (more passages hold more"
     " answers), or by construction (counted, or built into the checkpoint)."),
    ("not tested", "The treatment was not delivered, for instance a scorer that has not learnt to rank: a rule says so"
     " before anyone looks at the effect."),
    ("untrained, closed book", "The same reader before fine-tuning; a reader trained and tested without passages."),
    ("KILT score", "Right, and the pages of the evidence ranked first. R-precision: their share among as many first"
     " pages."),
)  # fmt: skip
"""Words of the page that a stranger may not know, with their meaning."""


def build(study_name: str, results: Path, reference_runs: Path | None = None) -> str:
    """The page as HTML text. `reference_runs` is the results directory of another reproduction of the same study.

    Raises InputError for an unknown study, or where a directory is absent.
    """
    study = load_results(study_name, results)
    reference = None if study_name == PAPER else load_reference(results)
    directory = results / study_name
    shown = [result for result in study.points if result.point.artifact != BASELINES]
    claims, audit = (optional(directory / f"{name}.json") for name in ("claims", "audit"))
    claim_entries = [opening.with_state(claim) for claim in entries(claims, "claims")]
    artifacts = figures.everything()
    own = [artifact for artifact in artifacts if study.of(artifact.name)]
    with style.house_look():
        drawn = [_figure(one, study, reference, claim_entries) for one in own if isinstance(one, FigureArtifact)]
        learning = pictures.learning_curves(study)
        planes = opening.quality_and_cost(study, reference)
    other = None if reference_runs is None else reproduced.compare(study.runs, load_runs(existing(reference_runs)))
    return rendered(
        "report.html.j2",
        {
            "study": about(study_name),
            "opening": {
                "sentence": opening.sentence(study, reference),
                "planes": planes,
                "levels": opening.levels(study),
                "claims": opening.strip(claim_entries, reported=study_name == PAPER),
            },
            "audit_counts": audit_text(entries(audit, "findings")),
            "audit_kinds": audit_kinds(entries(audit, "findings")),
            "glossary": GLOSSARY,
            "coverage": coverage(study),
            "made_by": made_by(study),
            "figures": drawn,
            "tables": [_table(one, study, reference, claim_entries) for one in own if isinstance(one, TableArtifact)],
            "learning": learning,
            "units": training_units.training_units(study),
            "absent_artifacts": [
                artifact.name for artifact in artifacts if artifact.entry.in_paper and artifact not in own
            ],
            "missing": [result for result in shown if result.value is None],
            "readers": reader_tables.readers(study, list(map(read_json, stage_files(directory, "priors").values()))),
            "shown": shown_tables.shown_questions(study),
            "own_endpoints": claims.get("own_endpoints") if isinstance(claims, Mapping) else None,
            "costs": pipeline.costs(study),
            "environment": pipeline.environment(study),
            "kilt_check": pipeline.kilt_check(study),
            "runs": run_entries.run_entries(study),
            "score_data": run_entries.score_data(study),
            "shared_training": canonical_json(run_entries.shared_training(study)),
            "anchors": {result.id: result.anchor for result in shown},
            "refused": study.runs.refused,
            "failed": failed_runs(directory, study.runs.by_id),
            "changed": [run_id for run_id, run in ordered_runs(study) if is_of_changed_code(run)],
            "claims": claims,
            "audit": audit,
            "families": ledger_tables.families(claim_entries),
            "factors": ledger_tables.factors(claims),
            "draws": ledger_tables.draws_text(claims),
            **_stages(study, directory),
            "comparison": None if not other else reader_tables.comparison(other, study),
        },
    )


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """A page as HTML text, its styles and scripts inside."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["sort_key"] = sort_key
    environment.filters["script"] = lambda text: Markup(text.replace("<", "\\u003c"))
    environment.filters["code"] = lambda text: Markup(text.replace("&", "&amp;").replace("<", "&lt;"))
    environment.filters["effect"] = effect_text
    environment.filters["slug"] = lambda verdict: str(verdict).replace("'", "").replace(" ", "-")
    assets = {name: (TEMPLATES / f"report.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    return pictures.with_shared_styles(environment.get_template(template).render(**context, **assets))


def plain(value: Any) -> str:
    """A value of claims.json or audit.json as text: numbers short, lists joined, a dash for nothing."""
    if value is None or isinstance(value, jinja2.Undefined):
        return "–"
    if isinstance(value, list | tuple):
        both_ends = len(value) == 2 and all(isinstance(item, int | float) for item in value)
        return (" to " if both_ends else ", ").join(plain(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def sort_key(cell: Cell) -> str | None:
    """What a cell sorts by, where its text does not say it: report.js reads numbers, and a dash as nothing."""
    if cell.sort is None or (cell.sort == "" and cell.text == NOTHING.text):
        return None
    try:
        written = float(cell.text.replace(",", ""))
    except ValueError:
        return f"{cell.sort:.6g}" if isinstance(cell.sort, float) else str(cell.sort)
    return None if math.isclose(written, cell.sort, rel_tol=1e-9) else f"{cell.sort:.6g}"


def effect_text(value: Any, unit: str | None) -> str:
    """An effect or its interval: points with one decimal, which is what intervals leave to say; all else as `plain`."""
    if unit != "points" or value is None or isinstance(value, jinja2.Undefined):
        return plain(value)
    return " to ".join(f"{one:+z.1f}" for one in (value if isinstance(value, list | tuple) else [value]))


def about(name: str) -> dict[str, str]:
    """What a study is called and is of: name, title, label and description."""
    if name == PAPER:
        return {
            "name": PAPER,
            "title": "What the paper reports",
            "label": "the paper's own numbers",
            "description": "Every number of every figure and table of arXiv 2306.10231, drawn and audited by the same"
            " programs as a study. No run of ours is behind them; the paper gives no scores per task or example.",
        }
    study = experiments.load_study(name)
    kind = study.data.kind
    generated = "generated benchmark: these are not KILT numbers"
    label = generated if kind == "generated" else f"data: {getattr(study.data, 'release', kind)}"
    return {"name": name, "title": study.title, "description": study.description, "label": label}


def coverage(study: StudyResults) -> dict[str, int]:
    """How many of its points and planned runs a study has."""
    drawn = [result for result in study.points if result.point.artifact != BASELINES]
    planned = {run_id for point in study.planned.values() for run_id in point.run_ids}
    return {
        "points_present": sum(result.value is not None for result in drawn),
        "points": len(drawn),
        "runs_present": sum(run_id in study.runs for run_id in planned),
        "runs": len(planned),
    }


def made_by(study: StudyResults) -> list[str]:
    """The code and machines that the runs name, each once, and when: `code 24c76b0, jax 0.11.0 on cpu, 2026-11-27`."""
    days: dict[str, set[str]] = {}
    for run in study.runs.by_id.values():
        kind = (run.get("device") or {}).get("kind", "an unnamed device")
        jax = (run.get("versions") or {}).get("jax", "unknown")
        made = days.setdefault(f"code {run.get('code_version') or 'unknown'}, jax {jax} on {kind}", set())
        made |= {run["measured_on"]} if run.get("measured_on") else set()
    return [f"{made}{_between(sorted(on))}" for made, on in sorted(days.items())]


def _between(days: Sequence[str]) -> str:
    return f", {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""


def _figure(
    figure: FigureArtifact, study: StudyResults, reference: StudyResults | None, claims: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    reference = figure.beside(reference)
    shown = takeaway.takeaway(figure.name, study, claims)
    both = overlay.overlays(figure, study, reference)
    return {
        "name": figure.name,
        "title": figure.entry.full_title,
        "heading": takeaway.heading(figure.entry, shown),
        "takeaway": shown,
        "what": figure.entry.title[:1].upper() + figure.entry.title[1:],
        "caption": figure.entry.caption,
        "overlays": both,
        "cells": [] if both else pictures.cells(figure, study, reference),
        "note": " ".join(filter(None, (missing_note(study.of(figure.name)), _mark_note(figure, study)))),
        "forest": forest(figure.name, claims),
        "drawn_points": reader_tables.drawn_points(figure.name, study, reference),
    }


def _mark_note(figure: FigureArtifact, study: StudyResults) -> str:
    return f"{LEGEND}." if figure.foreign(study) else ""


def _table(
    table: TableArtifact, study: StudyResults, reference: StudyResults | None, claims: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    reference = table.beside(reference)
    shown = takeaway.takeaway(table.name, study, claims)
    heads, rows = table.cells(study, reference)
    cells = [tuple(Cell(text, state="missing" if text == "missing" else "") for text in row) for row in rows]
    return {
        "name": table.name,
        "title": table.entry.full_title,
        "heading": takeaway.heading(table.entry, shown),
        "takeaway": shown,
        "what": table.entry.title[:1].upper() + table.entry.title[1:],
        "caption": table.entry.caption,
        "shown": CellTable(caption=table.entry.caption, heads=tuple(heads), rows=tuple(cells)),
        "notes": table.notes(study),
        "forest": forest(table.name, claims),
        "drawn_points": reader_tables.drawn_points(table.name, study, reference),
    }


def _stages(study: StudyResults, directory: Path) -> dict[str, Any]:
    names = ("retrieval", "filter", "lengths", "reading", "priors")
    metrics, counts, cuts, examination, scored = (stage_document(directory, name) for name in names)
    return {
        "stages_of": next(iter(stage_files(directory, "retrieval")), ""),
        "retrieval": pipeline.retrieval(metrics) if metrics else None,
        "evidence": pipeline.evidence(metrics) if metrics else None,
        "ranks": pipeline.evidence_ranks(metrics) if metrics else [],
        "filter": pipeline.filter_counts(counts) if counts else None,
        "lengths": pipeline.lengths(cuts) if cuts else None,
        "in_view": pipeline.answered_in_view(study, metrics) if metrics else None,
        "priors": pipeline.priors(scored) if scored else None,
        "reading": pipeline.reading(examination) if examination else None,
    }


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


def optional(path: Path) -> Any:
    """A JSON file's content; None where there is none."""
    return read_json(path) if path.exists() else None


def entries(document: Any, key: str) -> list[dict]:
    """The list inside claims.json or audit.json, whether it stands alone or under `key`."""
    if isinstance(document, dict):
        document = document.get(key, [])
    return document or []
