"""What all artifacts share: the command line, laying panels beside the paper's, and writing whole files."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.points import COLUMNS, PAPER, Point, StudyPoints, load_points, load_reference, row
from glimmer.errors import GlimmerError
from glimmer.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

CELL_WIDTH, CELL_HEIGHT = 3.7, 2.75  # inches; a cell is one panel from one source
PAPER_HEADING = "paper (reported)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes: which panel's points of the registry it shows (None: all), and how they are drawn."""

    name: str | None
    heading: str
    x_label: str
    draw: Callable[[Axes, list[Point]], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FigureArtifact:
    """A figure of the paper: its panels, and its title and caption in our words."""

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]

    def write(self, study: StudyPoints, reference: StudyPoints | None, directory: Path) -> list[Path]:
        """Writes figureN.svg, .pdf and .csv under `directory`/figures; returns their paths."""
        from analysis import style

        with style.house_look():
            picture = self.picture(study, reference)
            svg = style.svg_text(
                picture, title=f"{self.title}: {study.study}", description=self.alt_text(study, reference)
            )
            pdf = style.pdf_bytes(picture, title=f"{self.title}: {study.study}")
        base = directory / "figures" / self.name
        for suffix, content in ((".svg", svg.encode()), (".pdf", pdf)):
            with atomic_write(base.with_suffix(suffix), "wb") as file:
                file.write(content)
        drawn = study.of(self.name) + (reference.of(self.name) if reference else [])
        write_csv(base.with_suffix(".csv"), [row(point) for point in drawn], COLUMNS)
        return [base.with_suffix(suffix) for suffix in (".svg", ".pdf", ".csv")]

    def picture(self, study: StudyPoints, reference: StudyPoints | None) -> Picture:
        """All panels of a study, each with the paper's own panel to its right where `reference` is given."""
        from analysis.style import GREY, new_figure

        note = missing_note(study.of(self.name))
        lines = textwrap.wrap(note, 104 if reference or len(self.panels) > 1 else 54, break_on_hyphens=False)
        rows, columns = (len(self.panels), 2) if reference else (1, len(self.panels))
        below = (0.19 * len(lines) + 0.12) if lines else 0.0
        height = rows * CELL_HEIGHT + below
        figure = new_figure(columns * CELL_WIDTH, height)
        for index, panel in enumerate(self.panels):
            cells = [(study, heading_of(study))] + ([(reference, PAPER_HEADING)] if reference else [])
            for offset, (source, heading) in enumerate(cells):
                place = (index, offset) if reference else (0, index)
                axes = _cell_axes(figure, place, columns, height)
                draw_cell(axes, panel, source.of(self.name, panel.name), f"{panel.heading}{heading}")
        if lines:
            figure.text(0.02, 0.06 / height, "\n".join(lines), fontsize=8, color=GREY, va="bottom", linespacing=1.4)
        return figure

    def cell(self, panel: Panel, source: StudyPoints) -> Picture:
        """One panel from one source as a picture of its own (the report lays these out by the width at hand)."""
        from analysis.style import new_figure

        figure = new_figure(CELL_WIDTH, CELL_HEIGHT)
        heading = PAPER_HEADING if source.study == PAPER else heading_of(source)
        axes = _cell_axes(figure, (0, 0), 1, CELL_HEIGHT)
        draw_cell(axes, panel, source.of(self.name, panel.name), f"{panel.heading}{heading}")
        return figure

    def alt_text(self, study: StudyPoints, reference: StudyPoints | None = None, panel: str | None = None) -> str:
        """Every number of the picture in words."""
        parts = [f"{self.caption} {describe(study.of(self.name, panel))}"]
        if reference:
            parts.append(f"Beside it what the paper reports: {describe(reference.of(self.name, panel))}")
        return " ".join(parts)


def draw_cell(axes: Axes, panel: Panel, points: list[Point], heading: str) -> None:
    """Draws one panel from one source with its heading, axis labels and legend."""
    from analysis.curves import say

    axes.set_xlabel(panel.x_label)
    if points:
        panel.draw(axes, points)
    if not any(point.value is not None for point in points):
        say(axes, "no results yet" if points else "not part of this study")
    handles, labels = axes.get_legend_handles_labels()
    axes.set_title(heading, loc="left", fontsize=9.5, fontweight="bold", pad=22 if handles else 8)
    if handles:
        axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(-0.02, 0.985),
            ncols=3,
            borderaxespad=0.2,
            handlelength=1.9,
            columnspacing=1.1,
            handletextpad=0.5,
        )


def _cell_axes(figure: Picture, place: tuple[int, int], columns: int, height: float) -> Axes:
    """Axes of cell (row, column), rows from the top; margins are fixed inches, so that all pictures line up."""
    left, right, bottom, top = 0.68, 0.16, 0.52, 0.50
    width = columns * CELL_WIDTH
    x = place[1] * CELL_WIDTH + left
    y = height - (place[0] + 1) * CELL_HEIGHT + bottom
    inner = (CELL_WIDTH - left - right, CELL_HEIGHT - bottom - top)
    return figure.add_axes((x / width, y / height, inner[0] / width, inner[1] / height))


def heading_of(study: StudyPoints) -> str:
    """`paper (reported)` or `NAME (measured)`."""
    return PAPER_HEADING if study.study == PAPER else f"{study.study} (measured)"


def y_label(points: list[Point]) -> str:
    """What the vertical axis shows, with its unit and the number of tasks averaged."""
    metrics = {point.metric for point in points}
    if "samples_per_tflop" in metrics:
        return "samples per TFLOP"
    if any(metric.startswith("nq_") for metric in metrics):
        return "NQ exact match (percent)"
    tasks = {point.n_tasks for point in points if point.n_tasks}
    return f"mean of {tasks.pop()} dev tasks (percent)" if len(tasks) == 1 else "dev average (percent)"


def value_text(point: Point, decimals: int = 1) -> str:
    """The value as printed: percent with its unit, samples per TFLOP with three digits, or `missing`."""
    if point.value is None:
        return "missing"
    if point.unit != "percent":
        return f"{speed_text(point.value)} {point.unit}"
    interval = f" ({point.low:.{decimals}f} to {point.high:.{decimals}f})" if point.low is not None else ""
    return f"{point.value:.{decimals}f} %{interval}"


def speed_text(value: float) -> str:
    """Samples per TFLOP with about three digits: 0.0927, 44.7, 4,167."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def describe(points: list[Point]) -> str:
    """The points in words, for alternative texts."""
    groups: dict[tuple[str, str], list[str]] = {}
    for point in points:
        text = f"{point.at}: {value_text(point)}" if point.at and not point.level else value_text(point)
        groups.setdefault((point.panel, point.label), []).append(text)
    sentences = (f"{label}: {'; '.join(dict.fromkeys(texts))}" for (_, label), texts in groups.items())
    return ". ".join(sentences) + "." if groups else "No points."


def missing_note(points: list[Point]) -> str:
    """One line that lists the missing points by series; empty if there are none."""
    absent = [point for point in points if point.value is None]
    if not absent:
        return ""
    groups: dict[tuple[str, str], list[str]] = {}
    for point in sorted(absent, key=lambda p: p.x or 0):
        name, symbol, x = point.label, *(("", "") if point.level or not point.at else point.at.split(" = "))
        groups.setdefault((name, symbol), []).append(x)
    names = [f"{name} ({symbol} = {', '.join(xs)})" if symbol else name for (name, symbol), xs in groups.items()]
    return f"Missing, {len(absent)} of {len(points)} points (✕ on the axis): {'; '.join(names)}."


def write_csv(path: Path, rows: Sequence[dict], columns: Sequence[str]) -> None:
    """Writes rows as CSV: full precision, empty where there is no value."""
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({c: _cell(r.get(c)) for c in columns} for r in rows)


def _cell(value) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def main(artifact, argv: Sequence[str] | None = None) -> int:
    """`python -m analysis.figureN --study NAME [NAME ...] [--paper] [--results DIR]`: writes one artifact.

    Several studies in one call share the start-up time. Returns 0, or 2 for bad input.
    """
    parser = argparse.ArgumentParser(description=f"{artifact.name}: {artifact.title}")
    parser.add_argument("--study", nargs="+", default=[], metavar="NAME", help="studies whose results are drawn")
    parser.add_argument("--paper", action="store_true", help="also (or only) draw what the paper reports")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    args = parser.parse_args(argv)
    studies = list(dict.fromkeys(args.study + ([PAPER] if args.paper else [])))
    if not studies:
        parser.error("name at least one --study, or --paper")
    try:
        for name in studies:
            study = load_points(name, args.results, artifact.name)
            for refused in study.runs.refused:
                print(f"{artifact.name}: left out {name}/runs/{refused.file}: {refused.reason}", file=sys.stderr)
            reference = None if name == PAPER else load_reference(args.results)
            artifact.write(study, reference, args.results / name)
    except GlimmerError as error:
        print(f"{artifact.name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0
