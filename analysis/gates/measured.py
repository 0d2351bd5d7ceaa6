"""A measured number, or that it is not measured."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """`value` is None where something it needs is missing. `by_task` are the numbers behind it, if any.

    `left_out`: of a task that the study leaves out of its means, which a gate shows and does not judge.
    """

    value: float | None = None
    left_out: bool = False
    by_task: Mapping[str, float | None] = dataclasses.field(default_factory=dict)

    @classmethod
    def mean_of(cls, by_task: Mapping[str, float | None]) -> Measured:
        """The mean of all; not measured without any, or where one is missing, since a subset is another number."""
        values = list(by_task.values())
        return cls(value=statistics.fmean(values) if values and None not in values else None, by_task=by_task)
