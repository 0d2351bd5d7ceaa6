"""Stacked bars: a first panel's value below, what a second one adds on top or takes away (Figure 6)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from analysis.figures.artifact import y_label
from analysis.figures.marks import by_series, link, missing, reader_axis
from analysis.figures.style import INK, READERS, Look
from analysis.names import READER_NAMES
from glimmer.results import PointResult

GAIN_HATCH = "////"  # with white, told apart in grey and by those who see no colour


def draw(axes: Axes, results: Sequence[PointResult]) -> None:
    """A bar a reader: its part of the first panel, and on top of it the gain; of a loss, a line across the bar at what
    is left."""
    stacks = list(by_series(results).values())
    reader_axis(axes, [_label(below) for below, _ in stacks])
    tops = []
    for x, (below, gain) in enumerate(stacks):
        look = READERS[below.point.reader.name]
        if below.value is None:
            missing(axes, x, below, look)
            continue
        (bar,) = axes.bar([x], [below.value], width=0.52, color=look.color, zorder=2)
        bar.set_url(link(below))
        axes.text(x, below.value / 2, f"{below.value:.1f}", ha="center", va="center", color="white", zorder=4)
        tops.append(below.value + _draw_gain(axes, x, below.value, gain, look))
    axes.set_ylabel(y_label(results))
    axes.set_ylim(0, 1.2 * max(tops, default=1))
    # Bars without height stand for the two parts in the legend.
    axes.bar([0], [0], width=0, linewidth=0, color=INK, label="NQ only")
    axes.bar([0], [0], width=0, linewidth=0, color="white", edgecolor=INK, hatch=GAIN_HATCH, label="added by all tasks")
    if any(gain.value is not None and gain.value < 0 for _, gain in stacks):
        axes.plot([], [], label="left with all tasks", **_LEFT)


def _label(result: PointResult) -> str:
    """The reader, with its live proportion where it has one to choose."""
    reader = result.point.reader
    return READER_NAMES[reader.name] + ("" if reader.name == "fid" else f"\nα = {reader.alpha}")


def _draw_gain(axes: Axes, x: int, below: float, gain: PointResult, look: Look) -> float:
    """Draws the gain on top of a bar that ends at `below`; returns how far it reaches above that."""
    if gain.value is None:
        missing(axes, x, gain, look)
        return 0.0
    drawn = _left(axes, x, below + gain.value) if gain.value < 0 else _added(axes, x, below, gain.value, look)
    drawn.set_url(link(gain))
    if gain.low is not None:
        ends = [below + gain.low, below + gain.high]
        axes.plot([x + 0.31] * 2, ends, color=INK, linewidth=1.2, marker="_", markersize=6, zorder=5)
    above = max(gain.value, 0)
    axes.annotate(f"{gain.value:+z.1f}", (x, below + above), xytext=(0, 3), textcoords="offset points", ha="center")
    return above


_LEFT = {"color": INK, "linestyle": (0, (3, 1.5)), "linewidth": 1.6}
"""The line at what a loss leaves: hatched on top, a loss would look like a gain of a lower bar."""


def _left(axes: Axes, x: int, level: float) -> Artist:
    (line,) = axes.plot([x - 0.34, x + 0.34], [level, level], zorder=4, **_LEFT)
    return line


def _added(axes: Axes, x: int, below: float, gain: float, look: Look) -> Artist:
    (bar,) = axes.bar(
        [x],
        [gain],
        bottom=[below],
        width=0.52,
        facecolor="white",
        edgecolor=look.color,
        hatch=GAIN_HATCH,
        linewidth=1.0,
        zorder=3,
    )
    return bar
