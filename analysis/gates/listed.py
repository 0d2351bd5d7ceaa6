"""config/gates.yaml as objects: gates, their measures, and the bounds within which a measure lets a study go on."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping

from glimmer.experiments.documents import read_yaml, repository_path, validate

_HOLDS = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}
_WORDS = {"at_least": "{:g} or more", "above": "above {:g}", "at_most": "{:g} at most", "below": "below {:g}"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a number must be, each bound by its name ("at_least", "above", "at_most", "below")."""

    by_name: Mapping[str, float]

    def hold(self, value: float) -> bool:
        """Whether `value` is within all of them; `at_least` and `at_most` hold at the bound itself, no rounding."""
        return all(_HOLDS[name](value, bound) for name, bound in self.by_name.items())

    def __str__(self) -> str:
        if set(self.by_name) == {"at_least", "at_most"}:
            return f"{self.by_name['at_least']:g} to {self.by_name['at_most']:g}"
        return ", ".join(_WORDS[name].format(bound) for name, bound in self.by_name.items())


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateMeasure:
    """One number of a gate: its name among the measures, its number of passages if it takes one, what it is, bounds."""

    name: str
    k: int | None
    text: str
    go: Bounds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gate:
    """A gate passes when every measure is within its bounds."""

    id: str
    about: str
    measures: tuple[GateMeasure, ...]


def load_gates() -> tuple[Gate, ...]:
    """The gates in their order. Raises InputError for a file that its schema does not allow."""
    path = repository_path("config/gates.yaml")
    document = read_yaml(path)
    validate(document, "gates", path)
    return tuple(
        Gate(
            id=gate["id"],
            about=gate["about"],
            measures=tuple(
                GateMeasure(name=row["measure"], k=row.get("k"), text=row["is"], go=Bounds(by_name=row["go"]))
                for row in gate["measures"]
            ),
        )
        for gate in document["gates"]
    )
