"""One point less another with the interval of the difference: what levels and their intervals do not tell."""

from __future__ import annotations

import dataclasses

from analysis.ledger.bootstrap import JointBootstrap, NotPaired
from glimmer.results import PAPER, PointResult, StudyResults

_DIGITS = 6  # as claims.json has them, so that both are rounded alike where a person reads them


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """One point less another, in points; `low` and `high` where examples or replicates are paired."""

    result: PointResult
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def is_clear(self) -> bool:
        """Whether it has a sign: reported numbers have one, measured ones where their interval leaves out 0."""
        return self.low is None or self.high is None or not self.low <= 0 <= self.high

    @property
    def text(self) -> str:
        """`2.7 points below (26.2 below to 20.9 above)`, without the interval where there is none."""
        amount = f"{abs(self.value):.1f} points {_side(self.value)}"
        if self.low is None or self.high is None:
            return amount
        if self.is_clear:
            return f"{amount} ({' to '.join(f'{end:.1f}' for end in sorted((abs(self.low), abs(self.high))))})"
        return f"{amount} ({abs(self.low):.1f} below to {abs(self.high):.1f} above)"


def _side(value: float) -> str:
    return "below" if value < 0 else "above"


def pairing(study: StudyResults) -> JointBootstrap | None:
    """What pairs the points of a study; None for the paper's, which gives no scores by example."""
    return None if study.study == PAPER else JointBootstrap(results=study)


def difference(result: PointResult, base: PointResult, bootstrap: JointBootstrap | None) -> Difference:
    """One point less another, both with values; its interval where `bootstrap` can pair examples or replicates.

    Paired, the value is of the draws that both have, as the interval is: a level may be of more of them.
    """
    if bootstrap is not None:
        try:
            paired = bootstrap.difference(result.id, base.id)
        except NotPaired:
            pass
        else:
            value, low, high = (round(one, _DIGITS) for one in (paired.mean, paired.low, paired.high))
            return Difference(result=result, value=value, low=low, high=high)
    return Difference(result=result, value=round(result.value - base.value, _DIGITS))
