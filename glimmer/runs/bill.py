"""The bill of a study on accelerators, stage by stage: jobs, operations, bytes, hours, from shapes alone.

Nothing is measured here: `glimmer plan --hours` predicts from runs that were. A device does its maker's peak times a
share that is stated; a core reads text at a rate that is stated. Operations are the honest count of glimmer/compute.py,
two a multiply-accumulate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from glimmer.compute import (
    Dimensions,
    device_like,
    memory_bytes_per_token,
    memory_macs_per_passage,
    peak_operations,
    t5_1_1_base,
)
from glimmer.errors import InputError
from glimmer.experiments import Run, Study, hours, runs_for
from glimmer.experiments.sections import GeneratedData, Gtr
from glimmer.experiments.settings import TASKS
from glimmer.kilt.download import PUBLISHED

KILT_PASSAGES = 30_000_000
"""Of at most 200 words: between the 22 million of 100 words that KILT's own index has and the 36 million of another
split. No run has counted them; `glimmer chunk` does."""

SHARE_OF_PEAK = 0.25
"""What public trainings of T5 reach on a Hopper card in bfloat16 is 24 to 28 percent."""

CHUNK_RATE, TOKENIZE_RATE = 5e6, 0.7e6
"""Bytes a second of one core, assumed: of the order seen on a busy machine; `python -m benchmarks.text` tells."""

BYTES_PER_WORD = 6
_FLOAT = 4
_TOKEN = 4
_KEPT_CHECKPOINTS = 2  # the best and the last


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What jobs run on: `devices` a job, `jobs` of them at a time. `device` may be a part of its name, such as H100.

    `share` is what of the peak they reach, `price` of an hour of one device. Raises InputError for a device without a
    known peak, and for what is not positive.
    """

    device: str
    devices: int = 1
    jobs: int = 1
    share: float = SHARE_OF_PEAK
    price: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "device", device_like(self.device))
        for name in ("devices", "jobs", "share"):
            if getattr(self, name) <= 0:
                raise InputError("not allowed", where=name, expected="above 0", found=getattr(self, name))

    def seconds(self, job: Job) -> float:
        """How long one job takes, start-up and compilation left out."""
        if job.rate:
            return job.reads / job.rate
        peak = peak_operations(self.device)
        return 2 * job.macs / (peak * self.devices * self.share)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One job of a stage: multiply-accumulates, bytes read and written.

    `rate`: bytes a second of what is a core's work; 0 where it is a device's.
    """

    stage: str
    size: str = ""
    """The paper's size that a run is of, where the study has several."""
    run: str = ""
    macs: float = 0.0
    reads: float = 0.0
    writes: float = 0.0
    rate: float = 0.0


def jobs_of(study: Study, passages: int | None = None) -> list[Job]:
    """Every job of a study with given data, in the order in which they can run; `passages`: of the knowledge source.

    A study's stages are once, whatever its seeds, by one job or as many as its `parts` say. Raises InputError where
    data are generated: they are small, and measured (`glimmer plan --hours`).
    """
    if isinstance(study.data, GeneratedData):
        raise InputError(
            "no bill of generated data",
            where=study.source,
            expected="a study of KILT's files",
            found="data.kind generated",
        )
    passages = KILT_PASSAGES if passages is None else passages
    runs = runs_for(study).values()
    return [*_stages(study, passages), *(_training(run) for run in runs if run.reader.is_trained_by_its_run),
            *(_evaluation(study, run, passages) for run in runs)]  # fmt: skip


def by_stage(jobs: Iterable[Job], machine: Machine) -> list[dict[str, Any]]:
    """A row a stage and size: how many jobs, what they do together, and how long they take side by side."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.stage, job.size), []).append(job)
    return [_row(stage, size, group, machine) for (stage, size), group in groups.items()]


def total(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of `by_stage`; stages follow each other, so their hours add up."""
    rows = list(rows)
    summed = {key: sum(row[key] for row in rows) for key in _SUMMED if any(key in row for row in rows)}
    return {"longest_job_hours": max(row["longest_job_hours"] for row in rows)} | summed


_SUMMED = ("jobs", "petaflop", "read_gigabytes", "written_gigabytes", "device_hours", "hours", "price")


def _row(stage: str, size: str, group: list[Job], machine: Machine) -> dict[str, Any]:
    seconds = [machine.seconds(job) for job in group]
    on_devices = sum(one for one, job in zip(seconds, group, strict=True) if not job.rate)
    device_hours = on_devices * machine.devices / 3600
    row = {
        "stage": stage,
        "size": size,
        "jobs": len(group),
        "petaflop": 2 * sum(job.macs for job in group) / 1e15,
        "read_gigabytes": sum(job.reads for job in group) / 1e9,
        "written_gigabytes": sum(job.writes for job in group) / 1e9,
        "longest_job_hours": max(seconds) / 3600,
        "device_hours": device_hours,
        "hours": hours.side_by_side(seconds, machine.jobs) / 3600,
    }
    return row if machine.price is None else row | {"price": device_hours * machine.price}


# -- what a stage does -----------------------------------------------------------------------------------------------


def _stages(study: Study, passages: int) -> list[Job]:
    source = sum(file.about_bytes for file in PUBLISHED if file.task is None)
    text = passages * study.corpus.max_words * BYTES_PER_WORD  # at most: a page's last passage is shorter
    asked = sum(file.lines for file in PUBLISHED if file.task in study.tasks)
    tokens = passages * study.lengths.passage * _TOKEN
    jobs = [
        *_in_parts(Job(stage="chunk", reads=source, writes=text, rate=CHUNK_RATE), study.parts.chunk),
        *_in_parts(Job(stage="tokenize", reads=text, writes=tokens, rate=TOKENIZE_RATE), study.parts.tokenize),
    ]
    if isinstance(study.retriever, Gtr):
        # GTR-Base, a T5 1.0, has one matrix less in its feed-forward than T5.1.1-Base and a width half again as large.
        tower = t5_1_1_base() if study.retriever.initial == "checkpoint" else study.dimensions()
        vectors = passages * study.retriever.dimension * _FLOAT
        embedded = passages * _encoder_macs(tower, study.retriever_length("passage"))
        jobs += _in_parts(Job(stage="embed", macs=embedded, reads=text, writes=vectors), study.parts.embed)
        questions = asked * _encoder_macs(tower, study.retriever_length("question"))
        products = asked * passages * study.retriever.dimension
        found = asked * study.retriever.depth * 2 * _FLOAT
        jobs.append(Job(stage="retrieve", macs=questions + products, reads=vectors, writes=found))
    return jobs


def _in_parts(job: Job, of: int) -> list[Job]:
    """A stage's job as so many equal ones. What gathers them moves bytes, and is not in the bill."""
    shares = {name: getattr(job, name) / of for name in ("macs", "reads", "writes")}
    return [dataclasses.replace(job, **shares)] * of


def _training(run: Run) -> Job:
    macs = hours.operations(run.settings, dict.fromkeys(TASKS, 0))["train"]
    weights = run.dimensions.parameters * _FLOAT
    return Job(stage="train", size=run.size, run=run.id, macs=macs, reads=weights, writes=_KEPT_CHECKPOINTS * weights)


def _evaluation(study: Study, run: Run, passages: int) -> Job:
    """Memory of every passage that a question retrieves, once, and answers: by kept parameters and by the others."""
    asked = most_questions(study)
    reader, most = run.reader, sum(asked[task] for task in run.reader.train_tasks)
    stored = _stored_passages(run, most, passages)
    memory = stored * memory_macs_per_passage(run.dimensions, reader.alpha, study.lengths.passage)
    store = stored * memory_bytes_per_passage(study, run)
    answers = hours.operations(run.settings, asked)["evaluate"]
    times = 2 if study.evaluation.both and reader.is_trained_by_its_run else 1
    reads = run.dimensions.parameters * _FLOAT + store
    return Job(stage="evaluate", size=run.size, run=run.id, macs=times * float(memory + answers), reads=reads,
               writes=float(store))  # fmt: skip


def largest_stores(study: Study, passages: int) -> dict[str, float]:
    """Gigabytes that the memory of the run with the most of it takes: of the passages that its questions retrieve, at
    most, and what it would take of all `passages`, which no run stores."""
    asked = most_questions(study)
    retrieved, all_of_them = [0], [0]
    for run in runs_for(study).values():
        each = memory_bytes_per_passage(study, run) if run.reader.k else 0
        retrieved.append(each * _stored_passages(run, sum(asked[task] for task in run.reader.train_tasks), passages))
        all_of_them.append(each * passages)
    return {
        "largest_store_gigabytes": max(retrieved) / 1e9,
        "largest_store_of_all_passages_gigabytes": max(all_of_them) / 1e9,
    }


def _stored_passages(run: Run, questions: int, passages: int) -> int:
    """Those that a run remembers, at most: no two questions retrieve the same."""
    return min(questions * run.reader.k, passages)


def memory_bytes_per_passage(study: Study, run: Run) -> int:
    """Bytes that the run's memory of one passage takes in the store, padding included."""
    each = memory_bytes_per_token(run.dimensions, run.reader.alpha, study.evaluation.memory_dtype)
    return study.lengths.passage * each


def most_questions(study: Study) -> dict[str, int]:
    """Of each task those evaluated on dev, at most; of KILT's own sizes those of selection are taken away."""
    generated = study.data.dev_examples if isinstance(study.data, GeneratedData) else None
    sizes = {task: generated or _DEV_SIZES[task] for task in TASKS}
    rest = {task: max(size - study.training.dev_examples, 0) for task, size in sizes.items()}
    return {task: min(study.evaluation.dev_examples or most, most) for task, most in rest.items()}


_DEV_SIZES = {file.task: file.lines for file in PUBLISHED if "-dev" in file.name}


def _encoder_macs(tower: Dimensions, tokens: int) -> float:
    """A tower's encoder over one text. Shorter texts cost less: batches are of like length."""
    return float(memory_macs_per_passage(tower, Fraction(0), tokens))


def minutes(job: Job, machine: Machine, *, margin: float = 1.5) -> int:
    """What a scheduler is asked for one job: `margin` times its seconds, and a quarter of an hour for start-up."""
    return math.ceil(machine.seconds(job) * margin / 60) + 15
