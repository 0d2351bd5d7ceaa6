"""Readers and writers of KILT's files: what they give, and what they say about files that are wrong."""

import gzip
import json

import pytest

from glimmer.errors import InputError
from glimmer.kilt.formats import (
    HEADLINE,
    TASKS,
    Guess,
    knowledge_source_file,
    read_examples,
    read_pages,
    task_file,
    write_guesses,
)


def write_lines(path, *rows):
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


PAGE = {"_id": 7, "wikipedia_id": 7, "wikipedia_title": "A", "text": ["A\n", "One.\n"]}


def test_pages_have_string_ids_and_untouched_paragraphs(tmp_path):
    (page,) = read_pages(write_lines(tmp_path / "ks.jsonl", PAGE))
    assert (page.page_id, page.title, page.paragraphs) == ("7", "A", ["A\n", "One.\n"])


def test_examples_merge_equal_answers_and_keep_evidence_sets_apart(tmp_path):
    row = {
        "id": 5,
        "input": "q",
        "output": [
            {"answer": " x "},
            {"answer": "x", "provenance": [{"wikipedia_id": 1, "start_paragraph_id": 2, "bleu_score": 0.5}]},
            {"answer": None, "provenance": [{"wikipedia_id": "2"}, {"wikipedia_id": None}]},
            {"answer": "  ", "provenance": []},
        ],
    }
    (example,) = read_examples(write_lines(tmp_path / "t.jsonl", row))
    assert (example.id, example.answers) == ("5", ["x"])
    assert [[p.page_id for p in evidence] for evidence in example.evidence_sets] == [["1"], ["2", ""]]
    first = next(example.provenances())
    assert (first.start_paragraph, first.start_character, first.bleu_score) == (2, None, 0.5)


def test_test_questions_without_output_have_no_answers(tmp_path):
    (example,) = read_examples(write_lines(tmp_path / "t.jsonl", {"id": "a", "input": "q"}))
    assert example.answers == example.evidence_sets == []


def test_triviaqa_ids_take_their_question_from_the_join(tmp_path):
    path = write_lines(tmp_path / "t.jsonl", {"id": "qw_1", "output": [{"answer": "x"}]})
    (example,) = read_examples(path, triviaqa_questions={"qw_1": "who?"})
    assert example.input == "who?"
    assert next(read_examples(path, require_input=False)).input == ""
    with pytest.raises(InputError, match="t.jsonl:1.*qw_1"):
        list(read_examples(path, triviaqa_questions={}))
    with pytest.raises(InputError, match="t.jsonl:1.*TriviaQA.*join"):
        list(read_examples(path))


@pytest.mark.parametrize(
    ("reader", "bad", "message"),
    [
        (read_pages, "{", "not JSON"),
        (read_pages, "", "blank line"),
        (read_pages, "[1]", "not a JSON object"),
        (read_pages, "[" * 100_000, "not JSON"),
        (read_pages, {"_id": 1, "wikipedia_title": "A"}, "page without text"),
        (read_pages, {"_id": 1, "text": []}, "page without text"),
        (read_pages, {"_id": 1, "text": ["A", 3]}, "page without text"),
        (read_pages, {"text": ["A"]}, "page without an id"),
        (read_examples, {"input": "q"}, "example without an id"),
        (read_examples, {"id": "a", "input": 3}, "input"),
        (read_examples, {"id": "a", "input": "q", "output": [{"answer": 5}]}, "an answer of .*a string"),
        (read_examples, {"id": "a", "input": "q", "output": [{"provenance": None}]}, "provenance"),
        (
            read_examples,
            {"id": "a", "input": "q", "output": [{"provenance": [{"start_paragraph_id": "1"}]}]},
            "whole number",
        ),
    ],
)
def test_a_wrong_line_is_named_by_file_and_line(tmp_path, reader, bad, message):
    good = PAGE if reader is read_pages else {"id": "ok", "input": "q", "output": []}
    path = write_lines(tmp_path / "file.jsonl", good, bad, good)
    with pytest.raises(InputError, match=f"file.jsonl:2: .*{message}|file.jsonl:2.*{message}"):
        list(reader(path))


def test_invalid_utf8_and_a_truncated_gzip_are_named_by_line(tmp_path):
    (tmp_path / "latin.jsonl").write_bytes('{"id": "é"}'.encode("latin-1"))
    with pytest.raises(InputError, match="latin.jsonl:1"):
        list(read_examples(tmp_path / "latin.jsonl"))
    packed = gzip.compress(b"".join(json.dumps(PAGE | {"_id": i}).encode() + b"\n" for i in range(2000)))
    (tmp_path / "ks.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"ks.jsonl.gz:\d+: gzip stream is broken"):
        list(read_pages(tmp_path / "ks.jsonl.gz"))


def test_guesses_are_written_in_kilts_form_and_read_back(tmp_path):
    guesses = [Guess(id="a", answer="é", provenance=[{"wikipedia_id": "1"}]), Guess(id="b", answer="")]
    assert write_guesses(tmp_path / "g.jsonl", guesses) == 2
    rows = [json.loads(line) for line in (tmp_path / "g.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {"id": "a", "output": [{"answer": "é", "provenance": [{"wikipedia_id": "1"}]}]}
    with pytest.raises(InputError, match="wikipedia_id"):
        write_guesses(tmp_path / "h.jsonl", [Guess(id="a", answer="x", provenance=[{"title": "t"}])])
    assert not (tmp_path / "h.jsonl").exists()


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("nq", "nq-dev-kilt.jsonl"),
        ("nq", "nq-dev-kilt.jsonl.gz"),
        ("zsre", "structured_zeroshot-dev-kilt.jsonl"),
        ("triviaqa", "triviaqa-dev_id-kilt.jsonl.gz"),
    ],
)
def test_task_files_are_found_under_every_name(tmp_path, task, name):
    (tmp_path / name).touch()
    assert task_file(tmp_path, task, "dev").name == name


def test_the_joined_triviaqa_file_comes_before_the_ids(tmp_path):
    for name in ("triviaqa-dev_id-kilt.jsonl", "triviaqa-dev-kilt.jsonl"):
        (tmp_path / name).touch()
    assert task_file(tmp_path, "triviaqa", "dev").name == "triviaqa-dev-kilt.jsonl"


def test_a_missing_file_lists_the_names_tried(tmp_path):
    with pytest.raises(InputError, match="zsre-dev-kilt.jsonl.*structured_zeroshot-dev-kilt.jsonl.gz"):
        task_file(tmp_path, "zsre", "dev")
    with pytest.raises(InputError, match="knowledge_source.jsonl.*kilt_knowledgesource.json"):
        knowledge_source_file(tmp_path)
    with pytest.raises(InputError, match="unknown task"):
        task_file(tmp_path, "wow", "dev")
    with pytest.raises(InputError, match="unknown split"):
        task_file(tmp_path, "nq", "../dev")


def test_every_task_has_a_headline_metric():
    assert tuple(HEADLINE) == TASKS and set(HEADLINE.values()) == {"em", "accuracy"}


def test_the_published_fixtures_of_all_six_tasks_are_read(shared):
    for path in sorted((shared / "kilt-sample/extra/kilt_schema_fixtures").glob("*.jsonl")):
        examples = list(read_examples(path, require_input="_id" not in path.name))
        assert len(examples) == 5, path
        assert ("without_answers" in path.name) == (not any(example.answers for example in examples)), path
