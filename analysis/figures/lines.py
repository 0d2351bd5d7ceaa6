"""Line figures: readers over passages or proportions, between the levels of those that read a fixed number."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes

from analysis.figures.artifact import y_label
from analysis.figures.marks import by_series, curves
from analysis.figures.style import ORANGE, PURPLE, READERS, Look
from glimmer.results import PointResult
from glimmer.results.points import number

DASHED, DOTTED = (0, (5, 2)), (0, (1.5, 1.5))
# A second curve of one reader: set apart by colour, marker and line, or hollow.
SECOND = {"glimmer": Look(color=ORANGE, marker="D", line=(0, (6, 1.5)))}
# Where every point's own tick would hide its neighbour's.
TICKS = {"alpha": (0, 1 / 8, 1 / 3, 1 / 2, 3 / 4, 1)}


def looks_of(results: Sequence[PointResult]) -> dict[str, Look]:
    """Series -> its look: the n-th curve or level of a reader takes its n-th look."""
    looks, seen = {}, Counter()
    for series, members in by_series(results).items():
        # LUMEN whose every layer is live is FiD: a series is of the reader that most of its points are.
        key = statistics.mode(result.point.reader.name for result in members), members[0].point.level
        looks[series] = _look(*key, is_first=seen[key] % 2 == 0)
        seen[key] += 1
    return looks


def draw(axes: Axes, results: Sequence[PointResult]) -> None:
    """All series of a panel."""
    curves(axes, results, looks_of(results))
    axes.set_ylabel(y_label(results))
    ticks = sorted({result.x for result in results})
    if results[0].point.x_name in ("k", "m"):
        axes.set_xticks(ticks)
        axes.set_xlim(left=0)
        return
    ticks = TICKS.get(results[0].point.x_name, ticks)
    axes.set_xticks(ticks, [number(x) for x in ticks])
    axes.margins(x=0.05)


def _look(reader: str, is_level: bool, is_first: bool) -> Look:
    own = READERS[reader]
    if is_level:
        return (
            dataclasses.replace(own, line=DASHED) if is_first else dataclasses.replace(own, color=PURPLE, line=DOTTED)
        )
    return own if is_first else SECOND.get(reader, dataclasses.replace(own, line=(0, (4, 2)), hollow=True))
