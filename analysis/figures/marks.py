"""Marks that all pictures share: curves with intervals, level lines, and the sign for a missing point."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from analysis.figures.style import GREY, INK, Look
from glimmer.results import PointResult
from glimmer.results.foreign import ForeignRow


def by_series(results: Iterable[PointResult]) -> dict[str, list[PointResult]]:
    """Points grouped by series in order of appearance, each group sorted by x."""
    groups: dict[str, list[PointResult]] = {}
    for result in results:
        groups.setdefault(result.point.series, []).append(result)
    return {name: sorted(group, key=lambda r: r.x or 0) for name, group in groups.items()}


def link(point: PointResult) -> str:
    """Where a drawn point leads: its row in the report, which names its runs."""
    return f"../report.html#{point.anchor}"


def reader_axis(axes: Axes, labels: Sequence[str]) -> None:
    """An x axis that lists readers, at 0, 1, 2 ..."""
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.tick_params(axis="x", length=0)


def mark(axes: Axes, x: float, y: float, point: PointResult, look: Look, size: float = 46, shift: float = 0.0) -> None:
    """One marker with its interval, linked to the point; the interval stands `shift` typographic points aside."""
    if point.low is not None and point.high is not None:
        ends = [point.low, point.high]
        axes.update_datalim([(x, end) for end in ends])  # a shifted line does not enter the limits by itself
        aside = axes.transData + ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
        look_of_both = {"color": look.color, "alpha": 0.75, "zorder": 2, "transform": aside}
        # Drawn as lines rather than errorbar(): an interval need not contain the value (it is not clipped).
        axes.plot([x, x], ends, linewidth=1.2, **look_of_both)
        axes.plot([x, x], ends, linestyle="none", marker="_", markersize=6, markeredgewidth=1.2, **look_of_both)
    face = "white" if look.hollow else look.color
    drawn = axes.scatter(
        [x], [y], s=size, marker=look.marker, zorder=4, linewidths=1.4, edgecolors=look.color, facecolors=face
    )
    drawn.set_urls([link(point)])


def missing(axes: Axes, x: float, point: PointResult, look: Look, row: int = 0) -> None:
    """A hollow cross on the x axis where a point would stand: missing is not zero. Series take rows of their own."""
    place = blended_transform_factory(axes.transData, axes.transAxes)
    axes.update_datalim([(x, 0.0)], updatey=False)  # scatter() leaves the limits alone where y is not in data units
    drawn = axes.scatter(
        [x],
        [0.04 + 0.075 * row],
        marker="X",
        s=52,
        facecolors="white",
        edgecolors=look.color,
        linewidths=1.1,
        transform=place,
        zorder=5,
        clip_on=False,
    )
    drawn.set_urls([link(point)])


def curve(axes: Axes, points: list[PointResult], look: Look, row: int = 0, shift: float = 0.0) -> None:
    """A series over x. The line breaks at missing points instead of bridging them."""
    stretches: list[list[PointResult]] = [[]]
    for point in points:
        if point.value is None:
            missing(axes, point.x, point, look, row)
            stretches.append([])
        else:
            stretches[-1].append(point)
            mark(axes, point.x, point.value, point, look, shift=shift)
    for stretch in stretches:
        xs, values = [p.x for p in stretch], [p.value for p in stretch]
        axes.plot(xs, values, color=look.color, linewidth=1.8, linestyle=look.line, zorder=3)
    _legend_entry(axes, look, points[0].label, all(p.value is None for p in points))


def level(axes: Axes, points: list[PointResult], look: Look, row: int = 0, shift: float = 0.0) -> None:
    """A reference that does not depend on x: a dashed line with its interval as a band between its end points."""
    present = [p for p in points if p.value is not None]
    for point in points:
        if point.value is None:
            missing(axes, point.x, point, look, row)
    if present:
        ends = [min(p.x for p in points), max(p.x for p in points)]
        value = present[0].value
        (line,) = axes.plot(ends, [value, value], color=look.color, linewidth=1.6, linestyle=look.line, zorder=2.5)
        line.set_url(link(present[0]))
        low, high = present[0].low, present[0].high
        if low is not None and high is not None:
            axes.fill_between(ends, low, high, color=look.color, alpha=0.10, linewidth=0, zorder=1)
    _legend_entry(axes, look, points[0].label, not present, marker="")


def _legend_entry(axes: Axes, look: Look, label: str, absent: bool, marker: str | None = None) -> None:
    """The series in the legend; one without any result shows the hollow cross instead of its line."""
    marker = "X" if absent else look.marker if marker is None else marker
    axes.plot(
        [],
        [],
        color=look.color,
        linestyle="none" if absent else look.line,
        linewidth=1.6,
        label=label,
        marker=marker,
        markersize=6,
        markerfacecolor="white" if look.hollow or absent else look.color,
    )


def curves(axes: Axes, points: Sequence[PointResult], looks: Mapping[str, Look]) -> None:
    """All series of a panel in their looks, level lines first (underneath)."""
    groups = sorted(by_series(points).items(), key=lambda item: not item[1][0].point.level)
    rows = {name: row for row, name in enumerate(n for n, group in groups if any(p.value is None for p in group))}
    lines = [name for name, group in groups if not group[0].point.level]
    for name, group in groups:
        # Intervals of several curves at one x would hide each other: they stand a little apart.
        shift = 4.0 * (lines.index(name) - (len(lines) - 1) / 2) if name in lines else 0.0
        (level if group[0].point.level else curve)(axes, group, looks[name], rows.get(name, 0), shift)
    axes.margins(y=0.12)
    make_room(axes, len(rows))


def draw_foreign(axes: Axes, points: Sequence[PointResult], rows: Sequence[ForeignRow]) -> None:
    """Foreign readers in a panel: hollow diamonds in ink, each with the mark in its name, behind the readers or at
    their number of passages."""
    if not rows:
        return
    is_over_passages = points[0].point.x_name == "k"
    own = 0 if is_over_passages else len(points)
    for place, row in enumerate(rows):
        x = row.k if is_over_passages else own + place
        axes.plot([x, x], row.interval, color=INK, linewidth=1.2, alpha=0.75, zorder=2)
        diamond = {"marker": "D", "markersize": 7, "markeredgewidth": 1.4, "markeredgecolor": INK, "zorder": 4}
        axes.plot([x], [row.value], linestyle="none", markerfacecolor="white", **diamond)
        # Named at its place among curves: a legend of four entries would cover the title.
        text, aside, where = (
            (row.label, (0, 9), {"ha": "center", "va": "bottom", "bbox": {"fc": "white", "ec": "none", "pad": 0.5}})
            if is_over_passages
            else (f"{row.value:.1f}", (9, 0), {"va": "center"})
        )
        axes.annotate(text, (x, row.value), xytext=aside, textcoords="offset points", **where)
    if is_over_passages:
        axes.set_xticks(sorted({*axes.get_xticks(), *(row.k for row in rows)}))
    else:
        labels = [label.get_text().replace(", ", ",\n") for label in axes.get_xticklabels()]
        named = [f"{textwrap.shorten(row.label, 14, placeholder='… *')}\nk = {row.k}" for row in rows]
        reader_axis(axes, [*labels, *named])


def make_room(axes: Axes, rows: int) -> None:
    """Widens the y axis downwards, so that rows of missing signs do not stand among the values."""
    if rows and axes.dataLim.height > 0:
        low, high = axes.get_ylim()
        axes.set_ylim(low - (high - low) * (0.075 * rows + 0.02), high)


def say(axes: Axes, text: str) -> None:
    """Says in an empty panel why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=10)
    axes.set_yticks([])
    if not axes.collections:
        axes.set_xticks([])
