"""A few dev questions of each task with what a reader read and answered, for people to look at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from glimmer.evaluation.answering import Answer
from glimmer.evaluation.kilt_scores.answers import normalise
from glimmer.kilt.passages import PassageFile
from glimmer.runs.order import holds, looked_for, places
from glimmer.training.examples import Batcher, TaskExamples

SHOWN_TASK = 4
"""Questions a task: those whose ids have the lowest sha256, so that nobody chooses them."""
_WORDS = 14
_ACCEPTED = 5


def shown_questions(task: TaskExamples, answers: Sequence[Answer], batcher: Batcher, kept: int) -> list[dict[str, Any]]:
    """The questions, each with its id, text, accepted answers (the first few), the reader's answer, whether any of all
    that are accepted is that, normalised as for exact match, and passages.

    Passages stand in the reader's order: title, the rank that the retriever gave each, whether it was kept (then with
    a few of its words) and whether an accepted answer stands in it.
    """
    by_digest = sorted(answers, key=lambda answer: _sha256(task.examples[answer.row].id))
    return [_shown(task, answer, batcher, kept) for answer in by_digest[:SHOWN_TASK]]


def _shown(task: TaskExamples, answer: Answer, batcher: Batcher, kept: int) -> dict[str, Any]:
    example, corpus = task.examples[answer.row], batcher.corpus.file
    ranks = places(answer.passages, batcher.passage_ids(task, answer.row))
    passages = [
        {
            "title": corpus.title(passage),
            "rank": rank,
            "kept": place < kept,
            "holds_answer": holds(corpus, passage, example.answers),
        }
        | ({"words": _words(corpus, passage, example.answers)} if place < kept else {})
        for place, (passage, rank) in enumerate(zip(answer.passages, ranks, strict=True))
    ]
    return {
        "id": example.id,
        "question": example.input,
        "accepted": example.answers[:_ACCEPTED],
        "answer": answer.text,
        "right": normalise(answer.text) in {normalise(accepted) for accepted in example.answers},
        "passages": passages,
    }


def _words(corpus: PassageFile, passage: int, answers: Sequence[str]) -> str:
    """A few words of a passage: those around the first accepted answer, else its first."""
    text = corpus.text(passage)
    wanted = looked_for(answers)
    found = wanted.search(text) if wanted else None
    words, before = text.split(), len(text[: found.start()].split()) if found else 0
    start = max(0, min(before - _WORDS // 2, len(words) - _WORDS))
    end = start + _WORDS
    return ("… " if start else "") + " ".join(words[start:end]) + (" …" if end < len(words) else "")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
