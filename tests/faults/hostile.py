"""Hostile files: seeds of every format that comes from outside, what is done to them, and the readers that get them.

A case is a reader's name and a source of randomness. Hypothesis gives one that it can shrink; `tests.faults.fuzz` gives
`random.Random(f"{reader} {number}")`, so that a case is made again from its number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import io
import json
import os
import pickle
import random
import re
import struct
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from glimmer.errors import InputError
from glimmer.evaluation.kilt_scores import score_files
from glimmer.experiments import load_study, runs_for
from glimmer.experiments.documents import read_yaml
from glimmer.files import read_json, read_json_lines
from glimmer.kilt.download import locked_entry, triviaqa_questions
from glimmer.kilt.formats import read_examples, read_pages
from glimmer.kilt.validate import validate_file
from glimmer.models.config import from_hugging_face
from glimmer.models.forms import config_file, weight_files
from glimmer.models.tokenizer import Tokenizer
from glimmer.models.weights import dimensions, open_weights
from glimmer.results import load_runs
from glimmer.retrieval.retrieved import read_retrieved
from glimmer.runs.inputs import locked

REPOSITORY = Path(__file__).resolve().parents[2]
FLAT = 1 << 20
"""Bytes of a tensor that a reader is made to read, at most."""

ODD_NUMBERS = (0, -1, 1, 2**31, 2**32 - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, 1e308, -0.5, 1e-9)
ODD_TEXTS = (
    "",
    " ",
    "\x00",
    "\ud83d",
    "\u2028",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "x" * 10_000,
    "-1",
    "NaN",
    "1e999",
    "null",
    "$(touch pwned)",
    "`id`",
    "'; id; '",
    "<script>",
    "\\input{x}",
    "%s%n",
    "{0.__class__}",
    "\U0001f600",
    "\x1b[2J",
)
ODD_BYTES = (
    b"\x00",
    b"\xff" * 4,
    b"\x7f",
    b"\n",
    b"\r",
    b"\xff" * 8,
    b"\x00" * 8,
    b"\x80",
    b"(",
    b"[" * 3000,
    b"{" * 50,
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"NaN",
    b"-",
    b"1e999",
    b"\\ud800",
    b'"',
    b"9" * 5000,
)
WIDE = (0, 1, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


# -- what is done to a seed -------------------------------------------------------------------------------------------


def mutated_bytes(rng: random.Random, content: bytes, others: Sequence[bytes] = (), most: int = 4) -> bytes:
    """A few of the usual accidents and attacks on bytes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, most)):
        at = rng.randint(0, len(data))
        kind = rng.randrange(8)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 2:
            del data[at : at + rng.randint(1, 16)]
        elif kind == 3:
            data[at:at] = rng.choice(ODD_BYTES)
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            part = data[at : at + rng.randint(1, 32)]
            data[at:at] = part * rng.randint(1, 4)
        elif kind == 6:
            form = rng.choice(("<B", "<H", "<I", "<Q", ">H", ">I", ">Q"))
            size = struct.calcsize(form)
            data[at : at + size] = struct.pack(form, rng.choice(WIDE) % (1 << 8 * size))
        elif others:
            other = rng.choice(others)
            data[at:] = other[rng.randint(0, len(other)) :]
    return bytes(data)


def _odd_value(rng: random.Random) -> Any:
    kind = rng.randrange(9)
    if kind == 0:
        return rng.choice(ODD_NUMBERS)
    if kind == 1:
        return rng.choice(ODD_TEXTS)
    if kind == 2:
        return rng.choice((None, True, False))
    if kind == 3:
        return []
    if kind == 4:
        return {}
    if kind == 5:
        return [rng.choice(ODD_TEXTS), rng.choice(ODD_NUMBERS), None]
    if kind == 6:
        return {rng.choice(ODD_TEXTS): rng.choice(ODD_NUMBERS)}
    if kind == 7:
        return rng.choice((float("nan"), float("inf"), -float("inf")))
    value: Any = rng.choice((1, "x", None))
    for _ in range(rng.choice((3, 60, 200))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def _places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def mutated_value(rng: random.Random, value: Any) -> Any:
    """A JSON value in which something is absent, of another type, odd, or there twice."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, 3)):
        path = rng.choice(list(_places(value)))
        if not path:
            value = value if rng.random() < 0.9 else _odd_value(rng)
            continue
        *parents, last = path
        node = value
        for key in parents:
            node = node[key]
        kind = rng.randrange(6)
        if kind == 0:
            del node[last]
        elif kind == 1 and isinstance(node, dict):
            node[rng.choice(ODD_TEXTS)] = node.pop(last)
        elif kind == 2 and isinstance(node, list):
            node.extend(node[:20] * rng.randint(1, 3))
        elif kind == 3 and isinstance(node, dict):
            node[rng.choice(("extra", *node))] = _odd_value(rng)
        else:
            node[last] = _odd_value(rng)
    return value


def json_text(rng: random.Random, value: Any) -> bytes:
    """A value as JSON, in one of the spellings that writers have; now and then with a key given twice."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.7, indent=rng.choice((None, None, 1)))
    if rng.random() < 0.05 and text.startswith("{") and '": ' in text:
        name = re.search(r'"[^"]*"', text)
        text = "{" + (name.group() if name else '"a"') + ": 1, " + text[1:]
    return text.encode("utf-8", "surrogatepass")


def deep(rng: random.Random) -> bytes:
    """Brackets in brackets, about as deep as Python's own limit or far below it."""
    depth = rng.choice((50, *range(880, 1000, 7), 100_000))
    return (b"[" * depth + b"]" * depth) if rng.random() < 0.5 else (b'{"a":' * depth + b"1" + b"}" * depth)


# -- seeds ------------------------------------------------------------------------------------------------------------

PAGES = [
    {"_id": "1", "wikipedia_id": "1", "wikipedia_title": "A", "text": ["A\n", "First paragraph.\n"], "anchors": []},
    {"wikipedia_id": 7, "wikipedia_title": "B", "text": ["B", "Section::::x", "BULLET::::- y"], "categories": "c"},
]
TASK = [
    {
        "id": "q1",
        "input": "who?",
        "output": [
            {
                "answer": "A",
                "provenance": [
                    {
                        "wikipedia_id": "1",
                        "title": "A",
                        "start_paragraph_id": 1,
                        "start_character": 0,
                        "end_paragraph_id": 1,
                        "end_character": 5,
                        "bleu_score": 1.0,
                        "section": "s",
                    }
                ],
            },
            {"answer": "B"},
        ],
        "meta": {},
    },
    {"id": 2, "input": "what?", "output": [{"answer": "C"}]},
]
GUESSES = [
    {
        "id": "q1",
        "output": [{"answer": "A", "provenance": [{"wikipedia_id": "1", "title": "A", "text": "a", "score": 1}]}],
    },
    {"id": 2, "output": [{"answer": "no", "provenance": []}]},
]
CONFIG = {
    "model_type": "t5",
    "vocab_size": 24,
    "d_model": 8,
    "d_kv": 3,
    "d_ff": 12,
    "num_heads": 2,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "feed_forward_proj": "gated-gelu",
    "pad_token_id": 0,
    "eos_token_id": 1,
    "dropout_rate": 0.1,
    "decoder_start_token_id": 0,
    "tie_word_embeddings": False,
    "layer_norm_epsilon": 1e-6,
}
VOCABULARY = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {
            "id": i,
            "content": t,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i, t in enumerate(("<pad>", "</s>", "<unk>"))
    ],
    "normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    "post_processor": None,
    "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    "model": {
        "type": "Unigram",
        "unk_id": 2,
        "byte_fallback": False,
        "vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁", -2.0], ["▁a", -3.0], ["b", -4.5]],
    },
}
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghijklmnopqrs", "bcdefghijklmnopqrst", strict=True)
)
YAMLS = [
    b"a: 1\nb: {c: [1, 2.5, x], d: null}\n",
    LAUGHS.encode(),
    b"a: &a [*a]\n",
    b"a: &a {b: *a}\n",
    b"a: 1\na: 2\n",
    b"? [x, y]\n: 1\n",
    b"a: &a {k: 1}\nb: {<<: *a, j: 2}\n",
    b"a: 2001-99-99\n",
    b"a: !!python/object/apply:os.system ['touch pwned']\n",
    b"a: !!binary x\n",
    b"a: !!set {x, y}\n",
    b"a: !!omap [x: 1]\n",
    b"a: 1:99:99\n",
    b"--- 1\n--- 2\n",
    b"[" * 5000,
    b"a: !!float x\n",
    b"%YAML 9.9\n---\na: 1\n",
    b"a: !!int ''\n",
    b"- - - - - x\n",
    b"a: 0x_\n",
    b"a: !!timestamp x\n",
    b"? {a: 1}\n: 1\n",
    b"a: .nan\n",
    b"<<: [1]\n",
    b"a: !!map [x]\n",
    b"a: !!pairs [x: 1]\n",
    b"=: 1\n",
    b"a: =\n",
]


def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _lines(rows: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _json_lines(rows: Sequence[dict]) -> Callable[[random.Random], bytes]:
    plain = _lines(rows)

    def make(rng: random.Random) -> bytes:
        kind = rng.randrange(12)
        if kind < 7:
            lines = [json_text(rng, mutated_value(rng, row) if rng.random() < 0.7 else row) for row in rows]
            content = b"\n".join(line.replace(b"\n", b" ") for line in lines) + b"\n"
        elif kind == 7:
            content = plain + deep(rng) + b"\n"
        elif kind == 8:
            content = json_text(rng, dict(rows[0]) | {"id": None}).replace(b"null", deep(rng)) + b"\n"
        else:
            content = mutated_bytes(rng, plain)
        return _hostile_gzip(rng, content) if rng.random() < 0.2 else content

    return make


def _hostile_gzip(rng: random.Random, content: bytes) -> bytes:
    """Whole, of several members, with garbage or zeros behind, cut, or with bytes changed."""
    half = rng.randint(0, len(content))
    whole = rng.choice((_gzipped(content), _gzipped(content[:half]) + _gzipped(content[half:])))
    kind = rng.randrange(6)
    if kind == 0:
        return whole + rng.choice(
            (b"\x00" * 9, b"garbage", b"\x1f\x8b", b"\x1f\x8b\x08", b"\x1f\x8b\x08\xff" + b"\xff" * 20)
        )
    if kind == 1:
        return whole[: rng.randint(2, len(whole))]
    if kind == 2:
        return mutated_bytes(rng, whole)
    if kind == 3:
        return _gzipped(whole)
    return whole


def _json_document(*seeds: Any) -> Callable[[random.Random], bytes]:
    def make(rng: random.Random) -> bytes:
        seed, kind = rng.choice(seeds), rng.randrange(10)
        if kind < 7:
            return json_text(rng, mutated_value(rng, seed))
        if kind == 7:
            return deep(rng)
        return mutated_bytes(rng, json_text(rng, seed))

    return make


def _only_bytes(*seeds: bytes, wrapped: Callable[[random.Random, bytes], bytes] = lambda rng, content: content):
    return lambda rng: wrapped(rng, mutated_bytes(rng, rng.choice(seeds), seeds))


def _safetensors(rng: random.Random) -> bytes:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
    }
    kind = rng.randrange(4)
    if kind == 0:
        header["b"]["data_offsets"] = [rng.choice((0, 4, 24, 32, *WIDE)), rng.choice((0, 24, 32, *WIDE))]
    elif kind == 1:
        header[rng.choice("ab")]["shape"] = rng.choice(
            ([-2, -3], [2**32, 2**32], [0], [], [6, 1, 1], [2.0, 3], ["2", 3], [2**63] * 9)
        )
    elif kind == 2:
        header = mutated_value(rng, header)
    text = json_text(rng, header)
    length = len(text) if rng.random() < 0.7 else rng.choice(WIDE)
    content = struct.pack("<Q", length) + text + bytes(range(32))
    return mutated_bytes(rng, content) if kind == 3 else content


def _state_dict() -> bytes:
    """The pickle of a state dict of two tensors, as PyTorch writes it; put together by hand."""
    p = pickle

    def text(value: str) -> bytes:
        return p.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()

    def tensor(name: str, key: str, shape: tuple, strides: tuple, kind: bytes) -> bytes:
        pid = p.MARK + text("storage") + p.GLOBAL + b"torch\n" + kind + b"\n" + text(key) + text("cpu")
        pid += p.BININT1 + bytes([int(np.prod(shape))]) + p.TUPLE + p.BINPERSID
        numbers = [p.MARK + b"".join(p.BININT1 + bytes([n]) for n in part) + p.TUPLE for part in (shape, strides)]
        hooks = p.GLOBAL + b"collections\nOrderedDict\n" + p.EMPTY_TUPLE + p.REDUCE
        call = p.GLOBAL + b"torch._utils\n_rebuild_tensor_v2\n" + p.MARK + pid + p.BININT1 + b"\0" + b"".join(numbers)
        return text(name) + call + p.NEWFALSE + hooks + p.TUPLE + p.REDUCE

    items = tensor("a", "0", (2, 3), (3, 1), b"FloatStorage") + tensor("b", "1", (4,), (1,), b"HalfStorage")
    start = p.PROTO + b"\x02" + p.GLOBAL + b"collections\nOrderedDict\n" + p.EMPTY_TUPLE + p.REDUCE + p.BINPUT + b"\0"
    return start + p.MARK + items + p.SETITEMS + p.STOP


_BOMBS = (
    pickle.LONG_BINPUT + struct.pack("<I", 2**32 - 1),
    pickle.LONG_BINPUT + struct.pack("<I", 2**28),
    pickle.BINUNICODE8 + struct.pack("<Q", 2**40),
    pickle.BINBYTES8 + struct.pack("<Q", 2**62),
    pickle.BYTEARRAY8 + struct.pack("<Q", 2**36),
    pickle.FRAME + struct.pack("<Q", 2**40),
    pickle.LONG4 + struct.pack("<i", 2**31 - 1),
    pickle.BINSTRING + struct.pack("<i", -1),
    pickle.EMPTY_TUPLE + pickle.TUPLE1 * 200_000 + pickle.NONE + pickle.SETITEM,
    pickle.EMPTY_LIST + pickle.EMPTY_SET,
    pickle.EMPTY_TUPLE
    + b"".join(pickle.BINPUT + b"\1" + pickle.MARK + (pickle.BINGET + b"\1") * 9 + pickle.TUPLE for _ in range(30))
    + pickle.BINPERSID,
    pickle.EMPTY_DICT + pickle.BUILD,
    pickle.GLOBAL + b"os\nsystem\n",
    pickle.GLOBAL + b"builtins\neval\n",
    pickle.INST + b"os\nsystem\n",
    pickle.STACK_GLOBAL,
    pickle.NEWOBJ,
    pickle.NEWOBJ_EX,
    pickle.OBJ,
    pickle.EXT1 + b"\1",
    pickle.REDUCE,
    pickle.POP,
    pickle.POP_MARK,
    pickle.DUP,
    pickle.MEMOIZE,
    pickle.BINGET + b"\x63",
    pickle.PERSID + b"x\n",
    pickle.NEXT_BUFFER,
    pickle.READONLY_BUFFER,
    pickle.FROZENSET,
    pickle.DICT,
)


def _hostile_index(rng: random.Random) -> bytes:
    index = _state_dict()
    if rng.random() < 0.6:
        at = rng.choice([m.start() for m in re.finditer(rb"[()tRQsubX]", index)])
        index = index[:at] + rng.choice(_BOMBS) + index[at:]
    return mutated_bytes(rng, index) if rng.random() < 0.5 else index


def _archive(rng: random.Random) -> bytes:
    file, stored = io.BytesIO(), zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w") as archive:
        packed = stored if rng.random() < 0.8 else zipfile.ZIP_DEFLATED
        archive.writestr("archive/data.pkl", _hostile_index(rng), packed)
        if rng.random() < 0.3:
            archive.writestr("archive/byteorder", rng.choice((b"little", b"big", b"\xff\xfe", b"x" * 99)))
        archive.writestr("archive/data/0", bytes(range(24)), packed)
        archive.writestr(rng.choice(("archive/data/1",) * 6 + ("../../1", "/archive/data/1")), bytes(8))
    content = file.getvalue()
    return mutated_bytes(rng, content) if rng.random() < 0.4 else content


def _old_pickle(rng: random.Random) -> bytes:
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}}
    heads = [pickle.dumps(v, protocol=2) for v in (0x1950A86A20F9469CFC6C, 1001, machine)]
    storages = b"".join(struct.pack("<q", n) + bytes(size) for n, size in ((6, 24), (4, 8)))
    content = b"".join([*heads, _hostile_index(rng), pickle.dumps(["0", "1"], protocol=2), storages])
    return mutated_bytes(rng, content) if rng.random() < 0.4 else content


def _msgpack(value: Any) -> bytes:
    """The few kinds that Flax writes; an array is (shape, dtype)."""
    if isinstance(value, dict):
        return bytes([0x80 | len(value)]) + b"".join(_msgpack(k) + _msgpack(v) for k, v in value.items())
    if isinstance(value, str):
        return bytes([0xD9, len(value.encode())]) + value.encode()
    if isinstance(value, tuple):
        shape, dtype = value
        size = int(np.prod(shape)) * 4
        inner = (
            bytes([0x93, 0x90 | len(shape), *shape]) + _msgpack(dtype) + b"\xc6" + struct.pack(">I", size) + bytes(size)
        )
        return b"\xc9" + struct.pack(">I", len(inner)) + b"\x01" + inner
    return bytes([value])


_TREES = (
    _msgpack({"shared": {"embedding": ((2, 3), "float32")}, "lm_head": {"kernel": ((3, 2), "float32")}}),
    _msgpack({"optimizer": {"target": {"a": ((2, 3), "float32"), "b": {"driver": "zarr", "kvstore": {"path": "x"}}}}}),
    _msgpack({"optimizer": 1}),
    _msgpack({"optimizer": "target"}),
    _msgpack({"target": 1}),
    _msgpack({"target": {"../../x": {"driver": "zarr", "kvstore": "y"}}}),
    _msgpack({"target": {"x\0": {"driver": 1, "kvstore": 2}}}),
    b"\x81" * 40 + b"\xa1\\" + b"\x01" * 41,  # maps as keys: each level spells the one below with twice the backslashes
    b"\x81\xa1a\xc7\x17\x01\x93\x92\xfe\xfd\xa7float32\xc4\x18" + bytes(24),  # a shape of -2, -3
    b"\xdf\xff\xff\xff\xff" + b"\xc0" * 64,
    b"\xdd\xff\xff\xff\xff" + b"\x90" * 64,
    b"\xc9\xff\xff\xff\xff\x01\x93",
    b"",
)


def _spiece(charsmap: bytes | None) -> bytes:
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def piece(text: str, score: float, kind: int) -> bytes:
        return field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kind]))

    pieces = [("<pad>", 0.0, 3), ("</s>", 0.0, 3), ("<unk>", 0.0, 2), ("▁", -2.0, 1), ("▁a", -3.0, 1), ("b", -4.5, 1)]
    trainer = field(2, b"\x18\x01" + b"\xc0\x02\x02")
    return b"".join(piece(*p) for p in pieces) + trainer + (field(3, field(2, charsmap)) if charsmap else b"")


_CHARSMAP = struct.pack("<III", 8, 0, 0) + b"a\x00"


def _tar(rng: random.Random) -> bytes:
    rows = json.dumps({"Data": [{"QuestionId": "a", "Question": "who?"}]}).encode()
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=rng.choice(("w", "w:gz", "w:gz", "w:bz2", "w:xz"))) as archive:
        for name in ("qa/wikipedia-train.json", "./qa/wikipedia-dev.json"):
            kind = rng.randrange(8)
            content = (
                json_text(rng, mutated_value(rng, json.loads(rows))) if kind == 0 else deep(rng) if kind == 1 else rows
            )
            member = tarfile.TarInfo(name if kind != 2 else rng.choice(("/etc/x", "../../x", name + "/", "x" * 300)))
            member.size = len(content)
            if kind == 3:
                member.type, member.linkname = (
                    rng.choice(b"012345671gx").to_bytes(1, "big"),
                    rng.choice(("/etc/passwd", "../../x")),
                )
            archive.addfile(member, io.BytesIO(content))
    content = file.getvalue()
    return mutated_bytes(rng, content) if rng.random() < 0.4 else content


def _run_file() -> dict:
    """A result file that is accepted, of a run of the smoke study."""
    from tests.analysis.synthetic import run_file

    study = load_study(str(REPOSITORY / "config" / "smoke.yaml"))
    run = next(iter(runs_for(study).values()))
    return run_file(run, "smoke", study.tasks, n=3)


def _study_yaml(rng: random.Random) -> bytes:
    names = ("smoke", "sample", "kilt", "embedded")
    document = yaml.safe_load((REPOSITORY / "config" / f"{rng.choice(names)}.yaml").read_text(encoding="utf-8"))
    if rng.random() < 0.1:
        return mutated_bytes(rng, yaml.safe_dump(document).encode())
    changed = mutated_value(rng, json.loads(json.dumps(document, default=str)))
    try:
        return yaml.dump(changed, allow_unicode=True, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)).encode(
            "utf-8", "surrogatepass"
        )
    except (yaml.YAMLError, UnicodeEncodeError, RecursionError, ValueError):
        return b"{}"


def _yaml(rng: random.Random) -> bytes:
    content = rng.choice(YAMLS)
    return content if rng.random() < 0.2 else mutated_bytes(rng, content, YAMLS)


def _npz() -> bytes:
    file, n = io.BytesIO(), np.zeros((2, 3), np.float32)
    np.savez(
        file,
        passages=np.zeros((2, 3), np.int64),
        scores=n,
        confidence=n,
        complete=n,
        label=n[:, 0],
        gold=np.zeros((2, 1), np.int64),
    )
    return file.getvalue()


_ZARRAY = {
    "zarr_format": 2,
    "shape": [2, 3],
    "chunks": [2, 3],
    "dtype": "<f4",
    "compressor": None,
    "fill_value": None,
    "order": "C",
    "filters": None,
}


# -- readers ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hostile:
    """Files for one reader: how they are made, what they are called, and the call that reads one to its end."""

    make: Callable[[random.Random], bytes]
    name: str
    read: Callable[[Path], Any]
    beside: dict[str, bytes] = dataclasses.field(default_factory=dict)
    """Files that stand there, whole, before `name` does."""


def _exhaust(rows) -> None:
    for _ in rows:
        pass


def _tensors(path: Path) -> None:
    for tensor in open_weights(path).tensors.values():
        if 4 * int(np.prod([min(n, FLAT) for n in tensor.shape], dtype=float)) <= FLAT:
            tensor.read()


def _t5x(path: Path) -> None:
    weights = open_weights(path.parents[1])
    with contextlib.suppress(InputError):  # it lacks most of a T5; what it has is read below
        dimensions(weights)
    _tensors(path.parents[1])


def _vocabulary(path: Path) -> None:
    tokenizer = Tokenizer(path)
    tokenizer.decode(tokenizer.encode("a b  ab é\u2028😀"))
    len(tokenizer)


def _scored(path: Path) -> None:
    score_files(path.with_name("gold.jsonl"), path)


def _scored_gold(path: Path) -> None:
    score_files(path, path.with_name("guess.jsonl"))


def _runs(path: Path) -> None:
    runs = load_runs(path.parents[1])
    for refused in runs.refused:
        assert refused.file == path.name and "\n" not in refused.reason and len(refused.reason) < 10_000, refused


def _locked(path: Path) -> None:
    locked(load_study(str(REPOSITORY / "config" / "sample.yaml"), {"results": str(path.parents[1])}))


def _study(path: Path) -> None:
    runs_for(load_study(path))


READERS: dict[str, Hostile] = {
    "KILT pages": Hostile(make=_json_lines(PAGES), name="pages.jsonl", read=lambda p: _exhaust(read_pages(p))),
    "KILT tasks": Hostile(make=_json_lines(TASK), name="task.jsonl", read=lambda p: _exhaust(read_examples(p))),
    "KILT guesses": Hostile(
        make=_json_lines(GUESSES), name="guess.jsonl", read=_scored, beside={"gold.jsonl": _lines(TASK)}
    ),
    "KILT gold": Hostile(
        make=_json_lines(TASK), name="gold.jsonl", read=_scored_gold, beside={"guess.jsonl": _lines(GUESSES)}
    ),
    "validation": Hostile(
        make=lambda rng: _json_lines(rng.choice((PAGES, TASK, GUESSES)))(rng),
        name="any.jsonl",
        read=lambda p: _exhaust(map(str, validate_file(p))),
    ),
    "gzip": Hostile(
        make=lambda rng: _hostile_gzip(rng, _lines(PAGES)),
        name="pages.jsonl.gz",
        read=lambda p: _exhaust(read_json_lines(p)),
    ),
    "JSON": Hostile(make=_json_document(CONFIG, VOCABULARY, TASK), name="some.json", read=read_json),
    "safetensors": Hostile(make=_safetensors, name="model.safetensors", read=_tensors),
    "PyTorch archive": Hostile(make=_archive, name="pytorch_model.bin", read=_tensors),
    "PyTorch pickle": Hostile(make=_old_pickle, name="pytorch_model.bin", read=_tensors),
    "msgpack": Hostile(make=_only_bytes(*_TREES), name="flax_model.msgpack", read=_tensors),
    "zarr": Hostile(
        make=_json_document(_ZARRAY),
        name="target.b/.zarray",
        read=_t5x,
        beside={"checkpoint": _TREES[1], "target.b/0.0": bytes(range(24))},
    ),
    "T5X index": Hostile(
        make=_only_bytes(*_TREES),
        name="checkpoint",
        read=_tensors,
        beside={"target.b/.zarray": json.dumps(_ZARRAY).encode(), "target.b/0.0": bytes(range(24))},
    ),
    "sentencepiece": Hostile(
        make=_only_bytes(_spiece(None), _spiece(None), _spiece(_CHARSMAP)), name="spiece.model", read=_vocabulary
    ),
    "tokenizer.json": Hostile(make=_json_document(VOCABULARY), name="tokenizer.json", read=_vocabulary),
    "T5 config": Hostile(
        make=_json_document(CONFIG),
        name="config.json",
        read=lambda p: from_hugging_face(read_json(config_file(p)), where=p),
    ),
    "index of shards": Hostile(
        make=_json_document({"metadata": {}, "weight_map": {"a": "model-1.safetensors"}}),
        name="model.safetensors.index.json",
        read=weight_files,
        beside={"model-1.safetensors": b"x"},
    ),
    "YAML": Hostile(make=_yaml, name="some.yaml", read=read_yaml),
    "study": Hostile(make=_study_yaml, name="study.yaml", read=_study),
    "result files": Hostile(make=lambda rng: _json_document(RUN)(rng), name="", read=_runs),
    "TriviaQA archive": Hostile(make=_tar, name="triviaqa-rc.tar.gz", read=triviaqa_questions),
    "lock of downloads": Hostile(
        make=_json_document({"x.jsonl": {"size": 1, "sha256": "ab", "lines": 1}}),
        name="kilt.lock.json",
        read=lambda p: locked_entry(p.with_name("x.jsonl")),
    ),
    "lock of inputs": Hostile(
        make=_json_document({"data": {"r": {"x.jsonl": "ab"}}, "initial": {"r": {}}}),
        name="sample/inputs.lock.json",
        read=_locked,
    ),
    "retrieved passages": Hostile(make=_only_bytes(_npz()), name="nq-dev.npz", read=read_retrieved),
}
RUN = _run_file()
READERS["result files"] = dataclasses.replace(READERS["result files"], name=f"runs/{RUN['id']}.json")


# -- one case ---------------------------------------------------------------------------------------------------------


class Escaped(Exception):
    """A reader wrote, ran or called something while it read."""


_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "ctypes.dlopen")
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.chmod",
    "os.truncate",
    "shutil.rmtree",
)
_TEMPORARY = (os.path.realpath(tempfile.gettempdir()) + os.sep, "/dev/shm/")
_watching: list[str] = []


def _hook(event: str, arguments: tuple) -> None:
    if not _watching:
        return
    if event in _STARTS:
        _watching.append(f"{event}{arguments!r:.200}")
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
    if (writes or event in _CHANGES) and not _is_temporary(arguments[0]):
        _watching.append(f"{event}{arguments!r:.200}")


def _is_temporary(path: Any) -> bool:
    if path is None or isinstance(path, int):
        return True
    whole = os.path.realpath(os.fsdecode(path))
    return whole == os.devnull or (whole + os.sep).startswith(_TEMPORARY)


_installed = False


@contextlib.contextmanager
def nothing_escapes() -> Iterator[None]:
    """Raises Escaped where the block writes or changes a file outside temporary folders, or starts anything."""
    global _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    _watching[:] = ["on"]
    try:
        yield
        events = _watching[1:]
    finally:
        _watching.clear()
    if events:
        raise Escaped("; ".join(events))


def place(hostile: Hostile, content: bytes, folder: Path) -> Path:
    """The hostile file where its reader will look for it."""
    path = folder / hostile.name
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, whole in hostile.beside.items():
        beside = folder / name
        if not beside.exists():
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(whole)
    path.write_bytes(content)
    return path


def survives(hostile: Hostile, content: bytes, folder: Path) -> str:
    """ "read" or "refused" for a file that is one or the other; anything else that happens is raised.

    A refusal names the file, or one that stands beside it, in one line that a person can read to its end.
    """
    path = place(hostile, content, folder)
    with nothing_escapes():
        try:
            hostile.read(path)
            return "read"
        except InputError as error:
            text = str(error)
    names = {part for name in (hostile.name, *hostile.beside) for part in Path(name).parts} | {folder.name}
    if not any(name in text for name in names):
        raise AssertionError(f"an error that names no file: {text[:300]}")
    if "\n" in text or len(text) > 10_000:
        raise AssertionError(f"an error of {len(text)} characters, {text.count(chr(10))} line ends: {text[:300]}")
    return "refused"
