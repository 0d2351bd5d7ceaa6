"""Pages cut into passages of whole sentences, each with its exact span, and the file that holds them.

The rules, for `max_words` W (a word is a maximal run of non-whitespace):
* a passage holds at most W words, lies in one section of one page, and may cover several paragraphs;
* sentences stay whole: they are packed greedily, in order. A sentence of more than W words is cut into pieces
  of W words;
* paragraph 0 is the title and never text. A page with nothing else gives no passage, and is counted;
* a paragraph that starts with "Section::::" is a heading: it names the section of what follows and is no text
  itself. Before the first heading the section is KILT's own "Section::::Abstract.";
* WikiExtractor's list marker ("BULLET::::-", "BULLET::::1.") at the start of a paragraph is markup, not text,
  and left out.

A span is two positions (paragraph, character), the end exclusive. `span_text` is the definition of a
passage's text: the covered characters of each paragraph without marker and outer whitespace, joined by single
spaces. So the texts of a page's passages hold every word of it exactly once.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glimmer.errors import InputError
from glimmer.files import read_json_object, sealed_directory, write_json
from glimmer.kilt.digests import DigestTable, digest
from glimmer.kilt.formats import Page
from glimmer.kilt.passages import PassageFile
from glimmer.parts import StagePart, State, gather, reopened, stored, written_part

__all__ = [
    "ABSTRACT",
    "Passage",
    "PassageFile",
    "chunk",
    "gather_passages",
    "span_text",
    "text_position",
    "write_passages",
    "write_passages_part",
]

ABSTRACT = "Section::::Abstract."
_LINES, _OFFSETS, _PAGE_IDS = "passages.jsonl", "offsets.npy", "page_ids.npy"
_COUNTS = ("pages", "pages_without_text", "passages", "words")
_HEADING = re.compile(r"\s*Section::::")
_BULLET = re.compile(r"\s*BULLET::::(?:-|\d+\.)?")
# A sentence ends after . ! or ?, closing quotes and brackets included, before whitespace. Abbreviations end
# "sentences" early; that costs nothing, because neighbours are packed into one passage anyway.
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]]*(?=\s)")
_WORD = re.compile(r"\S+")
_ENCODER = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A chunk of a page: its text, and the span [start, end) of `Page.paragraphs` that it covers."""

    page_id: str
    title: str
    section: str
    start_paragraph: int
    start_character: int
    end_paragraph: int
    end_character: int
    text: str


def chunk(page: Page, max_words: int) -> Iterator[Passage]:
    """The passages of one page, in reading order."""
    return (passage for passage, _ in _counted(page, max_words))


def _counted(page: Page, max_words: int) -> Iterator[tuple[Passage, int]]:
    """The passages of one page, in reading order, each with its number of words."""
    if max_words < 1:
        raise InputError("max_words", expected="at least 1", found=max_words)
    section = ABSTRACT
    pending: list[tuple[int, int, int]] = []  # spans (paragraph, start, end) of the passage being packed
    words = 0
    for paragraph, text in enumerate(page.paragraphs[1:], start=1):
        if _HEADING.match(text):
            if pending:
                yield _passage(page, section, pending), words
            pending, words, section = [], 0, text.strip()
            continue
        for start, end, count in _pieces(text, max_words, max_words - words):
            if words + count > max_words:
                if pending:
                    yield _passage(page, section, pending), words
                pending, words = [], 0
            if pending and pending[-1][0] == paragraph:
                start = pending.pop()[1]
            pending.append((paragraph, start, end))
            words += count
    if pending:
        yield _passage(page, section, pending), words


def span_text(paragraphs: Sequence[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text of the span from `start` to `end`, each (paragraph, character), `end` exclusive."""
    return " ".join(text for _, _, text in _span_parts(paragraphs, start, end))


def text_position(
    paragraphs: Sequence[str], start: tuple[int, int], end: tuple[int, int], offset: int
) -> tuple[int, int]:
    """Where character `offset` of `span_text(paragraphs, start, end)` stands: (paragraph, character).

    Of a space that joins two paragraphs: where the second one's text begins. Behind the text: `end`.
    """
    before = 0
    for paragraph, character, text in _span_parts(paragraphs, start, end):
        if offset < before + len(text):
            return paragraph, character + max(offset - before, 0)
        before += len(text) + 1
    return end


def _span_parts(
    paragraphs: Sequence[str], start: tuple[int, int], end: tuple[int, int]
) -> Iterator[tuple[int, int, str]]:
    """(paragraph, first character, text) of each paragraph of a span that has text."""
    for paragraph in range(start[0], end[0] + 1):
        whole = paragraphs[paragraph]
        first = max(start[1] if paragraph == start[0] else 0, _text_start(whole))
        text = whole[first : end[1] if paragraph == end[0] else None]
        if text.strip():
            yield paragraph, first + len(text) - len(text.lstrip()), text.strip()


def _passage(page: Page, section: str, spans: list[tuple[int, int, int]]) -> Passage:
    """The passage of one span (paragraph, start, end) a paragraph, each from its first to its last word."""
    (start_paragraph, start_character, _), (end_paragraph, _, end_character) = spans[0], spans[-1]
    return Passage(
        page_id=page.page_id,
        title=page.title,
        section=section,
        start_paragraph=start_paragraph,
        start_character=start_character,
        end_paragraph=end_paragraph,
        end_character=end_character,
        text=" ".join([page.paragraphs[paragraph][start:end] for paragraph, start, end in spans]),
    )


def _text_start(paragraph: str) -> int:
    marker = _BULLET.match(paragraph)
    return marker.end() if marker else 0


def _pieces(paragraph: str, max_words: int, room: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, number of words) of each sentence, or of its runs of `max_words` words if it has more.

    A paragraph of at most `room` words is one piece: its sentences would be packed together.
    """
    given = paragraph[_text_start(paragraph) :]
    count = len(given.split())
    if count <= room:
        if count:
            end = len(paragraph.rstrip())
            yield len(paragraph) - len(given.lstrip()), end, count
        return
    for start, end in _sentences(paragraph, len(paragraph) - len(given)):
        count = len(paragraph[start:end].split())
        if count <= max_words:
            yield start, end, count
            continue
        words = [match.span() for match in _WORD.finditer(paragraph, start, end)]
        for first in range(0, len(words), max_words):
            run = words[first : first + max_words]
            yield run[0][0], run[-1][1], len(run)


def _sentences(paragraph: str, begin: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each sentence from `begin` on, without outer whitespace; one character ends no sentence."""
    last = len(paragraph.rstrip())
    while word := _WORD.search(paragraph, begin, last):
        start = word.start()
        ending = _SENTENCE_END.search(paragraph, start + 1)
        begin = ending.end() if ending else last
        yield start, begin


def write_passages(pages: Iterable[Page], directory: str | Path, max_words: int, at_least: int = 0) -> dict:
    """Chunks `pages` into a directory in one pass and constant memory.

    It holds passages.jsonl, offsets.npy and meta.json. offsets.npy is int64 [n + 1]: passage i is the bytes
    offsets[i]:offsets[i + 1] of passages.jsonl. Returns the content of meta.json: counts of pages, pages
    without text, passages and words, and `max_words`. Raises InputError for fewer passages than `at_least`.
    """
    with sealed_directory(directory) as target:
        meta = _write(pages, target, max_words)
        _require_passages(meta, at_least)
    return meta


def write_passages_part(
    pages: Iterable[Page], out: str | Path, part: StagePart, made_of: Mapping[str, Any], max_words: int
) -> dict:
    """Chunks the pages of one part of the knowledge source for `gather_passages`; passages are numbered from 0.

    page_ids.npy has the digest of each page's id, uint64 [pages]. Returns the counts of the part.
    """
    digests = array("Q")

    def noted() -> Iterator[Page]:
        for page in pages:
            digests.append(digest(page.page_id))
            yield page

    with written_part(out, part, made_of) as target:
        meta = _write(noted(), target, max_words)
        np.save(target / _PAGE_IDS, np.array(digests, dtype=np.uint64), allow_pickle=False)
    return meta


def gather_passages(
    out: str | Path,
    of: int,
    made_of: Mapping[str, Any],
    *,
    at_least: int = 0,
    check_pages: Callable[[DigestTable], object] = len,
) -> dict:
    """Makes the directory that `write_passages` makes of all pages, to the byte, of the parts that lie beside it.

    `check_pages` is given the ids of all pages before the first part is appended. Returns the counts. Raises
    InputError for fewer passages than `at_least`, and as `glimmer.parts.gather` does.
    """

    def check(parts: Sequence[Path]) -> None:
        _require_passages(_sum([read_json_object(part / "meta.json") for part in parts]), at_least)
        ids = (np.load(part / _PAGE_IDS, allow_pickle=False) for part in parts)
        check_pages(DigestTable.of_digests(ids))

    def append(part: Path, whole: Path, state: State) -> State:
        number, size = state.get("passages", 0), state.get("bytes", 0)
        with (
            stored(reopened(whole / _LINES, size)) as lines,
            _OffsetsFile(whole / _OFFSETS, keep=number) as offsets,
            open(part / _LINES, "rb") as added,
        ):
            for line in added:
                offsets.append(size)
                size += lines.write(_numbered(line, number))
                number += 1
        before = [state["meta"]] if state else []
        return {
            "passages": number,
            "bytes": size,
            "meta": _sum([*before, read_json_object(part / "meta.json")]),
        }

    def finish(whole: Path, state: State) -> None:
        with _OffsetsFile(whole / _OFFSETS, keep=state["passages"]) as offsets:
            offsets.append(state["bytes"])
        write_json(whole / "meta.json", state["meta"])

    return gather(out, of, made_of, check=check, append=append, finish=finish)["meta"]


def _write(pages: Iterable[Page], target: Path, max_words: int) -> dict:
    meta, size = dict.fromkeys(_COUNTS, 0) | {"max_words": max_words}, 0
    with open(target / _LINES, "wb") as lines, _OffsetsFile(target / _OFFSETS) as offsets:
        for page in pages:
            before = meta["passages"]
            for passage, words in _counted(page, max_words):
                offsets.append(size)
                size += lines.write(_line(meta["passages"], passage))
                meta["passages"] += 1
                meta["words"] += words
            meta["pages"] += 1
            meta["pages_without_text"] += meta["passages"] == before
        offsets.append(size)
    write_json(target / "meta.json", meta)
    return meta


def _require_passages(meta: Mapping[str, int], at_least: int) -> None:
    if meta["passages"] < at_least:
        raise InputError(
            "the corpus is too small to retrieve from", expected=f"{at_least} passages", found=meta["passages"]
        )


def _sum(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """What meta.json says of all parts together."""
    return {key: sum(part[key] for part in parts) for key in _COUNTS} | {"max_words": parts[0]["max_words"]}


def _numbered(line: bytes, number: int) -> bytes:
    """A line of passages.jsonl, which begins with its id, under another id."""
    return b'{"id": %d' % number + line[line.index(b",") :]


def _line(number: int, passage: Passage) -> bytes:
    """A line of passages.jsonl, as `json.dumps` spells it."""
    line = _spelt(_ENCODER.encode, number, passage)
    try:
        return line.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can escape and UTF-8 cannot hold
        return _spelt(json.dumps, number, passage).encode()


def _spelt(text: Callable[[str], str], number: int, passage: Passage) -> str:
    return (
        f'{{"id": {number}, "wikipedia_id": {text(passage.page_id)}, "title": {text(passage.title)},'
        f' "section": {text(passage.section)}, "start_paragraph_id": {passage.start_paragraph},'
        f' "start_character": {passage.start_character}, "end_paragraph_id": {passage.end_paragraph},'
        f' "end_character": {passage.end_character}, "text": {text(passage.text)}}}\n'
    )


class _OffsetsFile:
    """An int64 .npy file whose length is known only at its end.

    Numpy's header leaves room to be rewritten in place. `keep`: so many are in it from before.
    """

    _BUFFERED = 8192

    def __init__(self, path: Path, keep: int = 0):
        self._path, self._pending, self._count = path, array("q"), keep

    def __enter__(self) -> _OffsetsFile:
        if not self._count:
            self._file = reopened(self._path, 0)
            self._data_start = self._write_header()
            return self
        with open(self._path, "rb") as before:
            np.lib.format.read_magic(before)
            np.lib.format.read_array_header_1_0(before)
            self._data_start = before.tell()
        self._file = reopened(self._path, self._data_start + 8 * self._count)
        return self

    def append(self, offset: int) -> None:
        self._pending.append(offset)
        self._count += 1
        if len(self._pending) >= self._BUFFERED:
            self._flush()

    def __exit__(self, *_) -> None:
        with stored(self._file):
            self._flush()
            self._file.seek(0)
            if self._write_header() != self._data_start:
                raise RuntimeError(f"numpy's header outgrew its place in {self._path}")

    def _write_header(self) -> int:
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "<i8", "fortran_order": False, "shape": (self._count,)}
        )
        return self._file.tell()

    def _flush(self) -> None:
        self._file.write(np.asarray(self._pending, dtype="<i8").tobytes())
        self._pending = array("q")
