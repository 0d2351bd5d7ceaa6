"""How many points of a study stand for one of the paper's, where its scores lie further apart.

The paper's scores differ by a few points, a study's may differ by tens. What is said in points of the paper, such as
"nearly" or the size of an effect, is therefore taken times a factor, from what both measured of one thing: what reading
forty passages instead of five gains LUMEN (Figure 3). The factor is the lower end of the study's interval over the
paper's gain, and never below one, so that an uncertain gain makes claims harder to decide and not easier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from analysis.ledger.bootstrap import JointBootstrap, NotPaired
from glimmer.evaluation.intervals import Interval

MANY, FEW = "figure3/retrieved/LUMEN-40/k=40", "figure3/retrieved/LUMEN-5/k=40"
WHAT = "what forty passages instead of five gain LUMEN (Figure 3)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleFactor:
    """`factor` points here for one of the paper's; `gain` and `papers_gain` are what it comes from, None if unknown."""

    factor: float = 1.0
    papers_gain: float | None = None
    gain: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """For claims.json."""
        document = {"factor": round(self.factor, 6), "of": WHAT}
        if self.gain is None:
            return document | {"note": "not measured here: points count as the paper's"}
        gain, low, high = (round(value, 6) for value in (self.gain.mean, self.gain.low, self.gain.high))
        return document | {"paper": round(self.papers_gain or 0.0, 6), "here": gain, "interval": [low, high]}


def scale_factor(bootstrap: JointBootstrap, paper: Mapping[str, float]) -> ScaleFactor:
    """The factor of a study, from values reported by point id; one where either lacks the two points."""
    if not {MANY, FEW} <= paper.keys() & bootstrap.results.planned.keys():
        return ScaleFactor()
    try:
        gain = bootstrap.difference(MANY, FEW)
    except NotPaired:
        return ScaleFactor()
    papers_gain = paper[MANY] - paper[FEW]
    return ScaleFactor(factor=max(1.0, gain.low / papers_gain), papers_gain=papers_gain, gain=gain)
