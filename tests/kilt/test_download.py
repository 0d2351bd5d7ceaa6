"""Downloads from a local server: resume, the lock file, and the join of TriviaQA's questions."""

import hashlib
import http.server
import json
import re
import tarfile
import threading

import pytest

from glimmer.cli import main
from glimmer.errors import CheckFailed, InputError
from glimmer.kilt.download import LOCK_NAME, PUBLISHED, download, published, triviaqa_questions

CONTENT = b'{"id": 1}\n' * 5000


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; `cut` ends the next answer early, `ranges_asked` records what was asked for."""

    cut, ranges_asked, with_ranges = 0, [], True

    def do_GET(self):
        asked = self.headers.get("Range")
        type(self).ranges_asked.append(asked)
        if "missing" in self.path:
            return self.send_error(404)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1)) if asked and self.with_ranges else 0
        if start >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = self.cut or len(CONTENT)
        type(self).cut = 0
        self.wfile.write(CONTENT[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    Server.cut, Server.ranges_asked, Server.with_ranges = 0, [], True
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/KILT/"
        server.shutdown()


ENTRY = {"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(), "lines": 5000}


def test_the_first_download_is_recorded_and_a_second_is_not_fetched(tmp_path, address):
    assert download("nq.jsonl", tmp_path, address) == ENTRY
    assert (tmp_path / "nq.jsonl").read_bytes() == CONTENT
    assert json.loads((tmp_path / LOCK_NAME).read_text()) == {"nq.jsonl": ENTRY}
    assert download("nq.jsonl", tmp_path, address) == ENTRY
    assert Server.ranges_asked == [None]


@pytest.mark.parametrize("with_ranges", [True, False])
def test_a_cut_download_is_an_error_and_the_next_one_goes_on(tmp_path, address, with_ranges):
    Server.cut, Server.with_ranges = 20_000, with_ranges
    with pytest.raises(InputError, match="cannot be downloaded"):
        download("nq.jsonl", tmp_path, address)
    assert not (tmp_path / "nq.jsonl").exists() and not (tmp_path / LOCK_NAME).exists()
    have = (tmp_path / "nq.jsonl.part").stat().st_size
    assert download("nq.jsonl", tmp_path, address) == ENTRY
    assert Server.ranges_asked == [None, f"bytes={have}-"]


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
    assert main(["download", "triviaqa", "--base", mirror.as_uri(), *arguments]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(r["file"], r["lines"], r["lines_published"]) for r in rows[1:3]] == [
        ("triviaqa-dev_id-kilt.jsonl", 1, 5359),
        ("triviaqa-train-kilt.jsonl", 1, None),
    ]
    joined = json.loads((tmp_path / "data/triviaqa-dev-kilt.jsonl").read_text())
    assert joined == {"id": "c", "input": "who is c?", "output": [{"answer": "x"}]}


def test_an_id_without_question_stops_the_join(tmp_path, archive, capsys):
    (tmp_path / "triviaqa-dev_id-kilt.jsonl").write_text('{"id": "zz"}\n')
    assert main(["download", "--out", str(tmp_path), "--triviaqa-archive", str(archive)]) == 2
    assert "triviaqa-dev_id-kilt.jsonl:1: no TriviaQA question has the id zz" in capsys.readouterr().err
    assert not (tmp_path / "triviaqa-dev-kilt.jsonl").exists()


def test_another_archive_is_refused(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"not a tar")
    with pytest.raises(InputError, match="not TriviaQA's archive"):
        triviaqa_questions(tmp_path / "x.tar.gz")
    with tarfile.open(tmp_path / "y.tar.gz", "w:gz") as file:
        file.add(tmp_path / "x.tar.gz", "other")
    with pytest.raises(InputError, match="qa/wikipedia-train.json"):
        triviaqa_questions(tmp_path / "y.tar.gz")


def test_nothing_to_do_and_missing_ids_are_bad_usage(tmp_path, archive, capsys):
    assert main(["download", "--out", str(tmp_path)]) == 2
    assert main(["download", "--out", str(tmp_path), "--triviaqa-archive", str(archive)]) == 2
    assert "triviaqa-train_id-kilt.jsonl" in capsys.readouterr().err
