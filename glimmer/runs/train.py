"""Trains one run of a study: its examples, optimizer and dev average, put into the training loop."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from glimmer.evaluation.answering import Answerer
from glimmer.evaluation.dev import dev_scores
from glimmer.experiments import Study
from glimmer.files import atomic_directory, write_json
from glimmer.models.mesh import device_mesh
from glimmer.runs.materials import (
    Places,
    dev_examples,
    digests,
    find_run,
    load_batcher,
    load_reader,
    train_examples,
)
from glimmer.training.loop import TrainingPlan, train
from glimmer.training.mixture import UniformMixture
from glimmer.training.optimizer import build_optimizer
from glimmer.training.state import split_reader


def train_run(study: Study, run_id: str, places: Places, out: Path) -> dict[str, Any]:
    """Trains a run and writes `out`: training.json, and the parameters kept (none for an untrained baseline).

    Checkpoints lie in `checkpoints` beside `out` while training lasts, so that an interrupted run resumes.
    """
    run = find_run(study, run_id)
    made_from = digests(run, places)
    if not run.reader.trained:
        result = {
            "curve": [],
            "kept_step": 0,
            "kept_dev_average": None,
            "stopped": "untrained baseline",
            "seconds": 0.0,
        }
        return _write(out, result | {"digests": made_from}, None)
    training = study.training
    reader = load_reader(study, run, places)
    batcher, tokenizer = load_batcher(study, run, places)
    examples = train_examples(study, run, places)
    mixture = UniformMixture({task: len(found) for task, found in examples.items()}, seed=run.seed)

    def make_batch(step: int):
        chosen = mixture.rows(step, training["batch_size"])
        return batcher.batch([(examples[task], int(examples[task].rows[place])) for task, place in chosen])

    frozen = ("embedding",) if training["freeze_embeddings"] else ()
    plan = TrainingPlan(
        steps=training["steps"],
        evaluate_every=training["evaluate_every"],
        patience=training["patience"],
        keep=training.get("keep", "best"),
        frozen=frozen,
        seed=run.seed,
    )
    definition, _, _ = split_reader(reader, frozen)
    mesh = device_mesh()
    answerer = Answerer(definition, batcher, tokenizer, study.lengths["target"], study.evaluation["batch_size"], mesh)
    # The same dev examples for every run: the first of those it is evaluated on.
    dev = [
        task.first(training["dev_examples"])
        for task in dev_examples(study, run, places, study.evaluation["dev_examples"])
    ]

    def dev_average(_definition, trained, fixed) -> float:
        return float(np.mean(list(dev_scores(answerer, trained, fixed, dev).values())))

    checkpoints = out.parent / "checkpoints"
    identity = {"run": run_id, "digests": made_from}
    outcome = train(reader, build_optimizer(training), make_batch, dev_average, plan, checkpoints, mesh, identity)
    written = _write(out, dataclasses.asdict(outcome) | {"digests": made_from}, checkpoints)
    shutil.rmtree(checkpoints)
    return written


def _write(out: Path, result: dict[str, Any], checkpoints: Path | None) -> dict[str, Any]:
    with atomic_directory(out) as temporary:
        write_json(temporary / "training.json", result)
        if checkpoints is not None:
            # A link costs nothing however large the checkpoint; the original goes with its directory.
            shutil.copytree(checkpoints / "kept", temporary / "kept", copy_function=os.link)
    return result
