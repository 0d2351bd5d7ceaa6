"""What is wrong with one line of a knowledge source or a task file.

Readers stop at the first fault, `glimmer validate` lists them all: one fault has the same words in both. What readers
can live with (a repeated id, a title that differs, evidence without a page) only the validator names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from glimmer.errors import InputError
from glimmer.kilt.hub import PLACES, is_hub_form, without_fillers

JOIN_TRIVIAQA = (
    "KILT publishes TriviaQA as ids without questions: join them by id from TriviaQA's own archive "
    "(`glimmer fetch triviaqa`)"
)
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BLEU_ROUNDING = 1e-6  # the Hub stores float32


def parse_line(line: bytes, where: object) -> dict:
    """One line as a JSON object. Raises InputError that names `where`."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        if not line.strip():
            raise InputError("blank line", where=where, expected="one JSON object a line") from None
        raise InputError("not JSON", where=where, expected="one JSON object a line", found=str(error)) from None
    if not isinstance(row, dict):
        raise InputError("not a JSON object", where=where, expected="one JSON object a line", found=short(row))
    return row


def text_faults(row: dict, line: bytes, where: object) -> Iterator[InputError]:
    """Half a surrogate pair: JSON's escapes can spell it, and no file, tokenizer or terminal can take it."""
    if not _ESCAPED_SURROGATE.search(line):
        return
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        around = error.object[max(error.start - 20, 0) : error.end + 20]
        yield InputError("half a surrogate pair", where=where, expected="text that UTF-8 can hold", found=ascii(around))


def page_faults(row: dict, where: object) -> Iterator[InputError]:
    """Why a line is no page: without an id, or without a list of strings as text."""
    identifier = page_id_of(row)
    if not _is_id(identifier):
        yield InputError("page without an id", where=where, expected="`wikipedia_id` or `_id`, text or a whole number",
                         found=f"the keys {_keys(row)}" if identifier is None else short(identifier))  # fmt: skip
    text = row.get("text")
    if not isinstance(text, list) or not text or not all(isinstance(item, str) for item in text):
        yield InputError("page without text", where=where, expected="`text`, a list of strings that starts with the "
                         "title", found=f"page {short(identifier)} with {short(text)}")  # fmt: skip


def page_id_of(row: Mapping[str, Any]) -> Any:
    """The page's id as the line has it; None where it has none."""
    return row["wikipedia_id"] if row.get("wikipedia_id") is not None else row.get("_id")


def example_faults(
    row: dict, where: object, *, require_input: bool = True, require_answers: bool = False
) -> Iterator[InputError]:
    """Why a line is no example of a task.

    `require_answers` asks for an answer too, which a reader's training and its scores need. A line without `output`
    is a test question, which has none.
    """
    identifier = row.get("id")
    if not _is_id(identifier):
        yield InputError("example without an id", where=where, expected="`id`, text or a whole number",
                         found=f"the keys {_keys(row)}" if identifier is None else short(identifier))  # fmt: skip
    question = row.get("input")
    if question is not None and not isinstance(question, str):
        yield InputError(f"the question of {short(identifier)}", where=where, expected="`input`, a string with text",
                         found=short(question))  # fmt: skip
    elif require_input and not (question or "").strip():
        expected = f"`input`, a string with text; {JOIN_TRIVIAQA}" if not question else "`input`, a string with text"
        found = short(question) if "input" in row else "no `input`"
        yield InputError(f"example {short(identifier)} has no question", where=where, expected=expected, found=found)
    yield from _output_faults(row, identifier, where, require_answers)


def _output_faults(row: dict, identifier: Any, where: object, require_answers: bool) -> Iterator[InputError]:
    outputs = row.get("output", [])
    if not _are_objects(outputs):
        yield InputError(f"example {short(identifier)}", where=where, expected="`output`, a list of objects",
                         found=short(outputs))  # fmt: skip
        return
    for output in outputs:
        answer = output.get("answer")
        if answer and not isinstance(answer, str):
            yield InputError(f"an answer of {short(identifier)}", where=where, expected="a string", found=short(answer))
        yield from provenance_faults(output, identifier, where)
    if require_answers and not any(str(output.get("answer") or "").strip() for output in outputs):
        found = "no `output`" if "output" not in row else f"{len(outputs)} outputs without one"
        yield InputError(f"example {short(identifier)} has no answer", where=where, expected="an `answer` with text in "
                         "one of its outputs", found=found)  # fmt: skip


def provenance_faults(output: Mapping[str, Any], identifier: Any, where: object) -> Iterator[InputError]:
    """What is wrong with the evidence of one output, of gold or of a guess."""
    items = output.get("provenance", [])
    if not _are_objects(items):
        yield InputError(f"evidence of {short(identifier)}", where=where, expected="`provenance`, a list of objects",
                         found=short(items))  # fmt: skip
        return
    for item in items:
        yield from _provenance_faults(item, identifier, where)


def _provenance_faults(item: dict, identifier: Any, where: object) -> Iterator[InputError]:
    what = f"provenance of {short(identifier)}"
    given = without_fillers(item)
    for key in PLACES:
        value = given.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            yield InputError(what, where=where, expected=f"`{key}`, a whole number (-1 or null: not given)",
                             found=short(value))  # fmt: skip
    bleu = given.get("bleu_score")
    if bleu is not None and not (_is_number(bleu) and -_BLEU_ROUNDING <= bleu <= 1 + _BLEU_ROUNDING):
        yield InputError(what, where=where, expected="`bleu_score` in [0, 1] (-1 or null: not given)",
                         found=short(bleu))  # fmt: skip
    page = given.get("wikipedia_id")
    if page is not None and not _is_id(page):
        yield InputError(what, where=where, expected="`wikipedia_id`, text or a whole number", found=short(page))


def odd_page(row: dict, where: object) -> Iterator[InputError]:
    """What a reader of pages can live with, and a person should know."""
    title, text = row.get("wikipedia_title"), row.get("text")
    if None not in (row.get("_id"), row.get("wikipedia_id")) and id_text(row["_id"]) != id_text(row["wikipedia_id"]):
        yield InputError("a page of two ids", where=where, expected=f"_id {row['_id']}",
                         found=f"wikipedia_id {row['wikipedia_id']}")  # fmt: skip
    if not isinstance(title, str) or not title.strip():
        yield InputError("no wikipedia_title", where=where, expected="a string with text", found=short(title))
    elif isinstance(text, list) and text and isinstance(text[0], str) and text[0].strip() != title.strip():
        yield InputError("text does not start with the title", where=where, expected=short(title),
                         found=f"{short(text[0])}, which would be lost")  # fmt: skip


def odd_example(row: dict, where: object) -> Iterator[InputError]:
    """What a reader of examples can live with, and a person should know."""
    for output in row["output"] if _are_objects(row.get("output")) else []:
        if output.get("provenance") == [] and not is_hub_form(row):
            yield InputError("empty provenance", where=where, expected="no `provenance` where there is no evidence",
                             found="[], which KILT scores as evidence that no guess completes")  # fmt: skip
        yield from odd_provenance(output, where)


def odd_provenance(output: Mapping[str, Any], where: object) -> Iterator[InputError]:
    """Evidence of an output that points to no page, or that ends before it starts."""
    items = output.get("provenance")
    for item in items if _are_objects(items) else []:
        given = without_fillers(item)
        if given.get("wikipedia_id") is None:
            yield without_page(item, where)
        start, end = [given.get(key) for key in PLACES[:2]], [given.get(key) for key in PLACES[2:]]
        if all(isinstance(place, int) for place in (*start, *end)) and start > end:
            yield InputError("provenance ends before it starts", where=where, found=f"{start} to {end}")


def without_page(item: Mapping[str, Any], where: object) -> InputError:
    """The fault of a provenance that names no page: evidence that can be neither brought nor found."""
    return InputError("provenance without a page", where=where, expected="`wikipedia_id`", found=short(item))


def id_text(value: Any) -> str:
    """An id as KILT compares it: 7, "7" and " 7" are the same."""
    return str(value).strip()


def short(value: Any) -> str:
    """A JSON value in at most 60 characters."""
    if not isinstance(value, str | int | float | list | dict | None):
        return ascii(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_id(value: Any) -> bool:
    """Text or a whole number: 7.0 would be another id than 7, as text."""
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(id_text(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _keys(row: dict) -> str:
    return ", ".join(sorted(row)) or "(none)"
