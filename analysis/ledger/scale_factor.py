"""Two ways to compare a study's effects with the paper's, whose scores lie closer together than a study's may.
Both use what forty passages instead of five gain LUMEN (Figure 3).

A share: an effect over that gain, in the same study; the paper's over the paper's. It needs nothing else.

A factor: how many points of a study stand for one of the paper's, for what is said in points of the paper, such as
"nearly" or the size of an effect. It is the lower end of the study's interval of that gain over the paper's, and never
below one: the smaller it is, the harder "nearly" is to show, and the easier to refute. It carries a gain of retrieving
more to effects of other mechanisms, so verdicts under other factors are shown beside those under this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.ledger.bootstrap import JointBootstrap, NotPaired
from analysis.ledger.language import Linear, Requirement
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


def share_of_gap(required: Requirement, bootstrap: JointBootstrap, paper: Mapping[str, float]) -> dict[str, Any] | None:
    """{"value", "interval", "paper"} of an effect as a share of the gap; `paper` is None where it reports no points.

    None where the study did not measure the gap or it may be 0, or where the effect is not one of the same measure.
    """
    planned = bootstrap.results.planned
    ids = [*required.points, MANY, FEW]
    measures = {planned[id].measure.name for id in ids if id in planned}
    if not isinstance(required, Linear) or not {MANY, FEW} <= planned.keys() or len(measures) > 1:
        return None
    try:
        sample, gap = bootstrap.sample(ids), bootstrap.difference(MANY, FEW)
    except NotPaired:
        return None
    if gap.low <= 0:
        return None
    draws = _shown(required, sample.replicates) / (sample.replicates[MANY] - sample.replicates[FEW])
    value = _shown(required, sample.values) / (sample.values[MANY] - sample.values[FEW])
    known = {*ids} <= paper.keys()
    papers = float(_shown(required, paper) / (paper[MANY] - paper[FEW])) if known else None
    low, high = sample.chance(draws).interval
    return {
        "value": round(float(value), 4),
        "interval": [round(low, 4), round(high, 4)],
        "paper": None if papers is None else round(papers, 4),
    }


def _shown(required: Linear, values: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(required.shown(required.effect(values)), dtype=float)
