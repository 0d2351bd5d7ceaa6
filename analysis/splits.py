"""How much of the evidence train questions meet, beside dev questions, from retrieval.json."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from glimmer.experiments import TASKS


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvidenceGap:
    """Of one task: percent of the questions with trusted evidence that have some among their first k passages.

    `n_train` and `n_dev` count those questions.
    """

    task: str
    k: int
    train: float
    dev: float
    n_train: int
    n_dev: int

    @property
    def difference(self) -> float:
        """Train minus dev, in points."""
        return self.train - self.dev

    @property
    def standard_error(self) -> float:
        """Of the difference, in points: two independent shares, sqrt(p (1 - p) / n of train + the same of dev)."""
        shares = ((self.train, self.n_train), (self.dev, self.n_dev))
        return math.sqrt(sum(percent * (100 - percent) / n for percent, n in shares))


def evidence_gaps(metrics: Mapping[str, Mapping[str, Any]], k: int) -> Iterator[EvidenceGap]:
    """One of each task of which both splits have questions with trusted evidence, and the ranks reach k."""
    for task in TASKS:
        splits = [metrics.get(task, {}).get(split, {}) for split in ("train", "dev")]
        numbers = [questions_with_evidence(values) for values in splits]
        shares = [evidence_share(values, k) for values in splits]
        if all(numbers) and None not in shares:
            yield EvidenceGap(task=task, k=k, train=shares[0], dev=shares[1], n_train=numbers[0], n_dev=numbers[1])


def questions_with_evidence(values: Mapping[str, Any]) -> int:
    """Of one split, those whose evidence can be trusted (`glimmer.retrieval.evidence`); in files of before, all."""
    return values["trusted"]["n"] if "trusted" in values else values.get("n_with_evidence", 0)


def evidence_share(values: Mapping[str, Any], k: int) -> float | None:
    """Percent of one split's questions with trusted evidence that have some among the first k passages.

    Counted from the ranks of the first supporting passage, which are there for every k. None where fewer than k
    passages were retrieved, or nothing has such evidence.
    """
    number, ranks = questions_with_evidence(values), values.get("trusted", values).get("evidence_rank", {})
    counts = ranks.get("counts", [])
    if not number or not 1 <= k <= len(counts):
        return None
    return 100 * sum(counts[:k]) / number
