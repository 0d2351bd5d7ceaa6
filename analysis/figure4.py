"""Figure 4: GLIMMER's quality over the rerank proportion beta."""

from __future__ import annotations

import sys

from analysis import artifact
from analysis.curves import curves
from analysis.points import Point, number
from analysis.style import READERS, Look

LUMEN_LEVEL = Look(color=READERS["lumen"].color, marker="s", line=(0, (5, 2)))


def draw(axes, points: list[Point]) -> None:
    """GLIMMER over beta under the level of LUMEN that reads all k passages."""
    curves(axes, points, lambda series: LUMEN_LEVEL if series.startswith("LUMEN") else READERS["glimmer"])
    axes.set_ylabel(artifact.y_label(points))
    ticks = sorted({p.x for p in points})
    axes.set_xticks(ticks, [number(x) for x in ticks])
    axes.margins(x=0.05)


FIGURE = artifact.FigureArtifact(
    name="figure4",
    title="Figure 4: rerank proportion",
    caption="Dev average of GLIMMER over the rerank proportion beta, the share of live layers that score passages.",
    panels=(artifact.Panel(name="beta", heading="", x_label="rerank proportion β", draw=draw),),
)

if __name__ == "__main__":
    sys.exit(artifact.main(FIGURE))
