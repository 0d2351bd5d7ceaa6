"""The dev questions of a task in two parts without a common one: to select checkpoints by, and to evaluate on."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from glimmer.errors import InputError
from glimmer.training.examples import TaskExamples, evenly


@dataclasses.dataclass(frozen=True, kw_only=True)
class DevSlices:
    """One task's dev rows, each part in file order: `selection` for the learning curve, `evaluated` for the results."""

    selection: TaskExamples
    evaluated: TaskExamples

    def described(self) -> dict[str, dict[str, Any]]:
        """Size and digest of each part, as a result file records them."""
        return {
            part: {"n": len(rows), "sha256": digest_of_ids(rows.examples[row].id for row in rows.rows)}
            for part, rows in (("selection", self.selection), ("evaluated", self.evaluated))
        }


def dev_slices(task: TaskExamples, selection: int, evaluated: int | None) -> DevSlices:
    """The first `selection` rows by the sha256 of the example's id, and at most `evaluated` of the rest, spread evenly.

    The order depends on ids alone: neither on the file's order nor on what is evaluated. `evaluated` None: all of the
    rest. Raises InputError if there is no rest.
    """
    ids = {int(row): task.examples[row].id for row in task.rows}
    chosen, rest = slice_rows(ids, selection, evaluated, task.path)
    return DevSlices(selection=_with_rows(task, chosen), evaluated=_with_rows(task, rest))


def slice_rows(
    ids: Mapping[int, str], selection: int, evaluated: int | None, where: object
) -> tuple[list[int], list[int]]:
    """The rows (of row -> id) of the two parts, in order. Raises InputError, naming `where`, if the second is empty."""
    ranked = sorted(ids, key=lambda row: (_sha256(ids[row]), row))
    if len(ranked) <= selection:
        raise InputError(
            "no dev question is left to evaluate",
            where=where,
            expected=f"more than training.dev_examples = {selection} of them",
            found=len(ranked),
        )
    rest = sorted(ranked[selection:])
    if evaluated is not None and evaluated < len(rest):
        rest = [rest[place] for place in evenly(len(rest), evaluated)]
    return sorted(ranked[:selection]), rest


def _with_rows(task: TaskExamples, rows: list[int]) -> TaskExamples:
    part = copy.copy(task)
    part.rows = np.sort(np.asarray(rows, dtype=np.int64))
    return part


def digest_of_ids(ids: Iterable[str]) -> str:
    """sha256 of ids in order, a line each."""
    return _sha256("\n".join(ids))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
