"""Which passages support which gold evidence: KILT's spans laid over the spans of passages, exactly.

A provenance covers the characters from (start paragraph, start character) to (end paragraph, end character),
the end exclusive. A passage supports it if it holds one of these characters, with a weight: the provenance's
BLEU score where KILT gives one (how well its page matches the original evidence), else 1. What a file leaves
out is filled in like this:
* no start character: the paragraph's beginning; no end character: the paragraph's end; no end paragraph: the
  start paragraph;
* an empty or reversed span: the one character at its start;
* no (or a negative) start paragraph: the whole page. Such a match says that the page is right, not the
  passage: it is *page-level*.

Nothing else matches: evidence in the title paragraph or in a heading belongs to no passage.
"""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from glimmer.errors import InputError
from glimmer.kilt.digests import DigestTable
from glimmer.kilt.formats import Provenance
from glimmer.kilt.passages import PassageFile


def is_page_level(provenance: Provenance) -> bool:
    """Whether the provenance names a page without saying where on it."""
    return provenance.start_paragraph is None or provenance.start_paragraph < 0


def support(passage: Mapping[str, Any], provenance: Provenance) -> float:
    """How well a passage (a row of PassageFile) supports a provenance, in [0, 1].

    0 where they share no character.
    """
    if passage["wikipedia_id"] != provenance.page_id:
        return 0.0
    weight = 1.0 if provenance.bleu_score is None else min(max(float(provenance.bleu_score), 0.0), 1.0)
    if is_page_level(provenance):
        return weight
    start, end = extent(provenance)
    passage_start = passage["start_paragraph_id"], passage["start_character"]
    passage_end = passage["end_paragraph_id"], passage["end_character"]
    return weight if max(start, passage_start) < min(end, passage_end) else 0.0


def confidence(passage: Mapping[str, Any], provenances: Iterable[Provenance]) -> float:
    """The best support that a passage gives to any of the provenances; 0 if there are none."""
    return max((support(passage, provenance) for provenance in provenances), default=0.0)


def extent(provenance: Provenance) -> tuple[tuple[int, float], tuple[int, float]]:
    """Start and exclusive end, each (paragraph, character), of a provenance that is not page-level."""
    start = provenance.start_paragraph, provenance.start_character or 0
    paragraph = start[0] if provenance.end_paragraph is None else provenance.end_paragraph
    end = paragraph, math.inf if provenance.end_character is None else provenance.end_character
    return start, max(end, (start[0], start[1] + 1))


class PageIndex:
    """From a page's id to its passages, which lie next to each other.

    24 bytes a page, built in one streaming pass.
    """

    def __init__(self, passages: PassageFile):
        self._passages = passages
        self._pages = DigestTable()  # page id -> position in _first
        first = array("q")
        current = None
        for number, row in enumerate(passages):
            if row["wikipedia_id"] != current:
                current = row["wikipedia_id"]
                self._pages.append(current, len(first))
                first.append(number)
        first.append(len(passages))
        self._first = np.frombuffer(first, dtype=np.int64)
        for _, again in self._pages.repeats():
            row = passages[int(self._first[again])]
            raise InputError(
                "page appears twice", where=passages.directory, found=f"wikipedia_id {row['wikipedia_id']}"
            )

    def __len__(self) -> int:
        return len(self._first) - 1

    def __contains__(self, page_id: str) -> bool:
        return page_id in self._pages

    def passages_of(self, page_id: str) -> range:
        """The ids of a page's passages, in reading order; empty for a page that has none or is not there."""
        position = self._pages.find(page_id)
        if position is None:
            return range(0)
        return range(int(self._first[position]), int(self._first[position + 1]))

    def supporting_rows(self, provenance: Provenance) -> Iterator[tuple[int, dict[str, Any]]]:
        """The passages that share a character with a provenance, whatever its BLEU score: (id, row), in order."""
        for number in self.passages_of(provenance.page_id):
            row = self._passages[number]
            if support(row, dataclasses.replace(provenance, bleu_score=None)):
                yield number, row

    def supporting(self, provenances: Iterable[Provenance]) -> dict[int, float]:
        """Every passage that supports one of the provenances, with its confidence in (0, 1], by passage id."""
        supporting_rows: dict[int, float] = {}
        for provenance in provenances:
            for number in self.passages_of(provenance.page_id):
                weight = support(self._passages[number], provenance)
                if weight > supporting_rows.get(number, 0.0):
                    supporting_rows[number] = weight
        return dict(sorted(supporting_rows.items()))
