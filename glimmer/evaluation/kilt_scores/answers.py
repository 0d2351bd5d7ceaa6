"""How well a guessed answer matches gold answers.

Accuracy, exact match, F1 and ROUGE-L, each the best over gold answers.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Collection
from typing import Any

from glimmer.errors import InputError
from glimmer.evaluation.kilt_scores.rouge import rouge_l

ANSWER_METRICS = ("accuracy", "em", "f1", "rougel")

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
# \b is Unicode's: a letter followed by a combining mark is a whole word, one followed by a digit or
# underscore is not.
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> str:
    """Lower-cased, without ASCII punctuation, then without the words a, an, the, with single spaces.

    Unicode forms stay.
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def gold_answers(gold: dict[str, Any], where: object) -> list[str]:
    """The distinct non-blank answers of a gold line, stripped, in file order.

    Raises InputError for one that is no string.
    """
    answers: dict[str, None] = {}  # an ordered set
    for output in gold["output"]:
        answer = output.get("answer")
        if not answer:  # null, "", 0, false and [] all mean that there is none
            continue
        if not isinstance(answer, str):
            raise InputError(f"gold answer of {gold['id']}", where=where, expected="a string", found=repr(answer))
        if answer.strip():
            answers[answer.strip()] = None
    return list(answers)


def answer_scores(guess: str, golds: Collection[str]) -> dict[str, float]:
    """The four answer metrics of a stripped guess against stripped gold answers, each in [0, 1].

    A blank guess scores 0. A guess that is not blank needs at least one gold answer (the caller checks).
    """
    if not guess:
        return dict.fromkeys(ANSWER_METRICS, 0.0)
    normal = normalise(guess)
    normal_golds = {normalise(gold) for gold in golds}
    is_match = normal in normal_golds
    return {
        "accuracy": float(guess in golds),
        "em": float(is_match),
        "f1": 1.0 if is_match and normal else max(_f1(normal, gold) for gold in normal_golds),
        "rougel": max(rouge_l(guess, gold) for gold in golds),
    }


def _f1(guess: str, gold: str) -> float:
    """2PR / (P + R) over the multisets of tokens; 0 if they share none, so that two empty strings have 0."""
    guess_tokens, gold_tokens = guess.split(), gold.split()
    if set(guess_tokens).isdisjoint(gold_tokens):
        return 0.0
    common = (Counter(guess_tokens) & Counter(gold_tokens)).total()
    precision, recall = common / len(guess_tokens), common / len(gold_tokens)
    return 2 * precision * recall / (precision + recall)
