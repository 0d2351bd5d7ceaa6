"""How many dev examples the main comparisons need, from the spread that runs show.

With d[s, e] the paired difference of two readers at seed s and example e of one of T tasks (percent), shifts a of a
seed (of the average over tasks), b of an example and c of both,

    d[s, e] = delta + a[s] + b[e] + c[s, e],      SE^2 = var(a)/S + mean over tasks of (var(b)/n + var(c)/(S n)) / T

for S seeds and n examples of a task; seeds and examples are crossed. The variances are estimated from mean squares;
negative estimates count as 0. Only the seed of fine-tuning varies: checkpoint, retriever and data are one draw.

A difference is resolved if its 95 % interval is narrower than the effect that the paper reports, carried over as claims
do (analysis/ledger/scale_factor.py): such an interval excludes either zero or that effect. Its half-width is
sqrt(t^2 var(a)/S + 1.96^2 (the rest)), t being Student's for S - 1 degrees of freedom: few seeds know var(a) badly.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit

from analysis.figures.table import markdown
from analysis.ledger.bootstrap import JointBootstrap
from analysis.ledger.scale_factor import scale_factor
from glimmer.results import StudyResults

NORMAL = 1.96
NEARLY = 0.5  # points of the paper to either side: what claims of "nearly" ask for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrast:
    """A comparison that a main claim rests on: `better` less `worse`, both ids of points."""

    name: str
    better: str
    worse: str


_FIGURE7 = "figure7/alpha"
CONTRASTS = (
    Contrast(name="GLIMMER above LUMEN", better="figure2/performance/GLIMMER", worse="figure2/performance/LUMEN"),
    Contrast(name="LUMEN above FiD", better="figure2/performance/LUMEN", worse="figure2/performance/FiD"),
    Contrast(name="k: 25 above 5", better="figure3/retrieved/GLIMMER/k=25", worse="figure3/retrieved/GLIMMER/k=5"),
    Contrast(name="m: 5 above 1", better="figure3/selected/GLIMMER/m=5", worse="figure3/selected/GLIMMER/m=1"),
    Contrast(name="beta: 1/4 above 1/8", better="figure4/beta/GLIMMER/beta=1/4", worse="figure4/beta/GLIMMER/beta=1/8"),
    Contrast(name="alpha: 1/3 above 0", better=f"{_FIGURE7}/KILT/alpha=1/3", worse=f"{_FIGURE7}/KILT/alpha=0"),
    Contrast(
        name="multi-task above NQ only", better=f"{_FIGURE7}/KILT/alpha=1/3", worse=f"{_FIGURE7}/NQ-only/alpha=1/3"
    ),
    Contrast(name="memory trained above frozen", better="table2/GLIMMER", worse="table2/Frozen memory"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """Variance of a paired difference (percent^2): between seeds; of each task, between examples and what is left."""

    seeds: float
    examples: tuple[float, ...]
    rest: tuple[float, ...]

    def standard_error(self, examples: int | Sequence[int], seeds: int) -> float:
        """Of the difference, in points: `examples` of each task, or of all alike; `seeds` runs of each reader."""
        return math.sqrt(self.seeds / seeds + float(np.sum(self._of_tasks(seeds) / np.asarray(examples))))

    def width(self, examples: int | Sequence[int], seeds: int) -> float:
        """Of the 95 % interval of the difference, in points; arguments as of `standard_error`."""
        of_examples = float(np.sum(self._of_tasks(seeds) / np.asarray(examples)))
        return 2 * math.sqrt(self._of_seeds(seeds) + NORMAL**2 * of_examples)

    def examples_needed(self, width: float, seeds: int) -> int | None:
        """Fewest examples a task, the same of each, for a 95 % interval narrower than `width`; None if none suffice."""
        left = ((width / 2) ** 2 - self._of_seeds(seeds)) / NORMAL**2
        if left <= 0:
            return None
        return math.floor(float(self._of_tasks(seeds).sum()) / left) + 1

    def _of_seeds(self, seeds: int) -> float:
        """The seeds' part in the squared half-width; with one seed, whose spread is unknown, as if it were known."""
        factor = float(stdtrit(seeds - 1, 0.975)) if seeds > 1 else NORMAL
        return factor**2 * self.seeds / seeds

    def _of_tasks(self, seeds: int) -> np.ndarray:
        """What each task adds to the squared error of the tasks' mean, times its examples."""
        return (np.asarray(self.examples) + np.asarray(self.rest) / seeds) / len(self.examples) ** 2


def spread(differences: Mapping[str, np.ndarray]) -> Spread:
    """From paired differences [seeds, examples] of each task, in percent.

    One seed leaves the seeds' variance unknown: 0 here, all of the rest counted with the examples.
    """
    examples, rest, noise = [], [], 0.0
    for scores in differences.values():
        seeds, n = scores.shape
        by_example, by_seed = scores.mean(axis=0), scores.mean(axis=1)
        residual = scores - by_example[None] - by_seed[:, None] + scores.mean()
        left = float((residual**2).sum() / max((seeds - 1) * (n - 1), 1))
        rest.append(left)
        examples.append(max(float(by_example.var(ddof=1)) - left / seeds, 0.0))
        noise += left / n / len(differences) ** 2
    averages = np.mean([scores.mean(axis=1) for scores in differences.values()], axis=0)
    between = max(float(averages.var(ddof=1)) - noise, 0.0) if len(averages) > 1 else 0.0
    return Spread(seeds=between, examples=tuple(examples), rest=tuple(rest))


def rows(study: StudyResults, paper: StudyResults) -> list[dict[str, Any]]:
    """One row a contrast that has runs: effects, spread, and the examples that would resolve it."""
    ours = {result.id: result for result in study.points if result.value is not None}
    reported = {result.id: result.value for result in paper.points if result.value is not None}
    factor = scale_factor(JointBootstrap(results=study), reported).factor
    table = []
    for contrast in CONTRASTS:
        if not {contrast.better, contrast.worse} <= ours.keys() & reported.keys():
            continue
        better, worse = ours[contrast.better], ours[contrast.worse]
        seeds = sorted(set(better.seeds) & set(worse.seeds))
        scores = [study.per_example(result.point, seeds) for result in (better, worse)] if seeds else [None]
        if None in scores:
            continue
        differences = {t: 100 * (np.asarray(scores[0][t], float) - np.asarray(scores[1][t], float)) for t in scores[0]}
        effect = reported[contrast.better] - reported[contrast.worse]
        here, sizes = spread(differences), [task.shape[1] for task in differences.values()]
        table.append(
            {
                "comparison": contrast.name,
                "paper": effect,
                "carried over": factor * abs(effect),
                "measured": better.value - worse.value,
                "interval's width": here.width(sizes, len(seeds)),
                "seeds": len(seeds),
                "examples": sum(sizes),
                "needed a task": here.examples_needed(factor * abs(effect), len(seeds)),
                "for nearly": here.examples_needed(2 * factor * NEARLY, len(seeds)),
                "variance of seeds": here.seeds,
                "variance of examples": float(np.mean(here.examples) + np.mean(here.rest)),
            }
        )
    return table


def show(table: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table; a sentence where there are none."""
    if not table:
        return "No comparison has its runs.\n"
    return markdown(list(table[0]), [[_cell(value) for value in row.values()] for row in table])


def _cell(value: Any) -> str:
    if value is None:
        return "no number"
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
