"""Reading config/: where it lies, YAML without surprises, and validation against config/schema."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path
from typing import Any

import jsonschema
import referencing
import yaml

from glimmer.errors import InputError
from glimmer.files import canonical_json, read_json, readable

_PACKAGE = Path(__file__).resolve().parents[1]
_REPOSITORY = _PACKAGE.parent
_LARGEST_DOCUMENT = 1 << 20
_MOST_VALUES = 100_000


def repository_path(name: str) -> Path:
    """`name` (such as "config") below the current directory, this package's repository, or the installed package.

    Raises InputError naming two of the places when it is in none.
    """
    places = [Path.cwd() / name, _REPOSITORY / name, _PACKAGE / name]
    for place in places:
        if place.exists():
            return place
    raise InputError(f"no {name}", where=places[0], expected=f"to run in a checkout, or {places[1]}", found="neither")


def read_yaml(path: str | Path) -> Any:
    """One YAML document of plain data.

    Raises InputError for a missing file, broken YAML, a key given twice, and what is larger than any configuration: by
    its bytes, or by what its aliases stand for.
    """
    path = readable(path)
    size = path.stat().st_size
    if size > _LARGEST_DOCUMENT:
        raise InputError("not a configuration", where=path, expected=f"at most {_LARGEST_DOCUMENT} bytes", found=size)
    try:
        return yaml_value(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("not YAML", where=path, expected="one YAML document", found=str(error)) from None


def yaml_value(text: str) -> Any:
    """Plain data from YAML, in which 1e-3 is a number as everywhere else. Raises yaml.YAMLError, and nothing else."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            _count_values(node, {})
            return None if node is None else _plain(loader.construct_document(node))
        finally:
            loader.dispose()
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        # The library lets these through: a date in month 99, a list as a key, brackets in brackets.
        raise yaml.YAMLError(f"not plain data: {error}") from None


def _count_values(node: yaml.Node | None, known: dict[int, int]) -> int:
    """How many values a node stands for, aliases written out. Raises yaml.YAMLError above `_MOST_VALUES`; a ring is."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = _MOST_VALUES + 1  # while its parts are counted: one of them is itself
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_count_values(part, known) for part in parts)
    if known[id(node)] > _MOST_VALUES:
        raise yaml.YAMLError(f"more than {_MOST_VALUES} values, written out, at line {node.start_mark.line + 1}")
    return known[id(node)]


def config_digest(name: str) -> str | None:
    """12 hex digits of the sha256 of what config/`name`.yaml says, whatever its comments and layout; None without one.

    A result file keeps it, of claims and of endpoints: whether they were stated before or after a result was seen can
    then be checked.
    """
    path = repository_path("config/experiments.yaml").with_name(f"{name}.yaml")
    if not path.exists():
        return None
    return hashlib.sha256(canonical_json(read_yaml(path)).encode()).hexdigest()[:12]


def validate(document: Any, schema_name: str, where: object) -> None:
    """Checks `document` against config/schema/<schema_name>.schema.json. Raises InputError naming the key."""
    errors = sorted(_validator(schema_name).iter_errors(document), key=lambda error: len(error.absolute_path))
    if not errors:
        return
    error = jsonschema.exceptions.best_match(errors)
    key = ".".join(str(part) for part in error.absolute_path) or "the document"
    expected, found = _explain(error)
    raise InputError(f"{key} is not valid", where=where, expected=expected, found=found)


def _explain(error: jsonschema.ValidationError) -> tuple[str, Any]:
    """What a schema error expected and found, in words."""
    value = error.validator_value
    if error.validator == "required":
        return "the keys " + ", ".join(value), sorted(error.instance)
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        return "only the keys " + ", ".join(allowed), sorted(set(error.instance) - set(allowed))
    words = {
        "type": lambda: f"a value of type {value}",
        "enum": lambda: "one of " + ", ".join(map(str, value)),
        "minimum": lambda: f"at least {value}",
        "maximum": lambda: f"at most {value}",
        "exclusiveMinimum": lambda: f"above {value}",
        "pattern": lambda: f"text like {value}",
    }
    return words.get(error.validator, lambda: error.message)(), repr(error.instance)


@functools.cache
def _validator(schema_name: str) -> jsonschema.Draft202012Validator:
    def read(name: str) -> Any:
        return read_json(repository_path(f"config/schema/{name}"))

    registry = referencing.Registry(retrieve=lambda name: referencing.Resource.from_contents(read(name)))
    return jsonschema.Draft202012Validator(read(f"{schema_name}.schema.json"), registry=registry)


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, where plain YAML would silently keep the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict:
    loader.flatten_mapping(node)
    seen: dict = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if str(key) in map(str, seen):
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} given twice", key_node.start_mark)
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


# YAML 1.1, which the library reads, wants a dot in a number with an exponent: 1e-3 would be a text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*[eE][-+]?\d+$"), list("-+0123456789")
)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _plain(value: Any) -> Any:
    """What JSON has too. YAML's `5: 3` becomes "5": 3, so that schemas can speak about it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, str | int | float | None):
        raise yaml.YAMLError(f"a {type(value).__name__} where text, a number, a list or a mapping should be")
    if isinstance(value, str):
        value.encode("utf-8")  # half a surrogate pair, which YAML's escapes can spell
    return value
