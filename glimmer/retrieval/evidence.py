"""How much of the gold evidence was retrieved, and at which rank: confidence, R-precision, recall, ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from glimmer.kilt.formats import Example
from glimmer.kilt.passages import PassageFile
from glimmer.kilt.provenance import PageIndex
from glimmer.retrieval.retrieved import NONE, Retrieved

DEFAULT_KS = (1, 5, 10, 25, 40)


def confidences(passages: np.ndarray, examples: Sequence[Example], index: PageIndex) -> np.ndarray:
    """For passages int64 [n, depth]: how well each supports a gold provenance of its example; float32 [n, depth]."""
    out = np.zeros(passages.shape, np.float32)
    for row, (retrieved, example) in enumerate(zip(passages, examples, strict=True)):
        out[row] = index.confidences(retrieved, example.provenances())
    return out


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
    Passage level: `evidence@k` is whether a passage of confidence > 0 is among the first k, and `evidence_rank` counts
    the examples by the rank of the first such passage (`counts[0]` is rank 1; `none`: not retrieved).
    An example without evidence sets scores 0, as in KILT; `n_with_evidence` tells how many have some.
    """
    ks = [k for k in ks if k <= retrieved.depth]
    values = np.array([_page_scores(row, example, ks) for row, example in zip(pages, examples, strict=True)])
    values = values.reshape(len(examples), 1 + 2 * len(ks))
    mean = [float(value) for value in values.mean(axis=0)] if len(examples) else [0.0] * values.shape[1]
    found = retrieved.confidence > 0
    first = np.where(found.any(axis=1), found.argmax(axis=1), retrieved.depth)
    counts = np.bincount(first, minlength=retrieved.depth + 1)
    names = ["Rprec", *(f"recall@{k}" for k in ks), *(f"success@{k}" for k in ks)]
    return {
        "n": len(examples),
        "n_with_evidence": sum(bool(example.evidence_sets) for example in examples),
        **dict(zip(names, mean, strict=True)),
        **{f"evidence@{k}": float((first < k).mean()) if len(first) else 0.0 for k in ks},
        "evidence_rank": {"counts": counts[:-1].tolist(), "none": int(counts[-1])},
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
