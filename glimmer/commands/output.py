"""How commands print results: JSON for programs, an aligned table for people."""

from __future__ import annotations

import json
from typing import Any


def add_json_argument(parser) -> None:
    """Adds `--json`, which every command with a result takes."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def show(value: Any, as_json: bool) -> None:
    """Prints a dict (nested ones flattened with dots) or a list of dicts with the same keys."""
    if as_json:
        print(json.dumps(value, indent=1, ensure_ascii=False))
    elif isinstance(value, dict):
        rows = list(_flatten(value))
        width = max((len(key) for key, _ in rows), default=0)
        print("\n".join(f"{key:<{width}}  {_text(item)}" for key, item in rows))
    elif value:
        header = list(value[0])
        cells = [header] + [[_text(row.get(key)) for key in header] for row in value]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        print("\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells))


def _flatten(value: dict, prefix: str = ""):
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _flatten(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _text(item: Any) -> str:
    if item is None:
        return "-"
    return f"{item:.6g}" if isinstance(item, float) else str(item)
