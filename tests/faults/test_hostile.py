"""Files made to break a reader: they are read, or refused in one line that names the file; nothing else happens."""

import gzip
import io
import json
import pickle
import resource
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from glimmer import files
from glimmer.errors import InputError
from glimmer.experiments import load_study
from glimmer.experiments.documents import read_yaml, yaml_value
from glimmer.files import numbered_lines, read_json
from glimmer.kilt import download
from glimmer.kilt.download import triviaqa_questions
from glimmer.models.config import from_hugging_face
from glimmer.models.forms import weight_files
from glimmer.models.pickled import read_state_dict
from glimmer.models.tokenizer import Tokenizer
from glimmer.models.weights import open_weights
from tests.faults import hostile
from tests.faults.hostile import CONFIG, READERS, survives


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for each reader: its files are written over and over."""
    root = tmp_path_factory.mktemp("hostile")
    return {reader: root / str(number) for number, reader in enumerate(READERS)}


@pytest.mark.parametrize("reader", READERS)
@seed(20231)
@settings(max_examples=25, database=None, suppress_health_check=list(HealthCheck))
@given(rng=st.randoms(use_true_random=False))
def test_a_hostile_file_is_read_or_refused_by_name(folder, reader, rng):
    survives(READERS[reader], READERS[reader].make(rng), folder[reader])


@pytest.fixture
def little_memory():
    """The block may take half a gigabyte of address space more than the process has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (512 << 20), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


# -- bombs ------------------------------------------------------------------------------------------------------------


def test_a_gzip_stream_of_one_endless_line_ends_at_the_longest_line(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' + bytes(1 << 20)))
    with pytest.raises(InputError, match=r"bomb\.jsonl\.gz:2: line too long; expected at most 1000 bytes"):
        list(numbered_lines(path))


@pytest.mark.parametrize(
    "behind, is_read", [(b"", True), (b"\0" * 700, True), (b"garbage", False), (b"\x1f\x8b", False)]
)
def test_gzip_members_follow_each_other_and_nothing_else_follows_them(tmp_path, behind, is_read):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"one\ntw") + gzip.compress(b"o\n") + behind)
    if is_read:
        assert [line for _, line in numbered_lines(path)] == [b"one", b"two"]
    else:
        with pytest.raises(InputError, match=r"x\.gz:\d+: gzip stream is broken"):
            list(numbered_lines(path))


@pytest.mark.parametrize("name", ["LONG_BINPUT", "BINUNICODE8", "BINBYTES8", "BYTEARRAY8", "FRAME", "LONG4"])
def test_a_pickle_gets_no_more_memory_than_its_file_is_long(tmp_path, little_memory, name):
    code = {
        "LONG_BINPUT": pickle.LONG_BINPUT + struct.pack("<I", 2**32 - 1),
        "FRAME": pickle.FRAME + struct.pack("<Q", 2**33),
        "LONG4": pickle.LONG4 + struct.pack("<i", 2**31 - 1),
    }
    code = code.get(name) or getattr(pickle, name) + struct.pack("<Q", 2**33)
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x04}" + code + b".")
    with pytest.raises(InputError, match=r"pytorch_model\.bin: not a state dict"):
        read_state_dict(path)


def test_a_key_of_tuples_in_tuples_does_not_end_the_process(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02})" + pickle.TUPLE1 * 500_000 + b"Ns.")
    with pytest.raises(InputError, match="a tuple as a name"):
        read_state_dict(path)


def test_attributes_of_a_tensor_cannot_be_set_by_a_pickle(tmp_path):
    """BUILD would give it another file, another place and another shape."""
    index = hostile._state_dict()
    other = b"}X\x04\x00\x00\x00pathX\x0b\x00\x00\x00/etc/passwdsb"
    at = index.index(pickle.SETITEMS + pickle.STOP)
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", index[:at] + other + index[at:])
        archive.writestr("archive/data/0", bytes(24))
        archive.writestr("archive/data/1", bytes(8))
    with pytest.raises(InputError, match="items of a FileTensor"):
        read_state_dict(path)


def test_a_tensor_is_no_larger_than_its_storage(tmp_path):
    index = hostile._state_dict().replace(b"(K\x02K\x03t(K\x03K\x01t", b"(K\xffK\xfft(K\x00K\x00t")
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", index)
        archive.writestr("archive/data/0", bytes(24))
    with pytest.raises(InputError, match="tensor outside its storage"):
        read_state_dict(path)


def test_an_archives_other_entries_are_not_unpacked(tmp_path, little_memory):
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", hostile._state_dict())
        with archive.open("archive/byteorder", "w") as entry:
            for _ in range(600):
                entry.write(bytes(1 << 20))
    with pytest.raises(InputError, match="another order of bytes"):
        read_state_dict(path)


def test_maps_as_keys_of_msgpack_are_not_spelt_out(tmp_path, little_memory):
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(b"\x81" * 50 + b"\xa1\\" + b"\x01" * 51)
    with pytest.raises(InputError, match=r"flax_model\.msgpack: not a whole msgpack file.*a dict as a name"):
        open_weights(path)


@pytest.mark.parametrize(
    "shape", [b"\x92\xfe\xfd", b"\x92\xcb\x40\x00\0\0\0\0\0\0\x03", b"\xdc\x00\x40" + b"\x01" * 64]
)
def test_shapes_that_no_array_has_are_refused(tmp_path, shape):
    inner = b"\x93" + shape + b"\xa7float32\xc4\x18" + bytes(24)
    (path := tmp_path / "flax_model.msgpack").write_bytes(b"\x81\xa1a\xc7" + bytes([len(inner)]) + b"\x01" + inner)
    with pytest.raises(InputError, match="an array"):
        open_weights(path)


# -- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../x", "a/../../x", "x\0y", "", "a b"])
def test_an_array_of_t5x_lies_in_the_checkpoints_folder(tmp_path, name):
    tree = hostile._msgpack({"target": {name: {"driver": "zarr", "kvstore": "y"}}})
    (tmp_path / "checkpoint").write_bytes(tree)
    with pytest.raises(InputError, match="checkpoint: an array outside its folder"):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    "change", [{"chunks": [2**40, 3]}, {"chunks": [0, 3]}, {"shape": [-2, 3]}, {"dtype": "|O"}, {"dtype": ["<f4"]}]
)
def test_what_an_array_of_t5x_claims_is_checked_before_memory_is_asked_for(tmp_path, change):
    path = hostile.place(READERS["zarr"], json.dumps(hostile._ZARRAY | change).encode(), tmp_path)
    with pytest.raises(InputError, match=r"\.zarray: not a zarr array"):
        open_weights(path.parents[1])


def test_a_chunk_that_is_not_there_is_no_chunk_of_zeros(tmp_path):
    path = hostile.place(READERS["zarr"], json.dumps(hostile._ZARRAY).encode(), tmp_path)
    tensor = open_weights(tmp_path).tensors["b"]
    np.testing.assert_array_equal(tensor.read().view(np.uint8).ravel(), np.arange(24))
    path.with_name("0.0").unlink()
    with pytest.raises(InputError, match=r"target\.b: not a whole zarr array; expected every chunk"):
        open_weights(tmp_path).tensors["b"].read()


def test_members_of_an_archive_are_never_unpacked_and_links_not_followed(tmp_path):
    path = tmp_path / "triviaqa-rc.tar.gz"
    for kind, link in (
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "../../x"),
        (tarfile.DIRTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ):
        with tarfile.open(path, "w:gz") as archive:
            for name in ("../../outside", "/absolute"):
                archive.addfile(tarfile.TarInfo(name), io.BytesIO())
            member = tarfile.TarInfo("qa/wikipedia-train.json")
            member.type, member.linkname = kind, link
            archive.addfile(member)
        with pytest.raises(InputError, match=r"triviaqa-rc\.tar\.gz: not TriviaQA's archive"):
            triviaqa_questions(path)
        assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_member_larger_than_any_of_triviaqa_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_LARGEST_MEMBER", 1000)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("qa/wikipedia-train.json")
        member.size = 2000
        archive.addfile(member, io.BytesIO(bytes(2000)))
    with pytest.raises(InputError, match="of 2000 bytes is no file, or too large"):
        triviaqa_questions(tmp_path / "x.tar.gz")


# -- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, message",
    [
        (hostile.LAUGHS, "more than 100000 values, written out"),
        ("a: &a [*a]", "more than 100000 values"),
        ("a: &a {b: *a}", "more than 100000 values"),
        ("a: &a {k: 1}\nb: &b {<<: [*a, *a]}\n", "given twice"),
        ("a: 1\na: 2\n", "key 'a' given twice"),
        ("? [x, y]\n: 1\n", "not plain data"),
        ("a: 2001-99-99\n", "not plain data"),
        ("a: 2001-09-09\n", "a date where"),
        ("a: !!set {x, y}\n", "a set where"),
        ("a: !!binary aGk=\n", "a bytes where"),
        ("a: !!python/object/apply:os.system ['touch pwned']\n", "could not determine a constructor"),
        ("[" * 5000, "not plain data|expected"),
        ('a: "\\ud800"\n', "not plain data"),
    ],
)
def test_yaml_that_is_no_configuration_is_refused(tmp_path, little_memory, text, message):
    with pytest.raises(yaml.YAMLError, match=message):
        yaml_value(text)
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(InputError, match=r"some\.yaml: not YAML"):
        read_yaml(tmp_path / "some.yaml")


def test_yaml_larger_than_any_configuration_is_not_parsed(tmp_path):
    (tmp_path / "some.yaml").write_bytes(b"# " + bytes(2 << 20))
    with pytest.raises(InputError, match=r"some\.yaml: not a configuration"):
        read_yaml(tmp_path / "some.yaml")


def test_aliases_of_a_reasonable_study_are_taken(tmp_path):
    assert yaml_value("a: &x {k: 1}\nb: [*x, *x]\n") == {"a": {"k": 1}, "b": [{"k": 1}, {"k": 1}]}


def test_no_number_of_a_study_is_none(tmp_path):
    text = (hostile.REPOSITORY / "config/smoke.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    document["data"]["world"] = {"knob": [1, {"x": float("nan")}]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=r"data\.world\.knob\.1\.x is not valid; expected a finite number; found nan"):
        load_study(tmp_path / "mine.yaml")


def test_json_deeper_than_pythons_stack_is_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(b"[" * 100_000)
    with pytest.raises(InputError, match=r"x\.json: not JSON"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize(
    "change",
    [
        {"d_model": "8"},
        {"num_layers": 10**9},
        {"vocab_size": -1},
        {"d_kv": True},
        {"d_ff": 2.0},
        {"dropout_rate": float("nan")},
        {"num_heads": None},
    ],
)
def test_dimensions_that_no_model_has_are_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        from_hugging_face(CONFIG | change)
    assert from_hugging_face(CONFIG).d_model == 8


def test_a_vocabulary_that_makes_its_library_panic_is_an_input_error(tmp_path):
    path = tmp_path / "spiece.model"
    path.write_bytes(hostile._spiece(hostile._CHARSMAP))
    with pytest.raises(InputError, match=r"spiece\.model: not a tokenizer"):
        Tokenizer(path).encode("a b é")


def test_an_error_is_one_that_a_person_can_read_to_its_end():
    error = InputError("what", where="w" * 10**6, expected="e" * 10**6, found="\n" + "f" * 10**6 + "end")
    assert len(str(error)) < 10_000 and "\n" not in str(error) and str(error).endswith("end")


def test_a_shard_of_a_name_longer_than_any_files_is_refused(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"a": "x" * 10_000}}))
    with pytest.raises(InputError, match="cannot be looked for; found File name too long"):
        weight_files(path)
