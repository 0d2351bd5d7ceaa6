"""How much of the gold evidence was retrieved, and at which rank: confidence, R-precision, recall, ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glimmer.kilt.formats import Example
from glimmer.kilt.passages import PassageFile
from glimmer.kilt.provenance import PageIndex
from glimmer.retrieval.retrieved import NONE, Retrieved, padded

DEFAULT_KS = (1, 5, 10, 25, 40)
TRUSTED = 0.5
"""The least confidence of a label by which train and dev are compared: the studies' own relevance threshold."""


def judged(passages: np.ndarray, scores: np.ndarray, examples: Sequence[Example], index: PageIndex) -> Retrieved:
    """Retrieved passages int64 [n, depth] and their scores float32 [n, depth], beside the gold evidence of their rows.

    How well a passage supports a part (a provenance) of an evidence set: `glimmer.kilt.provenance`. A part has the best
    support that one of several passages gives. A set is as good as its worst part, an example as its best set: a
    question over two pages needs both. An example without evidence sets has 0 throughout.
    """
    confidence, complete = np.zeros(passages.shape, np.float32), np.zeros(passages.shape, np.float32)
    label, gold = np.zeros(len(examples), np.float32), []
    for row, (retrieved, example) in enumerate(zip(passages.tolist(), examples, strict=True)):
        support = {part: index.supporting([part]) for part in dict.fromkeys(example.provenances())}
        of_ranks = {
            part: np.array([by_passage.get(number, 0.0) for number in retrieved], np.float32)
            for part, by_passage in support.items()
        }
        for values in of_ranks.values():
            np.maximum(confidence[row], values, out=confidence[row])
        for evidence in example.evidence_sets:
            so_far = np.min([np.maximum.accumulate(of_ranks[part]) for part in evidence], axis=0)
            np.maximum(complete[row], so_far, out=complete[row])
        best: list[int] = []
        for evidence in example.evidence_sets:
            certainty = min(max(support[part].values(), default=0.0) for part in evidence)
            if certainty > label[row]:  # of equal ones the first
                label[row] = certainty
                best = list(dict.fromkeys(_best_passage(support[part]) for part in evidence))
        gold.append(best)
    return Retrieved(
        passages=passages, scores=scores, confidence=confidence, complete=complete, label=label, gold=padded(gold)
    )


def _best_passage(support: Mapping[int, float]) -> int:
    """The passage of the highest support; of equal ones the first of the corpus."""
    return min(support, key=lambda number: (-support[number], number))


def pages_of(passages: np.ndarray, corpus: PassageFile) -> np.ndarray:
    """The page ids (str) of passages int64 [n, depth]; "" for none. Reads each distinct passage once."""
    distinct, inverse = np.unique(passages, return_inverse=True)
    pages = np.array(["" if number == NONE else corpus[int(number)]["wikipedia_id"] for number in distinct], dtype=str)
    return pages[inverse].reshape(passages.shape)


def evidence_metrics(
    retrieved: Retrieved, examples: Sequence[Example], pages: np.ndarray, ks: Sequence[int] = DEFAULT_KS
) -> dict[str, Any]:
    """What a report needs about one task and split; all scores are fractions, means over all n examples.

    Page level, with P_k the pages of the first k passages (k counts passages, as for the readers; KILT's own recall
    counts distinct pages) and the gold evidence sets G_1.. of an example:
      Rprec      max_i |first |G_i| distinct pages in G_i| / |G_i|, as KILT computes it
      recall@k   share of the distinct G_i with G_i within P_k; `success@k`: whether any is
    Passage level: `evidence@k` is whether a passage that supports a part of some G_i is among the first k, `complete@k`
    whether passages for every part of one G_i are, and `evidence_rank` counts the examples by the rank of the first
    supporting passage (`counts[0]` is rank 1; `none`: not retrieved).
    An example without evidence sets scores 0, as in KILT; `n_with_evidence` tells how many have some, and
    `with_evidence` has both passage-level shares over those alone. `trusted` are the examples whose label has a
    confidence of TRUSTED or more: how many, the ranks of their first supporting passage, and the ranks at which one of
    their evidence sets is whole (`complete_rank`). Train sets name evidence of low BLEU too, which is often not that of
    the answer, so splits are compared on these.
    """
    ks = [k for k in ks if k <= retrieved.depth]
    values = np.array([_page_scores(row, example, ks) for row, example in zip(pages, examples, strict=True)])
    values = values.reshape(len(examples), 1 + 2 * len(ks))
    mean = [float(value) for value in values.mean(axis=0)] if len(examples) else [0.0] * values.shape[1]
    found = retrieved.confidence > 0
    first, whole = (
        np.where(table.any(axis=1), table.argmax(axis=1), retrieved.depth) for table in (found, retrieved.complete > 0)
    )

    def ranks(chosen: np.ndarray, of: np.ndarray = first) -> dict[str, Any]:
        counts = np.bincount(of[chosen], minlength=retrieved.depth + 1)
        return {"counts": counts[:-1].tolist(), "none": int(counts[-1])}

    names = ["Rprec", *(f"recall@{k}" for k in ks), *(f"success@{k}" for k in ks)]
    hits = {f"evidence@{k}": int((first < k).sum()) for k in ks}
    hits |= {f"complete@{k}": int((retrieved.complete[:, k - 1] > 0).sum()) for k in ks}
    n_with_evidence = sum(bool(example.evidence_sets) for example in examples)
    trusted = retrieved.label >= TRUSTED
    return {
        "n": len(examples),
        "n_with_evidence": n_with_evidence,
        **dict(zip(names, mean, strict=True)),
        **{name: count / max(len(examples), 1) for name, count in hits.items()},
        "with_evidence": {name: count / max(n_with_evidence, 1) for name, count in hits.items()},
        "evidence_rank": ranks(np.ones(len(examples), bool)),
        "trusted": {
            "n": int(trusted.sum()),
            "evidence_rank": ranks(trusted),
            "complete_rank": ranks(trusted, whole),
        },
    }


def _page_scores(pages: Sequence[str], example: Example, ks: Sequence[int]) -> list[float]:
    """[Rprec, recall@k for each k, success@k for each k] of one example."""
    sets = {frozenset(item.page_id for item in evidence) for evidence in example.evidence_sets}
    if not sets:
        return [0.0] * (1 + 2 * len(ks))
    rank_of: dict[str, int] = {}  # the first rank, from 1, of each page; its order is that of the distinct pages
    for rank, page in enumerate(pages, start=1):
        if page:
            rank_of.setdefault(page, rank)
    distinct = list(rank_of)
    r_precision = max(len(gold.intersection(distinct[: len(gold)])) / len(gold) for gold in sets)
    complete = [max(rank_of.get(page, np.inf) for page in gold) for gold in sets]
    recall = [sum(rank <= k for rank in complete) / len(sets) for k in ks]
    return [r_precision, *recall, *(float(min(complete) <= k) for k in ks)]
