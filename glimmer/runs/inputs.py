"""The outside inputs of a study: which files they are, and that one name never stands for two contents.

A study names what comes from elsewhere (KILT's files, a checkpoint, a retriever) by `release`, and that name is part of
every run's id. What a name stands for is pinned by `sha256` in the study, or locked on first use in
results/<study>/inputs.lock.json. Other bytes under the same name stop every call that would read them: the way out is
another `release`, which makes other runs, or `glimmer inputs --relock`, which withdraws what was made of the old bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments import Run, Study
from glimmer.experiments.sections import CheckpointInitial, KiltData, PublishedGtr
from glimmer.files import cache_directory, existing, read_json, read_json_object, sha256_file, write_json
from glimmer.kilt.formats import knowledge_source_file, task_file
from glimmer.models.forms import checkpoint_files, files_of_weights, weight_files

Digests = dict[str, dict[str, dict[str, str]]]
"""section -> release -> file name -> sha256."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutsideInput:
    """Files from elsewhere: `section` of the study calls them `release`; `pins` are the sha256 that it states.

    `option` is how a command line says where they lie, such as `data.directory=DIR`.
    """

    section: str
    release: str
    option: str
    files: Mapping[str, Path]
    pins: Mapping[str, str]
    weights: frozenset[str] = frozenset()
    """Those of `files` that are one thing together: where some are locked, there can be no others beside them."""

    def digests(self) -> dict[str, str]:
        """File name -> sha256. Raises InputError for a pinned file that is missing or another than was pinned."""
        for name in self.pins:
            if name not in self.files:
                raise InputError(
                    "a pinned file is missing", where=self.section, expected=name, found=sorted(self.files)
                )
        digests = {name: remembered_sha256(path) for name, path in self.files.items()}
        for name, pin in self.pins.items():
            if digests[name] != pin:
                raise InputError(
                    "another file than the study names",
                    where=self.files[name],
                    expected=f"sha256 {pin} ({self.section}.sha256)",
                    found=digests[name],
                )
        return digests


def outside_inputs(
    study: Study,
    *,
    users_data: str | Path | None = None,
    data: str | Path | None = None,
    initial: str | Path | None = None,
    retriever: str | Path | None = None,
    size: str = "",
) -> list[OutsideInput]:
    """The outside inputs among these directories; what the study generates, pretrains or has cut out itself is none.

    `users_data` is a folder that somebody gave, `data` the one that stages read: the same, unless the study takes a
    subset. `size` says for which of the paper's sizes `initial` stands. Raises InputError for a file that is not there.
    """
    inputs = []
    if data is not None and not getattr(study.data, "subset", None):
        users_data = data
    if users_data is not None and isinstance(study.data, KiltData):
        named = {file.name: file for file in files_of_data(study, users_data)}
        pins = _pins_of(study.data.sha256 or {}, named)
        option = f"data.directory={users_data}"
        inputs.append(OutsideInput(section="data", release=study.data.release, option=option, files=named, pins=pins))
    if initial is not None and isinstance(section := study.initial_for(size), CheckpointInitial):
        key = f"sizes.{size}.initial" if size and size in study.sizes else "initial"
        inputs.append(_checkpoint("initial", key, section, Path(initial)))
    if retriever is not None and isinstance(study.retriever, PublishedGtr):
        inputs.append(_checkpoint("retriever", "retriever", study.retriever, Path(retriever)))
    return inputs


def files_of_data(study: Study, directory: str | Path) -> list[Path]:
    """The KILT-format files that a study reads of a folder. Raises InputError for one that is not there."""
    tasks = [task_file(directory, task, split) for task in study.tasks for split in ("train", "dev")]
    return [knowledge_source_file(directory), *tasks]


def _pins_of(stated: Mapping[str, str], files: Mapping[str, Path]) -> dict[str, str]:
    """The pins of these files. Pins of tasks that the study does not use say nothing here.

    Raises InputError for a file that is pinned in its other form, plain or gzipped: it would go unchecked.
    """
    plain = {name.removesuffix(".gz"): name for name in stated}
    for name, path in files.items():
        pinned = plain.get(name.removesuffix(".gz"), name)
        if pinned != name and name not in stated:
            raise InputError("another form of a pinned file", where=path, expected=pinned, found=name)
    return {name: stated[name] for name in files if name in stated}


def given_inputs(study: Study, runs: Mapping[str, Run]) -> list[OutsideInput]:
    """All outside inputs of a study that names their directories: of data, of the retriever, of each checkpoint.

    Where it names none for one of them, that one is left out.
    """
    inputs = outside_inputs(
        study,
        users_data=getattr(study.data, "directory", None),
        retriever=getattr(study.retriever, "directory", None),
    )
    sections = {size: study.initial_for(size) for size in dict.fromkeys(run.size for run in runs.values())}
    checkpoints = {getattr(section, "directory", None): size for size, section in sections.items()}
    for directory, size in checkpoints.items():
        inputs += outside_inputs(study, initial=directory, size=size)
    return inputs


def _checkpoint(name: str, key: str, section: CheckpointInitial | PublishedGtr, directory: Path) -> OutsideInput:
    files, pins = checkpoint_files(directory), {}
    if name == "initial":
        weight_files(directory)  # none that can be read is said now, and not when training starts
    if section.sha256 is not None:
        weights = weight_files(directory).all
        if len(weights) > 1:
            raise InputError(
                "one digest for a checkpoint of several files",
                where=directory,
                expected=f"{key}.sha256 null: the lock holds each of them",
                found=f"{section.sha256} for {len(weights)} files",
            )
        pins = {weights[0].relative_to(directory).as_posix(): section.sha256}
    option = f"{key}.directory={directory}"
    weights = frozenset(files_of_weights(directory))
    return OutsideInput(section=name, release=section.release, option=option, files=files, pins=pins, weights=weights)


def hold(study: Study, inputs: Iterable[OutsideInput]) -> Digests:
    """Checks inputs against their pins and the study's lock, and locks what is new; returns their digests.

    Raises InputError with both digests and the way out where bytes are not those of before.
    """
    lock_file, lock, grown = lock_path(study), locked(study), False
    digests: Digests = {}
    for item in inputs:
        found = digests.setdefault(item.section, {})[item.release] = item.digests()
        before = lock.setdefault(item.section, {}).setdefault(item.release, {})
        added = sorted(item.weights - set(before)) if before else []
        if added:
            raise InputError(
                f"other weights under the name {item.release}",
                where=item.files[added[0]],
                expected=f"the files of {lock_file}",
                found=f"another form or another shard, which would be read; {_ways_out(study, item)}",
            )
        for name, digest in found.items():
            if before.get(name, digest) != digest:
                raise InputError(
                    f"other bytes under the name {item.release}",
                    where=item.files[name],
                    expected=f"sha256 {before[name]} ({lock_file})",
                    found=f"{digest}; {_ways_out(study, item)}",
                )
            grown = grown or name not in before
            before[name] = digest
    if grown:
        write_json(lock_file, lock)
    return digests


def _ways_out(study: Study, item: OutsideInput) -> str:
    return (
        f"give the new files a `{item.section}.release` of their own, or withdraw what was made of the old ones: "
        f"{_relock_command(study)} --set {item.option}"
    )


def _relock_command(study: Study) -> str:
    return f"glimmer inputs --study {study.name} --relock --set results={study.results}"


def lock_path(study: Study) -> Path:
    """Where a study's inputs are locked: among its results."""
    return study.results_directory / "inputs.lock.json"


def locked(study: Study) -> Digests:
    """What is locked so far; empty without a lock. Raises InputError for a lock of another form."""
    path = lock_path(study)
    lock = read_json_object(path) if path.exists() else {}
    for section, releases in lock.items():
        files = releases.values() if isinstance(releases, dict) else [None]
        if not all(isinstance(named, dict) and all(isinstance(d, str) for d in named.values()) for named in files):
            raise InputError(f"the lock of {section}", where=path, expected="release -> file -> sha256",
                             found=f"{releases!r:.80}")  # fmt: skip
    return lock


def inputs_of_run(study: Study, run: Run) -> Digests:
    """The locked digests of what a run was computed from, as its result file keeps them."""
    lock, wanted = locked(study), {}
    sections = {"data": study.data, "initial": study.initial_for(run.size), "retriever": study.retriever}
    for name, section in sections.items():
        release = getattr(section, "release", None)
        if release in lock.get(name, {}):
            wanted[name] = {release: lock[name][release]}
    return wanted


def results_of_other_inputs(study: Study, runs: Mapping[str, Run]) -> Iterator[tuple[str, str]]:
    """(run id, what differs) of every result of the study that was computed from other bytes than those now locked."""
    for id, run in runs.items():
        path = study.result_file(id)
        if path.exists():
            differs = _difference(_recorded(read_json(path), study, run), inputs_of_run(study, run))
            if differs:
                yield id, differs


def check_results(study: Study, runs: Mapping[str, Run]) -> None:
    """Raises InputError if a result that stands under a planned id was computed from other bytes than are there now."""
    for id, differs in results_of_other_inputs(study, runs):
        raise InputError(
            "a result of other inputs",
            where=study.result_file(id),
            expected=f"the bytes of {lock_path(study)}",
            found=f"{differs}; withdraw such results: {_relock_command(study)}, with --set for every directory",
        )


def relock(study: Study, inputs: Iterable[OutsideInput], runs: Mapping[str, Run]) -> list[str]:
    """Locks the bytes that are there now; returns the ids of the results of other bytes, which it deletes.

    Trained readers and checkpoints of other bytes go too, measured or not; those of the same bytes stay.
    """
    before = {id: inputs_of_run(study, run) for id, run in runs.items()}
    lock = locked(study)
    for item in inputs:
        lock.setdefault(item.section, {})[item.release] = item.digests()
    write_json(lock_path(study), lock)
    withdrawn = [id for id, _ in results_of_other_inputs(study, runs)]
    for id in withdrawn:
        study.result_file(id).unlink()
    for id, run in runs.items():
        if id in withdrawn or _difference(before[id], inputs_of_run(study, run)):
            shutil.rmtree(study.run_directory(id, run.seed), ignore_errors=True)
    return withdrawn


def _recorded(result: Mapping[str, Any], study: Study, run: Run) -> Digests:
    """What a result file says it was computed from. Files of before locks have only digests of data and checkpoint."""
    if "inputs" in result:
        return result["inputs"]
    digests, recorded = result.get("digests") or {}, {}
    initial = study.initial_for(run.size)
    if isinstance(initial, CheckpointInitial) and isinstance(digests.get("initial_checkpoint"), str):
        recorded["initial"] = {initial.release: {"model.safetensors": digests["initial_checkpoint"]}}
    if isinstance(study.data, KiltData) and not study.data.subset and isinstance(digests.get("data"), dict):
        recorded["data"] = {study.data.release: digests["data"]}
    return recorded


def _difference(recorded: Digests, present: Digests) -> str:
    """The first file that both know and that differs, in words; empty if there is none."""
    for section, releases in recorded.items():
        for release, files in releases.items():
            now = present.get(section, {}).get(release, {})
            for name, digest in files.items():
                if now.get(name, digest) != digest:
                    return f"{name} of {release} was {digest[:12]}…, is {now[name][:12]}…"
    return ""


def remembered_sha256(path: str | Path) -> str:
    """`sha256_file`, computed once for a file: remembered in the cache with its size, times and inode.

    A file that was written, replaced or moved since has another change time, which no program sets at will.
    """
    path = existing(path).resolve()
    stat = path.stat()
    stamp = [str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    name = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    memory = cache_directory() / "digests" / f"{name}.json"
    try:
        remembered = read_json(memory)
        if remembered["stamp"] == stamp:
            return remembered["sha256"]
    except (InputError, KeyError, TypeError):
        pass
    digest = sha256_file(path)
    write_json(memory, {"stamp": stamp, "sha256": digest})
    return digest
