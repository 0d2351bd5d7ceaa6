"""Two results directories over each other: levels on the left, their differences with intervals on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.comparison import MEAN, Names
from analysis.figures import style
from glimmer.files import atomic_write

_ROW, _HEAD, _FOOT = 0.27, 0.75, 0.62  # inches
_WIDTH, _LABELS = 8.6, 2.9


def write(path: Path, rows: Sequence[Mapping[str, Any]], names: Names) -> None:
    """Draws the points in percent (of several tasks their mean); the paper's, where rows have it, as grey diamonds."""
    shown = [row for row in rows if row["unit"] == "percent" and row["task"] in (MEAN, None)]
    title = f"{names.first} and {names.second}"
    words = "; ".join(f"{row['point']}: {row['first']:.1f} and {row['second']:.1f}" for row in shown)
    with style.house_look():
        picture = _picture(shown, names)
        if path.suffix == ".svg":
            content = style.svg_text(picture, title=title, description=words).encode()
        else:
            content = style.pdf_bytes(picture, title=title) if path.suffix == ".pdf" else style.png_bytes(picture)
    with atomic_write(path, "wb") as file:
        file.write(content)


def _picture(rows: Sequence[Mapping[str, Any]], names: Names):
    height = _HEAD + _FOOT + _ROW * max(1, len(rows))
    figure = style.new_figure(_WIDTH, height)
    half = (_WIDTH - _LABELS - 0.55) / 2
    places = [(_LABELS + side * (half + 0.3), half) for side in (0, 1)]
    levels, differences = (
        figure.add_axes((left / _WIDTH, _FOOT / height, width / _WIDTH, 1 - (_HEAD + _FOOT) / height))
        for left, width in places
    )
    ys = range(len(rows))
    for y, row in enumerate(rows):
        levels.plot([row["first"], row["second"]], [y, y], color=style.GREY, linewidth=1, zorder=1)
        if row["low"] is not None:
            differences.plot([row["low"], row["high"]], [y, y], color=style.INK, linewidth=1.3, zorder=2)
    series = [
        ("first", names.first, style.BLUE, "s", style.BLUE),
        ("second", names.second, style.VERMILLION, "o", "white"),
    ]
    for key, name, color, marker, face in series:
        levels.scatter([row[key] for row in rows], ys, s=44, marker=marker, edgecolors=color, facecolors=face,
                       linewidths=1.5, label=name, zorder=3)  # fmt: skip
    reported = [(row["paper"], y) for y, row in enumerate(rows) if row.get("paper") is not None]
    if reported:
        levels.scatter(
            *zip(*reported, strict=True), s=36, marker="D", color=style.GREY, label="paper (reported)", zorder=2
        )
    differences.scatter([row["difference"] for row in rows], ys, s=36, color=style.INK, zorder=3)
    differences.axvline(0, color=style.GREY, linewidth=1)
    levels.set_yticks(list(ys), [row["point"] for row in rows])
    differences.set_yticks(list(ys), [])
    for axes in (levels, differences):
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="x")
    levels.set_xlabel("percent")
    differences.set_xlabel(f"{names.second} less {names.first} (points)")
    differences.set_title("Difference, 95 %", loc="left", fontsize=9.5, fontweight="bold")
    levels.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, columnspacing=1.0, handletextpad=0.3)
    return figure
