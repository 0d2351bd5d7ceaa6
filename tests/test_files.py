"""Files that are whole or absent, and JSON that people can compare."""

import errno
import fcntl
import json
import math
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import glimmer.files
from glimmer.errors import InputError
from glimmer.files import (
    atomic_directory,
    atomic_write,
    json_text,
    only_one,
    open_binary,
    read_json,
    remove_directory,
    sha256_directory,
    sha256_file,
    write_json,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_is_written_is_read_back(value):
    assert json.loads(json_text(value)) == value


def test_keys_are_sorted_and_a_list_of_numbers_is_one_line():
    text = json_text({"b": list(range(2000)), "a": {"deep": [1.0, 0.5]}, "c": [{"x": 1}], "d": []})
    assert text.splitlines()[:3] == ["{", ' "a": {', '  "deep": [1.0, 0.5]']
    assert len(text.splitlines()) == 12 and text.count("1999") == 1


def test_a_list_of_digests_is_one_line_and_one_of_words_is_not():
    assert len(json_text(["0123abcd"] * 2000).splitlines()) == 1
    assert len(json_text(["evidence"] * 2000).splitlines()) == 2002


@pytest.mark.parametrize("value", [{"score": math.nan}, [math.inf], {1: "x"}])
def test_what_json_does_not_have_is_refused_and_leaves_no_file(tmp_path, value):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "x.json", value)
    assert not list(tmp_path.iterdir())


def test_writing_replaces_the_whole_file(tmp_path):
    write_json(tmp_path / "x.json", {"long": list(range(100))})
    write_json(tmp_path / "x.json", {"short": 1})
    assert read_json(tmp_path / "x.json") == {"short": 1}


def test_of_two_writers_of_a_directory_one_stays_whole(tmp_path):
    def write(name, meanwhile=None):
        with atomic_directory(tmp_path / "stage") as target:
            (target / "a").write_text(name)
            (target / "b").write_text(name)
            if meanwhile:
                write(meanwhile)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [str(number) for number in range(60)]))
    write("last", meanwhile="first")
    assert [(tmp_path / "stage" / name).read_text() for name in "ab"] == ["last", "last"]
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


def test_only_one_process_holds_a_lock_and_a_killed_one_lets_go(tmp_path):
    lock = tmp_path / "run" / "training.lock"
    program = f"""
import sys
from glimmer.files import only_one
with only_one({str(lock)!r}):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"training.lock: somebody is at it.* {holder.pid}"), only_one(lock):
            pass
        holder.kill()
        holder.wait()
    with only_one(lock):
        assert lock.read_text().endswith(f" {os.getpid()}")


def test_no_part_of_a_directory_that_is_removed_is_ever_found_under_its_name(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").write_text("a")
    found = []
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: found.append((Path(path).name, (tmp_path / "run").exists())))
    remove_directory(tmp_path / "run")
    ((name, there),) = found
    assert name.startswith(".run.") and not there
    monkeypatch.undo()
    remove_directory(tmp_path / "run")  # there is none
    assert not (tmp_path / "run").exists()


KILLED = """
import os, signal, sys, time
from glimmer.files import {way}
with {way}(sys.argv[1]) as half:
    print("there", flush=True)
    {then}
"""


def _begun(way, path, then):
    """A process that has begun to write `path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(way=way, then=then), path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "there\n"
    return process


@pytest.mark.parametrize("way", ["atomic_write", "atomic_directory", "sealed_directory"])
def test_what_a_killed_writer_has_left_goes_with_the_next_writing_of_that_name_and_nothing_else_does(tmp_path, way):
    with _begun(way, tmp_path / "x", "os.kill(os.getpid(), signal.SIGKILL)") as killed:
        killed.wait()
    with _begun(way, tmp_path / "x", "time.sleep(600)") as alive:
        left = [path for path in tmp_path.iterdir()]
        assert len(left) == 1  # of the one that lives: the other's is gone
        (tmp_path / ".x.settings").touch()
        (tmp_path / ".xy.k3j5h7g9.partial").touch()
        with getattr(glimmer.files, way)(tmp_path / "x"):
            pass
        assert {path.name for path in tmp_path.iterdir()} == {"x", ".x.settings", ".xy.k3j5h7g9.partial", left[0].name}
        alive.kill()


def test_what_was_set_aside_and_not_removed_goes_with_the_next_removal(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / ".x.k3j5h7g9.partial").mkdir()
    (tmp_path / ".x.k3j5h7g9.partial" / "rest").touch()
    remove_directory(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_where_locks_do_not_work_nothing_is_taken_for_abandoned(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    (tmp_path / ".x.k3j5h7g9.partial").touch()
    monkeypatch.setattr(fcntl, "flock", refused)
    write_json(tmp_path / "x", 1)
    assert {path.name for path in tmp_path.iterdir()} == {"x", ".x.k3j5h7g9.partial"}


def test_what_a_download_leaves_hidden_is_no_part_of_a_directory(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"x")
    before = sha256_directory(tmp_path)
    hidden = tmp_path / ".cache" / "huggingface" / "download"
    hidden.mkdir(parents=True)
    (hidden / "model.bin.metadata").write_text("a date")
    assert sha256_directory(tmp_path) == before


def test_what_only_points_to_a_file_has_no_digest(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 9\n")
    for read in (sha256_file, open_binary, read_json):
        with pytest.raises(
            InputError, match="model.bin: a Git LFS pointer, not the file; expected the file itself.*size 9"
        ):
            read(tmp_path / "model.bin")


def test_a_disk_that_is_full_is_an_error_that_names_the_file_and_leaves_none(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(OSError) as error, atomic_write(tmp_path / "x.npy", "wb") as file:
            for _ in range(100):
                file.write(bytes(1000))
                file.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert error.value.filename == str(tmp_path / "x.npy") and not list(tmp_path.iterdir())
