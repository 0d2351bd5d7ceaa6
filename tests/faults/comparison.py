"""What a study that was killed has left, beside what an undisturbed one leaves; and what Snakemake made twice."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorstore

from glimmer.errors import InputError
from glimmer.files import SEAL, check_seal, read_json

MEASURED = {"wall_seconds", "peak_memory_bytes", "measured_on", "telemetry", "seconds"}
"""Keys of JSON files whose values are of the clock, or of the memory of a process."""
DIGESTS = {"audit.json": {"sha256"}}
"""Name -> keys that hold digests of files in which the clock is."""
OF_THE_CLOCK = re.compile(
    r"(^|/)(logs|benchmarks)/|\.lock$"  # what a lock holds is the process that had it
    r"|(^|/)(\.snakemake_timestamp|_CHECKPOINT_METADATA|commit_success\.txt)$"  # when Orbax and Snakemake wrote
    r"|^results/[^/]+/(report\.html|ro-crate-metadata\.json|runs/SHA256SUMS)$"  # the day, and digests of seconds
    r"|^results/index\.html$"
)
"""Files whose content is of the clock. They must be there all the same, logs, benchmarks and locks excepted."""
_MAY_BE_ABSENT = re.compile(r"(^|/)(logs|benchmarks)/|\.lock$")
_CHECKPOINT = "manifest.ocdbt"


@dataclasses.dataclass(frozen=True)
class Job:
    """One job of the undisturbed call: its rule, its outputs below the place, and its seconds, in order of start."""

    rule: str
    outputs: tuple[str, ...]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Names of files: gone, left where the undisturbed study has none, and of another content."""

    gone: tuple[str, ...]
    left: tuple[str, ...]
    other: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """A line a finding."""
        return [f"{kind}: {name}" for kind, names in dataclasses.asdict(self).items() for name in names]


def compare(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Comparison:
    """Compares two `contents`."""
    return Comparison(
        gone=tuple(sorted(expected.keys() - found.keys())),
        left=tuple(sorted(found.keys() - expected.keys())),
        other=tuple(sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])),
    )


def contents(place: Path) -> dict[str, Any]:
    """Name -> what must be the same, of every file below `place`/results and `place`/work."""
    files = sorted(path for top in ("results", "work") for path in (place / top).rglob("*") if not path.is_dir())
    stores = {path.parent for path in files if path.name == _CHECKPOINT}
    stores -= {store for store in stores if stores & set(store.parents)}
    names = (name for path in files if (name := _name(path, place, stores)) is not None)
    return {name: content(place, name) for name in names if not _MAY_BE_ABSENT.search(name)}


def _name(path: Path, place: Path, stores: set[Path]) -> str | None:
    """The name of a file; of what TensorStore put under names that it draws, that of the manifest alone."""
    store = next((parent for parent in path.parents if parent in stores), None)
    if store is not None and path != store / _CHECKPOINT:
        first = path.relative_to(store).parts[0]
        if first == "d" or first.startswith("ocdbt.process_"):
            return None
    return path.relative_to(place).as_posix()


def content(place: Path, name: str) -> Any:
    """What must be the same of the file, or the directory, of this name."""
    path = place / name
    if path.is_dir():
        names = [one.relative_to(place).as_posix() for one in sorted(path.rglob("*")) if one.is_file()]
        return {name: content(place, name) for name in names if not OF_THE_CLOCK.search(name)}
    if OF_THE_CLOCK.search(name):
        return "of the clock"
    if path.name == _CHECKPOINT:
        return _values(path.parent)
    if path.name == SEAL:
        return _kept(path.parent)
    if path.suffix == ".json":
        with contextlib.suppress(InputError):
            return _without(read_json(path), str(place), MEASURED | DIGESTS.get(path.name, set()))
    return hashlib.sha256(path.read_bytes().replace(str(place).encode(), b"PLACE")).hexdigest()


def _values(store: Path) -> dict[str, str]:
    """Key -> digest of its value, of a store of arrays: its files have names that are drawn."""
    values = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{store}/"}).result()
    read = {key: values.read(key).result().value for key in values.list().result()}
    return {key.decode(): hashlib.sha256(value).hexdigest() for key, value in read.items()}


def _kept(directory: Path) -> str:
    """Whether a seal holds: what it says changes with every second that a file states."""
    try:
        check_seal(directory)
    except InputError as error:
        return str(error)
    return "holds"


def _without(value: Any, place: str, keys: set[str]) -> Any:
    """A JSON value without these keys, nor where the study lies."""
    if isinstance(value, dict):
        return {key: _without(one, place, keys) for key, one in value.items() if key not in keys}
    if isinstance(value, list):
        return [_without(one, place, keys) for one in value]
    return value.replace(place, "PLACE") if isinstance(value, str) else value


def jobs_of(records: Path, place: Path) -> list[Job]:
    """The jobs that Snakemake has recorded as finished at a place, in order of start. `records`: its `.snakemake`."""
    jobs: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, file in _below(records / "metadata", place):
        record = json.loads(file.read_text())
        jobs.setdefault(f"{record['rule']} {record['log']}", []).append((name, record))
    begun = {key: min(record["starttime"] for _, record in outputs) for key, outputs in jobs.items()}
    return [
        Job(
            rule=jobs[key][0][1]["rule"],
            outputs=tuple(sorted(name for name, _ in jobs[key])),
            seconds=max(0.0, max(record["endtime"] for _, record in jobs[key]) - begun[key]),
        )
        for key in sorted(begun, key=begun.__getitem__)
    ]


def begun_since(records: Path, place: Path, moment: float) -> dict[str, float]:
    """Output -> when its job began, of jobs of a place that run now, or were killed, and began after a moment."""
    begun = {}
    for name, file in _below(records / "incomplete", place):
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            begun[name] = file.stat().st_mtime
    return {name: time for name, time in begun.items() if time >= moment}


def finished(jobs: Iterable[Job], records: Path, place: Path) -> dict[str, tuple]:
    """Output -> what would be another, were it made again: of the jobs that Snakemake has recorded as finished."""
    running = dict(_below(records / "incomplete", place))
    recorded = {name: _begun(file) for name, file in _below(records / "metadata", place)}
    ended = (
        job
        for job in jobs
        if all(recorded.get(name) and name not in running and (place / name).exists() for name in job.outputs)
    )
    return {name: (recorded[name], *_stamps(place / name)) for job in ended for name in job.outputs}


def _begun(record: Path) -> float | None:
    """When the job of a record began; None of a record that is not whole."""
    try:
        return json.loads(record.read_text())["starttime"]
    except (ValueError, KeyError):
        return None


def _stamps(path: Path) -> list[tuple[str, int, int]]:
    """Name, inode and time of change of a file, or of each file of a directory."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(file.relative_to(path).as_posix(), file.stat()) for file in files if not file.is_dir()]
    return [(name, stat.st_ino, stat.st_mtime_ns) for name, stat in stats]


def made_again(before: Mapping[str, tuple], after: Mapping[str, tuple]) -> list[str]:
    """Outputs that were finished before a call, and were made again in it, or are gone."""
    return sorted(name for name, stamp in before.items() if after.get(name) != stamp)


def torn(jobs: Iterable[Job], before: Mapping[str, tuple], expected: Path, place: Path) -> list[str]:
    """Outputs under their final names that are no finished ones, and not what they should be either."""
    names = [name for job in jobs for name in job.outputs if name not in before and (place / name).exists()]
    return sorted(name for name in names if content(place, name) != content(expected, name))


def _below(records: Path, place: Path) -> Iterator[tuple[str, Path]]:
    """Name below the place, and file, of each record of Snakemake's: it spells their names in base64."""
    for file in records.rglob("*"):
        if file.is_file():
            spelt = "".join(part.removeprefix("@") for part in file.relative_to(records).parts)
            with contextlib.suppress(ValueError):
                path = Path(base64.urlsafe_b64decode(spelt).decode())
                if path.is_relative_to(place):
                    yield path.relative_to(place).as_posix(), file
