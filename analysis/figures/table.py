"""Tables: rows of a study beside the paper's, as Markdown, LaTeX and CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from analysis.differences import difference, pairing
from analysis.figures.artifact import DrawnArtifact, write_csv
from analysis.ledger.bootstrap import JointBootstrap
from glimmer.files import atomic_write
from glimmer.markup import markdown_table, tex_table, tex_text
from glimmer.results import PAPER, PointResult, StudyResults


class TableArtifact(DrawnArtifact):
    """A table, written row by row."""

    def write(self, study: StudyResults, reference: StudyResults | None, directory: Path) -> list[Path]:
        """Writes tableN.md, .tex and .csv under `directory`/tables; returns their paths."""
        reference = self.beside(reference)
        heads, rows = self.cells(study, reference)
        paths = [directory / "tables" / f"{self.name}{suffix}" for suffix in (".md", ".tex", ".csv")]
        title = f"**{self.entry.full_title}: {study.study}.** {self.entry.caption}\n\n"
        notes = "".join(f"\n{note}\n" for note in self.notes(study))
        for path, text in zip(
            paths, (title + markdown(heads, rows) + notes, self._latex(heads, rows, study)), strict=False
        ):
            with atomic_write(path) as file:
                file.write(text)
        write_csv(paths[-1], study.of(self.name) + (reference.of(self.name) if reference else []))
        return paths

    def cells(self, study: StudyResults, reference: StudyResults | None) -> tuple[list[str], list[list[str]]]:
        """(column heads, rows of text). Differences are to the first row, of the same source, in percentage points; in
        brackets their own 95 % interval, over the same examples or replicates."""
        rows = [[result.label] for result in study.of(self.name)]
        heads = [self.entry.rows or "Series"]
        for source in [study, reference] if reference else [study]:
            name = "paper, reported" if source.study == PAPER else source.study
            heads += [f"{name} (percent)"] + (["95 % interval (percent)"] if source.study != PAPER else [])
            heads += [f"{name}: difference (points)"]
            paired = pairing(source)
            by_series = {result.point.series: result for result in source.of(self.name)}
            first = next(iter(by_series.values()), None)
            for row, series in zip(rows, (result.point.series for result in study.of(self.name)), strict=True):
                result = by_series.get(series)
                row += ["missing" if result is None or result.value is None else f"{result.value:.1f}"]
                row += [interval_text(result)] if source.study != PAPER else []
                row += [_difference(result, first, paired)]
        return heads, rows

    def _latex(self, heads: list[str], rows: list[list[str]], study: StudyResults) -> str:
        notes = "".join(f" {tex_text(note)}" for note in self.notes(study))
        return "\n".join(
            [
                r"\begin{table}",
                r"  \centering",
                textwrap.indent(tex_table(heads, rows, "l" + "r" * (len(heads) - 1)), "  ").rstrip("\n"),
                f"  \\caption{{{tex_text(self.entry.full_title)}. {tex_text(self.entry.caption)}{notes}}}",
                f"  \\label{{tab:{self.name}-{study.study}}}",
                "\\end{table}\n",
            ]
        )

    def notes(self, study: StudyResults) -> list[str]:
        """What has to be said below the table: how intervals were found, and what is missing."""
        results = study.of(self.name)
        kinds = sorted({r.interval_kind for r in results if r.interval_kind})
        tasks = sorted({r.n_tasks for r in results if r.n_tasks})
        notes = [f"Mean over {' or '.join(map(str, tasks))} dev tasks."] if tasks else []
        notes += [f"Intervals: {'; '.join(kinds)}; of differences, paired."] if kinds else []
        notes += [] if results else ["Not part of this study."]
        absent = [r.label for r in results if r.value is None]
        return notes + ([f"Missing, {len(absent)} of {len(results)} rows: {'; '.join(absent)}."] if absent else [])


def interval_text(result: PointResult | None) -> str:
    """`60.1 to 64.3`, or a dash without an interval."""
    return "–" if result is None or result.low is None else f"{result.low:z.1f} to {result.high:z.1f}"


def _difference(result: PointResult | None, first: PointResult | None, paired: JointBootstrap | None) -> str:
    if result is None or result is first or result.value is None or first is None or first.value is None:
        return "–"
    found = difference(result, first, paired)
    interval = "" if found.low is None else f" ({found.low:+z.1f} to {found.high:+z.1f})"
    return f"{found.value:+z.1f}{interval}"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table whose first `left` columns are text, the others numbers."""
    return markdown_table(heads, rows, "l" * left + "r" * (len(heads) - left))
