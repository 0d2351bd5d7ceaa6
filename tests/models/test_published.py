"""Models by name and revision, from a Hub on this machine: what is read comes, whole and as published, and no more."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from glimmer.errors import CheckFailed, InputError
from glimmer.models.published import LOCK_NAME, HubFile, fetch_model, files_to_read, model_name
from tests.kilt.lossy import serving

QUICK = {"pause": 0.001, "seconds": 5.0}
WEIGHTS = bytes(range(256)) * 100
T5 = {"config.json": b"{}", "pytorch_model.bin": WEIGHTS, "flax_model.msgpack": b"f", "tf_model.h5": b"t",
      "spiece.model": b"s", "README.md": b"r", "tokenizer_config.json": b"{}"}  # fmt: skip
GTR = {"config.json": b"{}", "modules.json": b"[]", "1_Pooling/config.json": b"{}", "2_Dense/config.json": b"{ }",
       "2_Dense/model.safetensors": b"d", "2_Dense/pytorch_model.bin": b"p", "model.safetensors": WEIGHTS,
       "pytorch_model.bin": b"p", "tokenizer.json": b"{}", "spiece.model": b"s", "sentence_bert_config.json": b"{}",
       "onnx/model.onnx": b"o", "convert.ipynb": b"{}"}  # fmt: skip
COMMIT = "a" * 40


def listing(files, commit):
    """What the Hub answers: sizes; sha256 of large files, git's sha1 of small ones."""
    siblings = []
    for name, data in files.items():
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        row = {"rfilename": name, "size": len(data), "blobId": git}
        if name.endswith((".bin", ".safetensors", ".model")):
            row |= {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}
        siblings.append(row)
    return json.dumps({"id": "o/m", "modelId": "o/m", "sha": commit, "siblings": siblings, "tags": []}).encode()


def publish(server, name, files, commit=COMMIT, revisions=("main",)):
    for revision in (*revisions, commit):
        server.files[f"/api/models/{name}/revision/{revision}"] = answer(listing(files, commit))
    server.files[f"/api/models/{name}"] = answer(listing(files, commit))
    for file, data in files.items():
        server.files[f"/{name}/resolve/{commit}/{file}"] = data


def answer(body):
    def give(request):
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return give


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serving({}) as server:
        yield server


def names_in(directory):
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def test_the_files_that_are_read_come_in_one_form_of_weights(server, tmp_path):
    publish(server, "google/t5-v1_1-large", T5)
    lock = fetch_model("google/t5-v1_1-large", tmp_path, server.address, **QUICK)
    assert names_in(tmp_path) == sorted([LOCK_NAME, "config.json", "pytorch_model.bin", "spiece.model"])
    assert lock == json.loads((tmp_path / LOCK_NAME).read_text())
    assert (lock["name"], lock["revision"]) == ("google/t5-v1_1-large", COMMIT)
    weights = {"size": len(WEIGHTS), "sha256": hashlib.sha256(WEIGHTS).hexdigest()}
    assert lock["files"]["pytorch_model.bin"] == weights


def test_modules_of_a_sentence_transformer_come_with_it(server, tmp_path):
    publish(server, "sentence-transformers/gtr-t5-base", GTR)
    fetch_model(f"sentence-transformers/gtr-t5-base@{COMMIT}", tmp_path, server.address, **QUICK)
    left = {"2_Dense/pytorch_model.bin", "pytorch_model.bin", "onnx/model.onnx", "convert.ipynb"}
    assert names_in(tmp_path) == sorted({LOCK_NAME, *GTR} - left)


def hub_files(*names):
    return [HubFile(name=name, size=1, sha256=None, git_sha1=None) for name in names]


@pytest.mark.parametrize(("there", "expected"), [
    (["model.safetensors", "pytorch_model.bin", "flax_model.msgpack"], ["model.safetensors"]),
    (["pytorch_model.bin", "flax_model.msgpack", "tf_model.h5"], ["pytorch_model.bin"]),
    (["flax_model.msgpack", "tf_model.h5"], ["flax_model.msgpack"]),
    (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json",
      "pytorch_model.bin"],
     ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]),
])  # fmt: skip
def test_of_several_forms_of_weights_the_best_is_taken_with_all_its_shards(there, expected):
    assert [file.name for file in files_to_read(hub_files("config.json", *there), "o/m")] == ["config.json", *expected]


@pytest.mark.parametrize("there", [["config.json", "tf_model.h5"], ["model.safetensors"], []])
def test_a_model_without_weights_or_config_is_refused(there):
    with pytest.raises(InputError, match="o/m: no model that can be read"):
        files_to_read(hub_files(*there), "o/m")


def test_folders_of_other_things_are_left_where_they_are():
    files = hub_files("config.json", "model.safetensors", "onnx/config.json", "../config.json", "a/b/config.json")
    assert [file.name for file in files_to_read(files, "o/m")] == ["config.json", "model.safetensors"]


def test_a_fetch_that_was_cut_off_goes_on_and_a_second_one_brings_nothing(server, tmp_path):
    publish(server, "o/m", T5)
    server.faults += ["", "", "cut"]
    with pytest.raises(InputError, match="are kept"):
        fetch_model("o/m", tmp_path, server.address, tries=0)
    assert (tmp_path / "pytorch_model.bin.part").stat().st_size == len(WEIGHTS) // 2
    fetch_model("o/m", tmp_path, server.address, **QUICK)
    assert f"bytes={len(WEIGHTS) // 2}-" in server.ranges_asked
    asked = len(server.ranges_asked)
    fetch_model("o/m", tmp_path, server.address, **QUICK)
    assert len(server.ranges_asked) == asked


@pytest.mark.parametrize("name", ["config.json", "pytorch_model.bin"])
def test_other_bytes_than_were_published_are_refused_and_not_kept(name, server, tmp_path):
    publish(server, "o/m", T5)
    server.files[f"/o/m/resolve/{COMMIT}/{name}"] = T5[name][::-1] if len(T5[name]) > 2 else b"[]"
    with pytest.raises(CheckFailed, match=f"{name}: other bytes than were published"):
        fetch_model("o/m", tmp_path, server.address, **QUICK)
    assert not (tmp_path / name).exists() and not (tmp_path / f"{name}.part").exists()


def test_a_file_that_was_changed_in_place_is_refused_and_left(server, tmp_path):
    publish(server, "o/m", T5)
    fetch_model("o/m", tmp_path, server.address, **QUICK)
    (tmp_path / "spiece.model").write_bytes(b"x")
    with pytest.raises(CheckFailed, match="spiece.model: other bytes than were published.*delete it and fetch again"):
        fetch_model("o/m", tmp_path, server.address, **QUICK)
    assert (tmp_path / "spiece.model").read_bytes() == b"x"


def test_a_branch_that_moved_on_is_no_reason_to_mix_two_revisions(server, tmp_path):
    publish(server, "o/m", T5)
    fetch_model("o/m@main", tmp_path, server.address, **QUICK)
    publish(server, "o/m", T5 | {"config.json": b'{"new": 1}'}, commit="b" * 40)
    with pytest.raises(CheckFailed, match=f"expected o/m@{COMMIT}.*found o/m@bbbb"):
        fetch_model("o/m@main", tmp_path, server.address, **QUICK)
    assert fetch_model(f"o/m@{COMMIT}", tmp_path, server.address, **QUICK)["revision"] == COMMIT


def test_a_name_or_a_revision_that_is_not_there_is_one_line(server, tmp_path):
    publish(server, "o/m", T5)
    for name in ("o/other", "o/m@v9"):
        with pytest.raises(InputError, match=f"{name}: cannot be listed; found no such model or revision"):
            fetch_model(name, tmp_path, server.address, **QUICK)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "expected"), [
    ("google/t5-v1_1-large", ("google/t5-v1_1-large", None)),
    ("o/m@refs/pr/2", ("o/m", "refs/pr/2")),
    ("nq", None),
    ("nq-dev-kilt.jsonl", None),
    ("a/b/c", None),
    ("https://x/y", None),
])  # fmt: skip
def test_what_a_models_name_is(text, expected):
    assert model_name(text) == expected


@pytest.mark.parametrize("part", [False, True])
def test_the_command_fetches_what_a_study_needs_and_says_how_to_call_it(server, tmp_path, part):
    """Of the whole, whose XXL is given, or of a part of its grid that has no reader of XXL."""
    publish(server, "google/t5-v1_1-large", T5)
    publish(server, "sentence-transformers/gtr-t5-base", GTR)
    environment = os.environ | {"HF_ENDPOINT": server.address, "HF_HUB_OFFLINE": "0"}
    given, ends = [f"sizes.XXL.initial.directory={tmp_path}/xxl"], f"checkpoint_xxl={tmp_path}/xxl"
    if part:
        given = ["artifacts=[figure3,table2]", "seeds=[0]", "baselines=[]"]
        ends = "artifacts=figure3,table2 seeds=0 baselines=[] results=DIR"
    given = [word for change in [f"data={tmp_path}/kilt", *given] for word in ("--set", change)]
    done = subprocess.run(
        [sys.executable, "-m", "glimmer", "fetch", "--study", "kilt", *given, "--out", str(tmp_path / "models")],
        env=environment, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no progress bar where nobody looks"
    assert done.stdout.splitlines()[-1] == (
        f"snakemake --cores all --config study=kilt data={tmp_path}/kilt checkpoint={tmp_path}/models/t5-v1_1-large "
        f"retriever={tmp_path}/models/gtr-t5-base {ends}"
    )
    assert (tmp_path / "models/gtr-t5-base/2_Dense/model.safetensors").read_bytes() == b"d"
