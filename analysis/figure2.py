"""Figure 2: quality and speed of FiD, LUMEN and GLIMMER."""

from __future__ import annotations

import sys

from analysis import artifact
from analysis.curves import link, make_room, mark, missing
from analysis.points import Point
from analysis.style import READERS


def _label(point: Point) -> str:
    """The reader with its passages: `k = 25, 5 kept` where it reranks."""
    return f"{point.label}\nk = {point.k}" + (f", {point.m} kept" if point.m != point.k else "")


def _readers(axes, points: list[Point]) -> None:
    axes.set_xticks(range(len(points)), [_label(point) for point in points])
    axes.set_xlim(-0.6, len(points) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel(artifact.y_label(points))


def draw_performance(axes, points: list[Point]) -> None:
    """Markers, not bars: the axis need not start at zero, and bars would then exaggerate."""
    _readers(axes, points)
    for x, point in enumerate(points):
        look = READERS[point.reader]
        if point.value is None:
            missing(axes, x, point, look)
            continue
        mark(axes, x, point.value, point, look, size=70)
        axes.annotate(f"{point.value:.1f}", (x, point.value), xytext=(9, 0), textcoords="offset points", va="center")
    axes.margins(y=0.2)
    make_room(axes, rows=any(point.value is None for point in points))


def draw_speed(axes, points: list[Point]) -> None:
    """Bars from zero: samples per TFLOP, counted and not timed."""
    _readers(axes, points)
    for x, point in enumerate(points):
        look = READERS[point.reader]
        if point.value is None:
            missing(axes, x, point, look)
            continue
        (bar,) = axes.bar([x], [point.value], width=0.5, color=look.color, zorder=2)
        bar.set_url(link(point))
        axes.annotate(
            artifact.speed_text(point.value), (x, point.value), xytext=(0, 3), textcoords="offset points", ha="center"
        )
    axes.margins(y=0.15)
    axes.set_ylim(bottom=0)


FIGURE = artifact.FigureArtifact(
    name="figure2",
    title="Figure 2: quality and speed of the three readers",
    caption="Dev average and speed (samples per TFLOP, from operation counts) of FiD, LUMEN and GLIMMER.",
    panels=(
        artifact.Panel(name="performance", heading="Quality, ", x_label="", draw=draw_performance),
        artifact.Panel(name="speed", heading="Speed, ", x_label="", draw=draw_speed),
    ),
)

if __name__ == "__main__":
    sys.exit(artifact.main(FIGURE))
