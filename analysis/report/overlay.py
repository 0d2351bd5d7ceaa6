"""Ours and the paper's of one panel on one scale: points above the reader that both have, which levels hide."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from analysis.differences import Difference, difference, pairing
from analysis.figures import FigureArtifact, style
from analysis.figures.artifact import DrawnPanel
from analysis.figures.lines import looks_of
from analysis.figures.marks import by_series, link
from analysis.figures.style import Look
from analysis.ledger.bootstrap import JointBootstrap
from analysis.report.pictures import inline
from glimmer.results import PointResult, StudyResults
from glimmer.results.points import number

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
    picture = style.new_figure(3.9, 2.9)
    axes = picture.add_axes((0.15, 0.21, 0.82, 0.60))
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    ids = [id for id in ours if id in papers]
    xs = sorted({papers[id].x for id in ids})
    looks = told_apart(looks_of(list(ours.values())))
    for source in sources:
        _curves(axes, source, [papers[id] for id in ids], xs, looks)
    _category_axis(axes, xs, ours, papers)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(f"points above {base.name}", fontsize=8.5)
    title = f"{panel.heading}ours (filled), paper (hollow)"
    axes.set_title(title[0].upper() + title[1:], loc="left", fontsize=9.5, fontweight="bold", pad=22)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.985), ncols=3, borderaxespad=0.2, handlelength=1.9,
                columnspacing=1.1, handletextpad=0.5)  # fmt: skip
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
            _mark(axes, x, one, look)


def _mark(axes: Axes, x: float, one: Difference, look: Look) -> None:
    if one.low is not None and one.high is not None and one.value:
        axes.plot([x, x], [one.low, one.high], color=look.color, linewidth=1.1, alpha=0.6, zorder=2)
    drawn = axes.scatter([x], [one.value], s=36, marker=look.marker, linewidths=1.3, zorder=4,
                         edgecolors=look.color, facecolors="white" if look.hollow else look.color)  # fmt: skip
    drawn.set_urls([link(one.result)])


def _category_axis(axes: Axes, xs: Sequence[float], ours: dict[str, PointResult], papers: dict[str, PointResult]):
    """The paper's values of x at even steps, and below them the study's own where they are others."""
    own = {papers[id].x: result.x for id, result in ours.items() if id in papers}
    labels = [number(x) if own[x] == x else f"{number(x)}\n({number(own[x])})" for x in xs]
    axes.set_xticks(range(len(xs)), labels, fontsize=8)
    axes.margins(x=0.06)
