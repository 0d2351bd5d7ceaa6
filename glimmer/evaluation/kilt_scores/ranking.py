"""How well a ranked list of evidence finds the gold evidence: R-precision, precision, recall and success at
k, and context metrics.

An item of evidence is known by its rank id: the values of some rank keys, stripped and joined by "+" (page
ids alone by default).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glimmer.evaluation.kilt_scores.answers import normalise


def ranked_ids(items: Iterable[dict[str, Any]], rank_keys: Sequence[str]) -> list[str]:
    """The distinct rank ids of provenance items in order, the first of equal ones kept.

    An item that lacks a key has no id.
    """
    if len(rank_keys) == 1:  # the usual case, without the join
        (key,) = rank_keys
        ids = (str(item[key]).strip() for item in items if key in item)
    else:
        named = (item for item in items if all(key in item for key in rank_keys))
        ids = ("+".join(str(item[key]).strip() for key in rank_keys) for item in named)
    return list(dict.fromkeys(ids))


def evidence_sets(outputs: Iterable[dict[str, Any]], rank_keys: Sequence[str]) -> list[frozenset[str]]:
    """The distinct gold evidence sets, an empty one included.

    Unlike in `ranked_ids`, an item that lacks a key joins those that it has, and makes its set one that no
    guess completes.
    """
    sets = (
        frozenset("+".join(str(item[key]).strip() for key in rank_keys if key in item) for item in output["provenance"])
        for output in outputs
        if "provenance" in output
    )
    return list(dict.fromkeys(sets))


def r_precision(ranked: Sequence[str], outputs: Iterable[dict[str, Any]], rank_keys: Sequence[str]) -> float:
    """Over the gold outputs, the largest share of an output's R distinct ids that are among the first R ranked ones."""
    best = 0.0
    for output in outputs:
        needed = set(ranked_ids(output.get("provenance", ()), rank_keys))
        if needed:
            best = max(best, len(needed.intersection(ranked[: len(needed)])) / len(needed))
    return best


def completions(ranked: Sequence[str], sets: Sequence[frozenset[str]]) -> list[bool]:
    """The ranked list with an evidence set as one entry, at the place of its last id: whether each entry
    completes a set.

    A set occupies a place from its first id on, and moves to that of the next one. An id of no set is an
    entry of its own.
    """
    remaining = [set(ids) for ids in sets]
    entries: list[
        int | None
    ] = []  # index of the set that an incomplete entry holds a place for, None for any other entry
    complete: list[bool] = []
    for identifier in ranked:
        is_hit = False
        for index, ids in enumerate(remaining):
            if identifier not in ids:
                continue
            is_hit = True
            if index in entries:
                place = entries.index(index)
                del entries[place], complete[place]
            ids.remove(identifier)
            entries.append(index if ids else None)
            complete.append(not ids)
        if not is_hit:
            entries.append(None)
            complete.append(False)
    return complete


def at_k(ranked: Sequence[str], sets: Sequence[frozenset[str]], ks: Iterable[int]) -> dict[str, float]:
    """precision@k, recall@k and success_rate@k for every k.

    Precision divides by k however short the list is.
    """
    complete = completions(ranked, sets) if sets else []
    scores: dict[str, float] = {}
    for k in ks:
        found = sum(complete[:k])
        scores[f"precision@{k}"] = found / k
        scores[f"recall@{k}"] = found / len(sets) if sets else 0.0
        scores[f"success_rate@{k}"] = float(found > 0)
    return scores


def context_scores(
    items: Sequence[dict[str, Any]], question: str, answers: Iterable[str], titles: Iterable[str], ks: Sequence[int]
) -> dict[str, float]:
    """Whether gold answers and titles occur in the texts of the first k items, and titles in the question.

    Items are counted as they stand in the guess, repeated pages included. An answer that normalises to ""
    occurs everywhere.
    """
    answers, titles = {normalise(answer) for answer in answers}, {normalise(title) for title in titles}
    question = normalise(question)
    with_answer, with_title, with_both = [], [], []
    for item in items[: max(ks, default=0)]:
        text = normalise(item["text"]) if "text" in item else None
        has_answer = text is not None and any(answer in text for answer in answers)
        has_title = text is not None and any(title in text for title in titles)
        with_answer.append(has_answer)
        with_title.append(has_title)
        with_both.append(has_answer and has_title)
    scores = {"entity_in_input": float(any(title in question for title in titles))}
    for k in ks:
        scores[f"answer_in_context@{k}"] = float(any(with_answer[:k]))
        scores[f"answer_and_ent_in_context@{k}"] = float(any(with_both[:k]))
        scores[f"entity_in_context@{k}"] = float(any(with_title[:k]))
    return scores
