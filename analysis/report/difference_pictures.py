"""Pictures of differences, which levels hide: quality against cost beside LUMEN, and ours over the paper's curves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import blended_transform_factory

from analysis.differences import Difference, difference, pairing
from analysis.figures import FigureArtifact, style
from analysis.figures.artifact import DrawnPanel
from analysis.figures.lines import looks_of
from analysis.figures.marks import by_series, link
from analysis.figures.style import Look
from analysis.ledger.bootstrap import JointBootstrap
from analysis.report.opening import base_reader, differences, reader_name
from analysis.report.pictures import inline
from glimmer.results import PointResult, StudyResults
from glimmer.results.points import number

_COLUMN = 0.63
"""Where the names begin, as a share of a picture's width."""


def _around_zero(height: float, place: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """A picture of this height in inches with axes at `place` (shares of it), and the line of no difference."""
    picture = style.new_figure(3.9, height)
    axes = picture.add_axes(place)
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    return picture, axes


def _mark(
    axes: Axes, x: float, one: Difference, look: Look, size: float, limits: tuple[float, float] | None = None
) -> None:
    """A difference with its interval, linked to its point. With `limits` of the values the interval has ends, arrows
    where it goes on beyond."""
    if one.low is not None and one.high is not None and one.low < one.high:
        line = {"color": look.color, "alpha": 0.7, "zorder": 2}
        axes.plot([x, x], [one.low, one.high], linewidth=1.2, **line)
        for end, arrow in ((one.low, "v"), (one.high, "^")) if limits else ():
            edge = min(max(end, limits[0]), limits[1])
            axes.plot([x], [edge], marker="_" if edge == end else arrow, markersize=5, clip_on=False, **line)
    drawn = axes.scatter([x], [one.value], s=size, marker=look.marker, linewidths=1.4, zorder=4,
                         edgecolors=look.color, facecolors="white" if look.hollow else look.color)  # fmt: skip
    drawn.set_urls([link(one.result)])


def quality_and_cost(study: StudyResults, reference: StudyResults | None) -> list[str]:
    """Inline SVG: points above the base (LUMEN where it has a result) against cost relative to its, ours filled and
    the paper's hollow (its base would stand on ours).

    Cost is operations (counted, as the paper counts them), then seconds (measured; the paper has none).
    """
    base = base_reader(study)
    ours = differences(study, base)
    papers = differences(reference, base) if reference else []
    counted = _operations(study, base), _operations(reference, base) if reference else {}
    pictures = [_plane("operations", ours, papers, *counted)]
    seconds = _seconds(study, base)
    if len(seconds) > 1:
        pictures.append(_plane("seconds", ours, [], seconds, {}))
    return [picture for picture in pictures if picture]


def _operations(study: StudyResults, base: str) -> dict[str, float]:
    """Reader -> operations an example relative to the base's, from samples a TFLOP."""
    rates = {r.point.reader.name: r.value for r in study.of("figure2", "speed") if r.value}
    return {name: rates[base] / rate for name, rate in rates.items()} if base in rates else {}


def _seconds(study: StudyResults, base: str) -> dict[str, float]:
    """Reader -> measured seconds an answer relative to the base's, mean over the seeds that all have finished."""
    found: dict[str, float] = {}
    readers = [result for result in study.of("figure2", "performance") if result.seeds]
    shared = set.intersection(*(set(result.seeds) for result in readers)) if readers else set()
    for result in readers:
        finished = [study.runs.by_id[run_id] for run_id in result.point.run_ids if run_id in study.runs]
        runs = [run for run in finished if run["seed"] in shared]
        taken = [(run.get("wall_seconds") or {}).get("evaluate") for run in runs]
        if runs and all(taken):
            answered = [sum(task["n"] for task in run["tasks"].values()) for run in runs]
            found[result.point.reader.name] = sum(taken) / sum(answered)
    return {name: one / found[base] for name, one in found.items()} if base in found else {}


_COSTS = {
    "operations": "operations an example, {base}'s = 1",
    "seconds": "seconds an answer, {base}'s = 1 (measured)",
}


def _plane(
    cost: str,
    ours: Sequence[Difference],
    papers: Sequence[Difference],
    our_costs: Mapping[str, float],
    paper_costs: Mapping[str, float],
) -> str:
    if not ours:
        return ""
    drawn = [(one, our_costs, False) for one in ours if one.result.point.reader.name in our_costs]
    drawn += [(one, paper_costs, True) for one in papers[1:] if one.result.point.reader.name in paper_costs]
    if len(drawn) < 2:
        return ""
    picture, axes = _around_zero(3.0, (0.15, 0.17, 0.83, 0.71))
    places = [(one, costs[one.result.point.reader.name], hollow) for one, costs, hollow in drawn]
    _relative_axis(axes, [x for _, x, _ in places])
    low, high = _value_axis(axes, [one for one, _, _ in places])
    for one, x, hollow in places:
        look = dataclasses.replace(style.READERS[one.result.point.reader.name], hollow=hollow)
        _mark(axes, x, one, look, size=54, limits=(low, high))
    _labels(axes, places, low, high)
    base = reader_name(ours[0])
    axes.set_xlabel(_COSTS[cost].format(base=base))
    axes.set_ylabel(f"points above {base}")
    title = "Quality against operations" if cost == "operations" else "Quality against time"
    style.set_heading(axes, title)
    words = "; ".join(
        f"{reader_name(one)}{' (the paper)' if hollow else ''}: {one.value:+z.1f} points at"
        f" {costs[one.result.point.reader.name]:.2f} times {base}'s {cost}"
        for one, costs, hollow in drawn
    )
    svg = style.svg_text(picture, title=title, description=f"{words}.", id_prefix=f"opening-{cost}-")
    return inline(svg, {link(one.result): one.result for one, _, _ in drawn})


def _value_axis(axes: Axes, found: Sequence[Difference]) -> tuple[float, float]:
    """Limits that the values fill: an interval that is much wider than all of them goes on beyond the edge."""
    values = [one.value for one in found]
    spread = max(1.0, *map(abs, values))
    ends = [end for one in found if one.low is not None for end in (one.low, one.high)]
    low = max(min(*values, *ends, 0) - 0.25 * spread, -2.5 * spread)
    high = min(max(*values, *ends, 0) + 0.25 * spread, 2.5 * spread)
    axes.set_ylim(low, high)
    return low, high


def _labels(axes: Axes, places: Sequence[tuple[Difference, float, bool]], low: float, high: float) -> None:
    """Names in a column on the right, in the order of the values and far enough apart, each with a line to its mark."""
    named = sorted(places, key=lambda place: place[0].value)
    room, count = (high - low) * 0.095, len(named)
    heights = [one.value for one, _, _ in named]
    for n in range(1, count):
        heights[n] = max(heights[n], heights[n - 1] + room)
    over = max(0.0, heights[-1] - (high - room / 2))
    heights = [height - over for height in heights]
    for n in range(count - 1, 0, -1):
        heights[n - 1] = min(heights[n - 1], heights[n] - room)
    on_the_right = blended_transform_factory(axes.transAxes, axes.transData)
    for (one, x, hollow), height in zip(named, heights, strict=True):
        look = style.READERS[one.result.point.reader.name]
        value = "" if not one.value else f" {one.value:+z.1f}"
        name = f"{reader_name(one)}{', paper' if hollow else ''}{value}"
        axes.annotate(name, (x, one.value), xytext=(_COLUMN, height),
                      textcoords=on_the_right, va="center", fontsize=8, color=style.INK, zorder=5,
                      arrowprops={"arrowstyle": "-", "color": look.color, "linewidth": 0.7, "alpha": 0.6,
                                  "shrinkA": 1, "shrinkB": 4})  # fmt: skip


def _relative_axis(axes: Axes, costs: Sequence[float]) -> None:
    """A logarithmic x axis around the base's 1, with room for names on the right."""
    axes.set_xscale("log")
    low, end = min(*costs, 1) / 1.15, max(*costs, 1) * 1.15
    axes.set_xlim(low, low * (end / low) ** (1 / (_COLUMN - 0.05)))
    ticks = [tick for tick in (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 8, 16) if low <= tick <= end]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))


_DRAWN = "lines"  # the kind of artifact that has a curve to lay over another
_USUAL = ("GLIMMER", "LUMEN", "FiD")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Curves:
    """Differences of one source by point id, in the registry's order."""

    by_id: dict[str, Difference]
    is_papers: bool


def overlays(figure: FigureArtifact, study: StudyResults, reference: StudyResults | None) -> list[str]:
    """Inline SVG, one a panel, of figures with curves; empty where there is no paper's number or none of ours."""
    if reference is None or figure.entry.kind != _DRAWN:
        return []
    drawn = [_overlay(figure, number, panel, study, reference) for number, panel in enumerate(figure.panels)]
    return [svg for svg in drawn if svg]


def _overlay(
    figure: FigureArtifact, place: int, panel: DrawnPanel, study: StudyResults, reference: StudyResults
) -> str:
    ours = {result.id: result for result in study.of(figure.name, panel.name)}
    papers = {result.id: result for result in reference.of(figure.name, panel.name)}
    base = base_of(study, [result for result in ours.values() if result.value is not None and result.id in papers])
    if base is None or papers[base.id].value is None:
        return ""
    sources = (
        _Curves(by_id=_differences(ours, base.id, pairing(study)), is_papers=False),
        _Curves(by_id=_differences(papers, base.id, None), is_papers=True),
    )
    picture, axes = _around_zero(2.9, (0.15, 0.21, 0.82, 0.60))
    ids = [id for id in ours if id in papers]
    xs = sorted({papers[id].x for id in ids})
    looks = told_apart(looks_of(list(ours.values())))
    for source in sources:
        _curves(axes, source, [papers[id] for id in ids], xs, looks)
    _category_axis(axes, xs, ours, papers)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(f"points above {base.name}", fontsize=8.5)
    title = f"{panel.heading}ours (filled), paper (hollow)"
    style.set_heading(axes, title[0].upper() + title[1:])
    axes.margins(y=0.12)
    words = "; ".join(
        f"{one.result.name}{' (the paper)' if source.is_papers else ''}: {one.value:+z.1f}"
        for source in sources
        for one in source.by_id.values()
    )
    svg = style.svg_text(picture, title=f"{figure.entry.full_title}, {title}", description=f"{words}.",
                         id_prefix=f"{figure.name}-{place}-both-")  # fmt: skip
    return inline(svg, {link(one.result): one.result for source in sources for one in source.by_id.values()})


_MARKERS = ("D", "v", "P", "X")


def told_apart(looks: Mapping[str, Look]) -> dict[str, Look]:
    """Looks of series by name; those of one colour and marker get further markers: two curves and the paper's two cross
    each other, and a line's dashes do not show at a point."""
    told: dict[str, Look] = {}
    for series, look in looks.items():
        taken = {other.marker for other in told.values() if other.color == look.color}
        free = (marker for marker in (look.marker, *_MARKERS) if marker not in taken)
        told[series] = dataclasses.replace(look, marker=next(free, look.marker))
    return told


def base_of(study: StudyResults, results: Sequence[PointResult]) -> PointResult | None:
    """What differences of a panel are from: the reader of Figure 2 that is in it, GLIMMER first, else its first point.

    A reader of Figure 2 is in a panel where a point of it rests on the same runs.
    """
    usual = {result.point.series: result.point.run_ids for result in study.of("figure2", "performance")}
    for series in _USUAL:
        for result in results:
            if series in usual and result.point.run_ids == usual[series]:
                return result
    return next((result for result in results if not result.point.level), next(iter(results), None))


def _differences(results: dict[str, PointResult], base: str, bootstrap: JointBootstrap | None) -> dict[str, Difference]:
    present = {id: result for id, result in results.items() if result.value is not None}
    return {id: difference(result, results[base], bootstrap) for id, result in present.items()}


def _curves(
    axes: Axes, source: _Curves, papers: Sequence[PointResult], xs: Sequence[float], looks: dict[str, Look]
) -> None:
    for series, members in by_series(papers).items():
        found = [(xs.index(one.x), source.by_id[one.id]) for one in members if one.id in source.by_id]
        if not found:
            continue
        look = dataclasses.replace(looks[series], hollow=source.is_papers)
        label = None if source.is_papers else found[0][1].result.label
        faint = {"alpha": 0.55, "linewidth": 1.2} if source.is_papers else {"linewidth": 1.8}
        line = (0, (1.5, 1.5)) if source.is_papers else look.line
        axes.plot([x for x, _ in found], [one.value for _, one in found], color=look.color, linestyle=line, zorder=3,
                  label=label, marker=look.marker if label else "", markersize=5, **faint)  # fmt: skip
        for x, one in found:
            _mark(axes, x, one, look, size=36)


def _category_axis(axes: Axes, xs: Sequence[float], ours: dict[str, PointResult], papers: dict[str, PointResult]):
    """The paper's values of x at even steps, and below them the study's own where they are others."""
    own = {papers[id].x: result.x for id, result in ours.items() if id in papers}
    labels = [number(x) if own[x] == x else f"{number(x)}\n({number(own[x])})" for x in xs]
    axes.set_xticks(range(len(xs)), labels, fontsize=8)
    axes.margins(x=0.06)
