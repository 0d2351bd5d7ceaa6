"""The table of readers by another metric than each task's own: what result files have, for report.js to show."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from analysis.names import TASK_NAMES
from analysis.report.cells import NOTHING
from glimmer.files import canonical_json
from glimmer.results.foreign import ForeignRow

METRICS = {
    "em": "exact match",
    "f1": "F1",
    "rougel": "ROUGE-L",
    "KILT": "KILT score of each task's own metric",
    "Rprec": "R-precision",
}
"""Metric -> its name. KILT score and R-precision are of the pages that a reader ranks first."""


def of_run(scored: Mapping[str, Any], metric: str) -> float | None:
    """One task of a run file, a fraction; None where the file does not have it."""
    if metric == "KILT":
        return (scored.get("kilt") or {}).get(f"KILT-{scored['metric']}")
    if metric == "Rprec":
        return (scored.get("ranking") or {}).get("Rprec")
    return (scored.get("downstream") or {}).get(metric)


def scores_of_runs(runs: Sequence[Mapping[str, Any]], task: str, metric: str) -> float | None:
    """The mean over runs; None as soon as one of them lacks it."""
    return _mean([of_run(run["tasks"][task], metric) if task in run["tasks"] else None for run in runs])


def scores_of_foreign(row: ForeignRow, task: str, metric: str) -> float | None:
    """Of a foreign reader, of whose guesses only the task's own metric, KILT score and R-precision are kept."""
    values = []
    for reader in row.members:
        scored = reader.tasks.get(task)
        own = None if scored is None else scored.score if scored.metric == metric else None
        values.append({"KILT": scored.kilt, "Rprec": scored.rprec}.get(metric, own) if scored else None)
    return _mean(values)


def _mean(values: Sequence[float | None]) -> float | None:
    return None if not values or None in values else statistics.fmean(values)


def choices(
    rows: Sequence[Callable[[str, str], float | None]],
    tasks: Sequence[str],
    averaged: Collection[str],
    base: int | None,
    compared: Collection[int],
    base_name: str,
) -> str:
    """JSON, a list of {name, heads, rows}: a metric that any row has, with the heads of its columns and the text of
    every cell: the mean, the tasks, and (of the rows `compared`) the mean less that of the row `base`, which is
    the reader `base_name`.

    `rows` give (task, metric) -> a fraction, or None. Empty where there is no other metric.
    """
    offered = []
    for metric, name in METRICS.items():
        scores = [{task: row(task, metric) for task in tasks} for row in rows]
        if all(value is None for row in scores for value in row.values()):
            continue
        short = name.split(" of ")[0]
        heads = [f"Mean of {len(averaged)} tasks, {short}", *(f"{TASK_NAMES[task]} {short}" for task in tasks)]
        heads += [f"Above {base_name}, {short} (points)"]
        means = [_mean([row[task] for task in tasks if task in averaged]) for row in scores]
        offered.append(
            {
                "name": name,
                "heads": heads,
                "rows": [
                    [
                        _text(mean),
                        *(_text(row[task]) for task in tasks),
                        _apart(means, n, base, compared),
                    ]
                    for n, (row, mean) in enumerate(zip(scores, means, strict=True))
                ],
            }
        )
    return canonical_json(offered) if offered else ""


def _apart(means: Sequence[float | None], row: int, base: int | None, compared: Collection[int]) -> str:
    if base is None or row not in compared or means[row] is None or means[base] is None:
        return NOTHING.text
    return f"{100 * (means[row] - means[base]):+z.1f}"


def _text(value: float | None) -> str:
    return NOTHING.text if value is None else f"{100 * value:.1f}"
