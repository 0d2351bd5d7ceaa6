"""KILT's three kinds of files as Python values: pages, task examples and guesses, read and written as
streams.

A file is JSON Lines in UTF-8, plain or gzipped. Reading is strict where a wrong line would spoil numbers silently, and
every error names file and line (`glimmer.kilt.rows` has the rules and the words). A copy from the Hugging Face Hub
means the same as the original (`glimmer.kilt.hub`). What is read here is what training and retrieval need; scoring
(`glimmer.evaluation.kilt_scores`) reads lines itself, because KILT's scorer has its own idea of what a valid line is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments.settings import TASKS
from glimmer.files import PlaceOfLine, lines_between, numbered_lines, readable, write_json_lines
from glimmer.kilt.hub import PLACES, without_fillers
from glimmer.kilt.rows import JOIN_TRIVIAQA, example_faults, id_text, page_faults, page_id_of, parse_line, text_faults
from glimmer.parts import StagePart

__all__ = [
    "HEADLINE",
    "TASKS",
    "Example",
    "Guess",
    "Page",
    "Provenance",
    "id_text",
    "knowledge_source_file",
    "parse_object",
    "read_example_rows",
    "read_examples",
    "read_objects",
    "read_page_rows",
    "read_pages",
    "task_file",
    "write_guesses",
]

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


def read_pages(path: str | Path, part: StagePart | None = None) -> Iterator[Page]:
    """Streams the pages of a knowledge source; with `part` those that begin in that share of its bytes.

    Raises InputError at file:line for a page without id or text, and where a part of a gzip is asked for.
    """
    for _, row in read_page_rows(path, part):
        title, text = row.get("wikipedia_title"), row["text"]
        title = title if isinstance(title, str) else text[0].strip()
        yield Page(page_id=id_text(page_id_of(row)), title=title, paragraphs=text)


def read_page_rows(path: str | Path, part: StagePart | None = None) -> Iterator[tuple[object, dict]]:
    """Streams (what says "file:line", line as it stands) of a knowledge source; raises as `read_pages` does."""
    for where, row in read_objects(path) if part is None else _objects_of_part(path, part):
        for fault in page_faults(row, where):
            raise fault
        yield where, row


def read_examples(
    path: str | Path,
    require_input: bool = True,
    triviaqa_questions: Mapping[str, str] | None = None,
    require_answers: bool = False,
) -> Iterator[Example]:
    """Streams the examples of a task file.

    A line without a question takes it from `triviaqa_questions` (id -> question) where that is given; else it is an
    InputError if `require_input`, and "" if not. `require_answers`: a line without any answer is an InputError too.
    """
    rows = read_example_rows(path, require_input and triviaqa_questions is None, require_answers)
    for where, row in rows:
        identifier = id_text(row["id"])
        question = row.get("input") or ""
        if triviaqa_questions is not None and not question.strip():
            question = triviaqa_questions.get(identifier, "")
            if not question.strip():
                raise InputError(f"no TriviaQA question has the id {identifier}", where=where, expected=JOIN_TRIVIAQA)
        answers, evidence_sets = _outputs(row.get("output", []))
        yield Example(id=identifier, input=question, answers=answers, evidence_sets=evidence_sets)


def read_example_rows(
    path: str | Path, require_input: bool = True, require_answers: bool = False
) -> Iterator[tuple[str, dict]]:
    """Streams ("file:line", line as it stands) of a task file; raises as `read_examples` does."""
    for where, row in read_objects(path):
        for fault in example_faults(row, where, require_input=require_input, require_answers=require_answers):
            raise fault
        yield where, row


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


def read_objects(path: str | Path) -> Iterator[tuple[str, dict]]:
    """Streams ("file:line", JSON object) of a JSON Lines file.

    Raises InputError for a line that is none, a blank one too.
    """
    for number, line in numbered_lines(path):
        where = f"{path}:{number}"
        yield where, parse_object(line, where)


def _objects_of_part(path: str | Path, part: StagePart) -> Iterator[tuple[PlaceOfLine, dict]]:
    for place, line in lines_between(path, *part.share(readable(path).stat().st_size)):
        yield place, parse_object(line, place)


def parse_object(line: bytes, where: object) -> dict:
    """One line as a JSON object of whole text. Raises InputError that names `where`."""
    row = parse_line(line, where)
    for fault in text_faults(row, line, where):
        raise fault
    return row


def _outputs(outputs: list[dict]) -> tuple[list[str], list[list[Provenance]]]:
    answers: dict[str, None] = {}  # an ordered set
    evidence_sets = []
    for output in outputs:
        answer = output.get("answer")
        if answer and answer.strip():
            answers[answer.strip()] = None
        if items := output.get("provenance", []):
            evidence_sets.append([_provenance(item) for item in items])
    return list(answers), evidence_sets


def _provenance(item: dict) -> Provenance:
    given = without_fillers(item)
    start_paragraph, start_character, end_paragraph, end_character = (given.get(key) for key in PLACES)
    page_id = given.get("wikipedia_id")
    return Provenance(
        page_id="" if page_id is None else id_text(page_id),
        title=str(given.get("title") or ""),
        section=str(given.get("section") or "").strip(),
        start_paragraph=start_paragraph,
        start_character=start_character,
        end_paragraph=end_paragraph,
        end_character=end_character,
        bleu_score=given.get("bleu_score"),
    )


def _first_existing(directory: str | Path, names: Iterable[str], what: str) -> Path:
    candidates = [name + ending for name in names for ending in ("", ".gz")]
    for name in candidates:
        if (Path(directory) / name).is_file():
            return Path(directory) / name
    raise InputError(f"{what} is missing", where=directory, expected=" or ".join(candidates), found="none of them")
