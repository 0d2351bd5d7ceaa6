"""Plain data (of a YAML file) to frozen dataclasses, strictly: what is unknown, missing or not allowed is named.

A dataclass says what it takes by its annotations: `int`, `Literal["a", "b"]`, `int | None`, tuples, mappings, other
dataclasses, and `Annotated[int, AtLeast(1)]`. Of a union of dataclasses the one is read whose single-valued Literals
(such as `kind`) the data have.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from glimmer.errors import InputError
from glimmer.experiments.settings import fraction


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """A number that is not below `bound`."""

    bound: float

    def problem(self, value: Any) -> str | None:
        return None if value >= self.bound else f"at least {self.bound}"


@dataclasses.dataclass(frozen=True)
class Above:
    """A number above `bound`."""

    bound: float

    def problem(self, value: Any) -> str | None:
        return None if value > self.bound else f"above {self.bound}"


@dataclasses.dataclass(frozen=True)
class AtMost:
    """A number that is not above `bound`."""

    bound: float

    def problem(self, value: Any) -> str | None:
        return None if value <= self.bound else f"at most {self.bound}"


@dataclasses.dataclass(frozen=True)
class Below:
    """A number below `bound`."""

    bound: float

    def problem(self, value: Any) -> str | None:
        return None if value < self.bound else f"below {self.bound}"


@dataclasses.dataclass(frozen=True)
class Like:
    """Text that a regular expression finds something in."""

    pattern: str

    def problem(self, value: str) -> str | None:
        return None if re.search(self.pattern, value) else f"text like {self.pattern}"


@dataclasses.dataclass(frozen=True)
class NotEmpty:
    """A list of one item or more."""

    def problem(self, value: tuple) -> str | None:
        return None if value else "at least 1 of them"


@dataclasses.dataclass(frozen=True)
class Distinct:
    """A list whose items differ, `least` of them or more."""

    least: int = 0

    def problem(self, value: tuple) -> str | None:
        if len(value) < self.least:
            return f"at least {self.least} of them"
        return None if len(set(value)) == len(value) else "no item twice"


Count = Annotated[int, AtLeast(1)]
CountOrNone = Annotated[int, AtLeast(1)] | None
Rate = Annotated[float, Above(0)]
Share = Annotated[float, AtLeast(0), Below(1)]

_NAMES = {int: "integer", float: "number", str: "string", bool: "boolean", dict: "object", tuple: "array"}


def read(kind: Any, value: Any, where: object, key: str = "", **given: Any) -> Any:
    """`value` as an instance of `kind` (a dataclass, a union of them, or any annotation above).

    `given` are fields of a dataclass that the data do not state. Raises InputError naming the dotted key below `where`,
    what was expected and what was found.
    """
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *constraints = get_args(kind)
        result = read(inner, value, where, key)
        for constraint in constraints:
            if problem := constraint.problem(result):
                _refuse(key, where, problem, repr(value))
        return result
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, where, key)
    if origin is Literal:
        if value not in get_args(kind) or isinstance(value, bool):
            _refuse(key, where, "one of " + ", ".join(map(str, get_args(kind))), repr(value))
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            _refuse(key, where, "a value of type array", repr(value))
        items = get_args(kind)[:1] * len(value) if get_args(kind)[1:] == (...,) else get_args(kind)
        if len(items) != len(value):
            _refuse(key, where, f"{len(items)} of them", repr(value))
        return tuple(
            read(item, part, where, _below(key, n)) for n, (item, part) in enumerate(zip(items, value, strict=True))
        )
    if origin is not None and issubclass(origin, Mapping):
        return _read_mapping(get_args(kind), value, where, key)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, value, where, key, given)
    return _read_plain(kind, value, where, key)


@functools.cache
def hints(kind: type) -> Mapping[str, Any]:
    """The annotations of a dataclass's fields."""
    return get_type_hints(kind, include_extras=True)


def record(section: Any) -> Any:
    """A dataclass as plain data for a digest: what has no default, and what differs from its default.

    So a field that is added with a default changes no digest; the default must be what was done before, and may not be
    changed while results stand that leave it out. Fields marked `metadata={"in_ids": False}` change no number and are
    never in it.
    """
    if dataclasses.is_dataclass(section):
        return {
            field.name: record(getattr(section, field.name))
            for field in dataclasses.fields(section)
            if field.metadata.get("in_ids", True) and not _is_default(field, getattr(section, field.name))
        }
    if isinstance(section, Mapping):
        return {str(key): record(value) for key, value in section.items()}
    if isinstance(section, list | tuple):
        return [record(item) for item in section]
    return str(section) if isinstance(section, Fraction | Path) else section


def _is_default(field: dataclasses.Field, value: Any) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return value == field.default_factory()
    return field.default is not dataclasses.MISSING and value == field.default


def _read_dataclass(kind: type, value: Any, where: object, key: str, given: Mapping[str, Any]) -> Any:
    if not isinstance(value, Mapping):
        _refuse(key, where, "a value of type object", repr(value))
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in given}
    unknown = sorted(str(name) for name in value if name not in fields)
    if unknown:
        _refuse(key, where, "only the keys " + ", ".join(sorted(fields)), unknown)
    missing = [name for name, field in fields.items() if _is_required(field) and name not in value]
    if missing:
        _refuse(
            key,
            where,
            "the keys " + ", ".join(n for n, f in fields.items() if _is_required(f)),
            sorted(map(str, value)),
        )
    parts = {name: read(hints(kind)[name], part, where, _below(key, name)) for name, part in value.items()}
    try:
        return kind(**parts, **given)
    except InputError as error:  # a dataclass that checks its fields against each other knows neither file nor key
        if error.where is not None:
            raise
        raise InputError(f"{key}: {error.what}" if key else error.what, where=where, expected=error.expected,
                         found=error.found) from None  # fmt: skip


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read_union(options: tuple, value: Any, where: object, key: str) -> Any:
    if value is None and type(None) in options:
        return None
    classes = [option for option in options if option is not type(None)]
    if len(classes) == 1:
        return read(classes[0], value, where, key)
    if not isinstance(value, Mapping):
        _refuse(key, where, "a value of type object", repr(value))
    for name in dict.fromkeys(name for option in classes for name in _marks(option)):
        known = [_marks(option)[name] for option in classes if name in _marks(option)]
        if not known:
            continue
        if name not in value:
            _refuse(key, where, f"the key {name}: one of {', '.join(sorted(set(known)))}", sorted(map(str, value)))
        if value[name] not in known:
            _refuse(_below(key, name), where, "one of " + ", ".join(sorted(set(known))), repr(value[name]))
        classes = [option for option in classes if _marks(option).get(name, value[name]) == value[name]]
    fitting = [option for option in classes if set(value) <= {field.name for field in dataclasses.fields(option)}]
    return read((fitting or classes)[0 if fitting else -1], value, where, key)


def _marks(kind: type) -> dict[str, str]:
    """Fields of a dataclass that can have one value only: what tells it from others in a union."""
    return {
        name: get_args(hint)[0]
        for name, hint in hints(kind).items()
        if get_origin(hint) is Literal and len(get_args(hint)) == 1
    }


def _read_mapping(kinds: tuple, value: Any, where: object, key: str) -> Any:
    if not isinstance(value, Mapping):
        _refuse(key, where, "a value of type object", repr(value))
    if not kinds or kinds[1] is Any:
        _require_finite(value, where, key)
        return types.MappingProxyType(dict(value))
    return types.MappingProxyType(
        {
            _read_key(kinds[0], str(name), where, _below(key, name)): read(kinds[1], part, where, _below(key, name))
            for name, part in value.items()
        }
    )


def _require_finite(value: Any, where: object, key: str) -> None:
    """Numbers in data of any form: an id digests them as JSON, which has no NaN."""
    for name, part in value.items() if isinstance(value, Mapping) else enumerate(value):
        if isinstance(part, Mapping | list | tuple):
            _require_finite(part, where, _below(key, name))
        elif isinstance(part, float) and not math.isfinite(part):
            _refuse(_below(key, name), where, "a finite number", repr(part))


def _read_key(kind: Any, name: str, where: object, key: str) -> Any:
    """YAML's keys are text here: a number is read from it."""
    if kind is int:
        if not re.fullmatch(r"[0-9]+", name):
            _refuse(key, where, "a whole number as key", repr(name))
        return int(name)
    return read(kind, name, where, key)


def _read_plain(kind: Any, value: Any, where: object, key: str) -> Any:
    if kind is Any:
        return value
    if kind is Fraction:
        try:
            return fraction(value, key)
        except InputError as error:
            _refuse(key, where, error.expected, error.found)
    if kind is Path:
        return Path(_read_plain(str, value, where, key) or _refuse(key, where, "a path", "''"))
    accepted = {float: (int, float)}.get(kind, (kind,))
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        _refuse(key, where, f"a value of type {_NAMES[kind]}", repr(value))
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(key, where, "a finite number", repr(value))
    return value


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _refuse(key: str, where: object, expected: object, found: object) -> NoReturn:
    raise InputError(f"{key or 'the document'} is not valid", where=where, expected=expected, found=found)
