"""Gate P1: what the checkpoint answers before fine-tuning, from its examination (reading.json), all its layers live.

`reading.json` has a row an alpha, number of passages and task, clozes under the name `text_cloze`; with 0 passages it
is a closed book.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from analysis.gates.measured import Measured
from glimmer.experiments import TASKS

COIN = "fever"
"""The task whose answer is one of two: a mean with its coin in it says little."""


def clozes_in_view(reading: Mapping[str, Any]) -> Measured:
    """Percent of clozes that are answered with their evidence among the passages."""
    return Measured.mean_of(_scores(reading, ("text_cloze",)))


def own_questions_in_view(reading: Mapping[str, Any]) -> Measured:
    """Percent of the tasks' own questions, mean of the tasks examined."""
    return Measured.mean_of(_scores(reading, [task for task in TASKS if task != COIN]))


def closed_book(reading: Mapping[str, Any]) -> Measured:
    """The same without passages."""
    return Measured.mean_of(_scores(reading, [task for task in TASKS if task != COIN], closed=True))


def closed_book_fever(reading: Mapping[str, Any]) -> Measured:
    """FEVER without passages."""
    return Measured.mean_of(_scores(reading, (COIN,), closed=True))


def _scores(reading: Mapping[str, Any], tasks, closed: bool = False) -> dict[str, float]:
    """Percent by task, over the rows of the largest alpha; tasks that were not examined are left out."""
    rows = [row for row in reading.get("exact_match", ()) if (row["passages"] == 0) == closed]
    most = max((Fraction(row["alpha"]) for row in rows), default=None)
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["task"] in tasks and Fraction(row["alpha"]) == most:
            found.setdefault(row["task"], []).append(100 * row["exact_match"])
    return {task: sum(scores) / len(scores) for task, scores in found.items()}
