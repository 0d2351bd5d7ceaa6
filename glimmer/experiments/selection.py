"""Which runs of a grid somebody asks for: by reader, seed and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from glimmer.errors import InputError, did_you_mean
from glimmer.experiments.grid import Run
from glimmer.experiments.settings import ReaderSettings

READER_OPTIONS = tuple(field.name for field in dataclasses.fields(ReaderSettings))
READERS: tuple[str, ...] = next(field.metadata["choices"] for field in dataclasses.fields(ReaderSettings)
                               if field.name == "name")  # fmt: skip
_SECTION = "reader."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """Runs whose reader's name is among `readers`, whose seed among `seeds` (empty: any), and whose settings have every
    value of `where`.

    A key of `where` is a reader's option (`k`, `alpha`, `memory`: at its default too, though settings leave that out)
    or a dotted path of settings (`training.steps`: where they state it).
    """

    readers: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    where: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def of(self, runs: Iterable[Run]) -> list[Run]:
        """Those that it admits, in their order. Raises InputError for a key that no run has."""
        runs = list(runs)
        paths = sorted({path for run in runs for path in _paths(run.settings)}) if self.where else []
        for key in self.where:
            if _option(key) is None and key not in paths:
                raise InputError(
                    f"no such setting{did_you_mean(key, [*READER_OPTIONS, *paths])}",
                    where=f"--where {key}",
                    expected=f"{', '.join(READER_OPTIONS)}, or a path such as training.steps",
                )
        return [run for run in runs if self._admits(run)]

    def _admits(self, run: Run) -> bool:
        return (
            (not self.readers or run.reader.name in self.readers)
            and (not self.seeds or run.seed in self.seeds)
            and all(is_alike(_value(run, key), wanted) for key, wanted in self.where.items())
        )


def is_alike(value: Any, wanted: Any) -> bool:
    """Whether a setting has the value that was typed: fractions by what they are, lists as JSON or with commas."""
    if isinstance(value, list | tuple):
        return list(value) == wanted or ",".join(map(str, value)) == str(wanted)
    if isinstance(value, Fraction):
        return _fraction(wanted) == value
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value == wanted


def _fraction(typed: Any) -> Fraction | None:
    try:
        return Fraction(str(typed))
    except (ValueError, ZeroDivisionError):
        return None


def _option(key: str) -> str | None:
    """The reader's option that a key names, whose name in Python may end in an underscore (`lambda`)."""
    name = key.removeprefix(_SECTION)
    return next((option for option in (name, f"{name}_") if option in READER_OPTIONS), None)


def _value(run: Run, key: str) -> Any:
    option = _option(key)
    return _stated(run, key) if option is None else getattr(run.reader, option)


def _stated(run: Run, key: str) -> Any:
    """What a dotted path leads to in a run's settings; None where it ends before."""
    place: Any = run.settings
    for part in key.split("."):
        if not isinstance(place, Mapping) or part not in place:
            return None
        place = place[part]
    return place


def _paths(settings: Mapping[str, Any], before: str = "") -> Iterable[str]:
    for key, value in settings.items():
        yield f"{before}{key}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{before}{key}.")
