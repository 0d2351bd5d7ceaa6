"""Files as people have them: what is wrong is one line, the same in every command that reads the file."""

import json

import pytest

from glimmer.cli import main
from glimmer.files import write_json_lines

GOOD = {"id": "1", "input": "what?", "output": [{"answer": "a", "provenance": [{"wikipedia_id": "3"}]}]}
TASKS = ("nq", "triviaqa", "hotpotqa", "fever", "zsre", "trex")


def page(identifier, **changes):
    row = {"_id": identifier, "wikipedia_id": identifier, "wikipedia_title": identifier}
    return row | {"text": [identifier, "A fact."]} | changes


@pytest.fixture
def data(tmp_path):
    directory = tmp_path / "data"
    write_json_lines(directory / "knowledge_source.jsonl", [page(str(i)) for i in range(12)])
    for task in TASKS:
        for split in ("train", "dev"):
            write_json_lines(directory / f"{task}-{split}-kilt.jsonl", [GOOD])
    return directory


def evidence(**item):
    return GOOD | {"output": [{"answer": "a", "provenance": [{"wikipedia_id": "3"} | item]}]}


def without(row, key):
    return {name: value for name, value in row.items() if name != key}


TASK_LINES = {
    "an empty question": (GOOD | {"input": ""}, "has no question; expected `input`"),
    "a blank question": (GOOD | {"input": " \n"}, "has no question; expected `input`"),
    "a null question": (GOOD | {"input": None}, "has no question; expected `input`"),
    "a null id": (GOOD | {"id": None}, "example without an id; expected `id`"),
    "no id": (without(GOOD, "id"), "example without an id; expected `id`"),
    "a blank id": (GOOD | {"id": " "}, "example without an id; expected `id`"),
    "an id that became a float": (GOOD | {"id": 7.0}, "example without an id; expected `id`"),
    "no output": (without(GOOD, "output"), "has no answer"),
    "an empty output": (GOOD | {"output": []}, "has no answer"),
    "evidence alone": (GOOD | {"output": [{"provenance": [{"wikipedia_id": "3"}]}]}, "has no answer"),
    "an empty answer": (GOOD | {"output": [{"answer": ""}]}, "has no answer"),
    "a null answer": (GOOD | {"output": [{"answer": None}]}, "has no answer"),
    "columns, as a table": (GOOD | {"output": {"answer": ["a"]}}, "`output`, a list of objects"),
    "null evidence": (GOOD | {"output": [{"answer": "a", "provenance": None}]}, "`provenance`, a list of objects"),
    "a page that became a float": (evidence(wikipedia_id=3.0), "`wikipedia_id`, text or a whole number"),
    "a paragraph that became a float": (evidence(start_paragraph_id=1.0), "`start_paragraph_id`, a whole number"),
    "a place before the beginning": (evidence(end_character=-2), "`end_character`, a whole number"),
    "a BLEU score in percent": (evidence(bleu_score=50.0), "`bleu_score` in [0, 1]"),
    "a BLEU score that is no number": (evidence(bleu_score=float("nan")), "`bleu_score` in [0, 1]"),
    "half a surrogate pair": (GOOD | {"input": "what \ud83d"}, "half a surrogate pair"),
    "half a pair deep inside": (evidence(meta={"spans": ["\udc00"]}), "half a surrogate pair"),
}
PAGE_LINES = {
    "a null id": (page(None), "page without an id"),
    "a blank id": (page(""), "page without an id"),
    "no id": (without(without(page("9"), "_id"), "wikipedia_id"), "page without an id"),
    "null text": (page("9", text=None), "page without text"),
    "a null paragraph": (page("9", text=["9", None]), "page without text"),
    "half a surrogate pair": (page("9", text=["9", "A \ud83d"]), "half a surrogate pair"),
}


def lines_of(capsys):
    out, err = capsys.readouterr()
    return out.strip(), err.strip()


def says_the_same(path, data, tmp_path, capsys, words, where):
    """`glimmer validate` names it as the commands do that would read it."""
    assert main(["validate", str(path)]) == 1
    told = [line for line in lines_of(capsys)[0].splitlines() if words in line]
    assert main(["chunk", "--study", "smoke", "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    _, error = lines_of(capsys)
    assert len(error.splitlines()) == 1 and f"{path}:{where}: " in error and "; expected " in error
    assert told == [error.removeprefix("glimmer chunk: ")]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", TASK_LINES)
def test_a_task_line_that_is_wrong_is_named_alike(case, data, tmp_path, capsys):
    row, words = TASK_LINES[case]
    path = data / "fever-dev-kilt.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (GOOD | {"id": "0"}, row)))
    says_the_same(path, data, tmp_path, capsys, words, 2)


@pytest.mark.parametrize("case", PAGE_LINES)
def test_a_page_that_is_wrong_is_named_alike(case, data, tmp_path, capsys):
    row, words = PAGE_LINES[case]
    path = data / "knowledge_source.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (page("3"), row)))
    says_the_same(path, data, tmp_path, capsys, words, 2)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize("name", ["knowledge_source.jsonl", "nq-train-kilt.jsonl"])
def test_a_pointer_instead_of_a_file_is_named_alike(name, data, tmp_path, capsys):
    (data / name).write_text(POINTER)
    expected = (
        f"{data / name}: a Git LFS pointer, not the file; expected the file itself (`git lfs pull`); found "
        "oid sha256:4d7a2146 size 12345"
    )
    for command in (
        ["validate", data / name],
        ["chunk", "--study", "smoke", "--data", data, "--out", tmp_path / "out"],
        ["score", data / name, data / "nq-dev-kilt.jsonl"],
        ["score", data / "nq-dev-kilt.jsonl", data / name],
    ):
        assert main(list(map(str, command))) == 2
        assert lines_of(capsys)[1] == f"glimmer {command[0]}: {expected}"


def test_a_folder_instead_of_a_file_and_a_place_that_takes_no_files_are_one_line(data, tmp_path, capsys):
    gold, guess = str(data / "nq-dev-kilt.jsonl"), str(tmp_path / "guess.jsonl")
    write_json_lines(guess, [{"id": "1", "output": [{"answer": "a", "provenance": []}]}])
    (tmp_path / "file").touch()
    for arguments, named in (
        (["score", gold, str(tmp_path)], str(tmp_path)),
        (["validate", str(tmp_path)], str(tmp_path)),
        (["score", gold, guess, "--out", str(tmp_path / "file" / "x.json")], "file"),
        (["score", gold, guess, "--out", "/proc/x.json"], "/proc/x.json"),
    ):
        assert main(arguments) == 2
        _, error = lines_of(capsys)
        assert len(error.splitlines()) == 1 and named in error and "Traceback" not in error


def test_an_id_that_is_none_in_a_configuration_is_one_line_that_names_it():
    from glimmer.errors import InputError
    from glimmer.models.config import from_hugging_face

    with pytest.raises(InputError, match=r"D/config.json: eos_token_id; expected an id, a whole number; found \[1\]"):
        from_hugging_face({"model_type": "t5", "pad_token_id": None, "eos_token_id": [1]}, where="D/config.json")
