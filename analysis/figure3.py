"""Figure 3: GLIMMER's quality over retrieved and over selected passages, between LUMEN's levels."""

from __future__ import annotations

import sys

from analysis import artifact
from analysis.curves import curves
from analysis.points import Point
from analysis.style import PURPLE, READERS, Look

LUMEN_MANY = Look(color=READERS["lumen"].color, marker="s", line=(0, (5, 2)))
LUMEN_FEW = Look(color=PURPLE, marker="s", line=(0, (1.5, 1.5)))


def draw(axes, points: list[Point]) -> None:
    """GLIMMER's curve over passages; LUMEN reads a fixed number of passages, so that it is a level."""
    levels = {point.series: point.k for point in points if point.level}

    def look_of(series: str) -> Look:
        if series not in levels:
            return READERS["glimmer"]
        return LUMEN_FEW if levels[series] < max(levels.values()) else LUMEN_MANY

    curves(axes, points, look_of)
    axes.set_ylabel(artifact.y_label(points))
    axes.set_xticks(sorted({p.x for p in points}))
    axes.set_xlim(left=0)


FIGURE = artifact.FigureArtifact(
    name="figure3",
    title="Figure 3: passages retrieved and passages kept",
    caption="Dev average of GLIMMER over the number of passages retrieved and over the number kept after reranking.",
    panels=(
        artifact.Panel(name="retrieved", heading="Retrieved, ", x_label="passages retrieved (k)", draw=draw),
        artifact.Panel(name="selected", heading="Kept, ", x_label="passages kept after reranking (m)", draw=draw),
    ),
)

if __name__ == "__main__":
    sys.exit(artifact.main(FIGURE))
