"""Bytes from an address to a file, over lines that fail.

What has come is kept in `<name>.part`, with what the server calls its version beside it, and the next try goes on from
there: after a dropped connection at once and then ever later, after a killed program at the next call. It starts over
where the server does not give ranges, gives another one than was asked for, or has another version by now.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import http.client
import os
import re
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from tqdm import tqdm

from glimmer.errors import InputError
from glimmer.files import require_space

TRIES = 6
"""How many connections in a row may bring nothing."""

SECONDS = 60.0
"""How long a server may be silent."""

_BLOCK_BYTES = 1 << 20
_LONGEST_PAUSE = 60.0
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that say: later
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG, errno.EIO)


class _StartOver(Exception):
    """What has come so far is not the beginning of what the server has now."""


class _Later(Exception):
    """This connection failed; another may not."""

    def __init__(self, reason: str, pause: float | None = None):
        super().__init__(reason)
        self.pause = pause


def bring(
    address: str,
    part: Path,
    *,
    size: int | None = None,
    secrets: Mapping[str, str] | None = None,
    tries: int = TRIES,
    seconds: float = SECONDS,
    pause: float = 1.0,
) -> None:
    """Brings the bytes of an address to the file `part`, whole, or goes on with what is there of them.

    Args:
        size: how many bytes it must have, where that is known.
        secrets: HTTP headers for this address alone, and not for where it leads to.
        tries: how many connections in a row may bring nothing before that is an error.
        seconds: how long a server may be silent.
        pause: seconds before the second try; doubled each time.
    Raises InputError if the address cannot be read, gives another number of bytes, or there is no space for them.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    with _alone(part) as file:
        try:
            _bring(address, file, part, size, secrets or {}, tries, seconds, pause)
        except InputError:
            if file.tell() == 0:
                remove_part(part)
            raise
    _version_file(part).unlink(missing_ok=True)


def _bring(address, file, part, size, secrets, tries, seconds, pause) -> None:
    failed = restarted = 0
    while True:
        before = file.tell()
        try:
            return _connect(address, file, part, size, secrets, seconds)
        except _StartOver:
            file.seek(0)
            file.truncate()
            restarted += 1
            reason, wanted = "the server has another version at every try", 0.0
        except _Later as error:
            failed = 0 if file.tell() > before else failed + 1
            reason, wanted = str(error), error.pause
        if max(failed, restarted) >= tries:
            kept = f"; {file.tell()} bytes are kept, run again to go on from there" if file.tell() else ""
            raise InputError("cannot be downloaded", where=address, found=reason + kept) from None
        time.sleep(min(pause * 2**failed if wanted is None else wanted, _LONGEST_PAUSE))


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """The part, opened at its end, for one program at a time."""
    with open(part, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError("another program is fetching this file", where=part) from None
        yield file


def _connect(
    address: str, file: IO[bytes], part: Path, size: int | None, secrets: Mapping[str, str], seconds: float
) -> None:
    """One connection: to the end of the file, or an exception that says what to do next."""
    have = file.tell()
    if size is not None and have == size:
        return
    if "://" not in address:
        raise InputError("cannot be downloaded", where=address, expected="an address with http://", found="none")
    request = urllib.request.Request(address)
    for name, value in secrets.items():
        request.add_unredirected_header(name, value)
    if have:
        request.add_header("Range", f"bytes={have}-")
        if version := _version_file(part).read_text() if _version_file(part).exists() else "":
            request.add_header("If-Range", version)
    try:
        with contextlib.closing(urllib.request.urlopen(request, timeout=seconds)) as response:
            total = _begin(response, file, part, have, size, address)
            _copy(response, file, total, part.name.removesuffix(".part"))
    except urllib.error.HTTPError as error:
        return _refused(error, address, have, size)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _LOCAL:
            raise InputError("cannot be written", where=part, found=error.strerror) from None
        reason = getattr(error, "reason", error)
        lasting = isinstance(error, ValueError) or isinstance(reason, socket.gaierror | ssl.SSLCertVerificationError)
        if lasting or address.startswith("file:"):  # no address of a known kind; no such host; no such file
            raise InputError("cannot be downloaded", where=address, found=str(reason)) from None
        raise _Later(str(reason) or type(reason).__name__) from None
    if total is not None and file.tell() != total:
        raise _Later(f"the connection ended after {file.tell()} of {total} bytes")


def _begin(response, file: IO[bytes], part: Path, have: int, size: int | None, address: str) -> int | None:
    """Sets the file to where this answer goes on; returns how long it will be, None where nobody knows."""
    headers = response.headers
    if (headers.get("Content-Type") or "").startswith("text/html"):
        raise InputError("a web page, not the file", where=address, expected="bytes of a file", found="text/html")
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    remembered = _version_file(part)
    if getattr(response, "status", None) == 206:
        start, total = _range_of(headers.get("Content-Range"))
        known = remembered.read_text() if remembered.exists() else version
        if start not in (None, have) or (version and known and version != known):
            raise _StartOver
        length = headers.get("Content-Length")
        total = total if total is not None or length is None else have + int(length)
    else:
        file.seek(0)
        file.truncate()
        length = headers.get("Content-Length")
        total = None if length is None else int(length)
    if version and not version.startswith("W/"):  # a weak tag says nothing about bytes
        remembered.write_text(version)
    if size is not None and total not in (None, size):
        raise InputError("another length than it must have", where=address, expected=f"{size} bytes", found=total)
    if total is not None:
        require_space(part.parent, total - file.tell(), part.name.removesuffix(".part"))
    return total if size is None else size


def _range_of(header: str | None) -> tuple[int | None, int | None]:
    """(first byte, total) of a Content-Range; None for what it does not say."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", (header or "").strip())
    if not match:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _refused(error: urllib.error.HTTPError, address: str, have: int, size: int | None) -> None:
    """What an HTTP error means; returns if what has come is the whole file."""
    if error.code == 416 and have:  # nothing is left to send
        told = re.search(r"/(\d+)$", error.headers.get("Content-Range") or "")
        total = size if size is not None else int(told[1]) if told else have
        if total != have:
            raise _StartOver
        return
    if error.code in _PASSING:
        after = error.headers.get("Retry-After") or ""
        raise _Later(f"HTTP status {error.code}", float(after) if after.isdigit() else None)
    ways = {401: ", which may need `hf auth login`", 403: ", which may need `hf auth login`"} if size else {}
    raise InputError("cannot be downloaded", where=address, found=f"HTTP status {error.code}{ways.get(error.code, '')}")


def _copy(source, file: IO[bytes], total: int | None, name: str) -> None:
    with tqdm(
        total=total, initial=file.tell(), unit="B", unit_scale=True, desc=name, disable=not sys.stderr.isatty()
    ) as bar:
        try:
            while block := source.read1(_BLOCK_BYTES) if hasattr(source, "read1") else source.read(_BLOCK_BYTES):
                if total is not None and file.tell() + len(block) > total:
                    raise _StartOver
                file.write(block)
                bar.update(len(block))
        finally:
            file.flush()


def _version_file(part: Path) -> Path:
    """Where the server's name for the version of a part stands."""
    return part.with_name(f".{part.name}.version")


def remove_part(part: Path) -> None:
    """Forgets what has come of a file."""
    for path in (part, _version_file(part)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
