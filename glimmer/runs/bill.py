"""The bill of a study, stage by stage: jobs, operations, bytes, hours, from shapes alone.

Nothing is measured here. A device does its maker's peak times a share that is stated; a core reads text at a rate that
is stated. A machine without a peak has rates that its own jobs gave (glimmer/runs/foretold.py). Operations are the
honest count of glimmer/compute.py, two a multiply-accumulate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from statistics import fmean
from typing import Any, Protocol

from glimmer.compute import (
    Dimensions,
    Workload,
    device_like,
    memory_bytes_per_token,
    memory_macs_per_passage,
    peak_operations,
    t5_1_1_base,
    training_macs,
)
from glimmer.errors import InputError
from glimmer.experiments import Run, Study, hours, runs_for
from glimmer.experiments.sections import (
    GeneratedData,
    Gtr,
    PretrainedInitial,
    PublishedGtr,
    UnigramTokenizer,
)
from glimmer.experiments.settings import TASKS
from glimmer.kilt.download import PUBLISHED

KILT_PASSAGES = 30_000_000
"""Of at most 200 words: between the 22 million of 100 words that KILT's own index has and the 36 million of another
split. No run has counted them; `glimmer chunk` does."""

SHARE_OF_PEAK = 0.25
"""What public trainings of T5 reach on a Hopper card in bfloat16 is 24 to 28 percent."""

CHUNK_RATE, TOKENIZE_RATE = 5e6, 0.7e6
"""Bytes a second of one core, assumed: of the order seen on a busy machine; `python -m benchmarks.text` tells."""

LINE_RATE = 5e6
"""Bytes a second of lines of JSON that a core makes or reads through, assumed: as chunking, which does that too."""

GATHER_RATE = 100e6
"""Bytes a second that are read while parts are put together, digested on the way, assumed."""

BM25_RATE = 15e6
"""Passages a second that a core scores for a question, assumed: of the order seen on a busy machine."""

GENERATED_PASSAGES, GENERATED_BYTES = 4, 850
"""Of a generated page, about, in the default study."""

BYTES_PER_QUESTION = 450
"""Of a question in KILT's form, with its answers and where they stand, about."""

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

    @property
    def amount(self) -> float:
        """What its time grows with: operations where a device does it, else bytes."""
        return self.reads if self.rate else self.macs


class Times(Protocol):
    """What says how long a job takes, of those that are `devices` a job, `jobs` at a time."""

    devices: int
    jobs: int
    price: float | None

    def seconds(self, job: Job) -> float | None:
        """Of one job; None where nothing is known of it."""


def jobs_of(study: Study, passages: int | None = None, runs: Collection[Run] | None = None) -> list[Job]:
    """Every job of a study, in the order in which they can run; `passages`: of the knowledge source. `runs` are the
    study's, where they are known already.

    A stage is one job or as many as the study's `parts` say, once, or once a replicate.
    """
    passages = passages_of(study, passages)
    runs = runs_for(study).values() if runs is None else runs
    stages = _stages(study, passages) * (len(study.seeds) if study.replicates else 1)
    return [*stages, *(_training(run) for run in runs if run.reader.is_trained_by_its_run),
            *(job for run in runs for job in _evaluation(study, run, passages))]  # fmt: skip


def passages_of(study: Study, stated: int | None = None) -> int:
    """Passages of the knowledge source: as many as are stated, else what pages are taken to give."""
    if stated is not None:
        return stated
    return study.data.pages * GENERATED_PASSAGES if isinstance(study.data, GeneratedData) else KILT_PASSAGES


def by_stage(jobs: Iterable[Job], machine: Times) -> list[dict[str, Any]]:
    """A row a stage and size: how many jobs, what they do together, and how long they take side by side."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.stage, job.size), []).append(job)
    return [_row(stage, size, group, machine) for (stage, size), group in groups.items()]


def total(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of `by_stage`, of what is known; stages follow each other, so their hours add up."""
    rows = list(rows)
    known = {key: [row[key] for row in rows if row.get(key) is not None] for key in ("longest_job_hours", *_SUMMED)}
    summed = {key: sum(known[key]) for key in _SUMMED if known[key]}
    return {"longest_job_hours": max(known["longest_job_hours"], default=None)} | summed


_SUMMED = ("jobs", "petaflop", "read_gigabytes", "written_gigabytes", "device_hours", "hours", "price")


def _row(stage: str, size: str, group: list[Job], machine: Times) -> dict[str, Any]:
    row = {
        "stage": stage,
        "size": size,
        "jobs": len(group),
        "petaflop": 2 * sum(job.macs for job in group) / 1e15,
        "read_gigabytes": sum(job.reads for job in group) / 1e9,
        "written_gigabytes": sum(job.writes for job in group) / 1e9,
    }
    times = [(job, machine.seconds(job)) for job in group]
    seconds = [one for _, one in times if one is not None]
    if len(seconds) < len(group):
        return row | dict.fromkeys(("longest_job_hours", "device_hours", "hours"))
    device_hours = sum(one for job, one in times if not job.rate) * machine.devices / 3600
    row |= {
        "longest_job_hours": max(seconds) / 3600,
        "device_hours": device_hours,
        "hours": hours.side_by_side(seconds, machine.jobs) / 3600,
    }
    return row if machine.price is None else row | {"price": device_hours * machine.price}


# -- what a stage does -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Texts:
    """What stages read and write, in bytes but for the numbers of questions, at most, and passages.

    `text` is that of all passages: a page's last one is shorter.
    """

    passages: int
    source: float
    text: float
    tokens: float
    train: int
    dev: int

    @classmethod
    def of(cls, study: Study, passages: int) -> _Texts:
        """Of a study: of generated data, or as published."""
        data = study.data
        if isinstance(data, GeneratedData):
            source = data.pages * GENERATED_BYTES
            train = sum(data.train_examples.get(task, data.pages) for task in study.tasks)
            dev = (data.dev_examples or data.pages) * len(study.tasks)
        else:
            source = sum(file.about_bytes for file in PUBLISHED if file.task is None)
            train, dev = (_published_questions(study, split) for split in ("train", "dev"))
        text = passages * study.corpus.max_words * BYTES_PER_WORD
        tokens = passages * study.lengths.passage * _TOKEN
        return cls(passages=passages, source=source, text=text, tokens=tokens, train=train, dev=dev)

    @property
    def asked(self) -> int:
        """Questions, of training and of dev."""
        return self.train + self.dev

    @property
    def questions(self) -> float:
        """Bytes of the tasks' files."""
        return self.asked * BYTES_PER_QUESTION


def _published_questions(study: Study, split: str) -> int:
    most = getattr(study.data.subset, f"{split}_examples", math.inf)  # without a subset all of them
    files = (file for file in PUBLISHED if file.task in study.tasks and f"-{split}" in file.name)
    return sum(int(min(file.lines, most)) for file in files)


def _stages(study: Study, passages: int) -> list[Job]:
    """Of the study, or of one of its replicates."""
    texts = _Texts.of(study, passages)
    jobs = _worlds(study, texts)
    jobs += _in_parts(Job(stage="chunk", reads=texts.source, writes=texts.text, rate=CHUNK_RATE), study.parts.chunk)
    jobs += _gathering("gather_passages", study.parts.chunk, texts.text)
    if isinstance(study.tokenizer, UnigramTokenizer):
        jobs.append(Job(stage="tokenizer", reads=texts.text, rate=TOKENIZE_RATE))
    tokenize = Job(stage="tokenize", reads=texts.text, writes=texts.tokens, rate=TOKENIZE_RATE)
    jobs += _in_parts(tokenize, study.parts.tokenize)
    jobs += _gathering("gather_tokens", study.parts.tokenize, texts.tokens)
    jobs.append(Job(stage="lengths", reads=texts.text + texts.questions, rate=TOKENIZE_RATE))
    if isinstance(study.initial, PretrainedInitial):
        jobs.append(Job(stage="pretrain", macs=_pretraining_macs(study)))
    jobs += _retrieval(study, texts)
    confidence = texts.train * (BYTES_PER_QUESTION + study.retriever.depth * _FOUND)
    jobs.append(Job(stage="filter_by_relevance", reads=confidence, rate=LINE_RATE))
    jobs.append(Job(stage="priors", reads=texts.questions, rate=LINE_RATE))
    return jobs


def _worlds(study: Study, texts: _Texts) -> list[Job]:
    """Those that draw data, and the passages of the retriever's own world; none where data are given."""
    if not isinstance(study.data, GeneratedData):
        return []
    world = texts.source + texts.questions
    jobs = [Job(stage="generate", reads=world, writes=world, rate=LINE_RATE)]
    if study.retriever_has_world:
        chunk = Job(stage="chunk_for_retriever", reads=texts.source, writes=texts.text, rate=CHUNK_RATE)
        jobs += [dataclasses.replace(jobs[0], stage="generate_for_retriever"), chunk]
    return jobs


def _retrieval(study: Study, texts: _Texts) -> list[Job]:
    found = texts.asked * study.retriever.depth * _FOUND
    if not isinstance(study.retriever, Gtr):
        scored = texts.asked * texts.passages
        return [Job(stage="retrieve", reads=scored, writes=found, rate=BM25_RATE)]
    # GTR-Base, a T5 1.0, has one matrix less in its feed-forward than T5.1.1-Base and a width half again as large.
    tower = t5_1_1_base() if isinstance(study.retriever, PublishedGtr) else study.dimensions()
    passage, question = (_encoder_macs(tower, study.retriever_length(part)) for part in ("passage", "question"))
    towers = 2 if study.cross_fits_retriever else 1
    vectors = towers * texts.passages * study.retriever.dimension * _FLOAT
    jobs = []
    if study.trains_retriever:
        pair = question + (1 + study.retriever.hard_negatives) * passage
        steps = towers * study.retriever.steps * study.retriever.batch_size
        jobs.append(Job(stage="train_retriever", macs=3 * steps * pair))
    embed = Job(stage="embed", macs=towers * texts.passages * passage, reads=towers * texts.text, writes=vectors)
    jobs += _in_parts(embed, study.parts.embed)
    jobs += _gathering("gather_embeddings", study.parts.embed, 0.0)  # they are renamed
    products = texts.asked * texts.passages * study.retriever.dimension
    jobs.append(Job(stage="retrieve", macs=texts.asked * question + products, reads=vectors, writes=found))
    return jobs


def _pretraining_macs(study: Study) -> float:
    """Of the curriculum of a checkpoint that is made here; its examination is left out. A step draws one of its
    stage's numbers of passages and of its live proportions, and is counted as their mean."""
    dimensions = study.dimensions()
    return float(sum(stage["steps"] * fmean(_of_steps(dimensions, stage)) for stage in study.initial.stages or ()))


def _of_steps(dimensions: Dimensions, stage: Mapping[str, Any]) -> list[float]:
    """Of each step that a stage of the curriculum can draw."""
    question, passage = stage["question_tokens"], stage["passage_tokens"]
    works = [
        Workload(alpha=Fraction(alpha), beta=None, k=k, m=k, tokens=question + passage, question_tokens=question,
                 target_tokens=stage.get("answer_tokens", _ANSWER_TOKENS))
        for alpha in stage.get("alphas", ("1",))
        for k in stage["passages"]
    ]  # fmt: skip
    return [float(stage["pairs"] // work.k * training_macs(dimensions, work)) for work in works]


_FOUND = 2 * _FLOAT  # a passage's number and its score
_ANSWER_TOKENS = 4


def _in_parts(job: Job, of: int) -> list[Job]:
    """A stage's job as so many equal ones."""
    shares = {name: getattr(job, name) / of for name in ("macs", "reads", "writes")}
    return [dataclasses.replace(job, **shares)] * of


def _gathering(stage: str, of: int, moved: float) -> list[Job]:
    """What puts so many parts together: it reads each for its seal, to append it, and for the seal of the whole."""
    return [Job(stage=stage, reads=3 * moved, writes=moved, rate=GATHER_RATE)] if of > 1 else []


def _training(run: Run) -> Job:
    macs = hours.operations(run.settings, dict.fromkeys(TASKS, 0))["train"]
    weights = run.dimensions.parameters * _FLOAT
    return Job(stage="train", size=run.size, run=run.id, macs=macs, reads=weights, writes=_KEPT_CHECKPOINTS * weights)


def _evaluation(study: Study, run: Run, passages: int) -> list[Job]:
    """Memory of every passage that a question retrieves, and answers: by kept parameters, and again by the others.

    In parts, the memory for the kept ones is made by jobs of its own.
    """
    asked = most_questions(study)
    reader, most = run.reader, sum(asked[task] for task in run.reader.train_tasks)
    stored = _stored_passages(run, most, passages)
    memory = float(stored * memory_macs_per_passage(run.dimensions, reader.alpha, study.lengths.passage))
    store = float(stored * memory_bytes_per_passage(study, run))
    answers = hours.operations(run.settings, asked)["evaluate"]
    times = 2 if study.evaluation.both and reader.is_trained_by_its_run else 1
    weights = float(run.dimensions.parameters * _FLOAT)
    of = study.parts.remember if run.reads_memory else 1
    made = times - 1 if of > 1 else times
    job = Job(stage="evaluate", size=run.size, run=run.id, macs=made * memory + times * answers,
              reads=times * (weights + store), writes=made * store)  # fmt: skip
    if of == 1:
        return [job]
    part = Job(stage="remember", size=run.size, run=run.id, macs=memory / of, reads=weights, writes=store / of)
    return [part] * of + [job]


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
