"""The log of reproductions: a Markdown table to which `glimmer verify --log` adds a line."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.files import atomic_write
from glimmer.markup import markdown_table, markdown_text
from glimmer.results import load_runs

HEADS = ("date", "study", "seeds", "machine", "versions", "commit", "OK", "near", "FAIL", "not judged", "outcome")
TITLE = "# Reproductions\n\nA line for each `glimmer verify RESULTS --against RESULTS --log FILE`, newest last.\n\n"


def add_line(path: Path, made: Path, document: Mapping[str, Any]) -> None:
    """Adds what `compare_directories` found; machine, versions and commit are those that the runs made here state.

    Raises InputError for a file that has another table, or none.
    """
    line = [markdown_text(cell) for cell in _cells(load_runs(made).by_id.values(), document)]
    head, _, row = markdown_table(HEADS, [line], "l" * len(HEADS)).splitlines()
    text = path.read_text(encoding="utf-8") if path.exists() else TITLE + markdown_table(HEADS, [], "l" * len(HEADS))
    lines = text.splitlines()
    if head not in lines:
        raise InputError("no log of reproductions", where=path, expected=f"a table with the heads {', '.join(HEADS)}")
    end = lines.index(head)
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    lines.insert(end, row)
    with atomic_write(path) as file:
        file.write("\n".join(lines) + "\n")


def _cells(runs: Iterable[Mapping[str, Any]], document: Mapping[str, Any]) -> list[str]:
    runs = list(runs)
    devices = [run.get("device") or {} for run in runs]
    machines = (f"{each.get('count')} {each.get('kind')}, {each.get('cores')} cores" for each in devices)
    versions = [run.get("versions") or {} for run in runs]
    counts = [str(document["counts"][name]) for name in HEADS[6:10]]
    return [
        datetime.date.today().isoformat(),
        _each(run.get("study") for run in runs),
        _each(run["seed"] for run in runs),
        _each(machines),
        _each(", ".join(f"{name} {each.get(name)}" for name in ("python", "jax")) for each in versions),
        _each(run.get("code_version") for run in runs),
        *counts,
        document["outcome"].partition(":")[0],
    ]


def _each(values: Iterable[Any]) -> str:
    return "; ".join(sorted({str(value) for value in values}))
