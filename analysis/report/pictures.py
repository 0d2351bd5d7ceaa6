"""The report's inline pictures: each panel an SVG of its own, markers linked to their runs, learning curves."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from analysis.figures import FigureArtifact, style
from analysis.figures.artifact import CELL_HEIGHT, CELL_WIDTH, describe, heading_of, value_text
from analysis.figures.marks import link
from glimmer.results import PAPER, PointResult, StudyResults
from glimmer.results.run_files import has_anothers_parameters


def cells(figure: FigureArtifact, study: StudyResults, reference: StudyResults | None) -> list[str]:
    """The panels of a figure as inline SVG: per panel the study's, then the paper's."""
    pictures = []
    for index, panel in enumerate(figure.panels):
        for source in [study, reference] if reference else [study]:
            results = source.of(figure.name, panel.name)
            svg = style.svg_text(
                figure.cell(panel, source),
                title=f"{figure.entry.full_title}, {panel.heading.lower()}{heading_of(source, results)}",
                description=f"{figure.entry.caption} {describe(results)}",
                id_prefix=f"{figure.name}-{index}-{'paper' if source.study == PAPER else 'study'}-",
            )
            pictures.append(inline(svg, {link(result): result for result in results}))
    return pictures


def inline(svg: str, linked: Mapping[str, PointResult]) -> str:
    """SVG for a place inside HTML: no XML head, as wide as its place, and every marker linked and titled."""
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg[svg.index("<svg") :], count=2)
    svg = _lean(svg.replace('role="img"', 'role="group"', 1))  # an image's links could not be reached
    return re.sub(r'<a href="([^"]+)">', lambda match: _anchor(linked[html.unescape(match.group(1))]), svg)


def _lean(svg: str) -> str:
    """The same picture in a third of the bytes: no indents, no groups that say nothing, no fonts that the page sets
    itself."""
    head = re.sub(r' (?:xmlns(?::xlink)?|version)="[^"]*"', "", svg[: svg.index(">")])  # HTML knows no namespaces
    svg = re.sub(r"(<(?:a|use)\b[^>]*?) xlink:href=", r"\1 href=", head + svg[svg.index(">") :])
    svg = _ungrouped(re.sub(r'<g id="[^"]*">', "<g>", re.sub(r'<g id="[^"]*"/>', "", svg)))
    svg = re.sub(r"<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>", "", svg)  # report.css has it for all pictures
    svg = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", svg)
    svg = re.sub(r"font-family: [^;\"]*; ", "", svg)
    svg = re.sub(r"\s*\n\s*", lambda found: "" if svg[found.start() - 1] == ">" else " ", svg)
    return re.sub(r' (?:d|x|y|transform|points)="[^"]*"', lambda place: _rounded(place.group()), svg)


def _ungrouped(svg: str) -> str:
    """The same without <g> that has no attribute."""
    stack: list[bool] = []

    def kept(tag: re.Match[str]) -> str:
        if tag.group() == "</g>":
            return "</g>" if stack.pop() else ""
        stack.append(tag.group() != "<g>")
        return tag.group() if stack[-1] else ""

    return re.sub(r"<g>|<g [^>]*[^/]>|</g>", kept, svg)


_THEMED = {"#ffffff": "var(--page)", "#22262b": "var(--ink)", "#e4e7eb": "var(--line)"}
"""Colours of pictures that follow the page's scheme."""


def with_shared_styles(page: str) -> str:
    """A page whose pictures name their styles by class, each rule written once in the head, and whose ids of marks and
    clips are short."""
    rules: dict[str, str] = {}
    ids: dict[str, str] = {}

    def classed(style: re.Match[str]) -> str:
        return f' class="{rules.setdefault(style[1], f"s{len(rules)}")}"'

    def leaner(svg: re.Match[str]) -> str:
        text = re.sub(r' style="([^"]*)"', classed, svg.group())
        for id in re.findall(r'<(?:path|clipPath) id="([^"]+)"', text):
            ids.setdefault(id, f"i{len(ids)}")
        return re.sub(r'(id="|#)([\w.-]+)(?=["\)])', lambda found: found[1] + ids.get(found[2], found[2]), text)

    page = re.sub(r"<svg.*?</svg>", leaner, page, flags=re.DOTALL)
    if not rules:
        return page
    text = "".join(f".{name}{{{style}}}" for style, name in rules.items())
    for color, name in _THEMED.items():
        text = text.replace(color, name)
    return page.replace("</head>", f"<style>{text.replace(': ', ':').replace('; ', ';')}</style>\n</head>", 1)


def _rounded(attribute: str) -> str:
    """Coordinates to a tenth of a point, with no more space than they need; words and numbers that people read are no
    attributes."""
    short = re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number.group()):.1f}".removesuffix(".0"), attribute)
    return re.sub(r" (?=[MLCQz\"])|(?<=[MLCQ]) ", "", short) if short.startswith(' d="') else short


def _anchor(result: PointResult) -> str:
    run_ids = [run_id for run_id in result.point.run_ids if run_id not in result.absent_ids]
    target = f"run-{run_ids[0]}" if len(run_ids) == 1 else result.anchor
    text = f"{result.name}: {value_text(result)}"
    if run_ids:
        text += f", run {run_ids[0]}" if len(run_ids) == 1 else f", {len(run_ids)} runs"
    return f'<a href="#{target}" class="drawn"><title>{html.escape(text)}</title>'


def learning_curves(study: StudyResults) -> list[str]:
    """Training loss and dev average (percent) over steps of the readers of Figure 2, a line a run."""
    readers = study.of("figure2", "performance")
    main = {run_id: result for result in readers for run_id in result.point.run_ids if run_id in study.runs}
    pictures = []
    for key, label, scale in (("loss", "training loss", 1), ("dev_average", "dev average (percent)", 100)):
        rows = {
            run_id: [
                (row["step"], scale * row[key])
                for row in study.runs.by_id[run_id].get("learning_curve") or ()
                if row.get(key) is not None
            ]
            for run_id in main
            if not has_anothers_parameters(study.runs.by_id[run_id])
        }
        if rows := {run_id: curve for run_id, curve in rows.items() if curve}:
            pictures.append(_learning_curve(rows, main, key, label))
    return pictures


def _learning_curve(rows: Mapping[str, list], main: Mapping[str, PointResult], key: str, label: str) -> str:
    picture = style.new_figure(CELL_WIDTH, CELL_HEIGHT)
    axes = picture.add_axes((0.17, 0.19, 0.79, 0.63))
    named, order = set(), [run_id for run_id in main if run_id in rows]
    for run_id in order:
        look, name = style.READERS[main[run_id].point.reader.name], main[run_id].label
        (line,) = axes.plot(
            *zip(*rows[run_id], strict=True),
            color=look.color,
            label=None if name in named else name,
            linewidth=1.4,
            marker=look.marker if key == "dev_average" else "",
            markersize=4,
        )
        line.set_url(f"run:{run_id}")
        named.add(name)
    axes.set_xlabel("training step")
    axes.set_ylabel(label)
    style.set_heading(axes, f"{label[0].upper()}{label[1:]}")
    ends = "; ".join(f"{main[i].label}: from {rows[i][0][1]:.2f} to {rows[i][-1][1]:.2f}" for i in order)
    words = f"{label} over training steps of {len(rows)} runs. {ends}."
    svg = style.svg_text(picture, title=f"Learning curves: {label}", id_prefix=f"learning-{key}-", description=words)
    svg = re.sub(r'<a xlink:href="run:(\w+)">', r'<a href="#run-\1" class="drawn"><title>run \1</title>', svg)
    return inline(svg, {})
