"""The groups of rows, in the order of the page, and who measures each."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

Kind = Literal["rows", "growth"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """`function` of `benchmarks.peers.<module>`, called with `quick` and `options`, gives values of one kind."""

    module: str
    function: str = "rows"
    kind: Kind = "rows"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def measured(self, quick: bool, **options: Any) -> Iterator[tuple[Kind, Any]]:
        """(kind, a Row or a Growth), one after the other. Raises CheckFailed where two sides do not do the same.

        A group's module is imported here: what it computes with belongs to the process that measures it.
        """
        measure = getattr(importlib.import_module(f"benchmarks.peers.{self.module}"), self.function)
        for value in measure(quick, **(dict(self.options) | options)):
            yield self.kind, value


_READERS = {
    "training": Group(module="reading", function="training"),
    "answering": Group(module="reading", function="answering"),
    "memory": Group(module="stored"),
    "embedding": Group(module="embedding"),
}
_BFLOAT16 = "-bfloat16"
GROUPS: dict[str, Group] = {
    **_READERS,
    **{f"{name}{_BFLOAT16}": dataclasses.replace(group, options={"dtype": "bfloat16"})
       for name, group in _READERS.items()},
    "search": Group(module="exact_search"),
    "text": Group(module="texts"),
    "scoring": Group(module="scores"),
    "whole-run": Group(module="whole_run"),
    "workflow": Group(module="workflow"),
    "growth": Group(module="growth", function="axes", kind="growth"),
}  # fmt: skip


def groups_of(*, bfloat16: bool) -> list[str]:
    """All groups, those of bfloat16 where they are asked for."""
    return [name for name in GROUPS if bfloat16 or not name.endswith(_BFLOAT16)]
