"""Evaluates one run of a study: memory store, greedy answers, guess files, KILT scores, intervals, result file."""

from __future__ import annotations

import dataclasses
import datetime
import shutil
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from glimmer import processes
from glimmer.compute import operation_counts
from glimmer.errors import InputError
from glimmer.evaluation.answering import Answer, Answerer
from glimmer.evaluation.intervals import Interval, average_interval, mean_interval
from glimmer.evaluation.kilt_package import cross_check, worst
from glimmer.evaluation.kilt_scores import Scores, score_files
from glimmer.evaluation.kilt_scores.answers import normalise
from glimmer.files import SEAL, atomic_write, check_seal, numbered_lines, read_json_object, sha256_file
from glimmer.kilt.formats import HEADLINE, Guess, write_guesses
from glimmer.kilt.passages import PassageFile
from glimmer.models.mesh import device_mesh, place_parameters
from glimmer.models.store import ALL
from glimmer.parts import StagePart
from glimmer.runs.answer_log import AnswerLog
from glimmer.runs.made_by import code_version, made_by, peak_memory
from glimmer.runs.materials import Materials
from glimmer.runs.memory import write_memory, write_part
from glimmer.runs.order import order_scores
from glimmer.runs.shown import shown_questions
from glimmer.training.checkpoints import Which, restore_parameters
from glimmer.training.curve import Selection
from glimmer.training.examples import TaskExamples
from glimmer.training.state import SplitReader, split_reader


def evaluate_run(materials: Materials, trained: Path) -> dict[str, Any] | None:
    """Answers and scores a run's dev sets; returns the result file's content. Scores are fractions in [0, 1].

    `trained` is what `train_run` wrote. Guess files, the gold lines they are scored against and the memory store are
    left in `guesses`, `gold` and `memory` beside it (of a run that has another's parameters, in a folder of its own).
    Where the best and the last parameters differ, the kept ones are evaluated, and `other` says what the others score
    on the same questions, where the study asks for both; never of a reader that is given other passages on dev.
    Of several processes that evaluate together all must call this, on one file system: each reads the rows and the
    memory that its devices answer, process 0 alone scores, writes (blocks of memory apart) and gets the result; the
    others get None.
    """
    study, run, aside = materials.study, materials.run, _aside(materials, trained)
    training, identity = _agreed(materials, trained)
    mesh = device_mesh(study.devices)
    reader = place_parameters(split_reader(materials.reader, materials.frozen), mesh)
    selection = _selection(materials, training)
    evaluation = study.evaluation
    answerer = Answerer(materials.batcher, materials.tokenizer, study.lengths.target, evaluation.batch_size, mesh)
    kept = reader if selection is None else _with_parameters(reader, trained, selection.kept_in)
    answered = _answer(materials, answerer, kept, aside, identity)
    both = selection is not None and evaluation.both and run.trained_id == run.id
    other = _other(materials, answerer, reader, trained, selection, aside / "other") if both else {}
    with processes.together():
        if answered is None:
            return None
        result = _result(materials, training, selection, answered, aside)
        for place in (aside, aside / "other"):
            shutil.rmtree(place / "answers", ignore_errors=True)
        return result | other


def _result(
    materials: Materials, training: dict[str, Any], selection: Selection | None, answered: _Answered, aside: Path
) -> dict[str, Any]:
    """The result file's content, without what the parameters score that are not kept."""
    study, run, evaluation = materials.study, materials.run, materials.study.evaluation
    resamples = evaluation.bootstrap_samples
    scored = {task: _task_result(task, each.scores, each.kept, resamples) for task, each in answered.tasks.items()}
    per_example = {task: scored[task]["per_example"]["metric"] for task in evaluation.in_mean(scored)}
    interval = average_interval(per_example, resamples=resamples)
    checks = {
        task: cross_check(aside / "gold" / f"{task}.jsonl", aside / "guesses" / f"{task}.jsonl", each.scores)
        for task, each in answered.tasks.items()
    }
    return made_by(study, run) | {
        "digests": materials.digests,
        "inputs": materials.inputs,
        "measured_on": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "wall_seconds": {"train": training["seconds"] if run.trained_id == run.id else 0.0} | answered.seconds,
        "operation_counts": operation_counts(run.dimensions, run.workload),
        "peak_memory_bytes": {"train": training["peak_memory_bytes"], "evaluate": peak_memory()},
        "memory_bytes_per_passage": answered.bytes_per_passage,
        "telemetry": training.get("telemetry"),
        "learning_curve": training["curve"],
        "training_units": training["training_units"],
        "selection": training["selection"],
        "kept_step": 0 if selection is None else selection.kept["step"],
        "stopped": training["stopped"],
        "dev_slices": {slices.selection.task: slices.described() for slices in materials.dev},
        "tasks": scored,
        "shown": {task: each.shown for task, each in answered.tasks.items()},
        "average": {
            "score": interval.mean,
            "interval": [interval.low, interval.high],
            "tasks": list(per_example),
            "n_tasks": len(per_example),
        },
        "kilt_package_check": worst(checks),
    }


def remember_run(materials: Materials, trained: Path, part: StagePart = ALL) -> list[int] | None:
    """Writes one job's part of the memory that `evaluate_run` reads for the parameters that are kept.

    Returns the numbers of the blocks that were computed now; None where the run reads no stored memory. Of several
    processes that do the part together all must call this.
    """
    reader = kept_reader(materials, trained).merge()
    return write_part(reader, materials, _aside(materials, trained) / "memory", part)


def kept_reader(materials: Materials, trained: Path) -> SplitReader:
    """The run's reader with the parameters that are kept, on the study's mesh. Raises InputError as `evaluate_run`."""
    selection = _selection(materials, _agreed(materials, trained)[0])
    reader = place_parameters(split_reader(materials.reader, materials.frozen), device_mesh(materials.study.devices))
    return reader if selection is None else _with_parameters(reader, trained, selection.kept_in)


def _agreed(materials: Materials, trained: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What training left, and what decides the answers; all that they are made of was read, and is alike on all
    processes. Raises InputError as `_training_of`, on every process if on one.
    """
    with processes.together():
        training = _training_of(materials, trained)
        materials.read_for_evaluation()
        identity = _identity(materials, trained)
    processes.require_alike("what they evaluate", identity)
    return training, identity


def _aside(materials: Materials, trained: Path) -> Path:
    """Where the run leaves what lies beside `trained`: in a folder of its own, if these are another's parameters."""
    run = materials.run
    return trained.parent if run.trained_id == run.id else trained.parent.parent / run.id


def _selection(materials: Materials, training: dict[str, Any]) -> Selection | None:
    return Selection(**training["selection"]) if materials.run.reader.trained else None


def _identity(materials: Materials, trained: Path) -> dict[str, Any]:
    """What decides the answers: run, files, parameters, code, and how questions come together in a batch."""
    training = trained / "training.json"
    parameters = trained / SEAL if (trained / SEAL).exists() else training
    return {
        "run": materials.run.id,
        "digests": materials.digests,
        "parameters": sha256_file(parameters),
        "code_version": code_version(),
        "batch_size": materials.study.evaluation.batch_size,
        "devices": dataclasses.asdict(materials.study.devices),
    }


def _training_of(materials: Materials, trained: Path) -> dict[str, Any]:
    """What training left. Raises InputError if earlier code left it, or if a file that it was computed from changed."""
    check_seal(trained)
    training, digests = read_json_object(trained / "training.json"), materials.digests
    missing = sorted({"selection", "training_units", "run"} - set(training))
    if missing:
        raise InputError("trained by an earlier version", where=trained, expected=", ".join(missing), found="neither")
    if training["run"] != materials.run.trained_id:
        expected = f"those of run {materials.run.trained_id}"
        raise InputError("parameters of another run", where=trained, expected=expected, found=training["run"])
    changed = sorted(key for key in digests if digests[key] != training["digests"][key])
    if changed:
        raise InputError("files changed since training", where=trained, expected="none", found=changed)
    return training


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ScoredTask:
    """Of one task a reader's scores, what else is kept of each example, and questions to look at."""

    scores: Scores
    kept: dict[str, list]
    shown: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answered:
    """The tasks that a reader answered, seconds by part, and what its store takes for a passage."""

    tasks: dict[str, _ScoredTask]
    seconds: dict[str, float]
    bytes_per_passage: int


def _answer(
    materials: Materials, answerer: Answerer, reader: SplitReader, aside: Path, identity: dict[str, Any]
) -> _Answered | None:
    """Answers the dev questions with a reader and scores them; leaves memory, guesses and gold under `aside`.

    Answers are logged batch by batch, with the `identity` of what gives them: an evaluation that was stopped goes on.
    None but on process 0, which scores.
    """
    started = time.monotonic()
    store = write_memory(reader.merge(), materials, aside / "memory")
    remembered, before, tasks = time.monotonic(), 0.0, {}
    for task in materials.evaluated:
        log = AnswerLog(aside / "answers" / f"{task.task}.jsonl", identity | {"task": task.task})
        answers = log.answers(answerer, reader, task, store)
        before += log.seconds_before
        with processes.together():
            if processes.is_first():
                tasks[task.task] = _scored(materials, task, answers, aside)
    if not processes.is_first():
        return None
    return _Answered(
        tasks=tasks,
        seconds={"memory": remembered - started, "evaluate": before + time.monotonic() - remembered},
        bytes_per_passage=0 if store is None else store.bytes_per_passage,
    )


def _scored(materials: Materials, task: TaskExamples, answers: list[Answer], aside: Path) -> _ScoredTask:
    """Writes the guesses and their gold lines under `aside`, and scores them."""
    guesses, gold = (aside / kind / f"{task.task}.jsonl" for kind in ("guesses", "gold"))
    _write_guesses(guesses, task, answers, materials.batcher.corpus.file)
    _write_gold(gold, task)
    scores, m = score_files(gold, guesses), materials.run.reader.m
    kept = {"answers": [_answer_digest(answer.text) for answer in answers]}
    kept |= order_scores(task, answers, materials.batcher, m, gold)
    return _ScoredTask(scores=scores, kept=kept, shown=shown_questions(task, answers, materials.batcher, m))


def _other(
    materials: Materials, answerer: Answerer, reader: SplitReader, trained: Path, selection: Selection, aside: Path
) -> dict[str, Any]:
    """`other` of a result file: the headline scores of the parameters that are not kept. Empty if there are none, and
    but on process 0.

    Guess files are left in `aside`, the memory store is not.
    """
    if selection.other is None:
        return {}
    identity = _identity(materials, trained) | {"which": selection.other}
    answered = _answer(materials, answerer, _with_parameters(reader, trained, selection.other), aside, identity)
    if answered is None:
        return {}
    shutil.rmtree(aside / "memory", ignore_errors=True)
    tasks = {task: scored.scores.downstream[HEADLINE[task]] for task, scored in answered.tasks.items()}
    step = getattr(selection, selection.other)["step"]
    average = fmean(tasks[task] for task in materials.study.evaluation.in_mean(tasks))
    return {"other": {"which": selection.other, "step": step, "tasks": tasks, "average": average}}


def _with_parameters(reader: SplitReader, trained: Path, which: Which) -> SplitReader:
    return dataclasses.replace(reader, trained=restore_parameters(trained, which, reader.trained))


def _write_guesses(path: Path, task: TaskExamples, answers: Iterable[Answer], passages: PassageFile) -> None:
    """One guess an answer, with the provenance of the passages it was given, in the reader's order."""
    write_guesses(
        path,
        (
            Guess(
                id=task.examples[answer.row].id,
                answer=answer.text,
                provenance=[passages.provenance(passage) for passage in answer.passages],
            )
            for answer in answers
        ),
    )


def _write_gold(path: Path, task: TaskExamples) -> None:
    """The gold lines of exactly the rows that were answered, as they stand in the task's file."""
    wanted = {int(row) for row in task.rows}
    with atomic_write(path, "wb") as file:
        for number, line in numbered_lines(task.path):
            if number - 1 in wanted:
                file.write(line + b"\n")


def _answer_digest(answer: str) -> str:
    """Eight hex digits by which two runs' answers can be compared: the crc32 of the answer as scores normalise it."""
    return f"{zlib.crc32(normalise(answer).encode()):08x}"


def _task_result(task: str, scores, kept: dict[str, list], resamples: int) -> dict[str, Any]:
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
        }
        | kept,
    }
