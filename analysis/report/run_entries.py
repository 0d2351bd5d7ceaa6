"""The page's appendix: every setting of a reader with its runs, their scores, and the command that measures each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.figures import BASELINES
from analysis.names import TASK_NAMES, reader_text
from analysis.report.cells import NOTHING, Cell, percent, settings_of
from glimmer.experiments import TASKS
from glimmer.files import json_text
from glimmer.results import PointResult, StudyResults
from glimmer.results.run_files import is_of_changed_code


def run_entries(study: StudyResults) -> list[dict[str, Any]]:
    """One entry a setting, in the order in which the study's points name them."""
    serves: dict[str, list[PointResult]] = {}
    for result in study.points:
        for run_id in result.point.run_ids if result.point.artifact != BASELINES else ():
            serves.setdefault(run_id, []).append(result)
    return [_entry(study, run_ids, serves) for run_ids in settings_of(study)]


def _entry(study: StudyResults, run_ids: list[str], serves: Mapping[str, list[PointResult]]) -> dict[str, Any]:
    runs = [study.runs.by_id[run_id] for run_id in run_ids]
    averages = [run["average"]["score"] for run in runs]
    served = {result.id: result for run_id in run_ids for result in serves.get(run_id, [])}
    first = runs[0]["settings"]
    tasks = [task for task in TASKS if any(task in run["tasks"] for run in runs)]
    return {
        "id": f"setting-{run_ids[0]}",
        "reader": reader_text(first),
        "average": f"{100 * sum(averages) / len(averages):.1f}",
        "n_tasks": runs[0]["average"]["n_tasks"],
        "tasks": [TASK_NAMES[task] for task in tasks],
        "runs": [_run(run_id, run, tasks) for run_id, run in zip(run_ids, runs, strict=True)],
        "serves": list(served.values()),
        "command": f"snakemake results/{study.study}/runs/{run_ids[0]}.json --cores 1 --config study={study.study}",
        "settings": json_text({key: first[key] for key in ("reader", "training") if key in first}),
    }


def _run(run_id: str, run: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    return {
        "id": run_id,
        "seed": run["settings"].get("seed"),
        "average": percent(run["average"]),
        "scores": [_score(run["tasks"].get(task)) for task in tasks],
        "kept": run.get("kept_step"),
        "code": run.get("code_version") or "unknown",
        "changed": is_of_changed_code(run),
    }


def _score(found: Mapping[str, Any] | None) -> Cell:
    """A task's metric; in small print its KILT score and the R-precision of the order that the reader gave."""
    if not found:
        return NOTHING
    kilt = (found.get("kilt") or {}).get(f"KILT-{found['metric']}")
    precision = (found.get("ranking") or {}).get("Rprec")
    small = [f"{100 * value:.1f}" if value is not None else "–" for value in (kilt, precision)]
    return Cell(f"{100 * found['score']:.1f}", small=" · ".join(small))
