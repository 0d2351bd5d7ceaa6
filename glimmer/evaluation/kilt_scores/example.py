"""The scores of one example: a gold line and a guess line in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from glimmer.errors import InputError
from glimmer.evaluation.kilt_scores.answers import ANSWER_METRICS, answer_scores, gold_answers
from glimmer.evaluation.kilt_scores.ranking import at_k, context_scores, evidence_sets, r_precision, ranked_ids

PAGE = ("wikipedia_id",)
PROGRAMS = ("downstream", "ranking")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleScores:
    """One example's scores under the names of the official output.

    Recall and success at k = 1 too, which its means leave out.
    """

    id: Any
    downstream: dict[str, float] = field(default_factory=dict)
    kilt: dict[str, float] = field(default_factory=dict)
    retrieval: dict[str, float] = field(default_factory=dict)
    ranking: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The scores that were computed, as nested dicts."""
        parts = {"downstream": self.downstream, "kilt": self.kilt, "retrieval": self.retrieval, "ranking": self.ranking}
        return {"id": self.id} | {name: part for name, part in parts.items() if part}


def score_example(
    gold: dict[str, Any],
    guess: dict[str, Any],
    ks: Sequence[int] = (1, 5, 20, 100),
    rank_keys: Sequence[Sequence[str]] = (PAGE,),
    programs: Sequence[str] = PROGRAMS,
    gold_where: object = None,
    guess_where: object = None,
) -> ExampleScores:
    """Scores one guess line against its gold line, both as parsed from KILT's files.

    Args:
        ks: depths of the ranking metrics, each at least 1.
        rank_keys: alternatives, each a sequence of provenance keys that together name an item.
        programs: which of KILT's two programs to compute.
        gold_where, guess_where: the places that errors name.
    Raises InputError with the id where the official program would die (the list is in this package's
    docstring).
    """
    _check_gold(gold, gold_where)
    answers = gold_answers(gold, gold_where)
    downstream, kilt, retrieval, ranking = {}, {}, {}, {}
    if "downstream" in programs:
        downstream, kilt, retrieval = _downstream(gold, guess, answers, gold_where, guess_where)
    if "ranking" in programs:
        ranking = _ranking(gold, guess, answers, _titles(gold, gold_where), ks, rank_keys, guess_where)
    return ExampleScores(id=gold["id"], downstream=downstream, kilt=kilt, retrieval=retrieval, ranking=ranking)


def _downstream(
    gold: dict, guess: dict, answers: list[str], gold_where: object, where: object
) -> tuple[dict, dict, dict]:
    outputs = _outputs(guess, "guess", where)
    if len(outputs) != 1 or "answer" not in outputs[0]:
        raise InputError(
            f"guess {gold['id']} cannot be scored",
            where=where,
            expected="exactly one output, with the key `answer`",
            found=f"{len(outputs)} outputs, {sum('answer' in output for output in outputs)} of them with it",
        )
    answer = str(outputs[0]["answer"]).strip()
    if answer and not answers:
        raise InputError(f"gold {gold['id']} has no answer to score against", where=gold_where)
    scores = answer_scores(answer, answers)
    ranked = ranked_ids(_items(outputs[0], guess, "guess", where), PAGE)
    r_prec = r_precision(ranked, gold["output"], PAGE)
    kilt = {f"KILT-{metric}": scores[metric] if r_prec == 1 else 0.0 for metric in ANSWER_METRICS}
    recall = at_k(ranked, evidence_sets(gold["output"], PAGE), [5])["recall@5"]
    return scores, kilt, {"Rprec": r_prec, "recall@5": recall}


def _ranking(
    gold: dict,
    guess: dict,
    answers: list[str],
    titles: list[str],
    ks: Sequence[int],
    rank_keys: Sequence[Sequence[str]],
    where: object,
) -> dict[str, dict[str, float]]:
    outputs = [output for output in _outputs(guess, "guess", where) if "provenance" in output]
    if len(outputs) != 1:
        raise InputError(
            f"guess {gold['id']} cannot be ranked",
            where=where,
            expected="exactly one output with the key `provenance`",
            found=f"{len(outputs)} of them",
        )
    items = _items(outputs[0], guess, "guess", where)
    context = context_scores(items, gold["input"], answers, titles, ks)
    ranking = {}
    for keys in rank_keys:
        ranked = ranked_ids(items, keys)
        scores = {"Rprec": r_precision(ranked, gold["output"], keys)}
        ranking["+".join(keys)] = scores | at_k(ranked, evidence_sets(gold["output"], keys), ks) | context
    return ranking


def _check_gold(gold: dict, where: object) -> None:
    if not isinstance(gold.get("input"), str):
        raise InputError(f"gold {gold['id']}", where=where, expected="`input`, a string", found=repr(gold.get("input")))
    outputs = _outputs(gold, "gold", where)
    if not outputs:
        raise InputError(f"gold {gold['id']}", where=where, expected="at least one output", found="an empty list")
    for output in outputs:
        _items(output, gold, "gold", where)


def _outputs(row: dict, what: str, where: object) -> list[dict]:
    outputs = row.get("output")
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise InputError(
            f"{what} {row.get('id')}", where=where, expected="`output`, a list of objects", found=repr(outputs)[:60]
        )
    return outputs


def _items(output: dict, row: dict, what: str, where: object) -> list[dict]:
    items = output.get("provenance", [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(
            f"{what} {row.get('id')}", where=where, expected="`provenance`, a list of objects", found=repr(items)[:60]
        )
    for item in items:
        if not isinstance(item.get("text", ""), str):
            raise InputError(
                f"{what} {row.get('id')}",
                where=where,
                expected="a `text` that is a string",
                found=repr(item["text"])[:60],
            )
    return items


def _titles(gold: dict, where: object) -> list[str]:
    titles = []
    for output in gold["output"]:
        for item in output.get("provenance", ()):
            title = item.get("title")
            if title and not isinstance(title, str):
                raise InputError(
                    f"gold {gold['id']}", where=where, expected="a title that is a string", found=repr(title)
                )
            if title and title.strip():
                titles.append(title.strip())
    return titles
