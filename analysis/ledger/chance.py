"""What an effect's draws say of it: an interval, and p values against a bound on either side.

Two units. Within one draw of a study, bootstrap replicates over examples and seeds: percentiles, and shares of them.
Over R replicates of a study (world, checkpoint, retriever and fine-tuning drawn anew), one paired effect each:
Student's t with R - 1 degrees of freedom, mean +- t s / sqrt(R).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import numpy as np

from glimmer.evaluation.intervals import quantiles, student_quantile, student_share

CONFIDENCE = 0.95
_SLACK = 1e-9  # of floating point, not a tolerance


class Chance(Protocol):
    """What is known of an effect beyond its mean."""

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""

    def p_above(self, bound: float = 0.0) -> float:
        """One-sided p of "the effect is not above the bound"."""

    def p_below(self, bound: float = 0.0) -> float:
        """One-sided p of "the effect is not below the bound"."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resampled:
    """Bootstrap replicates [resamples] of an effect; p is (1 + replicates on the other side) / (1 + replicates)."""

    draws: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        low, high = quantiles(self.draws, CONFIDENCE)
        return float(low), float(high)

    def p_above(self, bound: float = 0.0) -> float:
        return (1 + int((self.draws <= bound + _SLACK).sum())) / (1 + len(self.draws))

    def p_below(self, bound: float = 0.0) -> float:
        return (1 + int((self.draws >= bound - _SLACK).sum())) / (1 + len(self.draws))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replicated:
    """The effect in each of R >= 2 replicates, [R]."""

    draws: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        return self._around(1 / len(self.draws))

    @property
    def prediction(self) -> tuple[float, float]:
        """The 95 % interval of one further replicate's effect: mean +- t s sqrt(1 + 1/R), s their standard deviation.

        The further draw varies, and so does the mean. Effects are taken as normal: G. J. Hahn, "Factors for calculating
        two-sided prediction intervals for samples from a normal distribution", JASA 64 (1969), one further observation.
        """
        return self._around(1 + 1 / len(self.draws))

    def predicts(self, effect: float, confidence: float = CONFIDENCE) -> bool:
        """Whether a further replicate's effect lies in the prediction interval."""
        low, high = self._around(1 + 1 / len(self.draws), confidence)
        return low - _SLACK <= effect <= high + _SLACK

    def p_above(self, bound: float = 0.0) -> float:
        return student_share(self._freedom, -self._t(bound))

    def p_below(self, bound: float = 0.0) -> float:
        return student_share(self._freedom, self._t(bound))

    @property
    def _freedom(self) -> int:
        return len(self.draws) - 1

    def _around(self, share: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """The mean +- t sqrt(share s^2)."""
        width = student_quantile(self._freedom, (1 + confidence) / 2) * self._deviation * math.sqrt(share)
        return float(self.draws.mean()) - width, float(self.draws.mean()) + width

    @property
    def _deviation(self) -> float:
        return float(self.draws.std(ddof=1))

    @property
    def _error(self) -> float:
        return self._deviation / math.sqrt(len(self.draws))

    def _t(self, bound: float) -> float:
        distance = float(self.draws.mean()) - bound
        if self._error > _SLACK:
            return distance / self._error
        return 0.0 if abs(distance) <= _SLACK else math.copysign(math.inf, distance)
