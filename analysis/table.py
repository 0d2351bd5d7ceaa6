"""What the tables share: rows of a study beside the paper's, as Markdown, LaTeX and CSV."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from analysis.artifact import write_csv
from analysis.points import COLUMNS, PAPER, Point, StudyPoints, row
from glimmer.files import atomic_write

_TEX = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "λ": r"$\lambda$",
    "τ": r"$\tau$",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableArtifact:
    """A table of the paper: title and caption in our words, and the head of its first column."""

    name: str
    title: str
    caption: str
    first_column: str

    def write(self, study: StudyPoints, reference: StudyPoints | None, directory: Path) -> list[Path]:
        """Writes tableN.md, .tex and .csv under `directory`/tables; returns their paths."""
        base = directory / "tables" / self.name
        head, cells = self.cells(study, reference)
        for suffix, text in ((".md", self._markdown(head, cells, study)), (".tex", self._latex(head, cells, study))):
            with atomic_write(base.with_suffix(suffix)) as file:
                file.write(text)
        shown = study.of(self.name) + (reference.of(self.name) if reference else [])
        write_csv(base.with_suffix(".csv"), [row(point) for point in shown], COLUMNS)
        return [base.with_suffix(suffix) for suffix in (".md", ".tex", ".csv")]

    def cells(self, study: StudyPoints, reference: StudyPoints | None) -> tuple[list[str], list[list[str]]]:
        """(column heads, rows of text). Differences are to the first row, of the same source, in percentage points."""
        sources = [study] + ([reference] if reference else [])
        head = [self.first_column]
        for source in sources:
            name = "paper, reported" if source.study == PAPER else source.study
            head += [f"{name} (percent)"]
            head += [] if source.study == PAPER else ["95 % interval (percent)"]
            head += [f"{name}: difference (points)"]
        return head, [_row_cells(study, reference, self.name, index) for index in range(len(study.of(self.name)))]

    def _markdown(self, head: list[str], cells: list[list[str]], study: StudyPoints) -> str:
        lines = [f"**{self.title}: {study.study}.** {self.caption}", "", _md(head)]
        lines += ["|" + "|".join([":--"] + ["--:"] * (len(head) - 1)) + "|"] + [_md(row) for row in cells]
        return "\n".join(lines) + "\n" + "".join(f"\n{note}\n" for note in self.notes(study))

    def _latex(self, head: list[str], cells: list[list[str]], study: StudyPoints) -> str:
        lines = [
            r"\begin{table}",
            r"  \centering",
            "  \\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
            r"    \toprule",
        ]
        lines += [f"    {_tex_row(head)}", r"    \midrule"] + [f"    {_tex_row(row)}" for row in cells]
        notes = "".join(f" {_tex(note)}" for note in self.notes(study))
        lines += [
            r"    \bottomrule",
            r"  \end{tabular}",
            f"  \\caption{{{_tex(self.title)}. {_tex(self.caption)}{notes}}}",
        ]
        lines += [f"  \\label{{tab:{self.name}-{study.study}}}", r"\end{table}"]
        return "\n".join(lines) + "\n"

    def notes(self, study: StudyPoints) -> list[str]:
        """What has to be said below the table: how intervals were found, and what is missing."""
        points = study.of(self.name)
        kinds = sorted({p.interval_kind for p in points if p.interval_kind})
        tasks = sorted({p.n_tasks for p in points if p.n_tasks})
        notes = [f"Mean over {' or '.join(map(str, tasks))} dev tasks."] if tasks else []
        notes += [f"Intervals: {'; '.join(kinds)}."] if kinds else []
        if not points:
            notes.append("Not part of this study.")
        absent = [p.label for p in points if p.value is None]
        return notes + ([f"Missing, {len(absent)} of {len(points)} rows: {'; '.join(absent)}."] if absent else [])


def _row_cells(study: StudyPoints, reference: StudyPoints | None, artifact: str, index: int) -> list[str]:
    points = study.of(artifact)
    point = points[index]
    cells = [point.label]
    for source in [study] + ([reference] if reference else []):
        first = source.of(artifact)[0] if source.of(artifact) else None
        same = next((p for p in source.of(artifact) if p.series == point.series), None)
        cells.append("missing" if same is None or same.value is None else f"{same.value:.1f}")
        if source.study != PAPER:
            cells.append(interval_text(same))
        cells.append(_difference(same, first))
    return cells


def interval_text(point: Point | None) -> str:
    """`60.1 to 64.3`, or a dash without an interval."""
    return "–" if point is None or point.low is None else f"{point.low:.1f} to {point.high:.1f}"


def _difference(point: Point | None, first: Point | None) -> str:
    if point is None or first is None or point is first or point.value is None or first.value is None:
        return "–"
    return f"{point.value - first.value:+z.1f}"


def _md(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _tex_row(cells: list[str]) -> str:
    return " & ".join(_tex(cell) for cell in cells) + r" \\"


def _tex(text: str) -> str:
    text = "".join(_TEX.get(char, char) for char in text)
    return text.replace("–", "--")
