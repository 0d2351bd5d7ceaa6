"""The report's inline pictures: each panel an SVG of its own, markers linked to their runs, learning curves."""

from __future__ import annotations

import html
import importlib
import re
from collections.abc import Mapping

from analysis import artifact, curves, style
from analysis.points import PAPER, Point, StudyPoints

FIGURES = ("figure2", "figure3", "figure4", "figure5", "figure6", "figure7")
TABLES = ("table1", "table2", "table3")


def figure(name: str) -> artifact.FigureArtifact:
    """The figure's own module, by name."""
    return importlib.import_module(f"analysis.{name}").FIGURE


def table(name: str):
    """The table's own module, by name."""
    return importlib.import_module(f"analysis.{name}").TABLE


def cells(name: str, study: StudyPoints, reference: StudyPoints | None) -> list[str]:
    """The panels of a figure as inline SVG: per panel the study's, then the paper's."""
    found = figure(name)
    pictures = []
    for index, panel in enumerate(found.panels):
        for source in [study] + ([reference] if reference else []):
            points = source.of(name, panel.name)
            heading = artifact.heading_of(source)
            svg = style.svg_text(
                found.cell(panel, source),
                title=f"{found.title}, {panel.heading.lower()}{heading}",
                description=f"{found.caption} {artifact.describe(points)}",
                id_prefix=f"{name}-{index}-{'paper' if source.study == PAPER else 'study'}-",
            )
            pictures.append(inline(svg, {curves.link(point): point for point in points}))
    return pictures


def inline(svg: str, linked: Mapping[str, Point]) -> str:
    """SVG for a place inside HTML: no XML head, as wide as its place, and every marker linked and titled."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    return re.sub(r'<a xlink:href="([^"]+)">', lambda match: _anchor(linked[html.unescape(match.group(1))]), svg)


def _anchor(point: Point) -> str:
    run_ids = [run_id for run_id in point.run_ids if run_id not in point.absent_ids]
    target = f"run-{run_ids[0]}" if len(run_ids) == 1 else point.anchor
    text = f"{point.name}: {artifact.value_text(point)}"
    if run_ids:
        text += f", run{'s' if len(run_ids) > 1 else ''} {' '.join(run_ids)}"
    return f'<a href="#{target}" class="drawn"><title>{html.escape(text)}</title>'


def learning_curves(study: StudyPoints) -> list[str]:
    """Training loss and dev average (percent) over steps: readers of Figure 2 in colour, all other runs grey."""
    main = {run_id: p for p in study.of("figure2", "performance") for run_id in p.run_ids if run_id in study.runs}
    pictures = []
    for key, label, scale in (("loss", "training loss", 1), ("dev_average", "dev average (percent)", 100)):
        drawn = {
            i: [(r["step"], scale * r[key]) for r in run.get("learning_curve") or () if r.get(key) is not None]
            for i, run in study.runs.by_id.items()
        }
        drawn = {run_id: rows for run_id, rows in drawn.items() if rows}
        if drawn:
            pictures.append(_learning_curve(study, drawn, main, key, label))
    return pictures


def _learning_curve(study: StudyPoints, drawn: dict, main: dict[str, Point], key: str, label: str) -> str:
    picture = style.new_figure(artifact.CELL_WIDTH, artifact.CELL_HEIGHT)
    axes = picture.add_axes((0.17, 0.19, 0.79, 0.63))
    named = set()
    order = list(main)
    for run_id in sorted(drawn, key=lambda i: order.index(i) if i in main else -1):
        look = style.READERS[main[run_id].reader] if run_id in main else style.Look(color="#C9CED6", marker="")
        name = main[run_id].label if run_id in main and main[run_id].label not in named else None
        named.add(name)
        (line,) = axes.plot(
            *zip(*drawn[run_id], strict=True),
            color=look.color,
            label=name,
            linewidth=1.8 if run_id in main else 0.8,
            zorder=3 if run_id in main else 2,
            marker=look.marker if key == "dev_average" else "",
            markersize=4,
        )
        line.set_url(f"run:{run_id}")
    axes.set_xlabel("training step")
    axes.set_ylabel(label)
    axes.set_title(f"{label[0].upper()}{label[1:]}", loc="left", fontsize=9.5, fontweight="bold", pad=22)
    if main:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.985), ncols=3, borderaxespad=0.2)
    ends = "; ".join(
        f"{main[i].label}: from {drawn[i][0][1]:.2f} to {drawn[i][-1][1]:.2f}" for i in order if i in drawn
    )
    svg = style.svg_text(
        picture,
        title=f"Learning curves: {label}",
        id_prefix=f"learning-{key}-",
        description=f"{label} over training steps of {len(drawn)} runs. {ends}.",
    )
    svg = re.sub(r'<a xlink:href="run:(\w+)">', r'<a href="#run-\1" class="drawn"><title>run \1</title>', svg)
    return inline(svg, {})
