"""A stage in parts: each is the work of one job, and what all of them leave becomes the whole, in their order.

Beside what a stage leaves, `passages` say, stands `passages.parts` until the whole is there. In it each part has a
sealed directory `2-of-8`, which says what it was made of, and a stamp `2-of-8.json`, written last. The whole grows in
`gathered`: a part is appended, the journal `gathered.json` says so, and its directory goes. So there is never a second
copy of more than one part, and a gathering that was interrupted goes on behind the last part of the journal.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from glimmer.errors import InputError
from glimmer.files import (
    add_to_seal,
    check_seal,
    full_disk_named,
    only_one,
    read_json_object,
    remove_directory,
    sealed_directory,
    take_the_name,
    write_json,
)

DESCRIPTION = "part.json"
_LOCK = ".lock"
_STAMP = re.compile(r"[0-9]+-of-[0-9]+\.json")
State = dict[str, Any]
"""What a gathering has done so far, as JSON: enough to cut off what a later, unfinished part has left."""


@dataclass(frozen=True, kw_only=True)
class StagePart:
    """Part `number`, from 1, of `of`."""

    number: int
    of: int

    def __post_init__(self):
        if not 1 <= self.number <= self.of:
            raise InputError("no such part", expected="1/N to N/N", found=f"{self.number}/{self.of}")

    @classmethod
    def of_text(cls, text: str) -> StagePart:
        """ "2/8" as a part. Raises InputError for anything else."""
        if not (match := re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)):
            raise InputError("not a part", expected="2/8 for the second of eight", found=text)
        return cls(number=int(match[1]), of=int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """As files spell it."""
        return f"{self.number}-of-{self.of}"

    def share(self, count: int) -> tuple[int, int]:
        """First and one-past-last of `count` things in a row that fall to this part; none where there are fewer."""
        return count * (self.number - 1) // self.of, count * self.number // self.of


def all_parts(of: int) -> list[StagePart]:
    """The parts of a stage, in order."""
    return [StagePart(number=number, of=of) for number in range(1, of + 1)]


def parts_folder(out: str | Path) -> Path:
    """Where the parts of `out` lie."""
    return Path(out).with_name(f"{Path(out).name}.parts")


def part_folder(out: str | Path, part: StagePart) -> Path:
    """The directory of one part of `out`."""
    return parts_folder(out) / part.name


def stamp_file(out: str | Path, part: StagePart) -> Path:
    """What says that a part is done. It outlives the part's directory."""
    return parts_folder(out) / f"{part.name}.json"


@contextlib.contextmanager
def written_part(out: str | Path, part: StagePart, made_of: Mapping[str, Any]) -> Iterator[Path]:
    """Yields a fresh directory that becomes a part of `out`, sealed, when the block ends without error.

    `made_of`: all that decides the bytes of the whole, as JSON.
    """
    description = _description(part, made_of)
    with sealed_directory(part_folder(out, part)) as target:
        yield target
        write_json(target / DESCRIPTION, description)
    write_stamp(out, part, description)


def write_stamp(out: str | Path, part: StagePart, description: Mapping[str, Any]) -> None:
    """Says that a part is done."""
    write_json(stamp_file(out, part), description)


def gather(
    out: str | Path,
    of: int,
    made_of: Mapping[str, Any],
    *,
    append: Callable[[Path, Path, State], State],
    check: Callable[[Sequence[Path]], object] = len,
    finish: Callable[[Path, State], object] = lambda whole, state: None,
) -> State:
    """Makes the sealed directory `out` of its parts; one after the other they are appended, and go.

    `check` sees the directories of all parts before the first of them is appended. `append(part, whole, state)` adds
    one and returns the new state; it cuts off what lies behind the state it is given (at first {}). `finish(whole,
    state)` may be called again after an interruption. Raises InputError, before any work, for a part that is missing or
    was made of something else, and where another process is at it.
    """
    folder, parts = parts_folder(out), all_parts(of)
    whole, journal = folder / "gathered", folder / "gathered.json"
    description = _plain({"of": of, "made_of": made_of})
    with gathering(out):
        done, state = _gone_on(journal, whole, description)
        require_parts(out, parts[done:], lambda part: _require(out, part, made_of))
        if not done:
            check([part_folder(out, part) for part in parts])
        whole.mkdir(exist_ok=True)
        for path in whole.glob(".*"):  # what a process that was killed had not renamed yet
            path.unlink()
        for part in parts[done:]:
            check_seal(part_folder(out, part))
            state = append(part_folder(out, part), whole, state)
            write_json(journal, description | {"parts": part.number, "state": state})
            remove_directory(part_folder(out, part))
        finish(whole, state)
        add_to_seal(whole, (path for path in whole.rglob("*") if path.is_file()))
        os.chmod(whole, 0o755)
        take_the_name(whole, Path(out))
    return state


@contextlib.contextmanager
def gathering(out: str | Path) -> Iterator[None]:
    """Has one process alone make `out` of its parts; what is left of them goes when the block ends without error.

    Of another number of parts too. Stamps stay, which the workflow removes.
    """
    with only_one(parts_folder(out) / _LOCK), full_disk_named(out):
        yield
        _clear(out)


def _clear(out: str | Path) -> None:
    for path in parts_folder(out).iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif not _STAMP.fullmatch(path.name):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def stored(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Has what the block writes stored on the disk at its end, before the journal says so."""
    with file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def reopened(path: Path, size: int) -> IO[bytes]:
    """A file opened for writing behind its first `size` bytes; what stood there is cut off.

    Raises InputError where it has fewer.
    """
    if size and (found := path.stat().st_size) < size:
        raise InputError("shorter than its journal says", where=path, expected=f"{size} bytes", found=found)
    file = open(path, "r+b" if size else "wb")  # noqa: SIM115  (the caller closes it)
    file.truncate(size)
    file.seek(size)
    return file


def _gone_on(journal: Path, whole: Path, description: State) -> tuple[int, State]:
    """How many parts were gathered before, and the state after them; what was made of something else is removed."""
    before = read_json_object(journal) if journal.exists() and whole.exists() else {}
    if {key: before.get(key) for key in description} == description:
        return before["parts"], before["state"]
    journal.unlink(missing_ok=True)
    shutil.rmtree(whole, ignore_errors=True)
    return 0, {}


class MissingPart(InputError):
    """A part, or something of it, is not there."""

    def __init__(self, part: StagePart, where: Path):
        super().__init__("a part is missing", where=where, expected=f"what --part {part} makes", found="nothing")


def require_parts(out: str | Path, parts: Iterable[StagePart], require: Callable[[StagePart], None]) -> None:
    """Calls `require` with each part; raises the first MissingPart when all were looked at.

    The stamps of all that are missing go, so that the workflow makes those parts again.
    """
    missing = []
    for part in parts:
        try:
            require(part)
        except MissingPart as error:
            stamp_file(out, part).unlink(missing_ok=True)
            missing.append(error)
    if missing:
        raise missing[0]


def _require(out: str | Path, part: StagePart, made_of: Mapping[str, Any]) -> None:
    path = part_folder(out, part) / DESCRIPTION
    if not path.exists():
        raise MissingPart(part, path.parent)
    require_same(path, _description(part, made_of), read_json_object(path))


def require_same(where: Path, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raises InputError that names the first key in which two descriptions differ."""
    for key in sorted({*expected, *found}):
        one, other = expected.get(key), found.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            require_same(where, one, other)
        elif one != other:
            raise InputError(f"a part of something else, by its {key}", where=where, expected=one, found=other)


def _description(part: StagePart, made_of: Mapping[str, Any]) -> State:
    return _plain({"part": part.number, "of": part.of, "made_of": made_of})


def _plain(value: Any) -> Any:
    """A value as it comes back from a file."""
    return json.loads(json.dumps(value))
