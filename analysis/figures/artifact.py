"""What figures share: laying panels beside the paper's, the words for their numbers, and writing whole files."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import importlib.util
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glimmer.experiments import Artifact, load_registry
from glimmer.files import atomic_write
from glimmer.results import PAPER, PointResult, StudyResults
from glimmer.results.foreign import FOREIGN, LEGEND, ForeignRow
from glimmer.results.points import HEADLINE_SCORE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

CELL_WIDTH, CELL_HEIGHT = 3.7, 2.75  # inches; a cell is one panel from one source
PAPER_HEADING = "paper (reported)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnPanel:
    """One pair of axes: which panel's points of the registry it shows (None: all), its heading and x label."""

    name: str | None
    heading: str = ""
    x_label: str = ""


@dataclasses.dataclass(frozen=True)
class DrawnArtifact:
    """A figure or table as the registry has it."""

    entry: Artifact

    @property
    def name(self) -> str:
        """As files and links call it."""
        return self.entry.name

    def beside(self, reference: StudyResults | None) -> StudyResults | None:
        """What the paper reports of it; None for an artifact of ours, of which the paper misses nothing."""
        return reference if self.entry.in_paper else None


class FigureArtifact(DrawnArtifact):
    """A figure, drawn panel by panel."""

    @property
    def panels(self) -> tuple[DrawnPanel, ...]:
        """Its pairs of axes; stacked bars have one, in which the panels stand on each other."""
        if self.entry.kind == "stacked_bars":
            return (DrawnPanel(name=None),)
        return tuple(
            DrawnPanel(
                name=panel.name, heading=f"{panel.heading}, " if panel.heading else "", x_label=panel.x_label or ""
            )
            for panel in self.entry.panels
        )

    def write(self, study: StudyResults, reference: StudyResults | None, directory: Path) -> list[Path]:
        """Writes figureN.svg, .pdf and .csv under `directory`/figures; returns their paths."""
        from analysis.figures import style

        reference = self.beside(reference)
        title, words = (
            f"{self.entry.full_title}: {study.study}",
            f"{self.entry.caption} {describe(study.of(self.name))}{describe_foreign(self.foreign(study))}",
        )
        if reference:
            words += f" Beside it what the paper reports: {describe(reference.of(self.name))}"
        with style.house_look():
            picture = self.picture(study, reference)
            svg = style.svg_text(picture, title=title, description=words)
            pdf = style.pdf_bytes(picture, title=title)
        paths = [directory / "figures" / f"{self.name}{suffix}" for suffix in (".svg", ".pdf", ".csv")]
        for path, content in zip(paths, (svg.encode(), pdf), strict=False):
            with atomic_write(path, "wb") as file:
                file.write(content)
        rows = study.of(self.name) + (reference.of(self.name) if reference else [])
        write_csv(paths[-1], rows, self.foreign_records(study))
        return paths

    def foreign(self, study: StudyResults, panel: str | None = None) -> tuple[ForeignRow, ...]:
        """The study's foreign readers, where a panel has a place for them: readers side by side, or over passages, by
        their own metric's mean of the same tasks. With no panel named, where any has."""
        panels = [panel] if panel is not None else [each.name for each in self.panels]
        shown = [
            row for name in panels for row in study.foreign if _has_place(self.entry, study.of(self.name, name), row)
        ]
        return tuple({row.label: row for row in shown}.values())

    def foreign_records(self, study: StudyResults) -> list[dict[str, Any]]:
        """Rows of the CSV file for them: `status` says what they are."""
        records = []
        for panel in self.panels:
            for row in self.foreign(study, panel.name) if panel.name else ():
                first = study.of(self.name, panel.name)[0]
                x = row.k if first.point.x_name == "k" else None
                numbers = {"value_percent": row.value, "low_percent": row.interval[0], "high_percent": row.interval[1]}
                words = {"label": row.label, "status": FOREIGN, "source": LEGEND}
                place = {"artifact": self.name, "panel": panel.name, "x_name": first.point.x_name, "x": x}
                ids = {
                    "study": study.study,
                    "point": f"{FOREIGN}/{row.name}",
                    "series": row.label,
                    "k": row.k,
                    "m": row.m,
                }
                records.append(
                    ids | place | {"metric": first.point.measure.name, "n_tasks": len(row.tasks)} | numbers | words
                )
        return records

    def picture(self, study: StudyResults, reference: StudyResults | None) -> Picture:
        """All panels of a study, each with the paper's own panel to its right where `reference` is given."""
        from analysis.figures.style import GREY, new_figure

        notes = [missing_note(study.of(self.name)), f"{LEGEND}." if self.foreign(study) else ""]
        width = 104 if reference or len(self.panels) > 1 else 54
        lines = [line for note in notes for line in textwrap.wrap(note, width, break_on_hyphens=False)]
        rows, columns = (len(self.panels), 2) if reference else (1, len(self.panels))
        height = rows * CELL_HEIGHT + ((0.19 * len(lines) + 0.12) if lines else 0.0)
        figure = new_figure(columns * CELL_WIDTH, height)
        for index, panel in enumerate(self.panels):
            for offset, source in enumerate([study, reference] if reference else [study]):
                place = (index, offset) if reference else (0, index)
                self._draw(_cell_axes(figure, place, columns, height), panel, source)
        if lines:
            figure.text(0.02, 0.06 / height, "\n".join(lines), fontsize=8, color=GREY, va="bottom", linespacing=1.4)
        return figure

    def cell(self, panel: DrawnPanel, source: StudyResults) -> Picture:
        """One panel from one source as a picture of its own (the report lays these out by the width at hand)."""
        from analysis.figures.style import new_figure

        figure = new_figure(CELL_WIDTH, CELL_HEIGHT)
        self._draw(_cell_axes(figure, (0, 0), 1, CELL_HEIGHT), panel, source)
        return figure

    def _draw(self, axes: Axes, panel: DrawnPanel, source: StudyResults) -> None:
        """Draws one panel from one source with its heading, axis labels and legend."""
        from analysis.figures.marks import draw_foreign, say
        from analysis.figures.style import set_heading

        results = source.of(self.name, panel.name)
        axes.set_xlabel(panel.x_label)
        if results:
            drawing_of(self.entry)(axes, results)
            draw_foreign(axes, results, self.foreign(source, panel.name))
        if not any(result.value is not None for result in results):
            say(axes, "no results yet" if results else "not part of this study")
        set_heading(axes, f"{panel.heading}{heading_of(source, results)}")


def drawing_of(entry: Artifact) -> Callable[[Axes, Sequence[PointResult]], None]:
    """What draws a panel of this artifact: `draw` of the module of its name if there is one, else of its kind."""
    own = f"analysis.figures.{entry.name}"
    return importlib.import_module(own if importlib.util.find_spec(own) else f"analysis.figures.{entry.kind}").draw


def _has_place(entry: Artifact, results: Sequence[PointResult], row: ForeignRow) -> bool:
    measures = {(r.point.measure.kind, r.point.measure.score, len(r.point.terms)) for r in results}
    counts = {result.n_tasks for result in results if result.n_tasks}
    by_readers = entry.kind == "bars" or (entry.kind == "lines" and results and results[0].point.x_name == "k")
    return bool(by_readers) and measures == {("average", HEADLINE_SCORE, 1)} and counts <= {len(row.tasks)}


def _cell_axes(figure: Picture, place: tuple[int, int], columns: int, height: float) -> Axes:
    """Axes of cell (row, column), rows from the top; margins are fixed inches, so that all pictures line up."""
    left, right, bottom, top = 0.68, 0.16, 0.52, 0.50
    width = columns * CELL_WIDTH
    x = place[1] * CELL_WIDTH + left
    y = height - (place[0] + 1) * CELL_HEIGHT + bottom
    inner = (CELL_WIDTH - left - right, CELL_HEIGHT - bottom - top)
    return figure.add_axes((x / width, y / height, inner[0] / width, inner[1] / height))


def heading_of(study: StudyResults, results: Sequence[PointResult]) -> str:
    """`paper (reported)`, `NAME (measured)`, or `NAME (counted)` of speeds, which come from operation counts."""
    if study.study == PAPER:
        return PAPER_HEADING
    counted = bool(results) and all(result.point.measure.kind == "speed" for result in results)
    return f"{study.study} ({'counted' if counted else 'measured'})"


def y_label(results: Sequence[PointResult]) -> str:
    """What the vertical axis shows, with its unit and the number of tasks averaged."""
    tasks = {str(result.n_tasks) for result in results if result.n_tasks}
    return results[0].point.measure.label.format(tasks=" or ".join(sorted(tasks)) or "the")


def value_text(result: PointResult, decimals: int = 1) -> str:
    """The value as printed: percent with its unit, samples per TFLOP with three digits, or `missing`."""
    if result.value is None:
        return "missing"
    if result.point.measure.unit != "percent":
        return f"{speed_text(result.value)} {result.point.measure.unit}"
    interval = f" ({result.low:z.{decimals}f} to {result.high:z.{decimals}f})" if result.low is not None else ""
    return f"{result.value:z.{decimals}f} %{interval}"


def speed_text(value: float) -> str:
    """Samples per TFLOP with about three digits: 0.0927, 44.7, 4,167."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def describe(results: Sequence[PointResult]) -> str:
    """The points in words, for alternative texts."""
    groups: dict[tuple[str, str], list[str]] = {}
    for result in results:
        text = f"{result.at}: {value_text(result)}" if result.at and not result.point.level else value_text(result)
        groups.setdefault((result.point.panel, result.label), []).append(text)
    sentences = (f"{label}: {'; '.join(dict.fromkeys(texts))}" for (_, label), texts in groups.items())
    return ". ".join(sentences) + "." if groups else "No points."


def describe_foreign(rows: Sequence[ForeignRow]) -> str:
    """Foreign readers in words, with what they are; empty without any."""
    texts = (f"{row.label}: {row.value:.1f} % ({row.interval[0]:z.1f} to {row.interval[1]:z.1f})" for row in rows)
    return f" {'; '.join(texts)}. {LEGEND}." if rows else ""


def missing_note(results: Sequence[PointResult]) -> str:
    """One line that lists the missing points by series; empty if there are none."""
    absent = [result for result in results if result.value is None]
    if not absent:
        return ""
    groups: dict[tuple[str, str], list[str]] = {}
    for result in sorted(absent, key=lambda r: r.x or 0):
        name, symbol, x = result.label, *(("", "") if result.point.level or not result.at else result.at.split(" = "))
        groups.setdefault((name, symbol), []).append(x)
    names = [f"{name} ({symbol} = {', '.join(xs)})" if symbol else name for (name, symbol), xs in groups.items()]
    return f"Missing, {len(absent)} of {len(results)} points (✕ on the axis): {'; '.join(names)}."


def write_csv(path: Path, results: Iterable[PointResult], foreign: Iterable[Mapping[str, Any]] = ()) -> None:
    """Writes a row a point as CSV, then one a foreign reader: full precision, empty where there is no value."""
    columns = PointResult(study="", point=load_registry().points()[0]).row()
    with atomic_write(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(map(_cell, result.row().values()) for result in results)
        writer.writerows([_cell(record.get(column)) for column in columns] for record in foreign)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
