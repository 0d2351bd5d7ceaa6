"""Training pairs for the retriever: questions with a gold passage, and BM25's best wrong passages for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glimmer.errors import InputError
from glimmer.kilt.aliases import whole_words
from glimmer.kilt.formats import Example
from glimmer.kilt.passages import PassageFile
from glimmer.kilt.provenance import PageIndex, is_page_level
from glimmer.models.tokenizer import Tokenizer
from glimmer.retrieval.bm25 import Bm25Index, search_bm25
from glimmer.retrieval.contrastive import TrainingPairs
from glimmer.retrieval.embed import passage_text

_CANDIDATES_PER_NEGATIVE = 20


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A question of a task with the passage to find and the passages (ids) that support any of its evidence."""

    task: str
    example: Example
    gold: int
    supporting: frozenset[int]


def gold_pairs(
    examples: Mapping[str, Sequence[Example]], index: PageIndex, *, per_task: int | None = None, seed: int = 0
) -> list[Pair]:
    """One pair for each example whose evidence lies in a passage: the first passage that shares a character with it.

    Evidence that names only a page does not say which passage to find, and gives no pair. `per_task` draws so many
    examples a task at random by `seed`. Raises InputError if nothing is left.
    """
    pairs = []
    for task, rows in sorted(examples.items()):
        positives = [pair for pair in (_pair(task, example, index) for example in rows) if pair is not None]
        if per_task is not None and len(positives) > per_task:
            chosen = np.random.default_rng([seed, len(positives)]).permutation(len(positives))[:per_task]
            positives = [positives[number] for number in sorted(chosen)]
        pairs += positives
    if not pairs:
        raise InputError(
            "no training question has its evidence in a passage",
            expected="provenance with paragraphs",
            found=f"{sum(map(len, examples.values()))} examples without",
        )
    return pairs


def hard_negatives(pairs: Sequence[Pair], corpus: PassageFile, bm25: Bm25Index, count: int) -> np.ndarray:
    """BM25's best passages that support no evidence of the question and hold none of its answers; int64 [n, count].

    Where too few candidates are without an answer ("no" is in most texts), the next best without evidence fill up.
    """
    depth = min(len(corpus), _CANDIDATES_PER_NEGATIVE * count)
    retrieved, _ = search_bm25(bm25, [pair.example.input for pair in pairs], depth)
    out = np.empty((len(pairs), count), np.int64)
    for row, (pair, candidates) in enumerate(zip(pairs, retrieved.tolist(), strict=True)):
        wrong = [number for number in candidates if number not in pair.supporting]
        pattern = whole_words(pair.example.answers)
        holds = {number: bool(pattern and pattern.search(corpus.text(number))) for number in wrong}
        chosen = sorted(wrong, key=holds.__getitem__)[:count]  # stable: in BM25's order within each kind
        if len(chosen) < count:
            raise InputError(
                "too few passages for hard negatives",
                where=corpus.directory,
                expected=f"{count} without evidence",
                found=len(chosen),
            )
        out[row] = chosen
    return out


def training_pairs(
    pairs: Sequence[Pair],
    negatives: np.ndarray | None,
    corpus: PassageFile,
    tokenizer: Tokenizer,
    *,
    question_tokens: int,
    passage_tokens: int,
) -> TrainingPairs:
    """Tokenises pairs and the distinct passages they name; lengths include the end token."""
    gold = np.array([pair.gold for pair in pairs], np.int64)
    negatives = np.zeros((len(pairs), 0), np.int64) if negatives is None else negatives
    needed = np.unique(np.concatenate([gold, negatives.ravel()]))
    rows = (corpus[int(number)] for number in needed)
    texts = [passage_text(row["title"], row["text"]) for row in rows]
    tasks = sorted({pair.task for pair in pairs})
    return TrainingPairs(
        questions=tokenizer.encode_array(
            [pair.example.input for pair in pairs], question_tokens, keep="last", end=True
        ),
        passages=tokenizer.encode_array(texts, passage_tokens, end=True),
        gold=np.searchsorted(needed, gold),
        negatives=np.searchsorted(needed, negatives),
        tasks=np.array([tasks.index(pair.task) for pair in pairs], np.int64),
    )


def _pair(task: str, example: Example, index: PageIndex) -> Pair | None:
    supporting = index.supporting(example.provenances())
    for provenance in example.provenances():
        exact = {} if is_page_level(provenance) else index.supporting([provenance])
        if exact:
            return Pair(task=task, example=example, gold=min(exact), supporting=frozenset(supporting))
    return None
