"""What parts of a study's grid cost, each of which a call may ask for alone: one seed, one artifact, one checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from glimmer.experiments import Study, runs_for
from glimmer.runs import bill

_KEYS = ("artifacts", "seeds", "baselines")
_COSTS = ("longest_job_hours", "device_hours", "hours", "price")


def costs_of_parts(study: Study, machine: bill.Times, passages: int | None = None) -> list[dict[str, Any]]:
    """A row a part, after one of everything; each has the stages before training too.

    One seed; of that the artifacts that need no checkpoint beside the study's own; each artifact. The floors beside the
    paper's points (`baselines`) are left out of parts of the artifacts. `options`: what makes a plan of the part.
    """
    return [_row(name, study, part, machine, passages) for name, part in _parts(study).items()]


def _parts(study: Study) -> dict[str, Study]:
    alone = {name: _with(study, [name]) for name in study.artifacts}
    plain = [name for name, part in alone.items() if not _other_checkpoints(part)]
    parts = {"everything": study, "one seed": dataclasses.replace(study, seeds=study.seeds[:1])}
    if len(plain) < len(alone):
        parts["one seed, one checkpoint"] = _with(study, plain)
    parts |= {f"one seed, {name}": part for name, part in alone.items()}
    return {name: part for name, part in parts.items() if part is study or (part.artifacts and changed(study, part))}


def _with(study: Study, artifacts: Iterable[str]) -> Study:
    return dataclasses.replace(study, artifacts=tuple(artifacts), baselines=(), seeds=study.seeds[:1], fewer_seeds={})


def _other_checkpoints(study: Study) -> set[str]:
    return {run.size for run in runs_for(study).values()} & set(study.sizes)


def changed(study: Study, part: Study) -> list[str]:
    """The keys in which a part of a study's grid is another than the whole."""
    return [key for key in _KEYS if getattr(part, key) != getattr(study, key)]


def _row(name: str, study: Study, part: Study, machine: bill.Times, passages: int | None) -> dict[str, Any]:
    jobs = bill.jobs_of(part, passages)
    summed = bill.total(bill.by_stage(jobs, machine))
    options = [f"{key}=[{','.join(map(str, getattr(part, key)))}]" for key in changed(study, part)]
    options += ["fewer_seeds={}"] if part.fewer_seeds != study.fewer_seeds else []
    return {
        "part": name,
        "trainings": sum(job.stage == "train" for job in jobs),
        "sizes": ",".join(dict.fromkeys(job.size for job in jobs if job.size)),
        **{key: summed[key] for key in _COSTS if key in summed},
        "options": " ".join(f"--set {option}" for option in options),
    }
