"""What answers score that no reader gave: the most frequent of training, and how many dev answers training has.

They are floors: a reader that does not beat them has learnt which answers are frequent, and no more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from glimmer.evaluation.kilt_scores import score_example
from glimmer.evaluation.kilt_scores.answers import normalise
from glimmer.files import numbered_lines
from glimmer.kilt.formats import HEADLINE, read_examples

_RELATION = "[SEP]"
"""Between subject and relation in the questions of zsRE and T-REx."""


def task_priors(task: str, train: Path, dev: Path, rows: Sequence[int]) -> dict[str, Any]:
    """Floors of one task on these rows of its dev file; scores are fractions, by the task's headline metric.

    `majority`: the answer that most train questions accept, given to every question. `relation`: the one that most
    train questions of the same relation accept, where questions name one (the majority answer where training lacks the
    relation), else None. `seen_in_train`: the share of questions of which an accepted answer, normalised as for exact
    match, is accepted by some train question. Training is the whole file, before any filter.
    """
    known, by_relation = Counter(), {}
    for example in read_examples(train):
        known.update(example.answers)
        if relation := relation_of(example.input):
            by_relation.setdefault(relation, Counter()).update(example.answers)
    seen = {normalise(answer) for answer in known}
    examples = list(read_examples(dev, require_answers=True))
    wanted = set(rows)
    gold = [json.loads(line) for number, line in numbered_lines(dev) if number - 1 in wanted]
    asked = [examples[row] for row in sorted(wanted)]
    majority = _most_frequent(known)
    relations = [relation_of(example.input) for example in asked]
    frequent = {relation: _most_frequent(counts) for relation, counts in by_relation.items()}
    of_relation = [frequent.get(relation, majority) for relation in relations]
    return {
        "n": len(asked),
        "metric": HEADLINE[task],
        "majority": _score(task, gold, [majority] * len(gold)),
        "majority_answer": majority,
        "relation": _score(task, gold, of_relation) if all(relations) and relations else None,
        "seen_in_train": fmean(any(normalise(answer) in seen for answer in example.answers) for example in asked),
    }


def relation_of(question: str) -> str:
    """What stands behind the mark between subject and relation; "" where a question has none."""
    return question.partition(_RELATION)[2].strip()


def _most_frequent(counts: Counter) -> str:
    """Of equally frequent ones the first by its letters, so that the order of files changes nothing."""
    return min(counts, key=lambda answer: (-counts[answer], answer), default="")


def _score(task: str, gold: Iterable[Mapping[str, Any]], guesses: Iterable[str]) -> float:
    scored = (
        score_example(
            line, {"id": line["id"], "output": [{"answer": guess, "provenance": []}]}, programs=("downstream",)
        )
        for line, guess in zip(gold, guesses, strict=True)
    )
    return fmean(example.downstream[HEADLINE[task]] for example in scored)
