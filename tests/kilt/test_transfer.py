"""Downloads over lines that fail: the file comes whole, or is no file and one line says why."""

import shutil
import threading

import pytest

from glimmer.errors import InputError
from glimmer.files import require_space
from glimmer.kilt.transfer import bring
from tests.kilt.lossy import serving

CONTENT = bytes(range(256)) * 400
OTHER = CONTENT[::-1] + b"more"
QUICK = {"pause": 0.001, "seconds": 5.0}


@pytest.fixture
def server():
    with serving({"/file": CONTENT}) as server:
        yield server


def fetched(server, tmp_path, **options):
    part = tmp_path / "file.part"
    bring(f"{server.address}/file", part, **QUICK | options)
    assert [path.name for path in tmp_path.iterdir()] == ["file.part"], "nothing else is left"
    return part.read_bytes()


@pytest.mark.parametrize("size", [None, len(CONTENT)])
@pytest.mark.parametrize("faults", [
    [],
    ["cut"],
    ["cut"] * 9,
    ["cut", "drop", "503", "429", "cut"],
    ["drop"] * 5,
    ["cut", "no-ranges"],
    ["cut", "other-range"],
    ["untagged", "cut"],
    ["longer"],
    ["cut", "longer"],
])  # fmt: skip
def test_the_file_comes_whole(faults, size, server, tmp_path):
    server.faults += faults
    assert fetched(server, tmp_path, size=None if "longer" in faults else size) == CONTENT


def test_a_server_that_falls_silent_is_asked_again(server, tmp_path):
    server.faults += ["slow"]
    assert fetched(server, tmp_path, seconds=0.2) == CONTENT
    assert server.ranges_asked == [None, f"bytes={len(CONTENT) // 10}-"]


@pytest.mark.parametrize("second", ["", "ignores-if-range"])
def test_a_file_that_changed_meanwhile_is_fetched_again_and_never_mixed(second, server, tmp_path):
    server.faults += ["cut"]
    with pytest.raises(InputError, match="are kept"):
        bring(f"{server.address}/file", tmp_path / "file.part", tries=0, **QUICK)
    server.files["/file"] = OTHER
    server.faults += [second] if second else []
    assert fetched(server, tmp_path) == OTHER


def test_a_server_whose_file_changes_at_every_try_is_given_up(server, tmp_path):
    class Changing(dict):
        def get(self, path, default=None):
            self.count = getattr(self, "count", 0) + 1
            return bytes([self.count]) * 1000

    server.files, server.faults, server.whole_time = Changing(), ["cut"], True
    with pytest.raises(InputError, match="cannot be downloaded"):
        bring(f"{server.address}/file", tmp_path / "file.part", tries=3, **QUICK)


@pytest.mark.parametrize("fault", ["longer", "shorter"])
def test_a_length_that_is_not_the_published_one_is_refused_before_a_byte_is_kept(fault, server, tmp_path):
    server.faults += [fault]
    with pytest.raises(InputError, match=f"another length than it must have; expected {len(CONTENT)} bytes"):
        bring(f"{server.address}/file", tmp_path / "file.part", size=len(CONTENT), **QUICK)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("fault", "tries", "named"), [
    ("drop", 3, "cannot be downloaded"),
    ("503", 3, "HTTP status 503"),
    ("html", 3, "a web page, not the file"),
])  # fmt: skip
def test_what_does_not_pass_is_one_line_and_leaves_nothing(fault, tries, named, server, tmp_path):
    server.faults, server.whole_time = [fault], True
    with pytest.raises(InputError, match=named):
        bring(f"{server.address}/file", tmp_path / "file.part", tries=tries, **QUICK)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/x", "nonsense", "file:///no/such/file", "http://no.such.invalid/x"]
)
def test_an_address_that_cannot_be_read_is_named(address, tmp_path):
    with pytest.raises(InputError, match=f"{address}: cannot be downloaded"):
        bring(address, tmp_path / "file.part", tries=2, **QUICK)


def test_secrets_do_not_follow_to_where_an_address_leads(server, tmp_path):
    def leads_on(answer):
        answer.send_response(302)
        answer.send_header("Location", f"{server.address}/file")
        answer.send_header("Content-Length", "0")
        answer.end_headers()
        asked.append(answer.headers.get("Authorization"))

    asked = []
    server.files["/first"] = leads_on
    bring(f"{server.address}/first", tmp_path / "file.part", secrets={"Authorization": "Bearer x"}, **QUICK)
    assert asked == ["Bearer x"] and "Authorization" not in server.headers_seen[-1]
    assert (tmp_path / "file.part").read_bytes() == CONTENT


def test_two_programs_do_not_write_one_file(server, tmp_path):
    server.faults += ["slow"]
    first = threading.Thread(target=bring, args=(f"{server.address}/file", tmp_path / "file.part"), kwargs=QUICK)
    first.start()
    while not server.ranges_asked:
        pass
    with pytest.raises(InputError, match="another program is fetching this file"):
        bring(f"{server.address}/file", tmp_path / "file.part", **QUICK)
    first.join()
    assert (tmp_path / "file.part").read_bytes() == CONTENT


def test_no_space_is_said_before_a_byte_comes(server, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no space for KILT; expected .* GiB free; found"):
        require_space(tmp_path / "not" / "yet", shutil.disk_usage(tmp_path).free + 2**30, "KILT")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(InputError, match="no space for file"):
        bring(f"{server.address}/file", tmp_path / "file.part", **QUICK)
    assert not list(tmp_path.iterdir())
