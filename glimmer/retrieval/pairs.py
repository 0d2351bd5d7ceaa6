"""Training pairs for the retriever: questions with a gold passage, and BM25's best wrong passages for them."""

from __future__ import annotations

import itertools
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
from glimmer.retrieval.retrieved import padded

_CANDIDATES_PER_NEGATIVE = 20


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A question of a task with one passage to find, and all passages (ids) that support any of its evidence."""

    task: str
    example: Example
    gold: int
    supporting: frozenset[int]


def gold_pairs(
    examples: Mapping[str, Sequence[Example]], index: PageIndex, *, per_task: int | None = None, seed: int = 0
) -> list[Pair]:
    """The pairs of every example whose evidence lies in passages: one for each page of one evidence set.

    The set is the first whose parts all lie in passages, else the first of which some do. The passage to find is the
    first that shares a character with the set's evidence on the page. Evidence that names only a page does not say
    which passage to find, and gives no pair. `per_task` draws so many questions a task at random by `seed`; a question
    comes with all its pairs. Raises InputError if nothing is left.
    """
    pairs = []
    for task, rows in sorted(examples.items()):
        questions = [of_one for of_one in (_pairs(task, example, index) for example in rows) if of_one]
        if per_task is not None and len(questions) > per_task:
            chosen = np.random.default_rng([seed, len(questions)]).permutation(len(questions))[:per_task]
            questions = [questions[number] for number in sorted(chosen)]
        pairs += itertools.chain.from_iterable(questions)
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
    row_of = {number: row for row, number in enumerate(needed.tolist())}
    supporting = [sorted(row_of[number] for number in pair.supporting if number in row_of) for pair in pairs]
    return TrainingPairs(
        questions=tokenizer.encode_array(
            [pair.example.input for pair in pairs], question_tokens, keep="last", end=True
        ),
        passages=tokenizer.encode_array(texts, passage_tokens, end=True),
        gold=np.searchsorted(needed, gold),
        negatives=np.searchsorted(needed, negatives),
        supporting=padded(supporting),
        tasks=np.array([tasks.index(pair.task) for pair in pairs], np.int64),
    )


def _pairs(task: str, example: Example, index: PageIndex) -> list[Pair]:
    supporting = frozenset(index.supporting(example.provenances()))
    best: list[int] = []
    for evidence in example.evidence_sets:
        found = [{} if is_page_level(part) else index.supporting([part]) for part in evidence]
        if not best or all(found):
            first_of_pages: dict[str, int] = {}
            for part, passages in zip(evidence, found, strict=True):
                if passages:
                    first_of_pages.setdefault(part.page_id, min(passages))
            best = list(first_of_pages.values())
        if all(found):
            break
    return [Pair(task=task, example=example, gold=gold, supporting=supporting) for gold in best]
