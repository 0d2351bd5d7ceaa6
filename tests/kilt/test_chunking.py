"""Passages: their length, their spans, and that they hold every word of a page exactly once."""

import copy
import hashlib
import json
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.errors import InputError
from glimmer.files import SEAL
from glimmer.kilt.chunking import PassageFile, chunk, span_text, text_position, write_passages
from glimmer.kilt.formats import Page

WORDS = st.sampled_from(
    ["a", "Dr.", "end.", "why?", '"so!"', "(x.)", "3.14", "…", "é", "\u2003", "BULLET::::-", "Section::::X"]
)
PARAGRAPHS = st.builds(
    lambda prefix, words, gaps, end: prefix + "".join(w + g for w, g in zip(words, gaps, strict=True)) + end,
    st.sampled_from(["", " ", "BULLET::::- ", "BULLET::::12. ", "BULLET::::", "Section::::Part.:Sub."]),
    st.lists(WORDS, min_size=7, max_size=7),
    st.lists(st.sampled_from([" ", "  ", "\n", "\t"]), min_size=7, max_size=7),
    st.sampled_from(["", "\n", " \n"]),
) | st.text(max_size=30)


def page(*paragraphs):
    return Page(page_id="1", title="T", paragraphs=["T", *paragraphs])


def texts(paragraphs, max_words):
    return [passage.text for passage in chunk(page(*paragraphs), max_words)]


@given(paragraphs=st.lists(PARAGRAPHS, max_size=6), max_words=st.integers(1, 12))
def test_passages_hold_every_word_once_in_order_and_spans_give_back_the_text(paragraphs, max_words):
    whole = page(*paragraphs)
    passages = list(chunk(whole, max_words))
    body = [re.sub(r"\A\s*BULLET::::(-|\d+\.)?", "", p) for p in paragraphs if not re.match(r"\s*Section::::", p)]
    assert " ".join(p.text for p in passages).split() == " ".join(body).split()
    previous_end = (1, 0)
    for passage in passages:
        start, end = (passage.start_paragraph, passage.start_character), (passage.end_paragraph, passage.end_character)
        assert 0 < len(passage.text.split()) <= max_words
        assert previous_end <= start < end
        assert span_text(whole.paragraphs, start, end) == passage.text
        # The ends are tight: the span starts and ends on a character of the text.
        assert whole.paragraphs[start[0]][start[1]] == passage.text[0]
        assert whole.paragraphs[end[0]][end[1] - 1] == passage.text[-1]
        previous_end = end
        for offset, character in enumerate(passage.text):
            paragraph, place = text_position(whole.paragraphs, start, end, offset)
            there = whole.paragraphs[paragraph][place]
            assert there == character or (character == " " and there == passage.text[offset + 1])
        assert text_position(whole.paragraphs, start, end, len(passage.text)) == end


SENTENCE = re.compile(r"\S.*?(?:[.!?…][\"'”’»)\]]*(?=\s)|\Z)", re.DOTALL)
MARKER = re.compile(r"\s*BULLET::::(?:-|\d+\.)?")


def packed_sentence_by_sentence(page, max_words):
    """The rules as they are written: every sentence of every paragraph, packed one after another."""
    passages, section, pending = [], "Section::::Abstract.", []

    def close():
        if pending:
            start, end = (pending[0][0], pending[0][1]), (pending[-1][0], pending[-1][2])
            passages.append((section, start, end, span_text(page.paragraphs, start, end)))
            pending.clear()

    for number, text in enumerate(page.paragraphs[1:], start=1):
        if text.lstrip().startswith("Section::::"):
            close()
            section = text.strip()
            continue
        marker = MARKER.match(text)
        for sentence in SENTENCE.finditer(text, marker.end() if marker else 0):
            words = [match.span() for match in re.compile(r"\S+").finditer(text, *sentence.span())]
            for run in (words[n : n + max_words] for n in range(0, len(words), max_words)):
                if sum(count for *_, count in pending) + len(run) > max_words:
                    close()
                pending.append((number, run[0][0], run[-1][1], len(run)))
    close()
    return passages


ATOMS = ["a", "Bc", ".", "!", "…", '"', "”", ")", " ", "  ", "\n", "\x1c", "\u2003", "1.", "Foo. Bar ", "BULLET::::-"]


@given(
    paragraphs=st.lists(st.lists(st.sampled_from(ATOMS), max_size=30).map("".join), max_size=5),
    max_words=st.integers(1, 20),
)
def test_paragraphs_that_fit_whole_are_packed_as_their_sentences_would_be(paragraphs, max_words):
    page = Page(page_id="1", title="T", paragraphs=["T", *paragraphs])
    cut = [
        (p.section, (p.start_paragraph, p.start_character), (p.end_paragraph, p.end_character), p.text)
        for p in chunk(page, max_words)
    ]
    assert cut == packed_sentence_by_sentence(page, max_words)


def test_lines_are_spelt_as_json_spells_them(tmp_path):
    odd = 'a "quoted" \\ \t \x00 é 漢 \u2028 end.'
    write_passages([Page(page_id='7"', title=odd, paragraphs=[odd, odd, "half \ud800"])], tmp_path / "passages", 99)
    (line,) = (tmp_path / "passages" / "passages.jsonl").read_bytes().splitlines()
    row = json.loads(line)
    assert line == json.dumps(row).encode() and row["text"] == f"{odd} half \ud800"
    write_passages([Page(page_id='7"', title=odd, paragraphs=[odd, odd])], tmp_path / "whole", 99)
    line = (tmp_path / "whole" / "passages.jsonl").read_bytes().removesuffix(b"\n")
    assert line == json.dumps(json.loads(line), ensure_ascii=False).encode() and json.loads(line)["title"] == odd


def test_without_markup_the_text_is_the_covered_characters_joined_by_spaces():
    (passage,) = chunk(page("One two. Three", "four. Five six."), 6)
    assert passage.text == "One two. Three four. Five six."
    assert (passage.start_paragraph, passage.start_character, passage.end_paragraph, passage.end_character) == (
        1,
        0,
        2,
        15,
    )


def test_sentences_stay_whole_and_are_packed_up_to_the_limit():
    assert texts(["A b. C d e. F."], 4) == ["A b.", "C d e. F."]
    assert texts(["A b. C d e. F."], 5) == ["A b. C d e.", "F."]


def test_a_sentence_over_the_limit_is_cut_at_words_and_its_rest_is_packed_on():
    assert texts(["a b c d e f g. h."], 3) == ["a b c", "d e f", "g. h."]


def test_headings_name_the_section_and_end_a_passage():
    passages = list(
        chunk(page("Intro.", "Section::::History.\n", "BULLET::::- Old.\n", "New.", "Section::::Empty."), 50)
    )
    assert [(p.section, p.text) for p in passages] == [
        ("Section::::Abstract.", "Intro."),
        ("Section::::History.", "Old. New."),
    ]


def test_a_limit_below_one_word_is_refused():
    with pytest.raises(InputError, match="at least 1"):
        list(chunk(page("x"), 0))


def test_long_runs_of_spaces_take_linear_time():
    assert texts(["a" + " " * 200_000 + "b"], 5) == ["a" + " " * 200_000 + "b"]


@pytest.fixture
def corpus():
    return [page("One. Two."), Page(page_id="2", title="Bare", paragraphs=["Bare"]), page("Ünï.", "\ud800 half.")]


def test_the_passage_file_gives_every_passage_by_id(tmp_path, corpus):
    meta = write_passages(corpus, tmp_path / "p", 1)
    assert meta == {"pages": 3, "pages_without_text": 1, "passages": 5, "words": 5, "max_words": 1}
    with PassageFile(tmp_path / "p") as passages:
        assert len(passages) == 5
        assert [passages.text(i) for i in range(5)] == ["One.", "Two.", "Ünï.", "\ud800", "half."]
        assert [row["id"] for row in passages] == list(range(5))
        assert passages.title(0) == "T"
        assert passages.provenance(1) == {
            "wikipedia_id": "1", "title": "T", "section": "Section::::Abstract.", "start_paragraph_id": 1,
            "start_character": 5, "end_paragraph_id": 1, "end_character": 9,
        }  # fmt: skip
        assert passages.provenance(1, with_text=True)["text"] == "Two."
        for missing in (-1, 5):
            with pytest.raises(IndexError):
                passages[missing]
        other = copy.copy(passages)
    assert other.text(4) == "half."  # a copy, such as a worker process gets, has its own open file
    assert np.load(tmp_path / "p/offsets.npy", allow_pickle=False).dtype == np.int64


def test_writing_twice_gives_the_same_bytes(tmp_path, corpus):
    digests = []
    for name in ("p", "q"):
        write_passages(corpus, tmp_path / name, 3)
        digests.append([hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted((tmp_path / name).iterdir())])
    assert digests[0] == digests[1]


def test_an_empty_corpus_is_an_empty_passage_file(tmp_path):
    write_passages([], tmp_path / "p", 3)
    assert len(PassageFile(tmp_path / "p")) == 0


def test_offsets_of_another_file_are_refused(tmp_path, corpus):
    write_passages(corpus, tmp_path / "p", 3)
    (tmp_path / "p/passages.jsonl").write_text(json.dumps({"id": 0}) + "\n")
    with pytest.raises(InputError, match=r"passages\.jsonl: not the bytes that were written"):
        PassageFile(tmp_path / "p")
    (tmp_path / "p" / SEAL).unlink()  # as an earlier version left it
    with pytest.raises(InputError, match="do not belong together"):
        PassageFile(tmp_path / "p")


def test_a_failed_run_leaves_nothing_under_the_final_name(tmp_path, corpus):
    def breaks():
        yield corpus[0]
        raise InputError("stop")

    with pytest.raises(InputError):
        write_passages(breaks(), tmp_path / "p", 3)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    write_passages([page("Warm up.")], tmp_path / "p", 40)
    tracemalloc.start()
    write_passages((page(f"Page {i} here. " * 20) for i in range(6000)), tmp_path / "p", 40)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    written_bytes = (tmp_path / "p/passages.jsonl").stat().st_size
    assert peak_bytes < 350_000 < written_bytes / 10  # of it 256 KiB: the buffer in which its digest is taken
