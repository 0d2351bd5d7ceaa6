"""What `lengths` cut off a study: questions, passages, the evidence in them, and answers, counted by task and split.

Lengths are in tokens as readers get them: a question within its template, a passage with its title and end token, an
answer with its end token. The retriever's own lengths are not counted.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from glimmer.errors import InputError
from glimmer.experiments.sections import Lengths, Templates
from glimmer.kilt.chunking import text_position
from glimmer.kilt.formats import Example, knowledge_source_file, read_examples, read_pages, task_file
from glimmer.kilt.passages import PassageFile
from glimmer.kilt.provenance import PageIndex, extent, is_page_level
from glimmer.models.tokenizer import Tokenizer

SPLITS_COUNTED = ("train", "dev")
_BLOCK = 4096
_NOT_CUT = np.iinfo(np.int32).max


def count_cuts(
    data: str | Path,
    passages: PassageFile,
    tokenizer: Tokenizer,
    *,
    tasks: Sequence[str],
    lengths: Lengths,
    templates: Templates,
) -> dict[str, Any]:
    """The document that lengths.json holds: `passages` of the corpus, then `tasks` by name and split.

    Each entry has `n`, counts of what is cut and their shares (fractions of n), and `needed`: the number of tokens that
    would hold 95 and 99 percent of them, and all. Memory: 32 bytes a passage and page, and one block of texts.
    """
    lost_from, of_corpus = _passage_cuts(data, passages, tokenizer, lengths.passage, templates.passage)
    index = PageIndex(passages)
    counts: dict[str, dict[str, Any]] = {}
    for task, split in itertools.product(tasks, SPLITS_COUNTED):
        tally = _TaskTally(tokenizer, lengths, templates.question)
        evidence: Counter[str] = Counter()
        for block in _blocks(read_examples(task_file(data, task, split))):
            tally.add(block)
            evidence.update(itertools.chain.from_iterable(_evidence(example, index, lost_from) for example in block))
        counts.setdefault(task, {})[split] = tally.counts() | {"evidence": _shares(evidence, "cut", "lost")}
    return {"lengths": vars(lengths), "passages": of_corpus, "tasks": counts}


def _passage_cuts(
    data: str | Path, passages: PassageFile, tokenizer: Tokenizer, length: int, template: str
) -> tuple[Int[np.ndarray, "passages 2"], dict[str, Any]]:
    """(paragraph, character) of the first character that each passage loses, and the counts over the corpus."""
    lost_from = np.full((len(passages), 2), _NOT_CUT, np.int32)
    pages, needed, lost = _PagesInOrder(data), Counter(), 0
    before, _, _ = template.partition("{text}")
    with tqdm(total=len(passages), desc="passages", disable=None, leave=False) as bar:
        for block in _blocks(passages):
            ends = tokenizer.kept_characters([template.format(**_words(row)) for row in block], length - 1)
            for row, (tokens, kept) in zip(block, ends, strict=True):
                needed[tokens + 1] += 1
                lost += max(tokens + 1 - length, 0)
                if kept is not None:
                    offset = max(kept - len(before.format(**_words(row))), 0)
                    start = row["start_paragraph_id"], row["start_character"]
                    end = row["end_paragraph_id"], row["end_character"]
                    lost_from[row["id"]] = text_position(pages.paragraphs(row["wikipedia_id"]), start, end, offset)
            bar.update(len(block))
    tokens = sum(count * number for count, number in needed.items())
    return lost_from, _needs(needed, length) | {
        "tokens": tokens,
        "tokens_lost": lost,
        "share_tokens_lost": lost / tokens if tokens else 0.0,
    }


def _evidence(example: Example, index: PageIndex, lost_from: np.ndarray) -> Iterator[str]:
    """For each distinct span of evidence that lies in passages: "n", "cut" if they lose some of it, "lost" if all."""
    spans = {(item.page_id, *extent(item)): item for item in example.provenances() if not is_page_level(item)}
    for (_, start, end), provenance in spans.items():
        kept = lost = False
        for number, row in index.supporting_rows(provenance):
            first = max(start, (row["start_paragraph_id"], row["start_character"]))
            last = min(end, (row["end_paragraph_id"], row["end_character"]))
            cut = tuple(lost_from[number].tolist())
            kept |= first < min(last, cut)
            lost |= max(first, cut) < last
        if kept or lost:
            yield "n"
        if lost:
            yield "cut"
        if lost and not kept:
            yield "lost"


class _TaskTally:
    """Lengths of the questions and answers of one task and split."""

    def __init__(self, tokenizer: Tokenizer, lengths: Lengths, template: str):
        self.tokenizer, self.lengths, self.template = tokenizer, lengths, template
        self.questions: Counter[int] = Counter()
        self.answers: Counter[int] = Counter()
        self.without_template: Counter[int] = Counter()

    def add(self, examples: Sequence[Example]) -> None:
        """Counts some more examples."""
        questions = [example.input for example in examples]
        self.questions.update(self.tokenizer.counts([self.template.format(question=text) for text in questions]))
        self.without_template.update(self.tokenizer.counts(questions))
        answered = [example.answers for example in examples if example.answers]
        tokens = iter(self.tokenizer.counts(list(itertools.chain.from_iterable(answered))))
        self.answers.update(min(itertools.islice(tokens, len(aliases))) + 1 for aliases in answered)

    def counts(self) -> dict[str, Any]:
        """What lengths.json says of them. `own_words_cut`: questions that do not fit without the template either."""
        questions = _needs(self.questions, self.lengths.question)
        own = _needs(self.without_template, self.lengths.question)
        return {
            "questions": questions | {"own_words_cut": own["cut"], "share_own_words_cut": own["share_cut"]},
            "answers": _needs(self.answers, self.lengths.target),
        }


class _PagesInOrder:
    """Paragraphs of pages, asked for in the order in which the knowledge source has them: one pass, one page at a time.

    The knowledge source is not opened before the first is asked for.
    """

    def __init__(self, data: str | Path):
        self._data, self._pages, self._page = data, None, None

    def paragraphs(self, page_id: str) -> Sequence[str]:
        """The page's paragraphs. Raises InputError where it does not come, or has come already."""
        if self._pages is None:
            self._source = knowledge_source_file(self._data)
            self._pages = read_pages(self._source)
        while self._page is None or self._page.page_id != page_id:
            self._page = next(self._pages, None)
            if self._page is None:
                raise InputError("passages of other data", where=self._source, expected=f"page {page_id}", found="none")
        return self._page.paragraphs


def _needs(needed: Mapping[int, int], limit: int) -> dict[str, Any]:
    """Of things that need so many tokens (tokens -> how many things): how many `limit` cuts, and what would hold them.

    `needed.p95` is the least number of tokens that cuts at most 5 percent of them.
    """
    n = sum(needed.values())
    cut = sum(count for tokens, count in needed.items() if tokens > limit)
    return _shares(Counter(n=n, cut=cut), "cut") | {
        "needed": {"p95": _holding(needed, 95), "p99": _holding(needed, 99), "longest": max(needed, default=0)}
    }


def _holding(needed: Mapping[int, int], percent: int) -> int:
    n, held = sum(needed.values()), 0
    for tokens, count in sorted(needed.items()):
        held += count
        if 100 * held >= percent * n:
            return tokens
    return 0


def _shares(counts: Mapping[str, int], *names: str) -> dict[str, Any]:
    n = counts["n"]
    found = {"n": n}
    for name in names:
        found |= {name: counts[name], f"share_{name}": counts[name] / n if n else 0.0}
    return found


def _words(row: Mapping[str, Any]) -> dict[str, str]:
    return {"title": row["title"], "text": row["text"]}


def _blocks(items: Iterable) -> Iterator[list]:
    items = iter(items)
    while block := list(itertools.islice(items, _BLOCK)):
        yield block
