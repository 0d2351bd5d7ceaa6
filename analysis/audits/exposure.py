"""Do readers meet the evidence in training that they meet in dev? If not, they are trained on other inputs than they
are tested on: a retriever that serves questions which it learnt from is one reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from analysis.audits.finding import DISCREPANCY, NOTE, Finding, unequal
from analysis.splits import evidence_gaps
from glimmer.experiments import Run

TOLERANCE = 3.0
"""Points by which train and dev may differ."""

_RESOLVED = 1.96  # standard errors: 95 %


def train_and_dev(
    metrics: Mapping[str, Mapping[str, Any]], runs: Iterable[Run], replicate: str = ""
) -> Iterator[Finding]:
    """Tasks whose train and dev questions have evidence in view more than TOLERANCE apart, in either direction.

    `metrics` are those of `replicate`, where the study has some. In view is what the reader of the fewest passages
    reads, among questions whose evidence can be trusted. A difference that two samples of these sizes can show by
    chance is a note.
    """
    ks = [run.reader.k for run in runs if run.reader.k]
    if not ks:
        return
    for gap in evidence_gaps(metrics, min(ks)):
        if abs(gap.difference) <= TOLERANCE:
            continue
        name = f"{replicate} {gap.task}".strip()
        clear = abs(gap.difference) > _RESOLVED * gap.standard_error
        yield unequal(
            kind="train-and-dev",
            severity=DISCREPANCY if clear else NOTE,
            expected=gap.dev,
            found=gap.train,
            tolerance=TOLERANCE,
            explanation=f"{name}: of the questions with trusted evidence, {gap.train:.1f} % of {gap.n_train} in"
            f" train and {gap.dev:.1f} % of {gap.n_dev} in dev have some among the first {gap.k} passages, the fewest"
            f" that a reader of the study reads. The difference of {gap.difference:+z.1f} points has a standard error"
            f" of {gap.standard_error:.1f}"
            + (
                ". Readers are trained on other inputs than they are tested on."
                if clear
                else ": so many questions cannot tell it from none."
            ),
            about=name,
        )
