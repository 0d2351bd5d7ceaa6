"""Every gate on the results of one study: measured, pass, fail or not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.gates import checkpoint_read, evidence_found
from analysis.gates.listed import Gate, GateMeasure
from analysis.gates.measured import Measured
from analysis.gates.runs_measured import RUN_MEASURES, RunSource
from analysis.stage_files import stage_files
from glimmer.experiments import load_study
from glimmer.files import read_json
from glimmer.results import load_results

PASS, FAIL, NOT_MEASURED, LEFT_OUT = "pass", "fail", "not measured", "left out"

_STAGE_MEASURES: Mapping[str, tuple[str, Callable[..., Measured]]] = {
    "evidence": ("retrieval", evidence_found.evidence),
    "evidence_gap": ("retrieval", evidence_found.evidence_gap),
    "both_pages": ("retrieval", evidence_found.both_pages),
    "cut": ("lengths", evidence_found.cut),
    "clozes_in_view": ("reading", checkpoint_read.clozes_in_view),
    "own_questions_in_view": ("reading", checkpoint_read.own_questions_in_view),
    "closed_book": ("reading", checkpoint_read.closed_book),
    "closed_book_fever": ("reading", checkpoint_read.closed_book_fever),
}
"""Measures of what the stages before training left: name -> (the file that holds it, the measure)."""

MEASURES = frozenset({*_STAGE_MEASURES, *RUN_MEASURES})
"""All names that config/gates.yaml may use."""


def evaluate(gates: Sequence[Gate], study: str, results: Path) -> list[dict[str, Any]]:
    """A row each gate: {"id", "about", "verdict", "measures": [...]}.

    A gate fails as soon as one measure does, and passes when all do. Where replicates have files of their own, a
    measure is within its bounds when every replicate's is. What is missing is `not measured`, and never a pass. What a
    study leaves out of its means is shown, and judged by no measure of its own.
    """
    loaded = load_study(study)
    tasks, left_out = loaded.tasks, loaded.evaluation.not_in_mean
    source = RunSource(study=load_results(study, results), directory=results / study, left_out=left_out)
    rows = []
    for gate in gates:
        measures = [_row(measure, source, tasks) for measure in gate.measures]
        verdicts = {row["verdict"] for row in measures} - {LEFT_OUT}
        verdict = FAIL if FAIL in verdicts else PASS if verdicts == {PASS} else NOT_MEASURED
        rows.append({"id": gate.id, "about": gate.about, "verdict": verdict, "measures": measures})
    return rows


def judged_by(measure: GateMeasure, found: Mapping[str, Measured]) -> str:
    """The verdict on what was measured of the study, or of each of its replicates."""
    if any(each.left_out for each in found.values()):
        return LEFT_OUT
    values = [each.value for each in found.values()]
    if any(value is not None and not measure.go.hold(value) for value in values):
        return FAIL
    return PASS if values and None not in values else NOT_MEASURED


def _row(measure: GateMeasure, source: RunSource, tasks: Sequence[str]) -> dict[str, Any]:
    found = _measured(measure, source, tasks)
    return {
        "measure": measure.name,
        "k": measure.k,
        "is": measure.text,
        "go": str(measure.go),
        "measured": {of: each.value for of, each in found.items()},
        "by_task": {of: dict(each.by_task) for of, each in found.items() if each.by_task},
        "verdict": judged_by(measure, found),
    }


def _measured(measure: GateMeasure, source: RunSource, tasks: Sequence[str]) -> dict[str, Measured]:
    if measure.name in RUN_MEASURES:
        found = RUN_MEASURES[measure.name](source)
        return {"": found} if isinstance(found, Measured) else dict(found)
    file, of = _STAGE_MEASURES[measure.name]
    given = () if measure.k is None else (measure.k,)
    documents = {name: read_json(path) for name, path in stage_files(source.directory, file).items()}
    return {name: of(_with_every_task(file, document, tasks), *given) for name, document in documents.items()}


def _with_every_task(file: str, document: Mapping[str, Any], tasks: Sequence[str]) -> Mapping[str, Any]:
    """The same with nothing under the tasks of the study that it lacks, so that they are missed."""
    if file == "lengths":
        return document | {"tasks": {task: document["tasks"].get(task, {}) for task in tasks}}
    return {task: document.get(task, {}) for task in tasks} if file == "retrieval" else document


def numbers_text(values: Mapping[str, float | None]) -> str:
    """Numbers by name to three digits, as "replicate-0 84.0, replicate-1 -"; what is missing is a dash."""
    return ", ".join(f"{name} {'-' if value is None else _digits(value)}".strip() for name, value in values.items())


def _digits(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
