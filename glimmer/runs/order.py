"""The order that a reader gives its passages, beside the retriever's order of the same ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from glimmer.evaluation.answering import Answer
from glimmer.evaluation.kilt_scores import score_example
from glimmer.files import numbered_lines
from glimmer.kilt.aliases import whole_words
from glimmer.kilt.passages import PassageFile
from glimmer.training.examples import Batcher, TaskExamples

_WITHOUT_ANSWERS_IN_TEXT = ("fever",)
"""Tasks whose answers are labels, which stand in no passage but by chance."""
_NOT_LOOKED_FOR = frozenset({"yes", "no"})


def order_scores(
    task: TaskExamples, answers: Sequence[Answer], batcher: Batcher, kept: int, gold: Path
) -> dict[str, list[float]]:
    """Scores per example, fractions, in the order of `answers`: name -> values. Empty for a closed book.

    `answer_at_m`: 1 where an accepted answer stands, as whole words, in the title or text of one of the first `kept`
    passages of the reader's order; "yes" and "no" stand nowhere. `retriever_answer_at_m`, `retriever_rprec`: the same,
    and KILT's R-precision of pages, in the retriever's order of the passages that the reader was given; only where the
    two orders may differ (`kept` below the reader's k). No `answer_at_m` for FEVER. `in_view`: 1 where all evidence is
    among the reader's k passages, of readers that are given what was retrieved. `gold` holds the gold lines.
    """
    if not batcher.k:
        return {}
    corpus, scores = batcher.corpus.file, {}
    found = [[int(id) for id in batcher.passage_ids(task, answer.row) if id >= 0] for answer in answers]
    if task.task not in _WITHOUT_ANSWERS_IN_TEXT:
        accepted = [task.examples[answer.row].answers for answer in answers]
        orders = {"answer_at_m": [answer.passages for answer in answers]}
        if kept < batcher.k:
            orders["retriever_answer_at_m"] = found
        for name, order in orders.items():
            scores[name] = [
                float(any(holds(corpus, passage, names) for passage in passages[:kept]))
                for passages, names in zip(order, accepted, strict=True)
            ]
    in_view = [task.evidence_in_view(answer.row, batcher.k) for answer in answers]
    if None not in in_view:
        scores["in_view"] = list(map(float, in_view))
    if kept < batcher.k:
        lines = (json.loads(line) for _, line in numbered_lines(gold))
        scores["retriever_rprec"] = list(_r_precision(lines, found, corpus))
    return scores


def holds(corpus: PassageFile, passage: int, answers: Sequence[str]) -> bool:
    """Whether an answer, other than yes and no, stands as whole words in a passage's title or text."""
    words = looked_for(answers)
    return words is not None and bool(words.search(f"{corpus.title(passage)}\n{corpus.text(passage)}"))


def looked_for(answers: Sequence[str]) -> re.Pattern | None:
    """A pattern that finds any of the answers but yes and no as whole words; None where there is none to look for."""
    return whole_words([answer for answer in answers if answer.strip().lower() not in _NOT_LOOKED_FOR])


def places(order: Sequence[int], retrieved: np.ndarray) -> list[int]:
    """The rank, 1 for the first, that the retriever gave each passage of an order."""
    return [int(np.flatnonzero(retrieved == passage)[0]) + 1 for passage in order]


def _r_precision(gold: Iterable[dict], found: Iterable[Sequence[int]], corpus: PassageFile) -> Iterator[float]:
    for line, passages in zip(gold, found, strict=True):
        provenance = [corpus.provenance(passage) for passage in passages]
        guess = {"id": line["id"], "output": [{"answer": "", "provenance": provenance}]}
        yield score_example(line, guess, programs=("downstream",)).retrieval["Rprec"]
