"""What the paper reports: the numbers of results/paper/points.csv, as they are spelled."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

from glimmer.errors import InputError
from glimmer.experiments.documents import repository_path
from glimmer.files import existing


@dataclasses.dataclass(frozen=True)
class PaperValue:
    """One reported number as it is spelled: `percent` or `samples_per_tflop`, the other one empty."""

    point: str
    percent: str
    samples_per_tflop: str
    source: str  # "vector": a plot's own coordinates; "printed": a table's cell

    @property
    def text(self) -> str:
        """The number as the paper spells it."""
        return self.percent or self.samples_per_tflop

    @property
    def value(self) -> float:
        """The number in the unit of its point's measure (percent or 1/TFLOP)."""
        return float(self.text)

    @property
    def decimals(self) -> int:
        """How many digits stand after the point: half a unit of the last one is the rounding error."""
        return len(self.text.partition(".")[2])


def paper_values(path: str | Path | None = None) -> dict[str, PaperValue]:
    """What the paper reports, by point id, from results/paper/points.csv.

    Raises InputError for a file of other columns, or with a point given twice.
    """
    path = existing(path or repository_path("results/paper/points.csv"))
    columns = [field.name for field in dataclasses.fields(PaperValue)]
    values: dict[str, PaperValue] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for number, cells in enumerate(csv.reader(file), start=1):
            if len(cells) != len(columns) or (number == 1 and cells != columns):
                expected = f"the columns {', '.join(columns)}"
                raise InputError("not a reported point", where=f"{path}:{number}", expected=expected, found=cells)
            if number > 1:
                value = PaperValue(*cells)
                if value.point in values:
                    raise InputError("point given twice", where=f"{path}:{number}", found=value.point)
                values[value.point] = value
    return values
