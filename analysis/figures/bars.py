"""Bar figures: readers side by side, by score or by speed (Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from analysis.figures.artifact import speed_text, y_label
from analysis.figures.marks import link, make_room, mark, missing, reader_axis
from analysis.figures.style import READERS
from analysis.names import passages_text
from glimmer.results import PointResult


def draw(axes: Axes, results: Sequence[PointResult]) -> None:
    """Speeds are bars from zero. Scores are markers: their axis need not start at zero, and bars would exaggerate."""
    reader_axis(axes, [f"{r.label}\n{passages_text(r.point.reader.k, r.point.reader.m)}" for r in results])
    axes.set_ylabel(y_label(results))
    is_speed = results[0].point.measure.kind == "speed"
    for x, result in enumerate(results):
        if result.value is None:
            missing(axes, x, result, READERS[result.point.reader.name])
        else:
            (_speed if is_speed else _score)(axes, x, result)
    if is_speed:
        axes.margins(y=0.15)
        axes.set_ylim(bottom=0)
    else:
        axes.margins(y=0.2)
        make_room(axes, rows=any(result.value is None for result in results))


def _score(axes: Axes, x: int, result: PointResult) -> None:
    place = (x, result.value)
    mark(axes, *place, result, READERS[result.point.reader.name], size=70)
    axes.annotate(f"{result.value:.1f}", place, xytext=(9, 0), textcoords="offset points", va="center")


def _speed(axes: Axes, x: int, result: PointResult) -> None:
    place = (x, result.value)
    (bar,) = axes.bar([x], [result.value], width=0.5, color=READERS[result.point.reader.name].color, zorder=2)
    bar.set_url(link(result))
    axes.annotate(speed_text(result.value), place, xytext=(0, 3), textcoords="offset points", ha="center")
