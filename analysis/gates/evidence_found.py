"""Gate P0: what retrieval finds of the evidence in train and dev (retrieval.json), and what is cut (lengths.json).

All of it about questions whose evidence can be trusted (`glimmer.retrieval.evidence`). HotpotQA asks for two pages and
has a measure of its own; the others are means over the one-page tasks, not measured where one of them is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.gates.measured import Measured
from analysis.splits import evidence_gaps, evidence_share

TWO_PAGES = ("hotpotqa",)


def evidence(metrics: Mapping[str, Any], k: int) -> Measured:
    """Percent of dev questions with evidence among the first k passages, mean of the one-page tasks."""
    return Measured.mean_of({task: evidence_share(metrics[task].get("dev", {}), k) for task in one_page(metrics)})


def evidence_gap(metrics: Mapping[str, Any], k: int) -> Measured:
    """Train minus dev of the same share, in points: the mean of the tasks' distances, since signs would cancel."""
    gaps = {gap.task: gap.difference for gap in evidence_gaps(metrics, k)}
    signed = {task: gaps.get(task) for task in one_page(metrics)}
    distances = Measured.mean_of({task: None if gap is None else abs(gap) for task, gap in signed.items()})
    return Measured(value=distances.value, by_task=signed)


def both_pages(metrics: Mapping[str, Any], k: int) -> Measured:
    """Percent of the two-page task's dev questions with every page's evidence among the first k passages."""
    return Measured.mean_of({task: _whole(metrics[task].get("dev", {}), k) for task in TWO_PAGES if task in metrics})


def cut(lengths: Mapping[str, Any]) -> Measured:
    """The largest share, in percent, of anything that is cut; not measured where a task is missing."""
    if not all(lengths["tasks"].values()):
        return Measured()
    return Measured(value=max(100 * share for share in _shares(lengths)))


def one_page(metrics: Mapping[str, Any]) -> list[str]:
    """The tasks that ask for one page."""
    return [task for task in metrics if task not in TWO_PAGES]


def _whole(values: Mapping[str, Any], k: int) -> float | None:
    trusted = values.get("trusted", {})
    counts = trusted.get("complete_rank", {}).get("counts", [])
    return 100 * sum(counts[:k]) / trusted["n"] if trusted.get("n") and len(counts) >= k else None


def _shares(lengths: Mapping[str, Any]) -> Iterator[float]:
    kinds = [lengths["passages"]]
    kinds += [
        counted for splits in lengths["tasks"].values() for split in splits.values() for counted in split.values()
    ]
    for counted in kinds:
        yield from (value for name, value in counted.items() if name.startswith("share_"))
