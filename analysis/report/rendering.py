"""Pages as HTML text: templates with their styles and scripts, and how values and cells are written in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.report import pictures
from analysis.report.cells import NOTHING, Cell

TEMPLATES = Path(__file__).parent / "templates"


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """A page as HTML text, its styles and scripts inside."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["sort_key"] = sort_key
    environment.filters["script"] = lambda text: Markup(text.replace("<", "\\u003c"))
    environment.filters["code"] = lambda text: Markup(text.replace("&", "&amp;").replace("<", "&lt;"))
    environment.filters["effect"] = effect_text
    environment.filters["slug"] = lambda verdict: str(verdict).replace("'", "").replace(" ", "-")
    assets = {name: (TEMPLATES / f"report.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    return pictures.with_shared_styles(environment.get_template(template).render(**context, **assets))


def plain(value: Any) -> str:
    """A value of claims.json or audit.json as text: numbers short, lists joined, a dash for nothing."""
    if value is None or isinstance(value, jinja2.Undefined):
        return "–"
    if isinstance(value, list | tuple):
        both_ends = len(value) == 2 and all(isinstance(item, int | float) for item in value)
        return (" to " if both_ends else ", ").join(plain(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def sort_key(cell: Cell) -> str | None:
    """What a cell sorts by, where its text does not say it: report.js reads numbers, and a dash as nothing."""
    if cell.sort is None or (cell.sort == "" and cell.text == NOTHING.text):
        return None
    try:
        written = float(cell.text.replace(",", ""))
    except ValueError:
        return f"{cell.sort:.6g}" if isinstance(cell.sort, float) else str(cell.sort)
    return None if math.isclose(written, cell.sort, rel_tol=1e-9) else f"{cell.sort:.6g}"


def effect_text(value: Any, unit: str | None) -> str:
    """An effect or its interval: points with one decimal, which is what intervals leave to say; all else as `plain`."""
    if unit != "points" or value is None or isinstance(value, jinja2.Undefined):
        return plain(value)
    return " to ".join(f"{one:+z.1f}" for one in (value if isinstance(value, list | tuple) else [value]))
