"""Figure 5: passages kept out of many retrieved, for two depths of reranking."""

from __future__ import annotations

import sys

from analysis import artifact
from analysis.curves import by_series, curves
from analysis.points import Point
from analysis.style import GREEN, ORANGE, Look

# Both series are GLIMMER: the shallower reranker keeps its colour and marker, the deeper one is set apart by both.
LOOKS = (Look(color=GREEN, marker="o"), Look(color=ORANGE, marker="D", line=(0, (6, 1.5))))


def draw(axes, points: list[Point]) -> None:
    """One curve a number of rerank layers."""
    names = list(by_series(points))
    curves(axes, points, lambda series: LOOKS[names.index(series) % 2])
    axes.set_ylabel(artifact.y_label(points))
    axes.set_xticks(sorted({p.x for p in points}))
    axes.set_xlim(left=0)


FIGURE = artifact.FigureArtifact(
    name="figure5",
    title="Figure 5: passages kept, by rerank layers",
    caption="Dev average of GLIMMER over passages kept out of the largest number retrieved, for two rerank depths.",
    panels=(artifact.Panel(name="selected", heading="", x_label="passages kept after reranking (m)", draw=draw),),
)

if __name__ == "__main__":
    sys.exit(artifact.main(FIGURE))
