"""KILT's published files and TriviaQA's archive: held to the size and digest of the first download from then on.

KILT publishes no checksums. So the first download of a file writes its size and sha256 to a lock file beside
it, and every later one (and every file found in place) must agree with that. Commit the lock file to pin the
data of a study.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glimmer.errors import CheckFailed, InputError
from glimmer.files import existing, read_json_object, write_json, write_json_lines
from glimmer.kilt.formats import id_text, read_example_rows
from glimmer.kilt.transfer import bring, remove_part

BASE_ADDRESS = "http://dl.fbaipublicfiles.com/KILT/"
TRIVIAQA_ADDRESS = "http://nlp.cs.washington.edu/triviaqa/data/triviaqa-rc.tar.gz"
LOCK_NAME = "kilt.lock.json"
RELEASE = "KILT (Petroni et al. 2020), as published"
"""What a study calls data that are these files."""

_BLOCK_BYTES = 1 << 20
_LARGEST_MEMBER = 1 << 30
_TRIVIAQA_MEMBERS = ("qa/wikipedia-train.json", "qa/wikipedia-dev.json")
_UNITS = {"MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A file of KILT.

    The task it belongs to (None: the knowledge source), and what KILT's README says about it.
    """

    name: str
    task: str | None
    lines: int
    size: str

    @property
    def about_bytes(self) -> int:
        """Its size, as exact as the README has it."""
        number, unit = self.size.split()
        return int(float(number) * _UNITS[unit])


PUBLISHED = tuple(
    Published(name=name, task=task, lines=lines, size=size)
    for task, name, lines, size in (
        (None, "kilt_knowledgesource.json", 5_903_530, "34.76 GiB"),
        ("nq", "nq-train-kilt.jsonl", 87_372, "51.9 MiB"),
        ("nq", "nq-dev-kilt.jsonl", 2_837, "7.94 MiB"),
        ("hotpotqa", "hotpotqa-train-kilt.jsonl", 88_869, "52.8 MiB"),
        ("hotpotqa", "hotpotqa-dev-kilt.jsonl", 5_600, "3.97 MiB"),
        ("fever", "fever-train-kilt.jsonl", 104_966, "38.9 MiB"),
        ("fever", "fever-dev-kilt.jsonl", 10_444, "6.17 MiB"),
        ("trex", "trex-train-kilt.jsonl", 2_284_168, "1.75 GiB"),
        ("trex", "trex-dev-kilt.jsonl", 5_000, "3.80 MiB"),
        ("zsre", "structured_zeroshot-train-kilt.jsonl", 147_909, "71.4 MiB"),
        ("zsre", "structured_zeroshot-dev-kilt.jsonl", 3_724, "2.27 MiB"),
        ("triviaqa", "triviaqa-train_id-kilt.jsonl", 61_844, "102 MiB"),
        ("triviaqa", "triviaqa-dev_id-kilt.jsonl", 5_359, "9.81 MiB"),
    )
)


def published(names: Iterable[str]) -> list[Published]:
    """The published files that are named, each by a task, "knowledge_source", "all", or its own name."""
    chosen = []
    for name in names:
        matching = [file for file in PUBLISHED if name in ("all", file.name, file.task or "knowledge_source")]
        if not matching:
            known = ["all", *dict.fromkeys(file.task or "knowledge_source" for file in PUBLISHED)]
            raise InputError(
                "not a file that KILT publishes", expected=", ".join(known) + " or a file's name", found=name
            )
        chosen += matching
    return list(dict.fromkeys(chosen))


def download(name: str, directory: str | Path, address: str = BASE_ADDRESS, **patience: Any) -> dict[str, Any]:
    """Brings one file into a directory, unless it is there already, and checks it against the directory's lock file.

    A download that was cut off leaves `<name>.part`, and goes on from there. `address` ends in a slash, or is the
    file's own. `patience`: `tries`, `seconds` and `pause` of `glimmer.kilt.transfer.bring`. Returns the lock entry,
    {"size" in bytes, "sha256", "lines"}. Raises InputError if the address cannot be read, CheckFailed if the file is
    not the one that the lock file tells of (what was downloaded is then deleted, what was found in place is left).
    """
    if Path(name).name != name or name.startswith("."):
        raise InputError("not a plain file name", found=name)
    target = Path(directory) / name
    part = target.with_name(name + ".part")
    locked = locked_entry(target)
    found_in_place = target.exists()
    if not found_in_place:
        size = None if locked is None else locked["size"]
        bring(address + name if address.endswith("/") else address, part, size=size, **patience)
    entry = _describe(target if found_in_place else part)
    if locked is not None and {key: entry.get(key) for key in locked} != locked:
        remove_part(part)
        raise CheckFailed(
            f"{target}: not the file that {target.parent / LOCK_NAME} tells of; expected {locked}; found {entry}"
        )
    if not found_in_place:
        os.replace(part, target)
    if locked is None:
        _lock(target, entry)
    return entry


def locked_entry(path: Path) -> dict[str, Any] | None:
    """What the lock file beside a file says of it; None if nothing. Raises InputError for a lock of another form."""
    lock = path.parent / LOCK_NAME
    entry = (read_json_object(lock) if lock.exists() else {}).get(path.name)
    if entry is None:
        return None
    if not isinstance(entry, dict) or type(entry.get("size")) is not int or not isinstance(entry.get("sha256"), str):
        raise InputError(f"the entry of {path.name}", where=lock, expected="size and sha256", found=f"{entry!r:.80}")
    return entry


def _lock(path: Path, entry: dict[str, Any]) -> None:
    lock = path.parent / LOCK_NAME
    write_json(lock, (read_json_object(lock) if lock.exists() else {}) | {path.name: entry})


def _describe(path: Path) -> dict[str, Any]:
    """Size, sha256 and number of lines in one pass."""
    digest, lines = hashlib.sha256(), 0
    with open(path, "rb") as file:
        last = b"\n"
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            lines += block.count(b"\n")
            last = block[-1:]
    return {"size": path.stat().st_size, "sha256": digest.hexdigest(), "lines": lines + (last != b"\n")}


def triviaqa_questions(archive: str | Path) -> dict[str, str]:
    """TriviaQA's questions by id, from its archive triviaqa-rc.tar.gz (members
    qa/wikipedia-{train,dev}.json).

    The archive is read once as a stream and nothing is unpacked to disk; one member at a time is in memory
    (0.5 GB).
    """
    questions: dict[str, str] = {}
    missing = set(_TRIVIAQA_MEMBERS)
    try:
        with tarfile.open(existing(archive), "r|*") as members:
            for member in members:
                if member.name.removeprefix("./") in missing:
                    missing.remove(member.name.removeprefix("./"))
                    if not member.isfile() or member.size > _LARGEST_MEMBER:
                        raise ValueError(f"{member.name} of {member.size} bytes is no file, or too large")
                    rows = json.load(members.extractfile(member))["Data"]
                    questions.update((id_text(row["QuestionId"]), row["Question"]) for row in rows)
    except (
        tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError,
        AttributeError, IndexError, zlib.error, lzma.LZMAError,
    ) as error:  # fmt: skip
        raise InputError("not TriviaQA's archive", where=archive, found=f"{type(error).__name__}: {error}") from None
    if missing:
        raise InputError(
            "not TriviaQA's archive",
            where=archive,
            expected=" and ".join(_TRIVIAQA_MEMBERS),
            found="none of " + ", ".join(sorted(missing)),
        )
    return questions


def join_triviaqa(ids_file: str | Path, questions: dict[str, str], target: str | Path) -> int:
    """Writes KILT's ids-only TriviaQA file with every question as `input`. Returns how many lines.

    Raises InputError, and writes nothing, if an id has no question.
    """

    def rows() -> Iterator[dict]:
        for where, row in read_example_rows(ids_file, require_input=False):
            identifier = id_text(row["id"])
            if identifier not in questions:
                raise InputError(f"no TriviaQA question has the id {identifier}", where=where)
            yield {"id": row["id"], "input": questions[identifier]} | {
                key: row[key] for key in row if key not in ("id", "input")
            }

    return write_json_lines(target, rows())


def joined_triviaqa(directory: str | Path, archive: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Joins the questions to KILT's ids in a directory; yields (name, lock entry) of every joined file.

    One that is there already, as it was locked, is left. Raises InputError if there are no ids.
    """
    sources = {split: Path(directory) / f"triviaqa-{split}_id-kilt.jsonl" for split in ("train", "dev")}
    present = {split: path for split, path in sources.items() if path.is_file()}
    if not present:
        raise InputError(
            "TriviaQA ids are missing", where=directory, expected=" or ".join(p.name for p in sources.values())
        )
    targets = {path: Path(directory) / f"triviaqa-{split}-kilt.jsonl" for split, path in present.items()}
    if all(_is_locked(target) for target in targets.values()):
        yield from ((target.name, locked_entry(target) or {}) for target in targets.values())
        return
    questions = triviaqa_questions(archive)
    for path, target in targets.items():
        join_triviaqa(path, questions, target)
        _lock(target, entry := _describe(target))
        yield target.name, entry


def _is_locked(path: Path) -> bool:
    return path.exists() and locked_entry(path) == _describe(path)
