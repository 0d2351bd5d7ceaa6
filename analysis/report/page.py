"""report.html: one self-contained page of a study, its verdicts first, every number leading to its run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from analysis import figures, reproduced
from analysis.figures import BASELINES, FigureArtifact, TableArtifact, style
from analysis.figures.artifact import missing_note
from analysis.figures.table import interval_text
from analysis.ledger.bootstrap import JointBootstrap, NotPaired
from analysis.names import reader_text
from analysis.report import ledger_tables, pictures, pipeline, reader_tables, shown_tables, training_units
from analysis.report.cells import Cell, CellTable, ordered_runs, percent
from analysis.stage_files import stage_document, stage_files
from glimmer import experiments
from glimmer.files import existing, json_text, read_json
from glimmer.results import PAPER, PointResult, StudyResults, load_reference, load_results, load_runs
from glimmer.results.failed_runs import failed_runs
from glimmer.results.run_files import is_of_changed_code

TEMPLATES = Path(__file__).parent / "templates"
_PROVENANCE = ("code_version", "versions", "device", "digests", "kept_step", "stopped", "wall_seconds",
               "kilt_package_check")  # fmt: skip


def build(study_name: str, results: Path, reference_runs: Path | None = None) -> str:
    """The page as HTML text. `reference_runs` is the results directory of another reproduction of the same study.

    Raises InputError for an unknown study, or where a directory is absent.
    """
    study = load_results(study_name, results)
    reference = None if study_name == PAPER else load_reference(results)
    directory = results / study_name
    shown = [result for result in study.points if result.point.artifact != BASELINES]
    artifacts = figures.everything()
    own = [artifact for artifact in artifacts if study.of(artifact.name)]
    with style.house_look():
        drawn = [_figure(artifact, study, reference) for artifact in own if isinstance(artifact, FigureArtifact)]
        learning = pictures.learning_curves(study)
    other = None if reference_runs is None else reproduced.compare(study.runs, load_runs(existing(reference_runs)))
    claims, audit = (_optional(directory / f"{name}.json") for name in ("claims", "audit"))
    claim_entries = entries(claims, "claims")
    return _render(
        {
            "study": _about(study_name),
            "headline": headline(study, reference),
            "figures": drawn,
            "tables": [_table(artifact, study, reference) for artifact in own if isinstance(artifact, TableArtifact)],
            "learning": learning,
            "units": training_units.training_units(study),
            "absent_artifacts": [
                artifact.name for artifact in artifacts if artifact.entry.in_paper and artifact not in own
            ],
            "missing": [result for result in shown if result.value is None],
            "readers": reader_tables.readers(study),
            "shown": shown_tables.shown_questions(study),
            "own_endpoints": claims.get("own_endpoints") if isinstance(claims, Mapping) else None,
            "costs": pipeline.costs(study),
            "environment": pipeline.environment(study),
            "kilt_check": pipeline.kilt_check(study),
            "runs": _runs(study),
            "anchors": {result.id: result.anchor for result in shown},
            "refused": study.runs.refused,
            "failed": failed_runs(directory, study.runs.by_id),
            "changed": [run_id for run_id, run in ordered_runs(study) if is_of_changed_code(run)],
            "claims": claims,
            "audit": audit,
            "families": ledger_tables.families(claim_entries),
            "factors": ledger_tables.factors(claims),
            "draws": ledger_tables.draws_text(claims),
            "audit_entries": entries(audit, "findings"),
            **_stages(study, directory),
            "comparison": None if not other else reader_tables.comparison(other, study),
        }
    )


def _render(context: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["slug"] = lambda verdict: str(verdict).replace("'", "").replace(" ", "-")
    assets = {name: (TEMPLATES / f"report.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    return environment.get_template("report.html.j2").render(**context, **assets)


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


def _about(name: str) -> dict[str, str]:
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


def headline(study: StudyResults, reference: StudyResults | None) -> dict[str, Any]:
    """What the top of the page says: the readers' averages in order, ours and the paper's, and how much is there."""
    cards = [
        {
            "name": result.label,
            "reader": result.point.reader.name,
            "value": None if result.value is None else f"{result.value:.1f}",
            "interval": None if result.low is None else interval_text(result),
            "n_tasks": result.n_tasks,
            "anchor": result.anchor,
        }
        for result in study.of("figure2", "performance")
    ]
    drawn = [result for result in study.points if result.point.artifact != BASELINES]
    planned = {run_id for point in study.planned.values() for run_id in point.run_ids}
    return {
        "cards": cards,
        "ours": _order(study),
        "paper": _order(reference) if reference else "",
        "points_present": sum(result.value is not None for result in drawn),
        "points": len(drawn),
        "runs_present": sum(run_id in study.runs for run_id in planned),
        "runs": len(planned),
    }


def _order(source: StudyResults) -> str:
    """`GLIMMER 63.5 above LUMEN 55.3 ...`, saying where the paired interval of a step down holds 0."""
    readers = [result for result in source.of("figure2", "performance") if result.value is not None]
    readers.sort(key=lambda result: -result.value)
    if len(readers) < 2:
        return ""
    text = f"{readers[0].label} {readers[0].value:.1f} %"
    bootstrap = None if source.study == PAPER else JointBootstrap(results=source)
    for better, worse in itertools.pairwise(readers):
        clear = bootstrap is None or _is_above(better, worse, bootstrap)
        text += f"{'' if clear else ', not clearly'} above {worse.label} {worse.value:.1f} %"
    return text


def _is_above(better: PointResult, worse: PointResult, bootstrap: JointBootstrap) -> bool:
    """Whether the 95 % interval of the difference, over the same examples and seeds, lies above 0."""
    try:
        return bootstrap.difference(better.id, worse.id).verdict() == "above"
    except NotPaired:
        return better.low is not None and worse.high is not None and better.low > worse.high


def _figure(figure: FigureArtifact, study: StudyResults, reference: StudyResults | None) -> dict[str, Any]:
    reference = figure.beside(reference)
    return {
        "name": figure.name,
        "title": figure.entry.full_title,
        "caption": figure.entry.caption,
        "cells": pictures.cells(figure, study, reference),
        "note": missing_note(study.of(figure.name)),
        "drawn_points": reader_tables.drawn_points(figure.name, study, reference),
    }


def _table(table: TableArtifact, study: StudyResults, reference: StudyResults | None) -> dict[str, Any]:
    reference = table.beside(reference)
    heads, rows = table.cells(study, reference)
    cells = [tuple(Cell(text, state="missing" if text == "missing" else "") for text in row) for row in rows]
    return {
        "name": table.name,
        "title": table.entry.full_title,
        "caption": table.entry.caption,
        "shown": CellTable(caption=table.entry.caption, heads=tuple(heads), rows=tuple(cells)),
        "notes": table.notes(study),
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


def _optional(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def entries(document: Any, key: str) -> list[dict]:
    """The list inside claims.json or audit.json, whether it stands alone or under `key`."""
    if isinstance(document, dict):
        document = document.get(key, [])
    return document or []


def _runs(study: StudyResults) -> list[dict[str, Any]]:
    """The appendix: per run its settings, its provenance, the command that measures it, and the points it serves."""
    serves: dict[str, list[PointResult]] = {}
    for result in study.points:
        for run_id in result.point.run_ids if result.point.artifact != BASELINES else ():
            serves.setdefault(run_id, []).append(result)
    return [
        {
            "id": run_id,
            "reader": reader_text(run["settings"]),
            "seed": run["settings"].get("seed"),
            "average": percent(run["average"]),
            "n_tasks": run["average"]["n_tasks"],
            "serves": serves.get(run_id, []),
            "command": f"snakemake results/{study.study}/runs/{run_id}.json --cores 1 --config study={study.study}",
            "settings": json_text(run["settings"]),
            "changed": is_of_changed_code(run),
            "provenance": json_text({key: run.get(key) for key in _PROVENANCE}),
        }
        for run_id, run in ordered_runs(study)
    ]
