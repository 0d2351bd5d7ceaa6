"""Evidence laid over passages, against the definition: do they share a character?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.errors import InputError
from glimmer.kilt.chunking import PassageFile, write_passages
from glimmer.kilt.formats import Page, Provenance
from glimmer.kilt.provenance import PageIndex, confidence, is_page_level, support

PARAGRAPH_LENGTHS = (3, 5, 4)  # of a small page; character positions below stay inside it


def row(start, end, page="1"):
    return {
        "wikipedia_id": page, "start_paragraph_id": start[0], "start_character": start[1],
        "end_paragraph_id": end[0], "end_character": end[1],
    }  # fmt: skip


def characters(start, end):
    """Every (paragraph, character) of the page from start to end, the end exclusive."""
    return {(p, c) for p, length in enumerate(PARAGRAPH_LENGTHS) for c in range(length) if start <= (p, c) < end}


def position():
    return st.integers(0, 2).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, PARAGRAPH_LENGTHS[p] - 1)))


def span():
    """A non-empty span that starts and ends on characters, as those of passages do."""
    return st.tuples(position(), position()).map(lambda s: (min(s), (max(s)[0], max(s)[1] + 1)))


@given(span(), span(), st.none() | st.floats(0, 1))
def test_support_is_the_weight_exactly_where_a_character_is_shared(passage, evidence, bleu):
    provenance = Provenance(
        page_id="1", start_paragraph=evidence[0][0], start_character=evidence[0][1],
        end_paragraph=evidence[1][0], end_character=evidence[1][1], bleu_score=bleu,
    )  # fmt: skip
    shared = characters(*passage) & characters(*evidence)
    assert support(row(*passage), provenance) == ((1.0 if bleu is None else bleu) if shared else 0.0)
    assert support(row(*passage, page="2"), provenance) == 0.0


@given(span(), st.integers(0, 2), st.integers(0, 2))
def test_evidence_without_characters_is_whole_paragraphs(passage, first, last):
    first, last = min(first, last), max(first, last)
    shared = characters(*passage) & characters((first, 0), (last + 1, 0))
    assert support(row(*passage), Provenance(page_id="1", start_paragraph=first, end_paragraph=last)) == float(
        bool(shared)
    )
    one = characters(*passage) & characters((first, 0), (first + 1, 0))
    assert support(row(*passage), Provenance(page_id="1", start_paragraph=first)) == float(bool(one))


@given(span(), position(), position())
def test_an_empty_or_reversed_span_is_the_character_at_its_start(passage, one, other):
    start, end = max(one, other), min(one, other)
    provenance = Provenance(
        page_id="1", start_paragraph=start[0], start_character=start[1], end_paragraph=end[0], end_character=end[1]
    )
    assert support(row(*passage), provenance) == float(start in characters(*passage))


@pytest.mark.parametrize("paragraph", [None, -1])
def test_evidence_without_a_place_matches_its_whole_page_and_says_so(paragraph):
    provenance = Provenance(page_id="1", start_paragraph=paragraph)
    assert is_page_level(provenance) and support(row((1, 0), (1, 2)), provenance) == 1.0


def test_confidence_is_the_best_support_and_weights_stay_in_0_1():
    passage = row((1, 0), (1, 5))
    weights = [Provenance(page_id="1", bleu_score=w) for w in (0.25, 0.5)]
    assert confidence(passage, weights) == 0.5
    assert confidence(passage, []) == 0.0
    assert support(passage, Provenance(page_id="1", bleu_score=1.7)) == 1.0


@pytest.fixture
def passages(tmp_path):
    pages = [Page(page_id=str(i), title="T", paragraphs=["T", *["Aa bb."] * i]) for i in range(6)]
    write_passages(pages, tmp_path / "p", 2)
    return PassageFile(tmp_path / "p")


def test_the_index_agrees_with_a_search_through_all_passages(passages):
    index = PageIndex(passages)
    assert len(index) == 5 and "5" in index and "0" not in index  # page 0 has no text
    rows = list(passages)
    for page in ("0", "1", "3", "5", "x", ""):
        assert list(index.passages_of(page)) == [r["id"] for r in rows if r["wikipedia_id"] == page]
    evidence = [
        Provenance(page_id="3", start_paragraph=2, bleu_score=0.5),
        Provenance(page_id="3"),
        Provenance(page_id="5"),
    ]
    for some in (evidence, evidence[:1], evidence[2:], []):
        expected = {r["id"]: confidence(r, some) for r in rows if confidence(r, some)}
        assert index.supporting(some) == expected


def test_a_page_that_comes_twice_is_refused(tmp_path):
    pages = [Page(page_id=i, title="T", paragraphs=["T", "Text."]) for i in ("1", "2", "1")]
    write_passages(pages, tmp_path / "p", 5)
    with pytest.raises(InputError, match="twice.*wikipedia_id 1"):
        PageIndex(PassageFile(tmp_path / "p"))
