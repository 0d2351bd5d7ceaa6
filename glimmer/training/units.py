"""How much training was delivered, in units that do not depend on the model's size: what an ablation of it rests on.

Adafactor clips its update at a root mean square of 1 (Shazeer and Stern 2018, section 6). So a step moves a parameter
by at most the rate, as a root mean square, and all steps move it by at most the sum of their rates: times the
parameter's own root mean square where updates are scaled by it. Adam's steps are of about that size too (Kingma and
Ba 2015, section 2.1). Relative to the weights that sum is the longest path that training can have gone.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from typing import Any

import numpy as np
from flax import nnx

from glimmer.experiments.sections import Training
from glimmer.models.mesh import whole
from glimmer.training.mixture import UniformMixture
from glimmer.training.optimizer import learning_rate, scorer_learning_rate
from glimmer.training.state import SplitReader


def training_units(
    training: Training, mixture: UniformMixture, steps: int, before: SplitReader, trained: Any
) -> dict[str, Any]:
    """What `steps` steps of a run were, as its result file records it; `trained` is what `before.trained` became.

    - `sum_of_rates`, `scorer_sum_of_rates`, and `scorer_span_nats`, the latter times d_model: how far from 0 a score
      can come, since the scorer's weight starts at zero and what it weighs is a normed state of length sqrt(d_model);
    - by part of the reader `rms` of the weights before; `path`, how far they can have moved relative to it (the sum
      itself under parameter scale); `moved`, how far they have: ||after - before|| / ||before||. 0 where frozen;
    - by task `epochs`, rows drawn over rows kept by the relevance filter; and `rows_seen`.

    What needs a scorer is None without one, and what is relative to a size of zero is None.
    """
    sums = {
        part: sum(float(rate(step)) for step in range(steps))
        for part, rate in (("body", learning_rate(training)), ("scorer", scorer_learning_rate(training)))
    }
    scaled = training.optimizer == "adafactor" and training.scale_by_parameter
    rms, path, moved = {}, {}, {}
    for part, weights in _parts(before, trained).items():
        of_scorer = part == "scorer"
        length = weights.is_trained * sums["scorer" if of_scorer else "body"]
        rms[part] = math.sqrt(weights.squares / weights.count)
        path[part] = length if scaled and not of_scorer else _ratio(length, rms[part])
        moved[part] = _ratio(math.sqrt(weights.moved_squares), math.sqrt(weights.squares))
    has_scorer = "scorer" in rms
    return {
        "sum_of_rates": sums["body"],
        "scorer_sum_of_rates": sums["scorer"] if has_scorer else None,
        "scorer_span_nats": sums["scorer"] * before.merge().config.d_model if has_scorer else None,
        "rms": rms,
        "path": path,
        "moved": moved,
        "epochs": {
            task: rows / mixture.sizes[task] for task, rows in mixture.drawn(steps, training.batch_size).items()
        },
        "rows_seen": steps * training.batch_size,
    }


@dataclasses.dataclass
class _PartWeights:
    """Sums over the weights of one part of a reader."""

    count: int = 0
    squares: float = 0.0
    moved_squares: float = 0.0
    is_trained: bool = False


def _parts(before: SplitReader, trained: Any) -> dict[str, _PartWeights]:
    """By part: what a reader's first level calls it, and the embedding's output side `head`."""
    parts: dict[str, _PartWeights] = defaultdict(_PartWeights)
    for path, leaf in nnx.to_flat_state(before.fixed):
        _add(parts[_part_of(path)], leaf)
    for (path, leaf), (_, after) in zip(nnx.to_flat_state(before.trained), nnx.to_flat_state(trained), strict=True):
        _add(parts[_part_of(path)], leaf, after)
    return dict(parts)


def _part_of(path: tuple) -> str:
    return "head" if path[:2] == ("embedding", "head") else str(path[0])


def _add(part: _PartWeights, leaf: Any, after: Any = None) -> None:
    weights = whole(leaf[...]).astype(np.float64)
    part.count += weights.size
    part.squares += float(np.sum(weights**2))
    if after is not None:
        part.is_trained = True
        part.moved_squares += float(np.sum((whole(after[...]).astype(np.float64) - weights) ** 2))


def _ratio(size: float, of: float) -> float | None:
    """`size` / `of`; None where that is relative to nothing."""
    return size / of if of else None
