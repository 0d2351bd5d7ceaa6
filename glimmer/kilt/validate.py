"""Every problem of a knowledge source, task or guess file, with its line, in one pass and bounded memory.

The first line tells the kind, where the caller does not: `text` makes a knowledge source; `input` a task
file, and so does a list of outputs that no guess has (none or several); the rest are guesses. A guess file
that repeats `input` is told from a task file by its evidence: `text` or `score` in a provenance item. Where
that is not enough, name the kind.

Ids are remembered as 16 bytes each, and 40 while they are sorted at the end: 240 MB for the 5.9 million pages
of KILT, 91 MB for the 2.28 million examples of T-REx. Line by line nothing else is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.files import numbered_lines, readable
from glimmer.kilt.digests import DigestTable
from glimmer.kilt.formats import read_examples, read_pages
from glimmer.kilt.rows import (
    example_faults,
    id_text,
    odd_example,
    odd_page,
    odd_provenance,
    page_faults,
    page_id_of,
    parse_line,
    provenance_faults,
    short,
    text_faults,
)

KINDS = ("knowledge source", "task", "guess")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with one line."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(kw_only=True, slots=True)
class Summary:
    """What a validation has seen so far; whole once the problems have been read to their end."""

    file: str
    kind: str | None = None
    lines: int = 0
    problems: int = 0


def validate_file(path: str | Path, kind: str | None = None, summary: Summary | None = None) -> Iterator[Problem]:
    """Streams every problem of a file, plain or gzipped, in line order; repeated ids come last.

    Args:
        kind: one of KINDS; told from the first line that is a JSON object if None.
        summary: filled in as the lines are read.
    Raises InputError for what is no file. A broken gzip stream is a problem like others, and the
    last one.
    """
    if kind is not None and kind not in KINDS:
        raise InputError("unknown kind of file", expected=", ".join(KINDS), found=kind)
    summary = Summary(file=str(path)) if summary is None else summary
    summary.kind = kind
    for line, text in _problems(path, summary):
        summary.problems += 1
        yield Problem(file=str(path), line=line, text=text)


def _problems(path: str | Path, summary: Summary) -> Iterator[tuple[int, str]]:
    ids = DigestTable()
    first: dict | None = None
    lines = numbered_lines(readable(path))
    while True:
        try:
            summary.lines, line = next(lines)
        except StopIteration:
            break
        except InputError as error:
            yield summary.lines + 1, error.text
            break
        try:
            row = parse_line(line, None)
        except InputError as error:
            yield summary.lines, error.text
            continue
        if first is None:
            first = row
            summary.kind = summary.kind or recognise(row)
        identifier = page_id_of(row) if summary.kind == "knowledge source" else row.get("id")
        if isinstance(identifier, str | int) and id_text(identifier):
            ids.append(id_text(identifier), summary.lines)
        for fault in (*text_faults(row, line, None), *_CHECKS[summary.kind](row, first)):
            yield summary.lines, fault.text
    if summary.lines == 0:
        yield 1, "the file is empty"
    for before, again in ids.repeats():
        yield again, f"the id of line {before} again"


def recognise(row: Mapping[str, Any]) -> str:
    """The kind of file that a line is from, one of KINDS."""
    if "text" in row or "wikipedia_title" in row:
        return "knowledge source"
    outputs = row.get("output")
    if not isinstance(outputs, list) or len(outputs) != 1 or not isinstance(outputs[0], dict):
        return "task"
    evidence = outputs[0].get("provenance")
    items = [item for item in evidence if isinstance(item, dict)] if isinstance(evidence, list) else []
    ranked = any("text" in item or "score" in item for item in items)
    return "task" if "input" in row and not ranked else "guess"


def _page_problems(row: dict, first: dict) -> Iterator[InputError]:
    yield from page_faults(row, None)
    yield from odd_page(row, None)


def _task_problems(row: dict, first: dict) -> Iterator[InputError]:
    is_of_ids = not first.get("input")  # such a file is said once to have no questions
    has_answers = bool(first.get("output") or row.get("output"))  # test questions come without outputs
    yield from example_faults(row, None, require_input=row is first or not is_of_ids, require_answers=has_answers)
    yield from odd_example(row, None)


def _guess_problems(row: dict, first: dict) -> Iterator[InputError]:
    identifier, outputs = row.get("id"), row.get("output")
    if isinstance(identifier, bool) or not isinstance(identifier, str | int | float) or not id_text(identifier):
        yield InputError("guess without an id", expected="`id`, text or a number", found=short(identifier))
    if not isinstance(outputs, list) or len(outputs) != 1 or not isinstance(outputs[0], dict):
        yield InputError("`output` of a guess", expected="a list of exactly one object", found=short(outputs))
        return
    answer = outputs[0].get("answer")
    if not isinstance(answer, str):
        found = f"{short(answer)}, which would be scored as its Python spelling" if "answer" in outputs[0] else "none"
        yield InputError("answer of a guess", expected="a string", found=found)
    yield from provenance_faults(outputs[0], identifier, None)
    yield from odd_provenance(outputs[0], None)


_CHECKS: dict[str, Callable[[dict, dict], Iterator[InputError]]] = {
    "knowledge source": _page_problems,
    "task": _task_problems,
    "guess": _guess_problems,
}


def page_ids(knowledge_source: str | Path) -> DigestTable:
    """The ids of all pages of a knowledge source, as a compact container: `page_id in page_ids(file)`."""
    ids = DigestTable()
    for number, page in enumerate(read_pages(knowledge_source), start=1):
        ids.append(page.page_id, number)
    return ids


def check_provenance(
    files: Iterable[str | Path], pages, admitted: int = 0, require_input: bool = False, require_answers: bool = False
) -> dict[str, dict[str, int]]:
    """Reads task files whole and counts the provenances that point to no page.

    Args:
        files: task files.
        pages: a container of page ids (of page_ids, a PageIndex, or a set).
        admitted: how many provenances without a page are accepted, over all files.
        require_input: whether a line without a question is an error.
        require_answers: whether a line without an answer is one.
    Returns per file: examples, provenances, how many of them are without a page, and examples_without_page,
    which have such a one. Raises InputError if more than `admitted` are without a page, naming the first.
    """
    counts, first = {}, None
    for path in files:
        count = dict.fromkeys(("examples", "provenances", "without_page", "examples_without_page"), 0)
        for example in read_examples(path, require_input=require_input, require_answers=require_answers):
            missing = [provenance.page_id not in pages for provenance in example.provenances()]
            if any(missing) and first is None:
                absent = next(one.page_id for one in example.provenances() if one.page_id not in pages)
                first = f"page {absent} of example {example.id} in {path}"
            count["examples"] += 1
            count["provenances"] += len(missing)
            count["without_page"] += sum(missing)
            count["examples_without_page"] += any(missing)
        counts[str(path)] = count
    total = sum(count["without_page"] for count in counts.values())
    if total > admitted:
        raise InputError(
            "provenance points to no page",
            where=first,
            expected=f"at most {admitted} such",
            found=f"{total} provenances",
        )
    return counts
