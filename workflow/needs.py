"""What a rule asks of a machine: workflow/resources.yaml, looked up."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments import Run, Study
from glimmer.experiments.documents import read_yaml
from glimmer.runs import bill


def needs(rule: str, study: str) -> dict[str, int]:
    """Threads, mem_mb, runtime (minutes) and gpu of a rule in a study; see workflow/resources.yaml."""
    table, of_study = _resources(), _of_study(study)
    return table["default"] | table["rules"].get(rule, {}) | of_study.get("all", {}) | of_study.get(rule, {})


ON_DEVICES = ("train", "remember", "evaluate")
"""Rules whose jobs lie on devices as a study's `devices` say, over as many nodes as that takes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OverNodes:
    """A job on `gpu` accelerators of each of `nodes`, one process a node; `gpu` 0: a CPU, and one process."""

    nodes: int
    gpu: int

    def resources(self) -> dict[str, Any]:
        """What a scheduler is told: the GPUs of all nodes, which are one node, or as many as the study's devices take.

        SLURM would else spread GPUs over several nodes, where no step can have them. A job of several starts its tasks
        itself (`mpi`): Snakemake's executor would start one, and would take `tasks` for those of each GPU unless
        `tasks_per_gpu` is there.
        """
        if self.nodes == 1:
            return {"gpu": self.gpu} | ({"nodes": 1} if self.gpu else {})
        several = {"nodes": self.nodes, "tasks": self.nodes, "tasks_per_gpu": 0, "mpi": "srun"}
        return {"gpu": self.nodes * self.gpu} | several

    def command(self) -> dict[str, Any]:
        """What a shell command has before `glimmer` (`launch`), and after its options (`processes`); for one node
        nothing. Among resources, since these make no output stale."""
        if self.nodes == 1:
            return {"launch": "", "processes": ""}
        tasks = f"srun --nodes={self.nodes} --ntasks={self.nodes} --ntasks-per-node=1 --gpus-per-node={self.gpu}"
        return {
            "launch": lambda wildcards, threads: f"{tasks} --cpus-per-task={threads}",
            "processes": "--processes slurm",
        }


def over_nodes(study: Study, rule: str) -> OverNodes:
    """Over how many nodes a rule's jobs lie: `gpu` of workflow/resources.yaml is what a job has of one.

    Where the study's `devices` are fewer than that, a job has as many as they say. Without a `gpu` the command takes
    what devices it finds. Raises InputError for a mesh that is no whole number of nodes.
    """
    gpu = needs(rule, study.name)["gpu"]
    if not gpu or rule not in ON_DEVICES:
        return OverNodes(nodes=1, gpu=gpu)
    layout = study.devices
    least = layout.fsdp * layout.model
    wanted = least * layout.data if layout.data else max(least, gpu)
    whole = wanted % gpu == 0 if wanted > gpu else wanted % least == 0
    if not whole:
        found = f"data {layout.data or 'any'} x fsdp {layout.fsdp} x model {layout.model}"
        raise InputError("devices are no whole nodes", where=f"{study.source}: devices", found=found,
                         expected=f"a divisor or a multiple of {gpu}, as many as {rule} has of a node")  # fmt: skip
    return OverNodes(nodes=max(wanted // gpu, 1), gpu=min(wanted, gpu))


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
        over = over_nodes(study, job.stage)
        on = bill.Machine(device=machine["device"], devices=over.nodes * over.gpu or 1, share=machine["share"])
        stated = _of_study(study.name).get(job.stage, {}).get("runtime", 0)
        foreseen[job.stage, job.run] = min(max(bill.minutes(job, on), stated), machine["longest"])
    return foreseen


def _of_study(study: str) -> Mapping[str, Any]:
    return _resources()["studies"].get(study, {})


@functools.cache
def _resources() -> Mapping[str, Any]:
    return read_yaml(Path(__file__).with_name("resources.yaml"))
