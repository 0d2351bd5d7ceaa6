"""Downloads from a local server: resume, the lock file, and the join of TriviaQA's questions."""

import hashlib
import json
import tarfile

import pytest

from glimmer.cli import main
from glimmer.errors import CheckFailed, InputError
from glimmer.experiments import load_study
from glimmer.kilt.download import (
    LOCK_NAME,
    PUBLISHED,
    RELEASE,
    download,
    joined_triviaqa,
    published,
    triviaqa_questions,
)
from tests.kilt.lossy import serving

CONTENT = b'{"id": 1}\n' * 5000


@pytest.fixture
def server():
    with serving({f"/KILT/{name}": CONTENT for name in ("nq.jsonl", "triviaqa.jsonl")}) as server:
        yield server


@pytest.fixture
def address(server):
    return f"{server.address}/KILT/"


ENTRY = {"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(), "lines": 5000}


def test_the_first_download_is_recorded_and_a_second_is_not_fetched(tmp_path, server, address):
    assert download("nq.jsonl", tmp_path, address) == ENTRY
    assert (tmp_path / "nq.jsonl").read_bytes() == CONTENT
    assert json.loads((tmp_path / LOCK_NAME).read_text()) == {"nq.jsonl": ENTRY}
    assert download("nq.jsonl", tmp_path, address) == ENTRY
    assert server.ranges_asked == [None]


def test_a_download_that_was_cut_off_is_no_file_and_the_next_one_goes_on(tmp_path, server, address):
    server.faults += ["cut"]
    with pytest.raises(InputError, match="cannot be downloaded.*25000 of 50000 bytes; 25000 bytes are kept"):
        download("nq.jsonl", tmp_path, address, tries=0)
    assert not (tmp_path / "nq.jsonl").exists() and not (tmp_path / LOCK_NAME).exists()
    assert download("nq.jsonl", tmp_path, address) == ENTRY
    assert server.ranges_asked == [None, "bytes=25000-"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK_NAME, "nq.jsonl"]


def test_a_part_that_was_whole_is_taken(tmp_path, address):
    (tmp_path / "nq.jsonl.part").write_bytes(CONTENT)
    assert download("nq.jsonl", tmp_path, address) == ENTRY


def test_another_file_than_the_locked_one_is_refused(tmp_path, address):
    (tmp_path / LOCK_NAME).write_text(json.dumps({"nq.jsonl": ENTRY | {"sha256": "0" * 64}}))
    with pytest.raises(CheckFailed, match="0000.*" + ENTRY["sha256"]):
        download("nq.jsonl", tmp_path, address)
    assert [p.name for p in tmp_path.iterdir()] == [LOCK_NAME]


def test_a_file_in_place_is_held_to_the_lock_too(tmp_path, address):
    download("nq.jsonl", tmp_path, address)
    (tmp_path / "nq.jsonl").write_bytes(b"changed")
    with pytest.raises(CheckFailed):
        download("nq.jsonl", tmp_path, address)
    assert (tmp_path / "nq.jsonl").read_bytes() == b"changed"


def test_addresses_that_cannot_be_read_are_named(tmp_path, address):
    with pytest.raises(InputError, match="missing.jsonl.*404"):
        download("missing.jsonl", tmp_path, address)
    with pytest.raises(InputError, match="nothing-here"):
        download("nq.jsonl", tmp_path, (tmp_path / "nothing-here").as_uri())
    with pytest.raises(InputError, match="plain file name"):
        download("../nq.jsonl", tmp_path, address)


def test_names_choose_published_files():
    assert [file.name for file in published(["knowledge_source"])] == ["kilt_knowledgesource.json"]
    assert {file.task for file in published(["zsre", "nq-dev-kilt.jsonl"])} == {"zsre", "nq"}
    assert published(["all", "nq"]) == list(PUBLISHED)
    with pytest.raises(InputError, match="found wow"):
        published(["wow"])


@pytest.fixture
def archive(tmp_path):
    for name, ids in (("train", ["a", "b"]), ("dev", ["c"])):
        path = tmp_path / "source/qa" / f"wikipedia-{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"Data": [{"QuestionId": i, "Question": f"who is {i}?"} for i in ids]}))
    with tarfile.open(tmp_path / "triviaqa-rc.tar.gz", "w:gz") as file:
        file.add(tmp_path / "source/qa", "qa")
    return tmp_path / "triviaqa-rc.tar.gz"


def test_the_command_downloads_and_joins_triviaqa(tmp_path, archive, capsys):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for split, identifier in (("train", "a"), ("dev", "c")):
        row = {"id": identifier, "output": [{"answer": "x"}]}
        (mirror / f"triviaqa-{split}_id-kilt.jsonl").write_text(json.dumps(row) + "\n")
    arguments = ["--out", str(tmp_path / "data"), "--triviaqa-archive", str(archive), "--json"]
    assert main(["fetch", "triviaqa", "--base", mirror.as_uri(), *arguments]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(r["file"], r["lines"], r["lines_published"]) for r in rows[1:3]] == [
        ("triviaqa-dev_id-kilt.jsonl", 1, 5359),
        ("triviaqa-train-kilt.jsonl", 1, None),
    ]
    joined = json.loads((tmp_path / "data/triviaqa-dev-kilt.jsonl").read_text())
    assert joined == {"id": "c", "input": "who is c?", "output": [{"answer": "x"}]}


def test_an_id_without_question_stops_the_join(tmp_path, archive):
    (tmp_path / "triviaqa-dev_id-kilt.jsonl").write_text('{"id": "zz"}\n')
    with pytest.raises(InputError, match="triviaqa-dev_id-kilt.jsonl:1: no TriviaQA question has the id zz"):
        list(joined_triviaqa(tmp_path, archive))
    assert not (tmp_path / "triviaqa-dev-kilt.jsonl").exists()


def test_what_was_joined_before_is_left_and_what_was_changed_since_is_joined_again(tmp_path, archive):
    (tmp_path / "triviaqa-dev_id-kilt.jsonl").write_text('{"id": "c"}\n')
    first = list(joined_triviaqa(tmp_path, archive))
    assert list(joined_triviaqa(tmp_path, tmp_path / "no-archive-is-read")) == first
    (tmp_path / "triviaqa-dev-kilt.jsonl").write_text("changed")
    assert list(joined_triviaqa(tmp_path, archive)) == first


def test_another_archive_is_refused(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"not a tar")
    with pytest.raises(InputError, match="not TriviaQA's archive"):
        triviaqa_questions(tmp_path / "x.tar.gz")
    with tarfile.open(tmp_path / "y.tar.gz", "w:gz") as file:
        file.add(tmp_path / "x.tar.gz", "other")
    with pytest.raises(InputError, match="qa/wikipedia-train.json"):
        triviaqa_questions(tmp_path / "y.tar.gz")


def test_nothing_to_do_and_missing_ids_are_bad_usage(tmp_path, archive, capsys):
    assert main(["fetch", "--out", str(tmp_path)]) == 2
    assert "nothing to fetch" in capsys.readouterr().err
    with pytest.raises(InputError, match="triviaqa-train_id-kilt.jsonl"):
        list(joined_triviaqa(tmp_path, archive))


def test_the_study_of_the_release_is_one_of_these_files():
    study = load_study("kilt")
    assert study.data.release == RELEASE
    assert {file.task for file in published(["knowledge_source", *study.tasks])} == {None, *study.tasks}
