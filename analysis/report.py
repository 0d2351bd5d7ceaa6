"""report.html: one self-contained page of a study, its verdicts first, every number leading to its run."""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from analysis import artifact, grids, pictures, sections, stages, style
from analysis.ledger.replicates import JointBootstrap, NotPaired
from analysis.ledger.verdicts import CONFIDENCE
from analysis.points import PAPER, Point, StudyPoints, load_points, load_reference
from analysis.runs import load_runs
from glimmer import experiments
from glimmer.errors import GlimmerError
from glimmer.files import atomic_write, existing, read_json

TEMPLATES = Path(__file__).parent / "templates"
VERDICTS = ("supported", "contradicted", "undecided", "missing")


def build(study_name: str, results: Path, reference_runs: Path | None = None) -> str:
    """The page as HTML text. `reference_runs` is the results directory of another reproduction of the same study."""
    study = load_points(study_name, results)
    reference = None if study_name == PAPER else load_reference(results)
    directory = results / study_name
    with style.house_look():
        context = {
            "study": _about(study_name),
            "points": study,
            "headline": headline(study, reference),
            "figures": [_figure(name, study, reference) for name in pictures.FIGURES if study.of(name)],
            "tables": [_table(name, study, reference) for name in pictures.TABLES if study.of(name)],
            "learning": pictures.learning_curves(study),
        }
    context |= {
        "absent_artifacts": [name for name in pictures.FIGURES + pictures.TABLES if not study.of(name)],
        "missing": [point for point in study.points if point.value is None and point.artifact != "baselines"],
        "readers": sections.readers(study),
        "costs": stages.costs(study),
        "environment": stages.environment(study),
        "kilt_check": stages.kilt_check(study),
        "runs": _runs(study),
        "anchors": {point.id: point.anchor for point in study.points if point.artifact != "baselines"},
        "refused": study.runs.refused,
        "claims": _optional(directory / "claims.json"),
        "audit": _optional(directory / "audit.json"),
        **_stages(study, directory),
        "comparison": None
        if reference_runs is None
        else sections.comparison(study, load_runs(existing(reference_runs)).by_id),
    }
    context |= {
        "claim_entries": entries(context["claims"], "claims"),
        "audit_entries": entries(context["audit"], "findings"),
    }
    context["tally"] = _tally(context["claim_entries"])
    return _render(context)


def _render(context: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
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


def headline(study: StudyPoints, reference: StudyPoints | None) -> dict[str, Any]:
    """What the top of the page says: the readers' averages in order, ours and the paper's, and how much is there."""
    cards = [
        {
            "name": p.label,
            "reader": p.reader,
            "value": None if p.value is None else f"{p.value:.1f}",
            "interval": None if p.low is None else f"{p.low:.1f} to {p.high:.1f}",
            "n_tasks": p.n_tasks,
            "anchor": p.anchor,
        }
        for p in study.of("figure2", "performance")
    ]
    drawn = [p for p in study.points if p.artifact != "baselines"]
    planned = list(dict.fromkeys(run_id for p in study.points for run_id in p.run_ids))
    return {
        "cards": cards,
        "ours": _order(study),
        "paper": _order(reference) if reference else "",
        "points_present": sum(p.value is not None for p in drawn),
        "points": len(drawn),
        "runs_present": sum(run_id in study.runs for run_id in planned),
        "runs": len(planned),
    }


def _order(source: StudyPoints) -> str:
    """`GLIMMER 63.5 above LUMEN 55.3 ...`, saying where the paired interval of a step down holds 0."""
    found = sorted((p for p in source.of("figure2", "performance") if p.value is not None), key=lambda p: -p.value)
    if len(found) < 2:
        return ""
    text = f"{found[0].label} {found[0].value:.1f} %"
    bootstrap = None if source.study == PAPER else _bootstrap(source.study, source.runs.by_id)
    for better, worse in itertools.pairwise(found):
        clear = bootstrap is None or _is_above(better, worse, bootstrap)
        text += f"{'' if clear else ', not clearly'} above {worse.label} {worse.value:.1f} %"
    return text


def _bootstrap(study: str, runs: Mapping[str, Mapping[str, Any]]) -> JointBootstrap:
    points = {point.id: point for point in experiments.points(experiments.load_study(study))}
    return JointBootstrap(points=points, runs=runs)


def _is_above(better: Point, worse: Point, bootstrap: JointBootstrap) -> bool:
    """Whether the 95 % interval of the difference, over the same examples and seeds, lies above 0."""
    try:
        drawn = bootstrap.sample([better.id, worse.id]).replicates
    except NotPaired:
        return better.low is not None and worse.high is not None and better.low > worse.high
    return bool(np.quantile(drawn[better.id] - drawn[worse.id], (1 - CONFIDENCE) / 2) > 0)


def _figure(name: str, study: StudyPoints, reference: StudyPoints | None) -> dict[str, Any]:
    found = pictures.figure(name)
    return {
        "name": name,
        "title": found.title,
        "caption": found.caption,
        "cells": pictures.cells(name, study, reference),
        "note": artifact.missing_note(study.of(name)),
        "grid": sections.drawn_points(name, study, reference),
    }


def _table(name: str, study: StudyPoints, reference: StudyPoints | None) -> dict[str, Any]:
    found = pictures.table(name)
    heads, rows = found.cells(study, reference)
    grid = grids.Grid(
        caption=found.caption,
        heads=tuple(heads),
        rows=tuple(
            tuple(grids.Cell(text=text, state="missing" if text == "missing" else "") for text in row) for row in rows
        ),
    )
    return {
        "name": name,
        "title": found.title,
        "caption": found.caption,
        "shown": grid,
        "notes": found.notes(study),
        "grid": sections.drawn_points(name, study, reference),
    }


def _stages(study: StudyPoints, directory: Path) -> dict[str, Any]:
    metrics, counts, examination = (
        _optional(directory / f"{name}.json") for name in ("retrieval", "filter", "reading")
    )
    return {
        "retrieval": stages.retrieval(metrics) if metrics else None,
        "ranks": stages.evidence_ranks(metrics) if metrics else [],
        "filter": stages.filter_counts(counts) if counts else None,
        "in_view": stages.answered_in_view(study, metrics) if metrics else None,
        "reading": stages.reading(examination) if examination else None,
    }


def _optional(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def _tally(claims: list[dict]) -> dict[str, int]:
    """How many claims have which verdict."""
    found = [claim.get("verdict", "missing") for claim in claims]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def entries(document: Any, key: str) -> list[dict]:
    """The list inside claims.json or audit.json, whether it stands alone or under `key`."""
    if isinstance(document, dict):
        document = document.get(key, [])
    return document or []


def _runs(study: StudyPoints) -> list[dict[str, Any]]:
    """The appendix: per run its settings and provenance, and the points it serves."""
    serves: dict[str, list] = {}
    for point in study.points:
        for run_id in point.run_ids:
            serves.setdefault(run_id, []).append(point)
    return [
        {
            "id": run_id,
            "reader": grids.reader_text(run["settings"]["reader"]),
            "seed": run["settings"].get("seed"),
            "average": grids.percent(run["average"]),
            "n_tasks": run["average"]["n_tasks"],
            "serves": [p for p in serves.get(run_id, []) if p.artifact != "baselines"],
            "settings": _pretty(run["settings"]),
            "provenance": _pretty(
                {
                    key: run.get(key)
                    for key in (
                        "code_version",
                        "versions",
                        "device",
                        "digests",
                        "kept_step",
                        "stopped",
                        "wall_seconds",
                        "kilt_package_check",
                    )
                }
            ),
        }
        for run_id, run in grids.ordered_runs(study)
    ]


def _pretty(value: Any) -> str:
    """JSON with short lists on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+([^\[\]{}]{0,200}?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m.group(1)) + "]", text)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m analysis.report --study NAME [NAME ...] [--results DIR] [--reference DIR]`: 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", nargs="+", required=True, metavar="NAME", help="studies (or paper) to report")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    parser.add_argument(
        "--reference", type=Path, metavar="DIR", help="results/<study> of another reproduction to compare with"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: DIR/<study>/report.html")
    args = parser.parse_args(argv)
    if len(args.study) > 1 and (args.out or args.reference):
        parser.error("--out and --reference are for one study")
    try:
        for name in args.study:
            page = build(name, args.results, args.reference)
            with atomic_write(args.out or args.results / name / "report.html") as file:
                file.write(page)
    except GlimmerError as error:
        print(f"report: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
