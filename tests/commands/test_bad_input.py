"""Bad input ends in one line that says what, where, expected and found, with exit code 2, and nothing half-written."""

import gzip
import json

import pytest

from glimmer.cli import main
from glimmer.files import write_json_lines

TASKS = ("nq", "triviaqa", "hotpotqa", "fever", "zsre", "trex")


def page(identifier):
    return {
        "_id": identifier,
        "wikipedia_id": identifier,
        "wikipedia_title": identifier,
        "text": [identifier, "A fact."],
    }


@pytest.fixture
def data(tmp_path):
    """A whole small data set: 12 pages, one example a task and split."""
    directory = tmp_path / "data"
    write_json_lines(directory / "knowledge_source.jsonl", [page(str(i)) for i in range(12)])
    for task in TASKS:
        for split in ("train", "dev"):
            output = [
                {"answer": "a", "provenance": [{"wikipedia_id": "3", "start_paragraph_id": 1, "end_paragraph_id": 1}]}
            ]
            row = {"id": f"{task}-{split}", "input": "what?", "output": output}
            write_json_lines(directory / f"{task}-{split}-kilt.jsonl", [row])
    return directory


def chunk(data, out, *options):
    return main(["chunk", "--study", "smoke", "--data", str(data), "--out", str(out), *options])


def replace_line(path, line):
    path.write_text(line + "\n")


def one_page_without_text(data):
    replace_line(data / "knowledge_source.jsonl", json.dumps({"_id": "3", "wikipedia_id": "3", "wikipedia_title": "3"}))


def truncated_gzip(data):
    path = data / "knowledge_source.jsonl"
    whole = gzip.compress(path.read_bytes())
    path.unlink()
    path.with_name("knowledge_source.jsonl.gz").write_bytes(whole[:-15])


CASES = {
    "a missing file": (lambda d: (d / "trex-dev-kilt.jsonl").unlink(), "trex"),
    "a truncated gzip": (truncated_gzip, "gzip"),
    "a line that is not JSON": (lambda d: replace_line(d / "nq-dev-kilt.jsonl", "{oops"), "nq-dev-kilt.jsonl:1"),
    "a page without text": (one_page_without_text, "knowledge_source.jsonl:1"),
    "a task line without input": (
        lambda d: replace_line(d / "nq-dev-kilt.jsonl", '{"id": "1"}'),
        "nq-dev-kilt.jsonl:1",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_spoilt_data_set_stops_before_any_work(case, data, tmp_path, capsys):
    spoil, named = CASES[case]
    spoil(data)
    assert chunk(data, tmp_path / "passages", "--set", "retriever.depth=8") == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and named in error, error
    assert not (tmp_path / "passages").exists()


def test_the_whole_data_set_is_accepted(data, tmp_path):
    assert chunk(data, tmp_path / "passages") == 0
    assert (tmp_path / "passages" / "passages.jsonl").exists()


def test_evidence_that_points_to_no_page_stops_unless_admitted(data, tmp_path, capsys):
    output = [{"answer": "a", "provenance": [{"wikipedia_id": "99"}]}]
    write_json_lines(data / "nq-dev-kilt.jsonl", [{"id": "1", "input": "what?", "output": output}])
    assert chunk(data, tmp_path / "passages") == 2
    assert "99" in capsys.readouterr().err
    assert not (tmp_path / "passages").exists()


def test_retrieving_more_passages_than_the_corpus_has_stops(data, tmp_path, capsys):
    assert chunk(data, tmp_path / "passages", "--set", "retriever.depth=40") == 2
    error = capsys.readouterr().err
    assert "40 passages" in error and "found 12" in error
    assert not (tmp_path / "passages").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--reader", "glimmer", "--alpha", "1/3", "--beta", "1/4", "--k", "5", "--m", "25"], "m"),
        (["--reader", "lumen", "--alpha", "4/3", "--k", "5"], "alpha"),
        (["--reader", "glimmer", "--alpha", "1/3", "--beta=-1/4", "--k", "25", "--m", "5"], "beta"),
    ],
)
def test_settings_outside_their_range_stop(arguments, named, capsys):
    assert main(["macs", "--size", "xxl", "--tokens", "384", "--target-tokens", "64", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and named in error


@pytest.mark.parametrize("alpha", ["0", "1"])
def test_the_ends_of_the_range_are_legal(alpha, capsys):
    size = ["--size", "xxl", "--tokens", "384", "--target-tokens", "64"]
    assert main(["macs", "--reader", "glimmer", "--alpha", alpha, "--beta", alpha, "--k", "25", "--m", "5", *size]) == 0


@pytest.mark.parametrize("command", ["figures", "claims", "report"])
def test_results_of_a_studys_file_are_refused_before_anything_is_written(command, tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nlike: smoke\n")
    assert main([command, "--study", str(file), "--results", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "a name in config/" in error and str(file) in error
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
