"""What training and evaluating one run both need, put together from the stages' files: reader, tokenizer, examples."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from glimmer.errors import InputError
from glimmer.experiments import Run, Study, runs_for
from glimmer.files import existing, sha256_file
from glimmer.kilt.formats import task_file
from glimmer.models.checkpoint import load_t5, read_config
from glimmer.models.config import require_size
from glimmer.models.reader import Reader
from glimmer.models.tokenizer import Tokenizer
from glimmer.training.examples import Batcher, Corpus, Lengths, TaskExamples


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """Where the files of a study's stages lie: its work directory, the data and the initial checkpoint."""

    work: Path
    data: Path
    initial: Path

    @property
    def tokenizer(self) -> Path:
        return self.work / "tokenizer" / "tokenizer.json"

    @property
    def tokens(self) -> Path:
        return self.work / "tokens" / "passages.npy"

    @property
    def passages(self) -> Path:
        return self.work / "passages"

    @property
    def retrieved(self) -> Path:
        return self.work / "retrieved"

    def kept_rows(self, task: str) -> Path:
        return self.work / "filtered" / f"{task}.npy"


def find_run(study: Study, run_id: str) -> Run:
    """The run of a study by id. Raises InputError if the study has none of that id."""
    runs = runs_for(study)
    if run_id not in runs:
        raise InputError("no such run", where=study.source, expected=f"one of {len(runs)} ids", found=run_id)
    return runs[run_id]


def load_reader(study: Study, run: Run, places: Places) -> Reader:
    """The run's reader from the initial checkpoint. Raises InputError if that is not of the size the study names."""
    trained_vocabulary = study.tokenizer["kind"] == "unigram"
    require_size(read_config(places.initial), run.dimensions, places.initial, any_vocabulary=trained_vocabulary)
    digest, named = sha256_file(places.initial / "model.safetensors"), study.initial_for(run.size).get("sha256")
    if named is not None and digest != named:
        raise InputError("another checkpoint than the study names", where=places.initial, expected=named, found=digest)
    training = study.training
    t5 = load_t5(
        places.initial,
        dtype=training["dtype"],
        dropout=training["dropout"],
        rematerialise=training["rematerialise"],
    )
    return Reader(t5, run.reader, rngs=nnx.Rngs(run.seed))


def load_batcher(study: Study, run: Run, places: Places) -> tuple[Batcher, Tokenizer]:
    """Batches of the run's k passages, and the tokenizer that reads its answers."""
    tokenizer = Tokenizer(places.tokenizer)
    lengths = study.lengths
    return Batcher(
        tokenizer,
        Corpus(places.tokens, places.passages),
        Lengths(question=lengths["question"], passage=lengths["passage"], answer=lengths["target"]),
        run.reader.k,
        study.templates["question"],
    ), tokenizer


def train_examples(study: Study, run: Run, places: Places) -> dict[str, TaskExamples]:
    """The run's train tasks with the rows that the relevance filter kept, at most `examples_per_task` of each."""
    found = {}
    for task in run.reader.train_tasks:
        rows = np.load(existing(places.kept_rows(task)), allow_pickle=False)
        examples = TaskExamples(task, places.data, "train", places.retrieved, rows)
        found[task] = examples.first(study.training["examples_per_task"])
    return found


def dev_examples(study: Study, run: Run, places: Places, count: int | None) -> list[TaskExamples]:
    """The run's tasks on dev, at most `count` examples of each."""
    return [TaskExamples(task, places.data, "dev", places.retrieved).first(count) for task in run.reader.train_tasks]


def digests(run: Run, places: Places) -> dict[str, Any]:
    """sha256 of everything that a run was computed from, as its result file records it."""
    tasks = run.reader.train_tasks
    files = {path.name: path for task in tasks for path in (task_file(places.data, task, s) for s in ("train", "dev"))}
    retrieved = [places.retrieved / f"{task}-{split}.npz" for task in tasks for split in ("train", "dev")]
    return {
        "data": {name: sha256_file(path) for name, path in sorted(files.items())},
        "initial_checkpoint": sha256_file(places.initial / "model.safetensors"),
        "tokenizer": sha256_file(places.tokenizer),
        "tokens": sha256_file(places.tokens),
        "retrieved": {path.name: sha256_file(path) for path in retrieved},
        "kept_rows": {task: sha256_file(places.kept_rows(task)) for task in tasks},
    }
