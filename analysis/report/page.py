"""report.html: one self-contained page of a study, its verdicts first, every number leading to its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis import figures, reproduced
from analysis.figures import BASELINES, FigureArtifact, TableArtifact, style
from analysis.figures.artifact import missing_note
from analysis.names import READER_NAMES
from analysis.report import (
    difference_pictures,
    ledger_tables,
    opening,
    pictures,
    pipeline,
    reader_tables,
    run_entries,
    shown_tables,
    takeaway,
    training_units,
)
from analysis.report.cells import Cell, CellTable, ordered_runs
from analysis.report.findings_by_kind import audit_kinds, audit_text
from analysis.report.forest import forest
from analysis.report.rendering import rendered
from analysis.report.repository import repository_address
from analysis.sources import existing_results
from analysis.stage_files import stage_document, stage_files
from glimmer import experiments
from glimmer.files import canonical_json, read_json
from glimmer.results import PAPER, StudyResults, load_reference, load_results, load_runs
from glimmer.results.failed_runs import failed_runs
from glimmer.results.foreign import LEGEND
from glimmer.results.run_files import is_of_changed_code

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
    ("carried over", "The paper's difference times what one of its points counts here (under the claims)."),
    ("p, corrected", "How often chance alone would say as much; the second counts how many claims were tested (Holm)."),
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
    claims, audit = (optional(directory / f"{name}.json") for name in ("claims", "audit"))
    claim_entries = [opening.with_state(claim) for claim in entries(claims, "claims")]
    return rendered(
        "report.html.j2",
        {
            "study": about(study_name),
            "glossary": GLOSSARY,
            "coverage": coverage(study),
            "made_by": made_by(study),
            "repository": repository_address(),
            **_artifacts(study, reference, claim_entries),
            **_of_claims(claims, claim_entries),
            **_of_audit(audit),
            **_of_runs(study, directory),
            **_stages(study, directory),
            "comparison": None if reference_runs is None else _comparison(study, reference_runs),
        },
    )


def _artifacts(
    study: StudyResults, reference: StudyResults | None, claims: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What is drawn: the opening, figures, tables, learning curves, and what there is nothing to draw of."""
    artifacts = figures.everything()
    own = [artifact for artifact in artifacts if study.of(artifact.name)]
    shown = [result for result in study.points if result.point.artifact != BASELINES]
    with style.house_look():
        return {
            "opening": {
                "sentence": opening.sentence(study, reference),
                "planes": difference_pictures.quality_and_cost(study, reference),
                "base": READER_NAMES[opening.base_reader(study)],
                "levels": opening.levels(study),
                "claims": opening.strip(claims, reported=study.study == PAPER),
                "untested": opening.untested(claims),
            },
            "figures": [_figure(one, study, reference, claims) for one in own if isinstance(one, FigureArtifact)],
            "tables": [_table(one, study, reference, claims) for one in own if isinstance(one, TableArtifact)],
            "absent_artifacts": [one.name for one in artifacts if one.entry.in_paper and one not in own],
            "learning": pictures.learning_curves(study),
            "anchors": {result.id: result.anchor for result in shown},
            "missing": [result for result in shown if result.value is None],
        }


def _of_claims(document: Any, claims: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "claims": document,
        "own_endpoints": document.get("own_endpoints") if isinstance(document, Mapping) else None,
        "families": ledger_tables.families(claims),
        "factors": ledger_tables.factors(document),
        "draws": ledger_tables.draws_text(document),
    }


def _of_audit(document: Any) -> dict[str, Any]:
    findings = entries(document, "findings")
    return {"audit": document, "audit_counts": audit_text(findings), "audit_kinds": audit_kinds(findings)}


def _of_runs(study: StudyResults, directory: Path) -> dict[str, Any]:
    """Every run, as a row, a cost or a reason why it is none."""
    return {
        "readers": reader_tables.readers(study, list(map(read_json, stage_files(directory, "priors").values()))),
        "units": training_units.training_units(study),
        "shown": shown_tables.shown_questions(study),
        "costs": pipeline.costs(study),
        "environment": pipeline.environment(study),
        "kilt_check": pipeline.kilt_check(study),
        "runs": run_entries.run_entries(study),
        "score_data": run_entries.score_data(study),
        "shared_training": canonical_json(run_entries.shared_training(study)),
        "refused": study.runs.refused,
        "failed": failed_runs(directory, study.runs.by_id),
        "changed": [run_id for run_id, run in ordered_runs(study) if is_of_changed_code(run)],
    }


def _comparison(study: StudyResults, reference_runs: Path) -> CellTable | None:
    rows = reproduced.compare(study.runs, load_runs(existing_results(reference_runs)))
    return reader_tables.comparison(rows, study) if rows else None


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
    both = difference_pictures.overlays(figure, study, reference)
    notes = [missing_note(study.of(figure.name)), _mark_note(figure, study), _legend_note(figure, study)]
    notes += ["Each panel has a scale of its own: compare differences, not heights."] if reference and not both else []
    return {
        "name": figure.name,
        "title": figure.entry.full_title,
        "heading": takeaway.heading(figure.entry, shown),
        "takeaway": shown,
        "what": figure.entry.title[:1].upper() + figure.entry.title[1:],
        "caption": figure.entry.caption,
        "overlays": both,
        "cells": [] if both else pictures.cells(figure, study, reference),
        "note": " ".join(filter(None, notes)),
        "forest": forest(figure.name, claims),
        "drawn_points": reader_tables.drawn_points(figure.name, study, reference),
    }


def _mark_note(figure: FigureArtifact, study: StudyResults) -> str:
    return f"{LEGEND}." if figure.foreign(study) else ""


def _legend_note(figure: FigureArtifact, study: StudyResults) -> str:
    """What KILT in a legend means on a page whose numbers may be none of KILT's."""
    is_named = study.study != PAPER and any(result.label == _ALL_TASKS for result in study.of(figure.name))
    return f"{_ALL_TASKS}, in a legend, is the paper's word for training on all tasks." if is_named else ""


_ALL_TASKS = "KILT"


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


def optional(path: Path) -> Any:
    """A JSON file's content; None where there is none."""
    return read_json(path) if path.exists() else None


def entries(document: Any, key: str) -> list[dict]:
    """The list inside claims.json or audit.json, whether it stands alone or under `key`."""
    if isinstance(document, dict):
        document = document.get(key, [])
    return document or []
