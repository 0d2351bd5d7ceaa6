"""The dev scores that training selects checkpoints by: KILT's headline metric of each task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glimmer.evaluation.answering import Answerer
from glimmer.evaluation.kilt_scores.answers import answer_scores
from glimmer.kilt.formats import HEADLINE
from glimmer.training.examples import TaskExamples
from glimmer.training.state import SplitReader


def dev_scores(answerer: Answerer, reader: SplitReader, tasks: Sequence[TaskExamples]) -> dict[str, float]:
    """Each task's mean headline metric, in [0, 1], memory computed on the fly."""
    scores = {}
    for task in tasks:
        metric = HEADLINE[task.task]
        values = [
            answer_scores(answer.text, task.examples[answer.row].answers)[metric]
            for answer in answerer.answers(reader, task, quiet=True)
        ]
        scores[task.task] = float(np.mean(values))
    return scores
