"""Trains one run of a study: its examples, optimizer and dev average, put into the training loop."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from glimmer import processes
from glimmer.compute import peak_operations, training_macs
from glimmer.errors import InputError
from glimmer.evaluation.answering import Answerer
from glimmer.evaluation.dev import AnswerLoss, dev_scores
from glimmer.files import check_seal, only_one, remove_directory, sealed_directory, write_json
from glimmer.models.mesh import device_mesh, own_rows, place_parameters
from glimmer.results.failed_runs import FailedRun, forget_failure, record_failure
from glimmer.runs.made_by import code_version, peak_memory
from glimmer.runs.materials import Materials
from glimmer.training.checkpoints import restore_parameters
from glimmer.training.curve import Selection, TrainingPlan
from glimmer.training.loop import NotFinite, train
from glimmer.training.mixture import UniformMixture
from glimmer.training.optimizer import build_optimizer
from glimmer.training.state import SplitReader, split_reader
from glimmer.training.telemetry import Telemetry
from glimmer.training.units import training_units


def train_run(
    materials: Materials, out: Path, *, metrics: Path | None = None, profile: Path | None = None
) -> dict[str, Any]:
    """Trains a run and writes `out`: training.json, and the best and last parameters (none for an untrained baseline).

    Checkpoints lie in `checkpoints` beside `out` while training lasts, so that an interrupted run resumes. `metrics` is
    a CSV file of every step, `profile` a directory for a trace of a few. Of several processes that train it together
    all must call this, on one file system, and process 0 alone writes (checkpoints apart, which all write).
    Raises InputError for a run that has another's parameters, or that another process is training; NotFinite, having
    left a record among the study's results, where its numbers go wrong.
    """
    run = materials.run
    if run.trained_id != run.id:
        raise InputError("not a run that is trained", where=run.id, expected=f"run {run.trained_id}, whose parameters"
                         " it has", found=f"dev_evidence {run.reader.dev_evidence}")  # fmt: skip
    if not run.reader.trained:
        untrained = {"curve": [], "selection": None, "training_units": None, "stopped": "untrained baseline"}
        return _write(out, untrained | {"seconds": 0.0} | _identity(materials), None)
    with contextlib.ExitStack() as held:
        with processes.together():
            if processes.is_first():
                held.enter_context(only_one(out.parent / "training.lock"))
        try:
            result = _train(materials, out, metrics, profile)
        except NotFinite as fault:
            if processes.is_first():
                _record(materials, fault)
            raise
        if processes.is_first():
            forget_failure(materials.study.results_directory, run.id)
        return result


def _record(materials: Materials, fault: NotFinite) -> None:
    wrong = {name: getattr(fault, name) for name in ("step", "what", "batch", "last_saved")}
    failed = FailedRun(run=materials.run.id, code_version=code_version(), **wrong)
    record_failure(materials.study.results_directory, failed)


def _telemetry(materials: Materials, metrics: Path | None, profile: Path | None) -> Telemetry:
    run, devices = materials.run, jax.devices()
    macs = training_macs(
        run.dimensions,
        run.workload,
        frozen_memory=run.reader.memory == "frozen",
        distils=run.reader.distils,
    )
    peak = peak_operations(devices[0].device_kind)
    return Telemetry(
        operations=2 * float(macs),
        peak=None if peak is None else peak * len(devices),
        device=f"{devices[0].device_kind} x {len(devices)}",
        metrics=metrics if processes.is_first() else None,
        profile=profile if processes.is_first() else None,
    )


def _train(materials: Materials, out: Path, metrics: Path | None, profile: Path | None) -> dict[str, Any]:
    with processes.together():
        materials.read_for_training()
    identity = {"run": materials.run.id, "digests": materials.digests}
    # What is outside ids must be alike too: the mesh, and the shape of what is evaluated.
    outside = vars(materials.study.devices) | {"evaluation": materials.study.evaluation.batch_size}
    processes.require_alike("what they train", identity | outside)
    run, training = materials.run, materials.study.training
    batcher, examples, evaluation = materials.batcher, materials.train, materials.study.evaluation
    mixture = UniformMixture({task: len(rows) for task, rows in examples.items()}, seed=run.lot)
    mesh = device_mesh(materials.study.devices)
    answerer = Answerer(batcher, materials.tokenizer, materials.study.lengths.target, evaluation.batch_size, mesh)

    own = own_rows(training.batch_size, mesh, materials.study.devices.microbatches)

    def make_batch(step: int):
        drawn = mixture.rows(step, training.batch_size)
        chosen = (drawn[place] for place in own)
        return batcher.batch([(examples[task], int(examples[task].rows[place])) for task, place in chosen])

    losses = {
        name: AnswerLoss(batcher, tasks, evaluation.batch_size, mesh) for name, tasks in materials.of_losses.items()
    }

    def rows(step: int) -> list[str]:
        chosen = ((examples[task], place) for task, place in mixture.rows(step, training.batch_size))
        return [each.examples[int(each.rows[place])].id for each, place in chosen]

    def on_dev(reader: SplitReader) -> dict[str, Any]:
        scores = dev_scores(answerer, reader, materials.selection)
        found = {name: loss(reader) for name, loss in losses.items()}
        wanted = evaluation.in_mean(scores)
        average = float(np.mean([scores[task] for task in wanted]))
        of_task = {task: {name: loss.mean([task]) for name, loss in found.items()} for task in scores}
        return {
            "dev_average": average,
            **{name: loss.mean(wanted) for name, loss in found.items()},
            "tasks": {task: {"dev_score": score} | of_task[task] for task, score in scores.items()},
        }

    checkpoints = out.parent / "checkpoints"
    outcome = train(
        split_reader(materials.reader, materials.frozen),
        build_optimizer(training),
        make_batch,
        on_dev,
        TrainingPlan(
            steps=training.steps,
            evaluate_every=training.evaluate_every,
            patience=training.patience,
            keep=training.keep,
            seed=run.lot,
            microbatches=materials.study.devices.microbatches,
            checkpoint_seconds=materials.study.preemption.checkpoint_seconds,
        ),
        checkpoints,
        mesh,
        identity=identity,
        rows=rows,
        telemetry=_telemetry(materials, metrics, profile),
    )
    units = _units(materials, mixture, outcome.selection, checkpoints, mesh)
    left = dataclasses.asdict(outcome) | {"training_units": units} | _identity(materials)
    return _write(out, left, checkpoints)


def _identity(materials: Materials) -> dict[str, Any]:
    """Whose parameters these are, what they were computed from, and the most memory that it took."""
    return {"run": materials.run.id, "digests": materials.digests, "peak_memory_bytes": peak_memory()}


def _units(
    materials: Materials, mixture: UniformMixture, selection: Selection, checkpoints: Path, mesh: Mesh
) -> dict[str, Any]:
    """The units of all steps that were done, whichever of them is kept."""
    before = place_parameters(split_reader(materials.initial_reader(), materials.frozen), mesh)
    last = "best" if selection.other is None else "last"
    trained = restore_parameters(checkpoints, last, before.trained)
    return training_units(materials.study.training, mixture, int(selection.last["step"]), before, trained)


def _write(out: Path, result: dict[str, Any], checkpoints: Path | None) -> dict[str, Any]:
    """Leaves the result, with the parameters under `checkpoints` instead of these; all processes must come here."""
    with processes.together():
        if processes.is_first():
            _write_alone(out, result, checkpoints)
            if checkpoints is not None:
                remove_directory(checkpoints)  # at once: half of it would be taken for a run to resume
    return result


def _write_alone(out: Path, result: dict[str, Any], checkpoints: Path | None) -> None:
    with sealed_directory(out) as temporary:
        write_json(temporary / "training.json", result)
        if checkpoints is not None:
            for which in ("best", "last"):
                if (checkpoints / which).exists():
                    for step in (checkpoints / which).glob("[0-9]*"):
                        check_seal(checkpoints, f"{which}/{step.name}/")
                    # A link costs nothing however large the checkpoint; the original goes with its directory.
                    shutil.copytree(checkpoints / which, temporary / which, copy_function=os.link)
