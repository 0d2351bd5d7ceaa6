"""What a rule asks of a machine: workflow/resources.yaml, looked up."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from glimmer.experiments import Run, Study
from glimmer.experiments.documents import read_yaml
from glimmer.runs import bill


def needs(rule: str, study: str) -> dict[str, int]:
    """Threads, mem_mb, runtime (minutes) and gpu of a rule in a study; see workflow/resources.yaml."""
    table, of_study = _resources(), _of_study(study)
    return table["default"] | table["rules"].get(rule, {}) | of_study.get("all", {}) | of_study.get(rule, {})


def minutes(study: Study, runs: Collection[Run]) -> Mapping[tuple[str, str], int]:
    """(rule, run) -> minutes to ask for, of the jobs that the plan foresees on the study's machine; empty without one.
    `runs` are the study's.

    No fewer than the study states of the rule: the plan knows operations, and neither disks nor hosts. The run is ""
    where a stage is one job, or several equal ones. A rule that copies is not in it.
    """
    machine = _of_study(study.name).get("machine")
    if machine is None:
        return {}
    foreseen = {}
    for job in bill.jobs_of(study, runs=runs):
        on = bill.Machine(
            device=machine["device"], devices=needs(job.stage, study.name)["gpu"] or 1, share=machine["share"]
        )
        stated = _of_study(study.name).get(job.stage, {}).get("runtime", 0)
        foreseen[job.stage, job.run] = min(max(bill.minutes(job, on), stated), machine["longest"])
    return foreseen


def _of_study(study: str) -> Mapping[str, Any]:
    return _resources()["studies"].get(study, {})


@functools.cache
def _resources() -> Mapping[str, Any]:
    return read_yaml(Path(__file__).with_name("resources.yaml"))
