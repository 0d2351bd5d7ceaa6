"""Files that are whole or absent: atomic writing, streamed JSON Lines (plain or gzipped), and digests."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from glimmer.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_LFS_POINTER = b"version https://git-lfs"
_SHORT_LINE = 100
_FULL = "the disk is full"
_PARTIAL = ".partial"  # ends the hidden names of what is not whole yet, or no longer
_WROTE_LESS = re.compile(r"^\d+ requested and \d+ written$")
SEAL = ".sealed.json"
"""In a directory: the sha256 of each of its files, by name. Hidden: it is no part of what the directory holds."""
_checked: set[tuple] = set()
_abandoned: dict[Path, list[str]] = {}
LONGEST_LINE = 64 << 20
"""Bytes of a line, at most: far more than a page; a gzip stream can hold a line of any length."""


class DiskFull(InputError):
    """What was to be written did not fit; nothing of it is left."""


@contextlib.contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Opens a temporary file beside `path` and renames it to `path` only when the block ends without error.

    What killed writers of `path` have left beside it is removed. Raises DiskFull where it does not fit.
    A name ending in `.gz` is gzipped without a time stamp, so that equal content gives equal bytes.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, held = _temporary(path, tempfile.mkstemp)
    except OSError as error:
        raise InputError("cannot be written", where=path, found=error.strerror) from None
    try:
        with contextlib.ExitStack() as stack:
            if path.suffix == ".gz":
                raw = stack.enter_context(open(temporary, "wb"))
                file = stack.enter_context(gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0))
                if "b" not in mode:
                    import io

                    file = stack.enter_context(io.TextIOWrapper(file, encoding="utf-8", newline="\n"))
            else:
                text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
                file = stack.enter_context(open(temporary, mode, **text))
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        free = free_bytes(temporary)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        _explain(error, path, free)
        raise
    finally:
        os.close(held)


@contextlib.contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yields a fresh directory that takes the name `path` only when the block ends without error.

    What stood at `path` before is replaced whole. What killed writers of `path` have left beside it is removed.
    Raises DiskFull where it does not fit.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, held = _temporary(path, _make_directory)
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        take_the_name(temporary, path)
    except BaseException as error:
        free = free_bytes(temporary)
        shutil.rmtree(temporary, ignore_errors=True)
        _explain(error, path, free)
        raise
    finally:
        os.close(held)


def _temporary(path: Path, make: Callable[..., tuple[int, str]]) -> tuple[Path, int]:
    """A fresh hidden file or directory beside `path`, and its open descriptor: as long as that is open, no other writer
    takes it for abandoned."""
    _remove_abandoned(path)
    while True:
        held, temporary = make(dir=path.parent, prefix=f".{path.name}.", suffix=_PARTIAL)
        with contextlib.suppress(OSError):  # a file system without locks: what is left there stays
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.path.exists(temporary):  # nobody took it for abandoned before it was held
            return Path(temporary), held
        os.close(held)


def _make_directory(**where: Any) -> tuple[int, str]:
    """`tempfile.mkdtemp`, and like `tempfile.mkstemp` an open descriptor of it."""
    while True:
        temporary = tempfile.mkdtemp(**where)
        with contextlib.suppress(FileNotFoundError):
            return os.open(temporary, os.O_RDONLY), temporary


def _remove_abandoned(path: Path) -> None:
    """Removes what writers of `path` that were killed before this process came here have left beside it.

    A writer that lives holds its own. Of another name nothing is touched, and where locks do not work, nothing at all.
    """
    parent = path.parent.absolute()
    if parent not in _abandoned:
        _abandoned[parent] = [name for name in os.listdir(parent) if name.endswith(_PARTIAL)]
    for name in [name for name in _abandoned[parent] if name.startswith(f".{path.name}.")]:
        _abandoned[parent].remove(name)
        with contextlib.suppress(OSError):
            held = os.open(parent / name, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (parent / name).unlink() if (parent / name).is_file() else shutil.rmtree(parent / name)
            finally:
                os.close(held)


def free_bytes(path: str | Path) -> int:
    """Bytes free where `path` lies, or would lie: on the disk of the nearest directory above it that there is."""
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def require_space(path: str | Path, needed: int, what: str) -> None:
    """Raises DiskFull, before anything is written, where fewer than `needed` bytes are free for `path`."""
    if (free := free_bytes(path)) < needed:
        raise DiskFull(f"no space for {what}", where=path, expected=f"{_size(needed)} free", found=_size(free))


def _size(count: int) -> str:
    return f"{count} bytes" if count < 2**24 else f"{count / 2**30:.2f} GiB"


def disk_is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, or one's share of it, is full.

    numpy says only that it wrote less than it had; TensorStore, and with it Orbax, raise ValueErrors that cite the
    system's words.
    """
    full = (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError):
        return error.errno in full or bool(_WROTE_LESS.search(str(error)))
    return isinstance(error, ValueError) and any(os.strerror(code) in str(error) for code in full)


def _explain(error: BaseException, path: Path, free: int) -> None:
    """Raises DiskFull, of `path`, in place of an error that comes of a full disk; others of the system get the path.

    `free` bytes were left there.
    """
    if disk_is_full(error) or (isinstance(error, DiskFull) and error.what == _FULL):  # of a file in a directory
        raise DiskFull(_FULL, where=path, expected="more space", found=f"{_size(free)} free") from None
    if isinstance(error, OSError) and error.filename is None:  # a file too large, a fault of the disk
        error.filename = str(path)


@contextlib.contextmanager
def full_disk_named(path: str | Path) -> Iterator[None]:
    """Makes DiskFull of `path` out of an error of the block that comes of a full disk."""
    try:
        yield
    except Exception as error:
        _explain(error, Path(path), free_bytes(path))
        raise


@contextlib.contextmanager
def sealed_directory(path: str | Path) -> Iterator[Path]:
    """`atomic_directory` that leaves a seal too: the sha256 of every file, for `check_seal`."""
    with atomic_directory(path) as temporary:
        yield temporary
        add_to_seal(temporary, (file for file in temporary.rglob("*") if file.is_file()))


def add_to_seal(directory: str | Path, files: Iterable[Path], *, instead_of: str | None = None) -> None:
    """Puts the bytes of these files below a directory under its seal, beside those that are under it.

    `instead_of`: what stood under names that begin so is no longer there.
    """
    root = Path(directory)
    seal = _sealed(root) if (root / SEAL).exists() else {}
    if instead_of is not None:
        seal = {name: digest for name, digest in seal.items() if not name.startswith(instead_of)}
    seal |= {file.relative_to(root).as_posix(): sha256_file(file) for file in files}
    write_json(root / SEAL, {"files": seal, "sha256": _digest_of(seal)})


def move_sealed(source: str | Path, directory: str | Path, names: Iterable[str]) -> None:
    """Renames files of a sealed directory into another, and puts them under its seal as their own one states them.

    May be called again after an interruption: what was renamed before is only sealed. Nothing is read.
    """
    source, root, names = Path(source), Path(directory), list(names)
    if not names:
        return
    stated = _sealed(source)
    for name in names:
        if (source / name).exists():
            os.replace(source / name, root / name)
    seal = _sealed(root) if (root / SEAL).exists() else {}
    seal |= {name: stated[name] for name in names}
    write_json(root / SEAL, {"files": seal, "sha256": _digest_of(seal)})


def sealed_names(directory: str | Path) -> set[str]:
    """The names under the seal of a directory, whatever bytes stand there now; none without a seal."""
    return set(_sealed(Path(directory))) if (Path(directory) / SEAL).exists() else set()


def _sealed(root: Path) -> dict[str, str]:
    """File name -> sha256. Raises InputError for a seal that is not as it was written."""
    seal = read_json_object(root / SEAL)
    if seal.get("sha256") != _digest_of(seal.get("files")) or not isinstance(seal["files"], dict):
        raise InputError("not the seal that was written", where=root / SEAL, expected="the digest that it states")
    return seal["files"]


def _digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def is_sealed(path: Path) -> bool:
    """Whether a file stands under the seal of its directory, and has the bytes that were put there."""
    seal = path.parent / SEAL
    return path.exists() and seal.exists() and _sealed(path.parent).get(path.name) == sha256_file(path)


def sealed_sha256(path: str | Path) -> str:
    """The sha256 of a file as the seal of its directory states it, which `check_seal` holds it to; without a seal, of
    its bytes."""
    path = Path(path)
    stated = _sealed(path.parent) if (path.parent / SEAL).exists() else {}
    return stated.get(path.name) or sha256_file(path)


def check_seal(directory: str | Path, below: str = "") -> None:
    """Reads every file of a sealed directory, once a process, and holds it to the bytes that were written; with `below`
    those whose names begin so.

    Raises InputError that names the first file that is gone or another. A directory without a seal, which earlier
    versions and other programs leave, is not checked.
    """
    root = Path(directory)
    if not (root / SEAL).exists():
        return
    for name, digest in _sealed(root).items():
        if not name.startswith(below):
            continue
        path = root / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise InputError("a seal of files elsewhere", where=root / SEAL, found=name)
        stat = readable(path).stat()
        stamp = (str(path.absolute()), digest, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        if stamp in _checked:
            continue
        if (found := sha256_file(path)) != digest:
            raise InputError(
                "not the bytes that were written; make it again",
                where=path,
                expected=f"sha256 {digest} ({root / SEAL})",
                found=found,
            )
        _checked.add(stamp)


@contextlib.contextmanager
def only_one(lock: str | Path) -> Iterator[None]:
    """Holds the lock file `lock` while the block runs; the system lets go of it when the process ends, however it ends.

    Raises InputError, which names the other process, where another one holds it.
    """
    lock = Path(lock)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            file.seek(0)
            found = file.read().strip() or "another process"
            raise InputError("somebody is at it", where=lock, expected="one process at a time", found=found) from None
        file.truncate(0)
        file.write(f"{socket.gethostname()} {os.getpid()}")
        file.flush()
        yield


def remove_directory(path: str | Path) -> None:
    """Removes a directory so that nobody ever finds a part of it under its name; nothing where there is none."""
    path = Path(path)
    _remove_abandoned(path)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=_PARTIAL))
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, aside)
    shutil.rmtree(aside, ignore_errors=True)


def take_the_name(temporary: Path, path: Path) -> None:
    """Renames a directory to `path`. What stands there moves aside first: of two writers the later one stays, whole."""
    aside = temporary.with_name(f"{temporary.name.removesuffix(_PARTIAL)}.old{_PARTIAL}")
    for _ in range(100):  # another writer may put its own there between the two renames
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, aside)
        try:
            os.replace(temporary, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            aside.unlink(missing_ok=True)
    raise InputError("other programs keep writing the same directory", where=path, expected="one writer at a time")


def write_json(path: str | Path, value: Any) -> None:
    """Writes `json_text(value)`, whole or not at all."""
    text = json_text(value)
    with atomic_write(path) as file:
        file.write(text + "\n")


def json_text(value: Any, indent: str = "") -> str:
    """JSON that people can compare line by line: sorted keys, one a line.

    A list of numbers or of eight-digit digests, or a short one, is a line.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    inner = indent + " "
    if isinstance(value, Mapping) and value:
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"expected text as keys, found {list(value)[:5]}")
        items = (f"{inner}{_scalar(key)}: {json_text(value[key], inner)}" for key in sorted(value))
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list | tuple) and value:
        if all(isinstance(item, int | float) for item in value) or all(map(_is_digest, value)):
            return "[" + ", ".join(map(_scalar, value)) + "]"
        if not any(isinstance(item, Mapping | list | tuple) for item in value):
            line = "[" + ", ".join(map(_scalar, value)) + "]"
            if len(line) <= _SHORT_LINE:
                return line
        return "[\n" + ",\n".join(inner + json_text(item, inner) for item in value) + f"\n{indent}]"
    return _scalar(value)


def _is_digest(item: Any) -> bool:
    return isinstance(item, str) and re.fullmatch("[0-9a-f]{8}", item) is not None


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_json(path: str | Path) -> Any:
    """Reads one JSON value. Raises InputError if the file is missing or is not JSON."""
    path = readable(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError("not JSON", where=path, expected="a JSON value", found=str(error)) from None


def read_json_object(path: str | Path) -> dict[str, Any]:
    """Reads one JSON object. Raises InputError if the file is missing, is not JSON, or holds another value."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError("not what belongs here", where=path, expected="a JSON object", found=type(value).__name__)
    return value


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value that digests are taken of: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def write_json_lines(path: str | Path, rows: Iterable[Any]) -> int:
    """Streams `rows` to `path`, one JSON value a line; returns how many."""
    count = 0
    with atomic_write(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_json_lines(path: str | Path) -> Iterator[Any]:
    """Streams the values of a JSON Lines file, plain or gzipped, in constant memory.

    Raises InputError with file and line for a missing file, a truncated gzip, or a line that is not JSON.
    """
    for number, line in numbered_lines(path):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                "not JSON", where=f"{path}:{number}", expected="one JSON value a line", found=str(error)
            ) from None


def numbered_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Streams (line number from 1, line without its end) of a plain or gzipped file, in the memory of one line.

    Raises InputError with file and line for a broken gzip stream, and for a line above LONGEST_LINE.
    """
    path = readable(path)
    number = 0
    with open_binary(path) as file:
        try:
            for number, line in enumerate(bounded_lines(file, path), start=1):
                yield number, line.rstrip(b"\r\n")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                "gzip stream is broken",
                where=f"{path}:{number + 1}",
                expected="a whole gzip file",
                found=str(error) or type(error).__name__,
            ) from None


@dataclasses.dataclass(frozen=True, slots=True)
class PlaceOfLine:
    """The line of a plain file that begins at byte `at`. Its number is counted when somebody asks for it in words."""

    path: Path
    at: int

    def __str__(self) -> str:
        number, left = 1, self.at
        with open(self.path, "rb") as file:
            while left and (block := file.read(min(left, 1 << 20))):
                number, left = number + block.count(b"\n"), left - len(block)
        return f"{self.path}:{number}"


def lines_between(path: str | Path, start: int, end: int) -> Iterator[tuple[PlaceOfLine, bytes]]:
    """Streams (place, line without its end) of the lines of a plain file whose first byte is one of [start, end).

    So ranges that follow each other give each line once. Raises InputError for a gzip, which cannot be read from its
    middle, and for a line above LONGEST_LINE.
    """
    path = readable(path)
    require_plain(path)
    with open(path, "rb") as file:
        if start:  # the line that holds the byte before belongs to who reads there
            file.seek(start - 1)
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        at = file.tell()
        while at < end and (line := file.readline(LONGEST_LINE + 1)):
            place = PlaceOfLine(path, at)
            if len(line) > LONGEST_LINE:
                raise InputError("line too long", where=place, expected=f"at most {LONGEST_LINE} bytes a line")
            yield place, line.rstrip(b"\r\n")
            at += len(line)


def require_plain(path: str | Path) -> None:
    """Raises InputError for a gzip, which cannot be read in parts."""
    with open(readable(path), "rb") as file:
        if file.read(2) == _GZIP_MAGIC:
            raise InputError(
                "a gzip cannot be read in parts",
                where=path,
                expected="a plain file (gunzip), or one part",
                found="gzip",
            )


def bounded_lines(file: IO[bytes], where: object) -> Iterator[bytes]:
    """Streams the lines of an open file, ends included. Raises InputError for one above LONGEST_LINE."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise InputError(
                "line too long", where=f"{where}:{number}", expected=f"at most {LONGEST_LINE} bytes a line"
            )
        yield line


def open_binary(path: str | Path) -> IO[bytes]:
    """Opens a file for reading bytes, through gzip if its first two bytes say so (the name is not trusted)."""
    with open(readable(path), "rb") as file:
        magic = file.read(2)
    return gzip.open(path, "rb") if magic == _GZIP_MAGIC else open(path, "rb")  # noqa: SIM115


def cache_directory() -> Path:
    """What may be lost at any time and is only slow to make again: $GLIMMER_CACHE, by default ~/.cache/glimmer."""
    return Path(os.environ.get("GLIMMER_CACHE") or Path.home() / ".cache" / "glimmer")


def existing(path: str | Path) -> Path:
    """`path` as a Path. Raises InputError if nothing is there."""
    path = Path(path)
    try:
        is_there = path.exists()
    except OSError as error:  # a name longer than any file's, a folder that may not be entered
        raise InputError("cannot be looked for", where=path, found=error.strerror) from None
    if not is_there:
        raise InputError("no such file", where=path, expected="an existing file or directory", found="nothing")
    return path


def readable(path: str | Path) -> Path:
    """`path` as a Path. Raises InputError if it is no file, or stands for one that Git LFS has not brought."""
    path = existing(path)
    if path.is_dir():
        raise InputError("a directory", where=path, expected="a file", found="a directory")
    with open(path, "rb") as file:
        start = file.read(200)
    if start.startswith(_LFS_POINTER):
        named = b" ".join(start.split(b"\n")[1:3]).decode("ascii", "replace")
        raise InputError("a Git LFS pointer, not the file", where=path, expected="the file itself (`git lfs pull`)",
                         found=named)  # fmt: skip
    return path


def sha256_file(path: str | Path) -> str:
    """Hex sha256 of a file's bytes as stored (a gzipped file is digested gzipped)."""
    with open(readable(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_directory(path: str | Path) -> str:
    """Hex sha256 over the sorted relative names and digests of all files below a directory, but for hidden ones.

    (Snakemake leaves a hidden time stamp in every directory that is a rule's output, a download a folder `.cache`.)
    """
    root = existing(path)
    names = [p.relative_to(root) for p in root.rglob("*") if p.is_file()]
    names = sorted(name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts))
    return hashlib.sha256(canonical_json([[n, sha256_file(root / n)] for n in names]).encode()).hexdigest()
