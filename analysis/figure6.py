"""Figure 6: what training on all tasks adds to training on Natural Questions alone."""

from __future__ import annotations

import sys

from analysis import artifact
from analysis.curves import by_series, link, missing
from analysis.points import Point
from analysis.style import INK, READER_NAMES, READERS, Look

SINGLE, GAIN = "NQ only", "Multi-task gain"
# Light and dark of the reader's own colour, hatched: told apart in grey and by those who see no colour.
GAIN_HATCH = "////"


def draw(axes, points: list[Point]) -> None:
    """A stacked bar a reader: NQ only below, the gain (or, hatched downwards, the loss) on top."""
    readers = list(by_series(points))
    parts = {(p.series, p.panel): p for p in points}
    axes.set_xticks(range(len(readers)), [_label(parts[name, SINGLE]) for name in readers])
    axes.set_xlim(-0.6, len(readers) - 0.4)
    axes.tick_params(axis="x", length=0)
    tops = []
    for x, name in enumerate(readers):
        single, gain = parts[name, SINGLE], parts[name, GAIN]
        look = READERS[single.reader]
        if single.value is None:
            missing(axes, x, single, look)
            continue
        (bar,) = axes.bar([x], [single.value], width=0.52, color=look.color, zorder=2)
        bar.set_url(link(single))
        axes.text(x, single.value / 2, f"{single.value:.1f}", ha="center", va="center", color="white", zorder=4)
        tops.append(single.value + _draw_gain(axes, x, single, gain, look))
    axes.set_ylabel(artifact.y_label(points))
    axes.set_ylim(0, 1.2 * max(tops, default=1))
    # Bars without height stand for the two parts in the legend.
    axes.bar([0], [0], width=0, linewidth=0, color=INK, label="NQ only")
    axes.bar([0], [0], width=0, linewidth=0, color="white", edgecolor=INK, hatch=GAIN_HATCH, label="added by all tasks")


def _label(point: Point) -> str:
    """The reader, with its live proportion where it has one to choose."""
    return READER_NAMES[point.reader] + ("" if point.reader == "fid" else f"\nα = {point.alpha}")


def _draw_gain(axes, x: int, single: Point, gain: Point, look: Look) -> float:
    """Draws the gain on top of the bar; returns how far it reaches above it."""
    if gain.value is None:
        missing(axes, x, gain, look)
        return 0.0
    (bar,) = axes.bar(
        [x],
        [gain.value],
        bottom=[single.value],
        width=0.52,
        facecolor="white",
        edgecolor=look.color,
        hatch=GAIN_HATCH,
        linewidth=1.0,
        zorder=3,
    )
    bar.set_url(link(gain))
    top = single.value + max(gain.value, 0)
    if gain.low is not None:
        ends = [single.value + gain.low, single.value + gain.high]
        axes.plot([x + 0.31] * 2, ends, color=INK, linewidth=1.2, marker="_", markersize=6, zorder=5)
    axes.annotate(f"{gain.value:+z.1f}", (x, top), xytext=(0, 3), textcoords="offset points", ha="center")
    return top - single.value


FIGURE = artifact.FigureArtifact(
    name="figure6",
    title="Figure 6: multi-task training",
    caption="Exact match on Natural Questions of readers trained on it alone, and what training on all tasks adds.",
    panels=(artifact.Panel(name=None, heading="", x_label="", draw=draw),),
)

if __name__ == "__main__":
    sys.exit(artifact.main(FIGURE))
