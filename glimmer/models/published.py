"""Published models by name and revision: the files of them that are read here, and no others.

The Hub is asked, through `huggingface_hub`, what a revision holds: every file's size and digest. Weights come in one
form, the first that is there of safetensors, PyTorch's and Flax's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from glimmer.errors import CheckFailed, InputError
from glimmer.files import read_json, read_json_object, require_space, sha256_file, write_json
from glimmer.kilt.transfer import bring, remove_part

LOCK_NAME = "fetched.lock"
"""Beside what was fetched: its name, revision, and every file's size and sha256. (Not *.json: no input of a study.)"""

WEIGHTS = (
    ("model.safetensors", r"model-\d+-of-\d+\.safetensors"),
    ("pytorch_model.bin", r"pytorch_model-\d+-of-\d+\.bin"),
    ("flax_model.msgpack", r"flax_model-\d+-of-\d+\.msgpack"),
)
"""Forms of weights, best first: the name of a whole file, the names of shards (whose index is <whole>.index.json)."""

_STATUS = {401: "no such model, or one that needs `hf auth login`", 404: "no such model or revision"}
_TEXT = ("config.json", "tokenizer.json", "spiece.model", "modules.json", "sentence_bert_config.json")
_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a revision: its size in bytes, and its sha256 or (small ones) the sha1 that git knows it by."""

    name: str
    size: int
    sha256: str | None
    git_sha1: str | None


def model_name(text: str) -> tuple[str, str | None] | None:
    """("owner/name", revision or None) of "owner/name@revision"; None if the text is no such name."""
    match = _NAME.fullmatch(text)
    return (match["repository"], match["revision"]) if match else None


def fetch_model(text: str, directory: str | Path, endpoint: str | None = None, **patience: Any) -> dict[str, Any]:
    """Brings a model's files into a directory; goes on where a fetch before was cut off. Returns the lock's content.

    `endpoint`: another Hub than huggingface_hub's own. `patience`: `tries`, `seconds` and `pause` of
    `glimmer.kilt.transfer.bring`. Raises InputError for a name or a revision that is not there, weights in no known
    form, and no space; CheckFailed for other bytes than the Hub tells of or than were fetched first.
    """
    named = model_name(text)
    if named is None:
        raise InputError("not a model's name", expected="owner/name, or owner/name@revision", found=text)
    root = Path(directory)
    revision, files, address, secrets = _listing(*named, endpoint)
    chosen = files_to_read(files, text)
    before = _locked(root / LOCK_NAME) if (root / LOCK_NAME).exists() else {}
    _require_same(before, named[0], revision, root)
    entries: dict[str, dict[str, Any]] = dict(before.get("files", {}))
    absent = [file for file in chosen if not (root / file.name).exists()]
    require_space(root, sum(file.size - _have(root / file.name) for file in absent), text)
    for file in chosen:
        entries[file.name] = _bring_file(file, root, address(file.name), secrets, entries.get(file.name), patience)
        write_json(root / LOCK_NAME, {"name": named[0], "revision": revision, "files": entries})
    return read_json(root / LOCK_NAME)


def files_to_read(files: Iterable[HubFile], what: str) -> list[HubFile]:
    """What of a listing is read here: descriptions, vocabulary, and in each folder the weights in one form.

    Folders are those of a sentence-transformers model (1_Pooling, 2_Dense). Raises InputError without config or
    weights.
    """
    by_folder: dict[str, dict[str, HubFile]] = {}
    for file in files:
        path = PurePosixPath(file.name)
        if len(path.parts) <= 2 and ".." not in path.parts:
            by_folder.setdefault(str(path.parent), {})[path.name] = file
    top = by_folder.get(".", {})
    chosen: list[HubFile] = []
    for folder, named in by_folder.items():
        if folder == "." or ("modules.json" in top and re.fullmatch(r"\d+_\w+", folder)):
            chosen += [named[name] for name in _TEXT if name in named]
            chosen += _weights(named)
    names = {file.name for file in chosen}
    if "config.json" not in names or not _weights(top):
        expected = "config.json and weights: " + ", ".join(whole for whole, _ in WEIGHTS)
        raise InputError("no model that can be read", where=what, expected=expected, found=sorted(top)[:20])
    return chosen


def _weights(named: Mapping[str, HubFile]) -> list[HubFile]:
    for whole, shard in WEIGHTS:
        if whole in named:
            return [named[whole]]
        if f"{whole}.index.json" in named:
            return [named[f"{whole}.index.json"], *(file for name, file in named.items() if re.fullmatch(shard, name))]
    return []


def _listing(repository: str, revision: str | None, endpoint: str | None):
    """(commit, files, name -> address, headers for the Hub alone) of a revision."""
    try:
        from huggingface_hub import HfApi, hf_hub_url
        from huggingface_hub.utils import build_hf_headers
    except ImportError:
        install = "pip install 'glimmer-reproduction[fetch]'"
        raise InputError("huggingface_hub is not installed", expected=install) from None
    where = f"{repository}@{revision}" if revision else repository
    for pause in (1.0, 4.0, None):
        try:
            info = HfApi(endpoint=endpoint).model_info(repository, revision=revision, files_metadata=True)
            break
        except Exception as error:  # httpx has errors of its own, and is no dependency of ours
            status = getattr(getattr(error, "response", None), "status_code", None)
            if pause is None or (status is not None and status < 500):
                reason = _STATUS.get(status) or (str(error).strip() or type(error).__name__).splitlines()[0]
                raise InputError("cannot be listed", where=where, found=reason) from None
            time.sleep(pause)
    files = [
        HubFile(name=x.rfilename, size=x.size, git_sha1=x.blob_id, sha256=x.lfs.sha256 if x.lfs else None)
        for x in info.siblings or []
    ]

    def address(name: str) -> str:
        return hf_hub_url(repository, name, revision=info.sha, endpoint=endpoint)

    return info.sha, files, address, build_hf_headers()


def _locked(lock: Path) -> dict[str, Any]:
    """What was fetched before. Raises InputError for a lock of another form."""
    before = read_json_object(lock)
    files = before.get("files")
    whole = isinstance(files, dict) and all(isinstance(entry, dict) for entry in files.values())
    if not whole or not {"name", "revision"} <= set(before):
        raise InputError("not a lock", where=lock, expected="name, revision and files", found=f"{sorted(before)!r:.80}")
    return before


def _require_same(before: Mapping[str, Any], repository: str, revision: str, root: Path) -> None:
    if before and (before["name"], before["revision"]) != (repository, revision):
        raise CheckFailed(
            f"{root}: holds another model; expected {before['name']}@{before['revision']} ({LOCK_NAME}); found "
            f"{repository}@{revision}; fetch that into a folder of its own"
        )


def _have(target: Path) -> int:
    part = target.with_name(target.name + ".part")
    return part.stat().st_size if part.exists() else 0


def _bring_file(
    file: HubFile,
    root: Path,
    address: str,
    secrets: Mapping[str, str],
    locked: Mapping[str, Any] | None,
    patience: Mapping[str, Any],
) -> dict[str, Any]:
    """Brings one file, or checks the one that is there; returns its lock entry."""
    target = root / file.name
    part = target.with_name(target.name + ".part")
    there = target.exists()
    if not there:
        bring(address, part, size=file.size, secrets=secrets, **patience)
    path = target if there else part
    entry = {"size": path.stat().st_size, "sha256": sha256_file(path)}
    wrong = entry["size"] != file.size or entry["sha256"] != (file.sha256 or entry["sha256"])
    wrong = wrong or (file.sha256 is None and file.git_sha1 not in (None, _git_sha1(path)))
    if wrong or entry != (locked or entry):
        if not there:
            remove_part(part)
        expected = {"size": file.size, "sha256": file.sha256 or f"of git blob {file.git_sha1}"}
        raise CheckFailed(f"{target}: other bytes than were published; expected {json.dumps(expected)}; found "
                          f"{json.dumps(entry)}{'; delete it and fetch again' if there else ''}")  # fmt: skip
    if not there:
        os.replace(part, target)
    return entry


def _git_sha1(path: Path) -> str:
    """What git names a file's bytes by."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
