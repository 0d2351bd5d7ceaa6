"""A subset of KILT-format data: enough of it, with its evidence, the same whatever the order of the files."""

import gzip
import json

import pytest

from glimmer.errors import InputError
from glimmer.files import read_json_lines, write_json_lines
from glimmer.kilt.subset import write_subset


def page(identifier):
    return {
        "_id": identifier,
        "wikipedia_id": identifier,
        "wikipedia_title": identifier,
        "text": [identifier, "A fact."],
    }


def example(identifier, evidence):
    return {"id": identifier, "input": "q", "output": [{"answer": "a", "provenance": [{"wikipedia_id": evidence}]}]}


@pytest.fixture
def data(tmp_path):
    directory = tmp_path / "kilt"
    write_json_lines(directory / "knowledge_source.jsonl.gz", [page(str(i)) for i in range(60)])
    write_json_lines(directory / "nq-train-kilt.jsonl", [example(f"t{i}", str(i)) for i in range(20)])
    write_json_lines(directory / "nq-dev-kilt.jsonl", [example(f"d{i}", str(20 + i)) for i in range(10)])
    return directory


def subset(data, out):
    return write_subset(data, out, ("nq",), train_examples=5, dev_examples=20, distractor_pages=7)


def test_it_keeps_the_evidence_of_what_it_keeps_and_some_other_pages(data, tmp_path):
    counts = subset(data, tmp_path / "part")
    examples = [row for s in ("train", "dev") for row in read_json_lines(tmp_path / "part" / f"nq-{s}-kilt.jsonl")]
    pages = {row["_id"] for row in read_json_lines(tmp_path / "part" / "knowledge_source.jsonl")}
    evidence = {row["output"][0]["provenance"][0]["wikipedia_id"] for row in examples}
    assert counts == {"nq-train": 5, "nq-dev": 10, "pages": 22, "evidence_pages": 15}
    assert evidence <= pages and len(pages) == 22


def test_the_order_of_the_file_does_not_decide_what_is_kept(data, tmp_path):
    subset(data, tmp_path / "one")
    source = data / "nq-train-kilt.jsonl"
    source.write_text("".join(reversed(source.read_text().splitlines(keepends=True))))
    subset(data, tmp_path / "two")
    ids = [{row["id"] for row in read_json_lines(tmp_path / name / "nq-train-kilt.jsonl")} for name in ("one", "two")]
    assert ids[0] == ids[1]


def test_a_truncated_knowledge_source_leaves_nothing_behind(data, tmp_path):
    whole = data / "knowledge_source.jsonl.gz"
    assert json.loads(gzip.decompress(whole.read_bytes()).splitlines()[0])["_id"] == "0"
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(InputError, match="gzip"):
        subset(data, tmp_path / "part")
    assert not (tmp_path / "part").exists()
