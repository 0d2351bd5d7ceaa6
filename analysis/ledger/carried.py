"""How far a point of the paper reaches in a study whose scores lie further apart.

The paper's scores differ by a few points, a study's may differ by tens. What is said in points of the paper, such as
"nearly" or the size of an effect, is therefore carried over by what both measured of one thing: what reading forty
passages instead of five gains LUMEN (Figure 3). The factor is the lower end of the study's interval over the paper's
gain, and never below one, so that an uncertain gain makes claims harder to decide and not easier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.ledger.replicates import JointBootstrap, NotPaired
from analysis.ledger.verdicts import CONFIDENCE

MANY, FEW = "figure3/retrieved/LUMEN-40/k=40", "figure3/retrieved/LUMEN-5/k=40"
WHAT = "what forty passages instead of five gain LUMEN (Figure 3)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """`factor` points here for one of the paper's. `here`: the study's gain and its interval, None if not measured."""

    factor: float = 1.0
    paper: float | None = None
    here: tuple[float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """For claims.json."""
        found: dict[str, Any] = {"factor": round(self.factor, 6), "of": WHAT}
        if self.here is None:
            return found | {"note": "not measured here: points count as the paper's"}
        gain, low, high = (round(value, 6) for value in self.here)
        return found | {"paper": round(self.paper or 0.0, 6), "here": gain, "interval": [low, high]}


def scale(bootstrap: JointBootstrap, paper: Mapping[str, float]) -> Scale:
    """The scale of a study, from values reported by point id; one where either lacks the two points."""
    if not {MANY, FEW} <= paper.keys() or not {MANY, FEW} <= bootstrap.points.keys():
        return Scale()
    try:
        sample = bootstrap.sample([MANY, FEW])
    except NotPaired:
        return Scale()
    low, high = np.quantile(
        sample.replicates[MANY] - sample.replicates[FEW], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    )
    gain, of_paper = sample.values[MANY] - sample.values[FEW], paper[MANY] - paper[FEW]
    return Scale(factor=max(1.0, float(low) / of_paper), paper=of_paper, here=(gain, float(low), float(high)))
