"""The validator: it finds what is wrong, all of it, and nothing in files that are right."""

import gzip
import json

import pytest

from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.kilt.validate import Summary, check_provenance, page_ids, validate_file

PAGE = {"_id": "1", "wikipedia_id": "1", "wikipedia_title": "A", "text": ["A\n", "One."]}
TASK = {"id": "t", "input": "q", "output": [{"answer": "x", "provenance": [{"wikipedia_id": "1"}]}]}
GUESS = {"id": "g", "output": [{"answer": "x", "provenance": [{"wikipedia_id": "1"}]}]}


def write_lines(path, *rows):
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def problems(path, kind=None):
    return [(p.line, p.text) for p in validate_file(path, kind)]


@pytest.mark.parametrize(("row", "kind"), [
    (PAGE, "knowledge source"),
    (TASK, "task"),
    ({"id": "t", "input": "q"}, "task"),  # test questions
    (GUESS, "guess"),
    (GUESS | {"input": "q", "output": [{"answer": "x", "provenance": [{"wikipedia_id": "1", "score": 2.0}]}]}, "guess"),
])  # fmt: skip
def test_the_kind_is_told_from_the_first_line(tmp_path, row, kind):
    path = write_lines(tmp_path / "f.jsonl", row)
    summary = Summary(file=str(path))
    assert list(validate_file(path, summary=summary)) == []
    assert (summary.kind, summary.lines, summary.problems) == (kind, 1, 0)


def spoiled(row, **changes):
    return row | {"id": "other", "_id": "2", "wikipedia_id": "2"} | changes


def evidence(**item):
    return spoiled(TASK, output=[{"answer": "x", "provenance": [item]}])


@pytest.mark.parametrize(("first", "bad", "message"), [
    (PAGE, "", "blank line"),
    (TASK, "{", "not JSON"),
    (GUESS, "[]", "not a JSON object"),
    (PAGE, spoiled(PAGE, wikipedia_id="3"), "expected _id 2; found wikipedia_id 3"),
    (PAGE, spoiled(PAGE, wikipedia_title=None), "no wikipedia_title"),
    (PAGE, spoiled(PAGE, text=[]), "page without text; expected `text`, a list of strings"),
    (PAGE, spoiled(PAGE, text=["B", "One."]), "text does not start with the title"),
    (PAGE, {k: v for k, v in PAGE.items() if "id" not in k}, "page without an id"),
    (TASK, spoiled(TASK, id=None), "example without an id"),
    (TASK, spoiled(TASK, input=" "), "has no question; expected `input`, a string with text"),
    (TASK, {"id": "u", "output": [{"answer": "x"}]}, "has no question"),
    (TASK, {"id": "u", "input": "q"}, "has no answer; expected an `answer` with text in one of"),
    (TASK, spoiled(TASK, output=[]), "has no answer"),
    (TASK, spoiled(TASK, output=[{"answer": 5}]), "an answer of \"other\"; expected a string; found 5"),
    (TASK, spoiled(TASK, output=[{"answer": "x", "provenance": None}]), "`provenance`, a list of objects; found null"),
    (TASK, evidence(title="A"), "provenance without a page; expected `wikipedia_id`"),
    (TASK, evidence(wikipedia_id="1", start_paragraph_id="2"), "`start_paragraph_id`, a whole number"),
    (TASK, evidence(wikipedia_id="1", start_paragraph_id=3, start_character=0, end_paragraph_id=2, end_character=9),
     "ends before it starts"),
    (TASK, evidence(wikipedia_id="1", bleu_score=1.5), "bleu_score"),
    (GUESS, spoiled(GUESS, output=[]), "exactly one object"),
    (GUESS, spoiled(GUESS, output=[{}, {}]), "exactly one object"),
    (GUESS, spoiled(GUESS, output=[{"provenance": []}]), "answer of a guess; expected a string; found none"),
    (GUESS, spoiled(GUESS, output=[{"answer": None}]), "expected a string; found null"),
])  # fmt: skip
def test_every_problem_is_found_on_its_line_and_reading_goes_on(tmp_path, first, bad, message):
    path = write_lines(tmp_path / "f.jsonl", first, bad, "}")
    assert [line for line, _ in problems(path)] == [2, 3]
    assert message in problems(path)[0][1]


def test_repeated_ids_are_reported_as_kilt_compares_them(tmp_path):
    path = write_lines(tmp_path / "f.jsonl", GUESS | {"id": 7}, GUESS, GUESS | {"id": " 7 "}, GUESS | {"id": "7"})
    assert problems(path) == [(3, "the id of line 1 again"), (4, "the id of line 1 again")]


def test_a_file_without_any_input_is_said_once_to_be_without(tmp_path):
    output = [{"answer": "x"}, {"answer": "y"}]
    path = write_lines(tmp_path / "f.jsonl", *({"id": i, "output": output} for i in range(3)))
    ((line, text),) = problems(path)
    assert line == 1 and "TriviaQA" in text and "join" in text


def test_a_truncated_gzip_is_a_problem_at_the_line_where_it_breaks(tmp_path):
    packed = gzip.compress("".join(json.dumps(GUESS | {"id": i}) + "\n" for i in range(3000)).encode())
    (tmp_path / "f.gz").write_bytes(packed[: len(packed) // 2])
    ((line, text),) = problems(tmp_path / "f.gz")
    assert line > 100 and "gzip" in text


def test_an_empty_file_is_a_problem(tmp_path):
    assert problems(write_lines(tmp_path / "f.jsonl")) == [(1, "the file is empty")]


def test_provenance_without_a_page_is_counted_and_stops_unless_admitted(tmp_path):
    source = write_lines(tmp_path / "ks.jsonl", PAGE)
    evidence = [{"wikipedia_id": 1}, {"wikipedia_id": "9"}, {"wikipedia_id": None}]
    task = write_lines(tmp_path / "t.jsonl", TASK, TASK | {"id": "u", "output": [{"provenance": evidence}]})
    counts = {"examples": 2, "provenances": 4, "without_page": 2, "examples_without_page": 1}
    assert check_provenance([task], page_ids(source), admitted=2) == {str(task): counts}
    with pytest.raises(InputError, match="points to no page; expected at most 1 such; found 2"):
        check_provenance([task], {"1"}, admitted=1)


def test_the_command_exits_0_1_and_2_and_prints_problems(tmp_path, capsys):
    source, task = write_lines(tmp_path / "ks.jsonl", PAGE), write_lines(tmp_path / "t.jsonl", TASK)
    bad = write_lines(tmp_path / "bad.jsonl", PAGE, "")
    assert main(["validate", str(source), str(task), "--pages", str(source)]) == 0
    capsys.readouterr()
    assert main(["validate", str(source), str(bad)]) == 1
    out, err = capsys.readouterr()
    assert f"{bad}:2: blank line; expected one JSON object a line\n" in out and "1 problems in 1 of 2 files" in err
    assert main(["validate", str(bad), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == [{"file": str(bad), "line": 2, "text": "blank line; expected one JSON object a line"}]
    assert report["files"][0]["kind"] == "knowledge source"
    assert main(["validate", str(source), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    assert main(["validate", str(tmp_path / "none.jsonl")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    elsewhere = write_lines(
        tmp_path / "other.jsonl", spoiled(TASK, output=[{"answer": "x", "provenance": [{"wikipedia_id": "5"}]}])
    )
    assert main(["validate", str(elsewhere), "--kind", "task", "--pages", str(source)]) == 2
    assert main(["validate", str(elsewhere), "--kind", "task", "--pages", str(source), "--admitted", "1"]) == 0


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="knowledge source, task, guess"):
        list(validate_file(write_lines(tmp_path / "f.jsonl", PAGE), "gold"))


def test_the_sample_is_without_problems(shared):
    for path in sorted((shared / "kilt-sample").glob("*-dev-kilt.jsonl.gz")):
        assert problems(path) == [], path
