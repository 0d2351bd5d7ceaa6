"""Predictions of somebody else, scored on exactly the dev questions that a study's runs answer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.evaluation.intervals import average_interval, mean_interval
from glimmer.evaluation.kilt_scores import Scores, score_files
from glimmer.evaluation.kilt_scores.all_tasks import has_provenance, task_file_or_plain
from glimmer.experiments import Study
from glimmer.experiments.sections import KiltData
from glimmer.experiments.settings import SCIENCE_VERSION
from glimmer.experiments.stages import work_file
from glimmer.experiments.strict import read
from glimmer.files import atomic_write, numbered_lines, sha256_file, write_json
from glimmer.kilt.digests import DigestTable
from glimmer.kilt.formats import HEADLINE, id_text, read_examples, read_objects, task_file
from glimmer.results import Runs, load_runs
from glimmer.results.foreign import FOLDER, ForeignReader, as_json, foreign_id, load_foreign
from glimmer.runs.made_by import code_version
from glimmer.runs.slices import digest_of_ids, slice_rows


def import_guesses(
    study: Study,
    gold: Path,
    guesses: Path,
    *,
    name: str,
    k: int,
    m: int | None = None,
    note: str = "",
    replicate: int | None = None,
) -> ForeignReader:
    """A foreign reader of a study (of one of its replicates, where it has some): every task of the mean is scored, and
    every other task of which there is a guess file.

    `gold` has the study's dev files. Where the study has runs, they must be the files that those answered. Raises
    InputError for what is missing or wrong, with file and line.
    """
    if study.replicates and replicate not in study.seeds:
        raise InputError("a study with replicates has questions of its own in each", where=study.source,
                         expected=f"--replicate {' or '.join(map(str, study.seeds))}", found=replicate)  # fmt: skip
    if not study.replicates and replicate is not None:
        raise InputError("the study has no replicates", where=study.source, found=f"--replicate {replicate}")
    in_mean = study.evaluation.in_mean(study.tasks)
    files = dict(_guess_files(guesses, study.tasks, in_mean))
    runs = load_runs(study.results_directory)
    tasks, examples = {}, {}
    for task, guess in files.items():
        path = task_file(gold, task, "dev")
        _require_same_questions(path, getattr(study.data, "sha256", {}), runs, replicate)
        tasks[task], examples[task] = _task(study, task, path, guess)
        _require_same_slice(task, tasks[task]["questions"], path, runs)
    interval = average_interval(
        {task: examples[task] for task in in_mean}, resamples=study.evaluation.bootstrap_samples
    )
    fields: dict[str, Any] = {
        "kind": "foreign",
        "name": name,
        "k": k,
        "m": m,
        "note": note,
        "study": study.name,
        "replicate": replicate,
        "science_version": SCIENCE_VERSION,
        "scored_by": code_version(),
        "tasks": tasks,
        "average": {"score": interval.mean, "interval": [interval.low, interval.high], "tasks": in_mean},
    }
    return read(ForeignReader, fields | {"id": foreign_id(fields)}, "import")


def questions_of(study: Study, replicate: int | None) -> Path:
    """Where the dev files of a study (of one of its replicates) lie. Raises InputError where they are not there."""
    data = study.data
    if isinstance(data, KiltData) and data.subset is None:
        directory = Path(data.directory) if data.directory else None
    else:
        directory = work_file(study.run_directory("", replicate or 0).parent, "data")
    if directory is None or not directory.is_dir():
        raise InputError("the study's dev files are not there", where=directory or study.source,
                         expected="--gold DIR")  # fmt: skip
    return directory


def write_foreign(reader: ForeignReader, results: Path, *, replace: bool = False) -> Path:
    """Writes a foreign reader's file among a study's results, once; returns its path.

    Raises InputError where another reader of that name is there already, unless `replace`, which removes it.
    """
    same = [
        other
        for other in load_foreign(results)[0]
        if (other.name, other.replicate) == (reader.name, reader.replicate) and other.id != reader.id
    ]
    if same and not replace:
        raise InputError("another foreign reader has this name", where=results / FOLDER / f"{same[0].id}.json",
                         expected="another --name, or --replace", found=reader.name)  # fmt: skip
    path = results / FOLDER / f"{reader.id}.json"
    write_json(path, as_json(reader))
    for other in same:
        (results / FOLDER / f"{other.id}.json").unlink()
    return path


def _guess_files(directory: Path, tasks: Sequence[str], needed: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """(task, its guess file). Raises InputError that names all files that are needed and not there."""
    if not directory.is_dir():
        raise InputError("no directory of guess files", where=directory)
    missing = []
    for task in tasks:
        try:
            yield task, task_file_or_plain(directory, task, "dev")
        except InputError:
            missing += [task] if task in needed else []
    if missing:
        raise InputError("guesses are missing", where=directory, expected=f"a file of each of {', '.join(needed)}",
                         found=f"none of {', '.join(missing)}")  # fmt: skip


def _require_same_questions(gold: Path, pins: Mapping[str, str], runs: Runs, replicate: int | None) -> None:
    """Raises InputError where the study pins, or its runs (of this replicate) answered, another file than this one."""
    digest = sha256_file(gold)
    if digest != pins.get(gold.name, digest):
        raise InputError("another file than the study names", where=gold, expected=f"sha256 {pins[gold.name]}",
                         found=digest)  # fmt: skip
    for id, run in runs.by_id.items():
        known = (run.get("digests") or {}).get("data") or {}
        answered = known.get(gold.name) if isinstance(known, dict) else None
        if answered is None or replicate not in (None, run.get("seed")):
            continue
        if answered != digest:
            raise InputError("other questions than the study's runs answered", where=gold,
                             expected=f"sha256 {answered}, as in run {id}", found=digest)  # fmt: skip


def _require_same_slice(task: str, questions: str, gold: Path, runs: Runs) -> None:
    """Raises InputError where the study's runs answered other ids of the task (files of another name are not compared
    byte by byte: a gzipped copy has another digest)."""
    slices = [(run.get("dev_slices") or {}).get(task, {}).get("evaluated", {}) for run in runs.by_id.values()]
    known = {answered.get("sha256") for answered in slices} - {None}
    if known and questions not in known:
        raise InputError("other questions than the study's runs answered", where=gold,
                         expected=f"ids of digest {' or '.join(sorted(known))}", found=questions)  # fmt: skip


def _task(study: Study, task: str, gold: Path, guess: Path) -> tuple[dict[str, Any], list[float]]:
    """(what the file says of a task, its per-example headline scores)."""
    ids = {row: example.id for row, example in enumerate(read_examples(gold, require_answers=True))}
    rows = slice_rows(ids, study.training.dev_examples, study.evaluation.dev_examples, gold)[1]
    _require_guesses([ids[row] for row in rows], guess)
    scores, metric = _scored(gold, rows, guess), HEADLINE[task]
    examples = {"metric": scores.per_example[metric].tolist()}
    with_pages = has_provenance(guess)
    if with_pages:
        examples["rprec"] = scores.per_example["Rprec"].tolist()
    interval = mean_interval(scores.per_example[metric], resamples=study.evaluation.bootstrap_samples)
    stated = {
        "n": scores.n,
        "metric": metric,
        "score": scores.downstream[metric],
        "interval": [interval.low, interval.high],
        "kilt": scores.kilt[f"KILT-{metric}"] if with_pages else None,
        "rprec": scores.retrieval["Rprec"] if with_pages else None,
        "questions": digest_of_ids(ids[row] for row in rows),
        "gold": sha256_file(gold),
        "guesses": sha256_file(guess),
        "per_example": examples,
    }
    return stated, examples["metric"]


def _require_guesses(ids: Sequence[str], guess: Path) -> None:
    guessed = DigestTable()
    for where, row in read_objects(guess):
        if "id" not in row:
            raise InputError("line without `id`", where=where)
        guessed.append(id_text(row["id"]), 0)
    missing = [id for id in ids if id not in guessed]
    if missing:
        found = f"none for {len(missing)} of them, such as {', '.join(missing[:3])}"
        raise InputError("no guess for a question of the study", where=guess,
                         expected=f"a line for each of {len(ids)} questions", found=found)  # fmt: skip


def _scored(gold: Path, rows: Sequence[int], guess: Path) -> Scores:
    """The scores on these rows of a gold file alone; an error in one of them names its line in that file."""
    wanted = set(rows)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "gold.jsonl"
        with atomic_write(part, "wb") as file:
            for number, line in numbered_lines(gold):
                if number - 1 in wanted:
                    file.write(line + b"\n")
        try:
            return score_files(part, guess, programs=["downstream"])
        except InputError as error:
            place, _, number = str(error.where).rpartition(":")
            if place != str(part):
                raise
            where = f"{gold}:{rows[int(number) - 1] + 1}"
            raise InputError(error.what, where=where, expected=error.expected, found=error.found) from None
