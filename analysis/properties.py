"""What a study's effects rest on, measured: rows of (property, values, where they stand), for a document."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.figures import BASELINES
from analysis.names import TASK_NAMES
from analysis.report.pipeline import answered_in_view
from analysis.stage_files import stage_document
from glimmer.experiments import TASKS
from glimmer.files import existing, read_json
from glimmer.results import StudyResults


def properties(study: StudyResults, results: str | Path) -> list[tuple[str, str, str]]:
    """One row a property that the study has measured; numbers are percent unless the row says otherwise.

    Raises InputError where the study has no retrieval.json.
    """
    directory = Path(results) / study.study
    retrieval = stage_document(directory, "retrieval") or read_json(existing(directory / "retrieval.json"))
    rows = [*_retrieved(retrieval), *_examined(stage_document(directory, "reading")), *_in_view(study, retrieval)]
    rows += [*_baselines(study), *_filtered(stage_document(directory, "filter"))]
    return rows


def _retrieved(retrieval: Mapping[str, Mapping]) -> Iterator[tuple[str, str, str]]:
    dev = [splits["dev"] for splits in retrieval.values() if "dev" in splits]
    depths = sorted(int(key.split("@")[1]) for key in dev[0] if key.startswith("evidence@"))
    means = [100 * sum(task[f"evidence@{k}"] for task in dev) / len(dev) for k in depths]
    what = f"evidence of dev questions in the retriever's top {_joined(depths)}, mean of tasks"
    yield what, _joined(f"{mean:.0f}" for mean in means), "`retrieval.json`; the report's retrieval table"


def _examined(examination: Mapping[str, Any] | None) -> Iterator[tuple[str, str, str]]:
    if not examination:
        return
    splits: dict[str, dict[str, float]] = {}
    for row in examination["exact_match"]:
        splits.setdefault(f"alpha {row['alpha']}, {row['passages']} passages", {})[row["task"]] = row["exact_match"]
    for at, scores in splits.items():
        what = f"exact match before fine-tuning, evidence in view ({at}): {_names(scores)}"
        yield (
            what,
            _joined(f"{100 * score:.0f}" for score in scores.values()),
            "`reading.json`; the report's table of it",
        )


def _in_view(study: StudyResults, retrieval: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    artifacts = {name: study.artifacts[name] for name in ("figure2", "figure3") if name in study.artifacts}
    table = answered_in_view(dataclasses.replace(study, artifacts=artifacts), retrieval)
    for row in table.rows if table else ():
        what = f"answers of {row[0].text}, as a share of questions with evidence in view: {_joined(table.heads[1:])}"
        yield what, _joined(cell.text for cell in row[1:]), "the report, “Answered of what was in view”"


_PANELS = {
    "no_passages": "trained without passages",
    "untrained": "untrained, with passages",
    "other_passages": "given passages of another question",
    "gold_first": "given the gold passages first",
    "as_many_kept": "with as many passages as GLIMMER keeps",
}
"""The panels of `baselines`, in words."""


def _baselines(study: StudyResults) -> Iterator[tuple[str, str, str]]:
    for panel, what in _PANELS.items():
        measured = {r.point.series: f"{r.value:.1f}" for r in study.of(BASELINES, panel) if r.value is not None}
        if measured:
            yield f"mean of tasks, {what}: {_joined(measured)}", _joined(measured.values()), "the reader table"


def _filtered(counts: Mapping[str, Mapping] | None) -> Iterator[tuple[str, str, str]]:
    if counts:
        tasks = {task: counts[task] for task in TASKS if task in counts}
        sizes = _joined(f"{kept['before']:,} to {kept['after']:,}" for kept in tasks.values())
        yield f"train examples before and after the relevance filter: {_names(tasks)}", sizes, "`filter.json`"


def _names(tasks: Mapping[str, Any]) -> str:
    return _joined(TASK_NAMES.get(task, task) for task in tasks)


def _joined(values) -> str:
    return " / ".join(map(str, values))
