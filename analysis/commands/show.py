"""`glimmer show`: everything that is known of one run, one point, one claim or one foreign reader."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glimmer.commands.output import add_json_argument, flatten, show
from glimmer.errors import InputError

HELP = "print everything known of one run, point, claim or foreign reader: numbers, what they rest on, what makes a run"
PURPOSE = "results"
EXAMPLES = (
    "glimmer show figure2/performance/GLIMMER --study sample",
    "glimmer show --study pilot glimmer-above-lumen",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, in which studies."""
    parser.add_argument(
        "id",
        nargs="?",
        metavar="RUN|POINT|CLAIM|FOREIGN",
        help="its id, or as much of its beginning as no other has; of a foreign reader foreign/NAME too",
    )
    parser.add_argument("--study", nargs="+", action="extend", default=[], metavar="NAME", help="default: all")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Prints what it is, then what each study has of it. In csv, md and tex a row is a study, a name and a value."""
    from analysis.known import Known

    id, studies = _asked(args.id, args.study)
    document = Known.of(studies, args.results).document(id)
    if args.format == "json":
        show(document, args.format)
        return
    shared = {key: value for key, value in document.items() if key != "studies"}
    parts = {"": shared} | document["studies"]
    if args.format == "table":
        for study, part in parts.items():
            print(f"\nin {study}" if study else "", end="\n" if study else "")
            show(dict(_for_a_person(part)), args.format)
        return
    rows = [
        {"study": study or None, "name": name, "value": value}
        for study, part in parts.items()
        for name, value in flatten(part)
    ]
    show(rows, args.format)


def _asked(id: str | None, studies: list[str]) -> tuple[str, list[str]]:
    """(id, studies): without an id the last word behind `--study` is it, unless that is a study."""
    from glimmer.experiments import study_names

    if id is None and len(studies) > 1 and studies[-1] not in study_names():
        *studies, id = studies
    if id is None:
        raise InputError(
            "nothing to show",
            expected="the id of a run, point, claim or foreign reader (`glimmer runs`, `glimmer claims`)",
        )
    return id, studies


def _for_a_person(part: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values, of which what is empty is left out, and a score has its interval and the rest beside it."""
    for key, value in part.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and {"percent", "low", "high"} <= set(value):
            yield name, _score(value)
        elif isinstance(value, Mapping):
            yield from _for_a_person(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, start=1):
                yield from _for_a_person(item, f"{name}.{number}.")
        elif isinstance(value, list):
            if value:
                yield name, " to ".join(map(_short, value)) if key == "interval" else ", ".join(map(str, value))
        elif value is not None and value != "":
            yield name, value


def _score(value: Mapping[str, Any]) -> str:
    interval = "" if value["low"] is None else f" ({value['low']:.1f} to {value['high']:.1f})"
    rest = {key: item for key, item in value.items() if key not in ("percent", "low", "high")}
    words = (f"{key} {' '.join(item) if isinstance(item, list) else item}" for key, item in rest.items())
    return f"{value['percent']:.1f} %{interval}, {', '.join(words)}"


def _short(number: Any) -> str:
    return f"{number:.6g}" if isinstance(number, float) else str(number)
