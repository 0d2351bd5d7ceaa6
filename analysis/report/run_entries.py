"""The page's appendix: every setting of a reader with its runs, their means, and the command that measures each.

Scores by task of a whole grid would be a fifth of the page. They stand in it as data (`score_data`) that report.js
makes into a table a setting; without scripts each run has its mean and leads to its file, which has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.figures import BASELINES
from analysis.names import TASK_NAMES, reader_text
from analysis.report.cells import ordered_runs, percent, setting_anchor, settings_of
from glimmer.experiments import TASKS
from glimmer.files import canonical_json
from glimmer.results import PointResult, StudyResults
from glimmer.results.run_files import is_of_changed_code


def run_entries(study: StudyResults) -> list[dict[str, Any]]:
    """One entry a setting, in the order in which the study's points name them."""
    serves: dict[str, list[PointResult]] = {}
    for result in study.points:
        for run_id in result.point.run_ids if result.point.artifact != BASELINES else ():
            serves.setdefault(run_id, []).append(result)
    shared = shared_training(study)
    return [_entry(study, run_ids, serves, shared) for run_ids in settings_of(study)]


def shared_training(study: StudyResults) -> dict[str, Any]:
    """The settings of training in which all runs agree."""
    trainings = [run["settings"].get("training") or {} for run in study.runs.by_id.values()]
    first = trainings[0] if trainings else {}
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in trainings)}


def _entry(
    study: StudyResults, run_ids: list[str], serves: Mapping[str, list[PointResult]], shared: Mapping[str, Any]
) -> dict[str, Any]:
    runs = [study.runs.by_id[run_id] for run_id in run_ids]
    averages = [run["average"]["score"] for run in runs]
    served = {result.id: result for run_id in run_ids for result in serves.get(run_id, [])}
    first = runs[0]["settings"]
    own = {key: value for key, value in (first.get("training") or {}).items() if key not in shared}
    return {
        "id": setting_anchor(run_ids),
        "reader": reader_text(first),
        "average": f"{100 * sum(averages) / len(averages):.1f}",
        "runs": [
            {"id": run_id, "seed": run["settings"].get("seed"), "average": f"{100 * average:.1f}",
             "changed": is_of_changed_code(run)}
            for run_id, run, average in zip(run_ids, runs, averages, strict=True)
        ],
        "serves": list(served.values()),
        "command": f"snakemake results/{study.study}/runs/{run_ids[0]}.json --cores 1 --config study={study.study}",
        "training": canonical_json(own) if own else "",
    }  # fmt: skip


def score_data(study: StudyResults) -> str:
    """JSON: `tasks`, `codes`, and of each run the interval of its mean, how many tasks that is of, the step kept, the
    place of its code in `codes`, and by task "score KILT R-precision" in percent."""
    runs = dict(ordered_runs(study))
    tasks = [task for task in TASKS if any(task in run["tasks"] for run in runs.values())]
    codes = list(dict.fromkeys(_code(run) for run in runs.values()))
    rows = {
        run_id: [
            percent(run["average"]).small,
            run["average"]["n_tasks"],
            run.get("kept_step"),
            codes.index(_code(run)),
            *(_scores(run["tasks"].get(task)) for task in tasks),
        ]
        for run_id, run in runs.items()
    }
    return canonical_json({"tasks": [TASK_NAMES[task] for task in tasks], "codes": codes, "runs": rows})


def _code(run: Mapping[str, Any]) -> str:
    return run.get("code_version") or "unknown"


def _scores(found: Mapping[str, Any] | None) -> str:
    """A task's metric, its KILT score and the R-precision of the order that the reader gave."""
    if not found:
        return ""
    kilt = (found.get("kilt") or {}).get(f"KILT-{found['metric']}")
    precision = (found.get("ranking") or {}).get("Rprec")
    return " ".join("–" if value is None else f"{100 * value:.1f}" for value in (found["score"], kilt, precision))
