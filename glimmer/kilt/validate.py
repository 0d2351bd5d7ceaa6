"""Every problem of a knowledge source, task or guess file, with its line, in one pass and bounded memory.

The first line tells the kind, where the caller does not: `text` makes a knowledge source; `input` a task
file, and so does a list of outputs that no guess has (none or several); the rest are guesses. A guess file
that repeats `input` is told from a task file by its evidence: `text` or `score` in a provenance item. Where
that is not enough, name the kind.

Ids are remembered as 16 bytes each, and 40 while they are sorted at the end: 240 MB for the 5.9 million pages
of KILT, 91 MB for the 2.28 million examples of T-REx. Line by line nothing else is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.files import numbered_lines
from glimmer.kilt.digests import DigestTable
from glimmer.kilt.formats import id_text, read_examples, read_pages

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
    Raises InputError for a file that is not there. A broken gzip stream is a problem like others, and the
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
    lines = numbered_lines(path)
    while True:
        try:
            summary.lines, line = next(lines)
        except StopIteration:
            break
        except InputError as error:
            if summary.lines == 0 and not Path(path).exists():
                raise
            yield summary.lines + 1, f"{error.what}: {error.found}"
            break
        row, problem = _parse(line)
        if row is None:
            yield summary.lines, problem
            continue
        if first is None:
            first = row
            summary.kind = summary.kind or recognise(row)
        identifier = row.get("_id", row.get("wikipedia_id")) if summary.kind == "knowledge source" else row.get("id")
        if isinstance(identifier, bool) or not isinstance(identifier, str | int | float) or not str(identifier).strip():
            yield summary.lines, f"no id, or one that is neither a string nor a number: {_short(identifier)}"
        else:
            ids.append(id_text(identifier), summary.lines)
        for text in _CHECKS[summary.kind](row, first):
            yield summary.lines, text
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


def _parse(line: bytes) -> tuple[dict | None, str]:
    if not line.strip():
        return None, "blank line"
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"
    return (row, "") if isinstance(row, dict) else (None, f"not a JSON object: {_short(row)}")


def _page_problems(row: dict, first: dict) -> Iterator[str]:
    text, title = row.get("text"), row.get("wikipedia_title")
    if "_id" in row and "wikipedia_id" in row and id_text(row["_id"]) != id_text(row["wikipedia_id"]):
        yield f"_id {row['_id']} and wikipedia_id {row['wikipedia_id']} differ"
    if not isinstance(title, str) or not title.strip():
        yield f"no wikipedia_title: {_short(title)}"
    if not isinstance(text, list) or not text or not all(isinstance(item, str) for item in text):
        yield f"text is not a list of strings that starts with the title: {_short(text)}"
    elif isinstance(title, str) and text[0].strip() != title.strip():
        yield f"text does not start with the title {_short(title)} but with {_short(text[0])}, which would be lost"


def _task_problems(row: dict, first: dict) -> Iterator[str]:
    question = row.get("input")
    if "input" in row:
        if not isinstance(question, str) or not question.strip():
            yield f"input is not a string with text: {_short(question)}"
    elif "input" in first:
        yield "no input"
    elif row is first:  # said once of a file without any
        yield "no input in this file (TriviaQA comes as ids: `glimmer download --triviaqa-archive` joins them)"
    if "output" not in row:
        if "output" in first:  # a file of test questions has no outputs at all
            yield "no output"
        return
    outputs = _objects(row["output"])
    if not outputs:
        yield f"output is not a non-empty list of objects: {_short(row['output'])}"
    for output in outputs or ():
        answer = output.get("answer")
        if answer and not isinstance(answer, str):
            yield f"answer is not a string: {_short(answer)}"
        yield from _provenance_problems(output)


def _guess_problems(row: dict, first: dict) -> Iterator[str]:
    outputs = _objects(row.get("output"))
    if outputs is None or len(outputs) != 1:
        yield f"output is not a list of exactly one object: {_short(row.get('output'))}"
        return
    if "answer" not in outputs[0]:
        yield "no answer in the output"
    elif not isinstance(outputs[0]["answer"], str):
        yield f"answer is not a string, and would be scored as its Python spelling: {_short(outputs[0]['answer'])}"
    yield from _provenance_problems(outputs[0])


def _provenance_problems(output: dict) -> Iterator[str]:
    if "provenance" not in output:
        return
    items = _objects(output["provenance"])
    if items is None:
        yield f"provenance is not a list of objects: {_short(output['provenance'])}"
    for item in items or ():
        page = item.get("wikipedia_id")
        if page is None or not id_text(page):
            yield f"provenance without wikipedia_id: {_short(item)}"
        yield from _span_problems(item)


def _span_problems(item: dict) -> Iterator[str]:
    start, end = [], []
    for position, keys in (
        (start, ("start_paragraph_id", "start_character")),
        (end, ("end_paragraph_id", "end_character")),
    ):
        for key in keys:
            value = item.get(key)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                yield f"{key} is not an integer: {_short(value)}"
                return
            position.append(value)
    if None not in start and None not in end and start > end:
        yield f"provenance ends before it starts: {start} to {end}"
    bleu = item.get("bleu_score")
    if bleu is not None and (not isinstance(bleu, int | float) or not 0 <= bleu <= 1):
        yield f"bleu_score is not in [0, 1]: {_short(bleu)}"


_CHECKS: dict[str, Callable[[dict, dict], Iterator[str]]] = {
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
    files: Iterable[str | Path], pages, admitted: int = 0, require_input: bool = False
) -> dict[str, dict[str, int]]:
    """Reads task files whole and counts the provenances that point to no page.

    Args:
        files: task files.
        pages: a container of page ids (of page_ids, a PageIndex, or a set).
        admitted: how many provenances without a page are accepted, over all files.
        require_input: whether a line without `input` is an error.
    Returns per file: examples, provenances, how many of them are without a page, and examples_without_page,
    which have such a one. Raises InputError if more than `admitted` are without a page, naming the first.
    """
    counts, first = {}, None
    for path in files:
        count = dict.fromkeys(("examples", "provenances", "without_page", "examples_without_page"), 0)
        for example in read_examples(path, require_input=require_input):
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


def _objects(value: Any) -> list[dict] | None:
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
