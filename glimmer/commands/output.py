"""How commands print results: a table for people, JSON and CSV for programs, Markdown and LaTeX for papers."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from glimmer.markup import markdown_table, markdown_text, tex_table

FORMATS = ("table", "json", "csv", "md", "tex")


def add_json_argument(parser) -> None:
    """Adds `--format` and its alias `--json`, which every command with a result takes; `args.format` is of FORMATS."""
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="of the result (default: table); csv, md and tex hold its rows alone, with all digits, and what else is"
        " said goes to stderr",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="print the result as JSON: --format json"
    )


def show(value: Any, form: str) -> None:
    """Prints a dict (nested ones flattened with dots) or a list of dicts, in one of FORMATS.

    A column is a key of any of the rows. The table rounds numbers to six digits, the others leave them as they stand.
    Raises ValueError for another format.
    """
    if form not in FORMATS:
        raise ValueError(f"no such format: {form!r}; expected one of {', '.join(FORMATS)}")
    if form == "json":
        print(json.dumps(value, indent=1, ensure_ascii=False))
    elif form == "table":
        _print_table(value, sys.stdout)
    else:
        _print_rows(_pairs(value) if isinstance(value, Mapping) else value, form)


def beside(value: Any, form: str) -> None:
    """Prints what is no row of the result: a line of words, or a dict or list that `show` takes.

    It stands beside a table on stdout, on stderr where stdout holds rows for a program, and nowhere beside JSON.
    """
    if form == "json":
        return
    stream = sys.stdout if form == "table" else sys.stderr
    if isinstance(value, str):
        print(value, file=stream)
    else:
        _print_table(value, stream)


def _pairs(value: Mapping) -> list[dict[str, Any]]:
    return [{"name": name, "value": item} for name, item in flatten(value)]


def _print_table(value: Any, stream: TextIO) -> None:
    if isinstance(value, Mapping):
        pairs = list(flatten(value))
        width = max((len(key) for key, _ in pairs), default=0)
        print("\n".join(f"{key:<{width}}  {_text(item)}" for key, item in pairs), file=stream)
    elif value:
        header = _columns(value)
        cells = [header] + [[_text(row.get(key)) for key in header] for row in value]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)
        print("\n".join(lines), file=stream)


def _print_rows(rows: Sequence[Mapping[str, Any]], form: str) -> None:
    """A head and a line a row, as csv, md or tex; nothing where there is no row."""
    if not rows:
        return
    heads = _columns(rows)
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows([_exact(row.get(head), "") for head in heads] for row in rows)
        return
    columns = "".join("r" if all(map(_is_number, (row.get(head) for row in rows))) else "l" for head in heads)
    cells = [[_exact(row.get(head), "-") for head in heads] for row in rows]
    if form == "md":
        print(markdown_table(*_escaped(heads, cells), columns), end="")
    else:
        print(tex_table(heads, cells, columns), end="")


def _escaped(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    return [*map(markdown_text, heads)], [[*map(markdown_text, row)] for row in cells]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of all rows, each once, in the order of their first appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def flatten(value: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of everything in nested mappings; names are joined with dots."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from flatten(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _text(item: Any) -> str:
    """A value for a person: numbers to six digits."""
    if item is None:
        return "-"
    return f"{item:.6g}" if isinstance(item, float) else str(item)


def _exact(item: Any, nothing: str) -> str:
    """A value with all digits; `nothing` for None. Lists and truth values are spelled as in JSON."""
    if item is None:
        return nothing
    return json.dumps(item, ensure_ascii=False) if isinstance(item, bool | list | tuple | Mapping) else str(item)


def _is_number(item: Any) -> bool:
    return item is None or (isinstance(item, int | float) and not isinstance(item, bool))
