"""How many dev examples the main comparisons need, from the spread that runs show.

With d[s, e] the paired difference of two readers at seed s and example e of one of T tasks (percent), shifts a of a
seed (of the average over tasks), b of an example and c of both,

    d[s, e] = delta + a[s] + b[e] + c[s, e],      SE^2 = var(a)/S + mean over tasks of (var(b)/n + var(c)/(S n)) / T

for S seeds and n examples of a task; seeds and examples are crossed. The variances are estimated from mean squares;
negative estimates count as 0. Only the seed of fine-tuning varies: checkpoint, retriever and data are one draw.

A difference is resolved if its 95 % interval, 2 x 1.96 SE wide, is narrower than the effect that the paper reports,
carried over as claims do (analysis/ledger/carried.py): such an interval excludes either zero or that effect. (With few
seeds var(a) itself is known badly.)
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.ledger import carried
from analysis.ledger.replicates import JointBootstrap
from analysis.points import StudyPoints, load_points, per_example
from glimmer import experiments
from glimmer.errors import GlimmerError

WIDTH = 2 * 1.96
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

    def examples_needed(self, width: float, seeds: int) -> int | None:
        """Fewest examples a task, the same of each, for a 95 % interval narrower than `width`; None if none suffice."""
        left = (width / WIDTH) ** 2 - self.seeds / seeds
        if left <= 0:
            return None
        return math.floor(float(self._of_tasks(seeds).sum()) / left) + 1

    def _of_tasks(self, seeds: int) -> np.ndarray:
        """What each task adds to the squared error of the tasks' mean, times its examples."""
        return (np.asarray(self.examples) + np.asarray(self.rest) / seeds) / len(self.examples) ** 2


def spread(differences: Mapping[str, np.ndarray]) -> Spread:
    """From paired differences [seeds, examples] of each task, in percent.

    One seed leaves the seeds' variance unknown: 0 here, all of the rest counted with the examples.
    """
    examples, rest, residual_means = [], [], []
    for found in differences.values():
        s, n = found.shape
        both = found.mean()
        by_example, by_seed = found.mean(axis=0), found.mean(axis=1)
        residual = found - by_example[None] - by_seed[:, None] + both
        left = float((residual**2).sum() / max((s - 1) * (n - 1), 1))
        rest.append(left)
        examples.append(max(float(by_example.var(ddof=1)) - left / s, 0.0))
        residual_means.append(left / n)
    tasks = len(differences)
    averages = np.mean([found.mean(axis=1) for found in differences.values()], axis=0)
    noise = sum(residual_means) / tasks**2
    seeds = max(float(averages.var(ddof=1)) - noise, 0.0) if len(averages) > 1 else 0.0
    return Spread(seeds=seeds, examples=tuple(examples), rest=tuple(rest))


def rows(study: StudyPoints, paper: StudyPoints) -> list[dict[str, Any]]:
    """One row a contrast that has runs: effects, spread, and the examples that would resolve it."""
    planned = {point.id: point for point in experiments.points(experiments.load_study(study.study))}
    ours, theirs = ({point.id: point for point in one.points} for one in (study, paper))
    reported = {id: point.value for id, point in theirs.items() if point.value is not None}
    factor = carried.scale(JointBootstrap(points=planned, runs=study.runs.by_id), reported).factor
    found = []
    for contrast in CONTRASTS:
        pair = (contrast.better, contrast.worse)
        if not all(id in ours and ours[id].value is not None for id in pair):
            continue
        seeds = sorted(set(ours[pair[0]].seeds) & set(ours[pair[1]].seeds))
        scores = [per_example(planned[id], seeds, study.runs) for id in pair] if seeds else [None]
        if None in scores:
            continue
        differences = {t: 100 * (np.asarray(scores[0][t], float) - np.asarray(scores[1][t], float)) for t in scores[0]}
        width = factor * abs(_difference(theirs, pair))
        here, sizes = spread(differences), [one.shape[1] for one in differences.values()]
        found.append(
            {
                "comparison": contrast.name,
                "paper": _difference(theirs, pair),
                "carried over": width,
                "measured": _difference(ours, pair),
                "interval's width": WIDTH * here.standard_error(sizes, len(seeds)),
                "seeds": len(seeds),
                "examples": sum(sizes),
                "needed a task": here.examples_needed(width, len(seeds)),
                "for nearly": here.examples_needed(2 * factor * NEARLY, len(seeds)),
                "variance of seeds": here.seeds,
                "variance of examples": float(np.mean(here.examples) + np.mean(here.rest)),
            }
        )
    return found


def _difference(points: Mapping[str, Any], pair: tuple[str, str]) -> float:
    return points[pair[0]].value - points[pair[1]].value


def show(found: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table; a sentence where there are none."""
    if not found:
        return "No comparison has its runs."
    heads = list(found[0])
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in found:
        cells = [_cell(value) for value in row.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "no number"
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m analysis.power --study NAME [--results DIR]`: 0, 1 if no comparison has its runs, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="embedded")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    args = parser.parse_args(argv)
    try:
        found = rows(load_points(args.study, args.results), load_points("paper", args.results))
    except GlimmerError as error:
        print(f"power: {error}", file=sys.stderr)
        return error.exit_code
    if not found:
        print("power: no comparison has its runs", file=sys.stderr)
        return 1
    print(show(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
