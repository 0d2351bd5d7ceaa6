"""A copy of a task from the Hugging Face Hub means what KILT's own file means, wherever it is read."""

import json

import pytest

from glimmer.evaluation.kilt_scores import score_files
from glimmer.files import write_json_lines
from glimmer.kilt.formats import read_examples
from glimmer.kilt.hub import in_kilts_words, is_hub_form
from glimmer.kilt.provenance import support
from glimmer.kilt.validate import validate_file

TEXTS = ("left_context", "mention", "right_context")
LISTS = ("obj_surface", "sub_surface", "subj_aliases", "template_questions")
PLACES = ("start_paragraph_id", "start_character", "end_paragraph_id", "end_character")


def as_the_hub_stores_it(row, no_bleu=-1.0):
    """The line as a table without absent fields has it."""
    meta = row.get("meta", {})
    meta = {k: meta.get(k, "") for k in TEXTS} | {k: meta.get(k, []) for k in LISTS} | {"partial_evidence": []}
    outputs = []
    for output in row.get("output", []):
        items = []
        for item in output.get("provenance", []):
            filled = {key: item.get(key, -1) for key in PLACES}
            filled |= {key: item.get(key, "") for key in ("wikipedia_id", "title", "section")}
            odd = {"fever_page_id": "", "fever_sentence_id": -1, "annotation_id": "-1", "yes_no_answer": ""}
            items.append(filled | {"bleu_score": item.get("bleu_score", no_bleu), "meta": odd | {"evidence_span": []}})
        outputs.append({"answer": output.get("answer", ""), "meta": {"score": -1}, "provenance": items})
    return {"id": row["id"], "input": row.get("input", ""), "meta": meta, "output": outputs}


PAGE_ONLY = {"wikipedia_id": "1", "title": "A"}
START_ONLY = {"wikipedia_id": "1", "start_paragraph_id": 2}
SPAN = {"wikipedia_id": "2", "start_paragraph_id": 1, "start_character": 3, "end_paragraph_id": 1, "end_character": 9,
        "bleu_score": 0.5, "section": "S"}  # fmt: skip
WHOLE_PARAGRAPHS = {"wikipedia_id": "2", "start_paragraph_id": 1, "end_paragraph_id": 2, "bleu_score": 0.25}
NO_PAGE = {"title": "A"}
ROWS = [
    {"id": "a", "input": "q", "output": [{"answer": "x", "provenance": [PAGE_ONLY, START_ONLY]}, {"answer": "y"}]},
    {"id": "b", "input": "q", "output": [{"answer": "x"}, {"provenance": [SPAN]}], "meta": {"mention": "m"}},
    {"id": "c", "input": "q", "output": [{"answer": "x", "provenance": [WHOLE_PARAGRAPHS]}, {"answer": "X"}]},
    {"id": "d", "input": "q", "output": [{"answer": "x", "provenance": [NO_PAGE]}]},
]


@pytest.fixture
def files(tmp_path):
    original, copy = tmp_path / "original.jsonl", tmp_path / "copy.jsonl"
    write_json_lines(original, ROWS)
    write_json_lines(copy, map(as_the_hub_stores_it, ROWS))
    return original, copy


def test_the_copy_is_read_as_the_original(files):
    original, copy = map(list, map(read_examples, files))
    assert copy == original


def test_the_first_edition_filled_in_a_bleu_score_of_nought(tmp_path):
    rows = [row for row in ROWS if row["id"] in "bcd"] + [
        {"id": "p", "input": "q", "output": [{"answer": "x", "provenance": [PAGE_ONLY]}]}
    ]
    write_json_lines(tmp_path / "copy.jsonl", [as_the_hub_stores_it(row, no_bleu=0.0) for row in rows])
    write_json_lines(tmp_path / "original.jsonl", rows)
    assert list(read_examples(tmp_path / "copy.jsonl")) == list(read_examples(tmp_path / "original.jsonl"))


def test_evidence_of_the_copy_is_found(files):
    passage = {"wikipedia_id": "1", "start_paragraph_id": 2, "start_character": 0,
               "end_paragraph_id": 2, "end_character": 50}  # fmt: skip
    page, paragraph = next(read_examples(files[1])).provenances()
    assert support(passage, page) == support(passage, paragraph) == 1.0
    assert support(passage | {"start_paragraph_id": 3, "end_paragraph_id": 3}, paragraph) == 0.0


def test_the_validator_says_of_the_copy_what_it_says_of_the_original(files):
    def told(path):
        return [(problem.line, problem.text.split(";")[0]) for problem in validate_file(path)]

    assert told(files[1]) == told(files[0]) == [(4, "provenance without a page")]


def test_the_copy_is_scored_as_the_original(files, tmp_path):
    evidence = [{"wikipedia_id": "1", "start_paragraph_id": 2}, {"wikipedia_id": "2", "start_paragraph_id": 1}]
    guesses = [{"id": row["id"], "output": [{"answer": "x", "provenance": evidence}]} for row in ROWS]
    write_json_lines(tmp_path / "guess.jsonl", guesses)
    keys = (("wikipedia_id",), ("wikipedia_id", "start_paragraph_id"))
    original, copy = (score_files(gold, tmp_path / "guess.jsonl", rank_keys=keys).as_dict() for gold in files)
    assert copy == original and copy["retrieval"]["recall@5"] > 0


def test_a_copy_of_test_questions_has_no_problems(tmp_path):
    write_json_lines(tmp_path / "test.jsonl", [as_the_hub_stores_it({"id": str(i), "input": "q"}) for i in range(2)])
    assert list(validate_file(tmp_path / "test.jsonl", "task")) == []


def test_kilts_own_lines_stay_as_they_are():
    empty = {"id": "a", "input": "q", "output": [{"answer": "", "provenance": []}], "meta": {"mention": ""}}
    for row in (*ROWS, empty):
        assert not is_hub_form(row) and in_kilts_words(row) is row


def test_copies_of_genuine_lines_mean_the_same(shared, tmp_path):
    for original in sorted((shared / "kilt-sample/extra/kilt_schema_fixtures").glob("*.jsonl")):
        rows = [json.loads(line) for line in original.read_text(encoding="utf-8").splitlines()]
        write_json_lines(tmp_path / original.name, map(as_the_hub_stores_it, rows))
        old, new = (list(read_examples(path, require_input=False)) for path in (original, tmp_path / original.name))
        assert new == old
