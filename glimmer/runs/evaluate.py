"""Evaluates one run of a study: memory store, greedy answers, guess files, KILT scores, intervals, result file."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

import glimmer
from glimmer.compute import operation_counts
from glimmer.errors import InputError
from glimmer.evaluation.answering import Answerer
from glimmer.evaluation.intervals import Interval, average_interval, mean_interval
from glimmer.evaluation.kilt_package import cross_check
from glimmer.evaluation.kilt_scores import score_files
from glimmer.experiments import Run, Study
from glimmer.files import atomic_write, numbered_lines, read_json
from glimmer.kilt.formats import HEADLINE, Guess, write_guesses
from glimmer.models.mesh import device_mesh, place_parameters
from glimmer.models.reader import Reader
from glimmer.models.store import MemoryStore, write_store
from glimmer.runs.materials import Places, dev_examples, digests, find_run, load_batcher, load_reader
from glimmer.training.checkpoints import restore_kept
from glimmer.training.examples import TaskExamples
from glimmer.training.state import split_reader


def evaluate_run(study: Study, run_id: str, places: Places, trained_directory: Path) -> dict[str, Any]:
    """Answers and scores a run's dev sets; returns the result file's content. Scores are fractions in [0, 1].

    Guess files and the gold lines they are scored against are left in `guesses` and `gold` beside `trained_directory`.
    """
    run = find_run(study, run_id)
    training, made_from = read_json(trained_directory / "training.json"), digests(run, places)
    changed = sorted(key for key in made_from if made_from[key] != training["digests"][key])
    if changed:
        raise InputError("files changed since training", where=trained_directory, expected="none", found=changed)
    reader = load_reader(study, run, places)
    batcher, tokenizer = load_batcher(study, run, places)
    definition, trained, fixed = split_reader(reader, ("embedding",) if study.training["freeze_embeddings"] else ())
    mesh = device_mesh()
    trained, fixed = place_parameters(trained, mesh), place_parameters(fixed, mesh)
    if run.reader.trained:
        trained = restore_kept(trained_directory, trained)
    tasks = dev_examples(study, run, places, study.evaluation["dev_examples"])
    started = time.monotonic()
    store = _memory(nnx.merge(definition, trained, fixed), tasks, batcher, trained_directory.parent / "memory", run_id)
    memory_seconds, started = time.monotonic() - started, time.monotonic()
    answerer = Answerer(definition, batcher, tokenizer, study.lengths["target"], study.evaluation["batch_size"], mesh)
    scored, checks = {}, {}
    for task in tasks:
        guesses = trained_directory.parent / "guesses" / f"{task.task}.jsonl"
        answers = answerer.answers(trained, fixed, task, store)
        provenance = batcher.corpus.file.provenance
        write_guesses(
            guesses,
            (
                Guess(id=task.examples[a.row].id, answer=a.text, provenance=[provenance(p) for p in a.passages])
                for a in answers
            ),
        )
        gold = _gold_lines(task, trained_directory.parent / "gold" / f"{task.task}.jsonl")
        scores = score_files(gold, guesses)
        scored[task.task] = _task_result(task.task, scores, study.evaluation["bootstrap_samples"])
        checks[task.task] = cross_check(gold, guesses, scores)
    per_example = {task: found["per_example"]["metric"] for task, found in scored.items()}
    interval = average_interval(per_example, resamples=study.evaluation["bootstrap_samples"])
    return _provenance(study, run) | {
        "digests": made_from,
        "wall_seconds": {
            "train": training["seconds"],
            "memory": memory_seconds,
            "evaluate": time.monotonic() - started,
        },
        "operation_counts": operation_counts(run.dimensions, run.workload),
        "memory_bytes_per_passage": 0 if store is None else store.bytes_per_passage,
        "learning_curve": training["curve"],
        "kept_step": training["kept_step"],
        "stopped": training["stopped"],
        "tasks": scored,
        "average": {
            "score": interval.mean,
            "interval": [interval.low, interval.high],
            "tasks": list(scored),
            "n_tasks": len(scored),
        },
        "kilt_package_check": _worst(checks),
    }


def _memory(reader: Reader, tasks: list[TaskExamples], batcher, directory: Path, run_id: str) -> MemoryStore | None:
    """The memory of every passage that the tasks need; None where nothing is precomputed (FiD, closed book)."""
    if reader.settings.k == 0 or reader.settings.alpha == 1:
        return None
    needed = np.unique(np.concatenate([batcher.passage_ids(task, row) for task in tasks for row in task.rows]))
    if needed[-1] < 0:  # no question has any passage
        return None
    length = batcher.lengths.passage
    remember = nnx.jit(lambda model, tokens: model.remember_passages(tokens[None])[0])
    return write_store(
        directory,
        needed,
        lambda ids: batcher.corpus.gather(ids[:, None], length)[:, 0],
        lambda tokens: remember(reader, tokens),
        {"run": run_id, "parameters": _digest(reader.memory)},
    )


def _digest(module: nnx.Module) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(nnx.state(module)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _gold_lines(task: TaskExamples, path: Path) -> Path:
    """The gold lines of exactly the rows that were answered, as they stand in the task's file."""
    wanted = {int(row) for row in task.rows}
    with atomic_write(path, "wb") as file:
        for number, line in numbered_lines(task.path):
            if number - 1 in wanted:
                file.write(line + b"\n")
    return path


def _task_result(task: str, scores, resamples: int) -> dict[str, Any]:
    metric = HEADLINE[task]
    interval: Interval = mean_interval(scores.per_example[metric], resamples=resamples)
    return {
        "n": scores.n,
        "metric": metric,
        "score": scores.downstream[metric],
        "interval": [interval.low, interval.high],
        "downstream": scores.downstream,
        "kilt": scores.kilt,
        "retrieval": scores.retrieval,
        "ranking": scores.ranking["wikipedia_id"],
        "per_example": {
            "metric": scores.per_example[metric].tolist(),
            "rprec": scores.per_example["Rprec"].tolist(),
        },
    }


def _worst(checks: dict[str, dict[str, str]]) -> dict[str, str]:
    """One verdict over the tasks: differs if any does, absent if KILT's package is, else agrees."""
    for status in ("differs", "absent"):
        for task, check in checks.items():
            if check["status"] == status:
                return {"status": status, "detail": f"{task}: {check['detail']}"}
    return {"status": "agrees", "detail": f"all scores of {len(checks)} tasks within 1e-9"}


def _provenance(study: Study, run: Run) -> dict[str, Any]:
    """What made the result: settings, code, versions, device."""
    device = jax.devices()[0]
    return {
        "id": run.id,
        "study": study.name,
        "settings": run.settings,
        "seed": run.seed,
        "code_version": code_version(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")},
        "device": {"kind": device.device_kind, "count": jax.device_count(), "platform": device.platform},
    }


def code_version() -> str:
    """The commit of the code, with `+changes` if the tree has any outside results; the package version without git."""
    root = Path(glimmer.__file__).resolve().parents[1]
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "glimmer", "worlds", "config", "pyproject.toml")
    except (OSError, subprocess.CalledProcessError):
        return glimmer.__version__
    return f"{commit}+changes" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()
