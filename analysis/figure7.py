"""Figure 7: LUMEN over the live proportion alpha, trained on all tasks or on Natural Questions alone."""

from __future__ import annotations

import sys

from analysis import artifact
from analysis.curves import curves
from analysis.points import Point
from analysis.style import BLUE, Look

ALL_TASKS = Look(color=BLUE, marker="s")
NQ_ONLY = Look(color=BLUE, marker="s", line=(0, (4, 2)), hollow=True)
TICKS = {0: "0", 1 / 8: "1/8", 1 / 3: "1/3", 1 / 2: "1/2", 3 / 4: "3/4", 1: "1"}


def draw(axes, points: list[Point]) -> None:
    """Two curves over alpha: filled markers for all tasks, hollow ones for NQ only."""
    curves(axes, points, lambda series: ALL_TASKS if series == "KILT" else NQ_ONLY)
    axes.set_ylabel(artifact.y_label(points))
    axes.set_xticks(list(TICKS), list(TICKS.values()))
    axes.margins(x=0.05)


FIGURE = artifact.FigureArtifact(
    name="figure7",
    title="Figure 7: live proportion",
    caption="Exact match on Natural Questions of LUMEN over the live proportion alpha, by what it was trained on.",
    panels=(artifact.Panel(name="alpha", heading="", x_label="live proportion α", draw=draw),),
)

if __name__ == "__main__":
    sys.exit(artifact.main(FIGURE))
