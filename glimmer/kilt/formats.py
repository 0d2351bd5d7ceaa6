"""KILT's three kinds of files as Python values: pages, task examples and guesses, read and written as
streams.

A file is JSON Lines in UTF-8, plain or gzipped. Reading is strict where a wrong line would spoil numbers
silently, and every error names file and line. What is read here is what training and retrieval need; scoring
(`glimmer.evaluation.kilt_scores`) reads lines itself, because KILT's scorer has its own idea of what a valid
line is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments.settings import TASKS
from glimmer.files import numbered_lines, write_json_lines

# The KILT paper's choice; its program computes every metric for every task.
HEADLINE = {
    "nq": "em",
    "triviaqa": "em",
    "hotpotqa": "em",
    "fever": "accuracy",
    "zsre": "accuracy",
    "trex": "accuracy",
}

# Names under which KILT itself publishes a task, where they are not simply `<task>-<split>-kilt.jsonl`.
_PUBLISHED = {"zsre": "structured_zeroshot-{split}-kilt.jsonl", "triviaqa": "triviaqa-{split}_id-kilt.jsonl"}
_KNOWLEDGE_SOURCE_NAMES = ("knowledge_source.jsonl", "kilt_knowledgesource.json")

_JOIN_TRIVIAQA = (
    "KILT publishes TriviaQA as ids without questions: join them by id from TriviaQA's own archive "
    "(`glimmer download --triviaqa-archive`, or pass triviaqa_questions)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of the knowledge source; `paragraphs[0]` is its title."""

    page_id: str
    title: str
    paragraphs: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """One piece of gold evidence: a page, and where KILT says so, a span of it.

    Paragraphs index `Page.paragraphs`, characters index the paragraph, `end_character` is exclusive. None
    means that the file does not say: without `start_paragraph` the whole page is meant, without characters
    whole paragraphs. `page_id` is "" where the file has none (null ids occur). `bleu_score` is how well
    KILT's page matches the original evidence, in [0, 1].
    """

    page_id: str
    title: str = ""
    section: str = ""
    start_paragraph: int | None = None
    start_character: int | None = None
    end_paragraph: int | None = None
    end_character: int | None = None
    bleu_score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One line of a task file.

    `answers` are the distinct gold answers, stripped, in file order. `evidence_sets` are alternatives; all
    provenances of one set belong together. Both are empty in test files, and either may be empty in training
    files.
    """

    id: str
    input: str
    answers: list[str] = field(default_factory=list)
    evidence_sets: list[list[Provenance]] = field(default_factory=list)

    def provenances(self) -> Iterator[Provenance]:
        """Every provenance of every evidence set, in file order."""
        for evidence in self.evidence_sets:
            yield from evidence


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """One predicted answer with its evidence, best first: dicts with at least `wikipedia_id`.

    `PassageFile.provenance` makes such dicts.
    """

    id: str
    answer: str
    provenance: list[dict[str, Any]] = field(default_factory=list)


def read_pages(path: str | Path) -> Iterator[Page]:
    """Streams the pages of a knowledge source.

    Raises InputError at file:line for a page without id or text.
    """
    for where, row in read_objects(path):
        identifier = row.get("wikipedia_id", row.get("_id"))
        if identifier is None:
            raise InputError("page without an id", where=where, expected="`wikipedia_id` or `_id`", found=_keys(row))
        text = row.get("text")
        if not isinstance(text, list) or not text or not all(isinstance(item, str) for item in text):
            raise InputError(
                "page without text",
                where=where,
                expected="`text`, a list of strings that starts with the title",
                found=f"page {identifier} with {_short(text)}",
            )
        title = row.get("wikipedia_title")
        yield Page(
            page_id=id_text(identifier), title=title if isinstance(title, str) else text[0].strip(), paragraphs=text
        )


def read_examples(
    path: str | Path, require_input: bool = True, triviaqa_questions: Mapping[str, str] | None = None
) -> Iterator[Example]:
    """Streams the examples of a task file.

    A line without `input` takes its question from `triviaqa_questions` (id -> question) where that is given;
    else it is an InputError if `require_input`, and "" if not.
    """
    for where, row in read_objects(path):
        if row.get("id") is None:
            raise InputError("example without an id", where=where, expected="`id`", found=_keys(row))
        identifier = id_text(row["id"])
        question = row.get("input")
        if question is None and triviaqa_questions is not None:
            question = triviaqa_questions.get(identifier)
            if question is None:
                raise InputError(f"no TriviaQA question has the id {identifier}", where=where)
        if question is None and require_input:
            raise InputError(f"example {identifier} has no `input`; {_JOIN_TRIVIAQA}", where=where)
        if question is not None and not isinstance(question, str):
            raise InputError(f"example {identifier}", where=where, expected="`input`, a string", found=_short(question))
        answers, evidence_sets = _outputs(row.get("output", []), identifier, where)
        yield Example(id=identifier, input=question or "", answers=answers, evidence_sets=evidence_sets)


def write_guesses(path: str | Path, rows: Iterable[Guess]) -> int:
    """Writes guesses in KILT's form, whole or not at all.

    One output each, evidence ranked best first. Returns how many.
    """

    def lines() -> Iterator[dict]:
        for guess in rows:
            if any("wikipedia_id" not in item for item in guess.provenance):
                raise InputError(
                    f"guess {guess.id}", expected="`wikipedia_id` in every provenance", found="one without"
                )
            yield {"id": guess.id, "output": [{"answer": guess.answer, "provenance": guess.provenance}]}

    return write_json_lines(path, lines())


def task_file(directory: str | Path, task: str, split: str) -> Path:
    """The file of a task and split, such as "train", under this house's name or KILT's own, plain or gzipped."""
    if task not in TASKS:
        raise InputError("unknown task", expected=", ".join(TASKS), found=task)
    if not re.fullmatch(r"[A-Za-z0-9_]+", split):  # it becomes part of a path
        raise InputError("unknown split", expected="a word such as train or dev", found=split)
    names = [f"{task}-{split}-kilt.jsonl"]
    if task in _PUBLISHED:
        names.append(_PUBLISHED[task].format(split=split))
    return _first_existing(directory, names, f"the {split} file of {task}")


def knowledge_source_file(directory: str | Path) -> Path:
    """The knowledge source in a directory, under this house's name or KILT's own, plain or gzipped."""
    return _first_existing(directory, _KNOWLEDGE_SOURCE_NAMES, "the knowledge source")


def id_text(value: Any) -> str:
    """An id as KILT compares it: 7, "7" and " 7" are the same."""
    return str(value).strip()


def read_objects(path: str | Path) -> Iterator[tuple[str, dict]]:
    """Streams ("file:line", JSON object) of a JSON Lines file.

    Raises InputError for a line that is none, a blank one too.
    """
    for number, line in numbered_lines(path):
        where = f"{path}:{number}"
        yield where, parse_object(line, where)


def parse_object(line: bytes, where: object) -> dict:
    """One line as a JSON object. Raises InputError that names `where`."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        if not line.strip():
            raise InputError("blank line", where=where, expected="one JSON object a line") from None
        raise InputError("not JSON", where=where, expected="one JSON object a line", found=str(error)) from None
    if not isinstance(row, dict):
        raise InputError("not a JSON object", where=where, found=_short(row))
    return row


def _outputs(outputs: Any, identifier: str, where: str) -> tuple[list[str], list[list[Provenance]]]:
    if not isinstance(outputs, list) or not all(isinstance(item, dict) for item in outputs):
        raise InputError(
            f"example {identifier}", where=where, expected="`output`, a list of objects", found=_short(outputs)
        )
    answers: dict[str, None] = {}  # an ordered set
    evidence_sets = []
    for output in outputs:
        answer = output.get("answer")
        if answer and not isinstance(answer, str):
            raise InputError(
                f"example {identifier}", where=where, expected="answers that are strings", found=_short(answer)
            )
        if answer and answer.strip():
            answers[answer.strip()] = None
        items = output.get("provenance", [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise InputError(
                f"example {identifier}", where=where, expected="`provenance`, a list of objects", found=_short(items)
            )
        if items:
            evidence_sets.append([_provenance(item, identifier, where) for item in items])
    return list(answers), evidence_sets


def _provenance(item: dict, identifier: str, where: str) -> Provenance:
    numbers = {
        name: item.get(key)
        for name, key in (
            ("start_paragraph", "start_paragraph_id"),
            ("start_character", "start_character"),
            ("end_paragraph", "end_paragraph_id"),
            ("end_character", "end_character"),
        )
    }
    for name, value in numbers.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise InputError(
                f"example {identifier}",
                where=where,
                expected=f"an integer {name} in its provenance",
                found=_short(value),
            )
    bleu = item.get("bleu_score")
    if bleu is not None and (not isinstance(bleu, int | float) or isinstance(bleu, bool)):
        raise InputError(f"example {identifier}", where=where, expected="a number as bleu_score", found=_short(bleu))
    page_id = item.get("wikipedia_id")
    return Provenance(
        page_id="" if page_id is None else id_text(page_id),
        title=str(item.get("title") or ""),
        section=str(item.get("section") or "").strip(),
        bleu_score=bleu,
        **numbers,
    )


def _first_existing(directory: str | Path, names: Iterable[str], what: str) -> Path:
    candidates = [name + ending for name in names for ending in ("", ".gz")]
    for name in candidates:
        if (Path(directory) / name).is_file():
            return Path(directory) / name
    raise InputError(f"{what} is missing", where=directory, expected=" or ".join(candidates), found="none of them")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys(row: dict) -> str:
    return "the keys " + ", ".join(sorted(row)) if row else "no keys"
