"""One run with everything it is computed from: reader, tokenizer, batches, examples, and the digests of its files."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from glimmer.errors import InputError
from glimmer.experiments import Run, Study, run_of
from glimmer.experiments.sections import PretrainedInitial, UnigramTokenizer
from glimmer.experiments.stages import work_file
from glimmer.files import check_seal, existing, sha256_file
from glimmer.kilt.formats import task_file
from glimmer.models.checkpoint import load_t5, read_config
from glimmer.models.config import require_size
from glimmer.models.forms import weights_sha256
from glimmer.models.mesh import where_to_read
from glimmer.models.reader import Reader
from glimmer.models.tokenizer import Tokenizer
from glimmer.runs.inputs import hold, inputs_of_run, outside_inputs
from glimmer.runs.slices import DevSlices, dev_slices
from glimmer.training.examples import AnswerChoice, Batcher, Corpus, TaskExamples

_VOCABULARY = "tokenizer.json"
"""Beside a pretrained checkpoint: the vocabulary that it was pretrained with."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Materials:
    """A run of a study, with the directories that its stages' files, the data and the initial checkpoint lie in.

    Parts are put together when they are first asked for. Raises InputError for files that are missing, do not belong
    together, or are not those that the study names.
    """

    study: Study
    run: Run
    work: Path
    data: Path
    initial: Path

    @classmethod
    def of(cls, study: Study, run_id: str, *, work: str | Path, data: str | Path, initial: str | Path) -> Materials:
        """The run of this id. Raises InputError if the study has none, or if outside inputs are not those of before."""
        run = run_of(study, run_id)
        hold(study, outside_inputs(study, data=data, initial=initial, size=run.size))
        for name in ("tokens", "retrieved", "filtered"):  # passages are checked where they are opened
            check_seal(work_file(Path(work), name))
        if isinstance(study.initial_for(run.size), PretrainedInitial):
            check_seal(initial)
            _require_same_vocabulary(Path(initial) / _VOCABULARY, work_file(Path(work), "tokenizer"))
        return cls(study=study, run=run, work=Path(work), data=Path(data), initial=Path(initial))

    @functools.cached_property
    def reader(self) -> Reader:
        """The run's reader, from the initial checkpoint. Training gives up its arrays."""
        return self.initial_reader()

    def read_for_training(self) -> None:
        """Reads all that training is made of, so that what is missing or wrong is said before anything else."""
        for part in ("reader", "batcher", "train", "dev", "digests"):
            getattr(self, part)

    def read_for_evaluation(self) -> None:
        """The same of evaluation."""
        for part in ("reader", "batcher", "dev", "digests"):
            getattr(self, part)

    def initial_reader(self) -> Reader:
        """The run's reader, read from the initial checkpoint anew."""
        any_vocabulary = isinstance(self.study.tokenizer, UnigramTokenizer)
        require_size(read_config(self.initial), self.run.dimensions, self.initial, any_vocabulary=any_vocabulary)
        training = self.study.training
        with where_to_read(self.study.devices):
            t5 = load_t5(
                self.initial,
                dtype=training.dtype,
                dropout=training.dropout,
                rematerialise=training.rematerialise,
            )
            return Reader(t5, self.run.reader, rngs=nnx.Rngs(self.run.lot))

    @property
    def frozen(self) -> tuple[str, ...]:
        """Parts of the reader that the study does not train, beside what the reader's own settings freeze."""
        return ("embedding",) if self.study.training.freeze_embeddings else ()

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The study's vocabulary."""
        return Tokenizer(self._file("tokenizer"))

    @functools.cached_property
    def batcher(self) -> Batcher:
        """Batches of the run's k passages."""
        return Batcher(
            self.tokenizer,
            Corpus(self._tokens, self._file("passages")),
            self.study.lengths,
            self.run.reader.k,
            self.study.templates.question,
        )

    @functools.cached_property
    def _choice(self) -> AnswerChoice:
        return AnswerChoice(self.tokenizer, self.batcher.corpus.file, self.study.lengths.target)

    @functools.cached_property
    def train(self) -> dict[str, TaskExamples]:
        """The run's train tasks with the rows that the relevance filter kept, at most `examples_per_task` of each."""
        tasks = {}
        for task in self.run.reader.train_tasks:
            rows = np.load(existing(self._kept_rows(task)), allow_pickle=False)
            examples = TaskExamples(task, self.data, "train", self._file("retrieved"), rows, self._choice)
            examples = self._as_read(examples).first(self.study.training.examples_per_task)
            shuffled = self.run.reader.labels == "shuffled"
            tasks[task] = examples.with_shuffled_answers(self.run.lot) if shuffled else examples
        return tasks

    @functools.cached_property
    def dev(self) -> list[DevSlices]:
        """The run's tasks on dev, each in its two parts: those that select a checkpoint, and those evaluated."""
        selection, evaluated = self.study.training.dev_examples, self.study.evaluation.dev_examples
        tasks = self.run.reader.train_tasks
        examples = [TaskExamples(task, self.data, "dev", self._file("retrieved")) for task in tasks]
        return [dev_slices(self._as_read_on_dev(task), selection, evaluated) for task in examples]

    @property
    def selection(self) -> list[TaskExamples]:
        """The dev questions of the learning curve, by which checkpoints are selected; none of them is evaluated."""
        return [slices.selection for slices in self.dev]

    @property
    def of_losses(self) -> dict[str, list[TaskExamples]]:
        """Rows, each with one answer, on which a curve's losses are measured: those that select checkpoints
        ("dev_loss"), and as many of training, spread evenly over its rows ("train_loss")."""
        dev = [task.with_answers(self._choice) for task in self.selection]
        train = [self.train[task.task].first(len(task.rows)) for task in dev]
        return {"dev_loss": dev, "train_loss": train}

    @property
    def evaluated(self) -> list[TaskExamples]:
        """The dev questions that the result file scores."""
        return [slices.evaluated for slices in self.dev]

    @functools.cached_property
    def digests(self) -> dict[str, Any]:
        """sha256 of everything that the run is computed from, as its result file records it."""
        tasks = self.run.reader.train_tasks
        splits = [(task, split) for task in tasks for split in ("train", "dev")]
        files = {path.name: path for path in (task_file(self.data, *place) for place in splits)}
        retrieved = [self._file("retrieved") / f"{task}-{split}.npz" for task, split in splits]
        return {
            "data": {name: sha256_file(path) for name, path in sorted(files.items())},
            "initial_checkpoint": weights_sha256(self.initial),
            "tokenizer": sha256_file(self._file("tokenizer")),
            "tokens": sha256_file(self._tokens),
            "retrieved": {path.name: sha256_file(path) for path in retrieved},
            "kept_rows": {task: sha256_file(self._kept_rows(task)) for task in tasks},
        }

    @property
    def inputs(self) -> dict[str, Any]:
        """The locked digests of the outside inputs that the run goes back to; empty where the study makes all."""
        return inputs_of_run(self.study, self.run)

    def _as_read(self, examples: TaskExamples) -> TaskExamples:
        """Examples with their passages as the run's reader is trained with them."""
        return examples.with_evidence_first() if self.run.reader.evidence == "first" else examples

    def _as_read_on_dev(self, examples: TaskExamples) -> TaskExamples:
        """The same on dev, where a trained reader may be given other passages than it was trained with."""
        match self.run.reader.dev_evidence:
            case "first":
                return examples.with_evidence_first()
            case "of_another_question":
                return self._as_read(examples).with_passages_of_another(self.run.lot)
        return self._as_read(examples)

    def _file(self, name: str) -> Path:
        return work_file(self.work, name)

    @property
    def _tokens(self) -> Path:
        return self._file("tokens") / "passages.npy"

    def _kept_rows(self, task: str) -> Path:
        return self._file("filtered") / f"{task}.npy"


def _require_same_vocabulary(of_checkpoint: Path, tokenizer: Path) -> None:
    """Raises InputError where a study's vocabulary is not the one that its checkpoint was pretrained with."""
    if of_checkpoint.exists() and (expected := sha256_file(of_checkpoint)) != (found := sha256_file(tokenizer)):
        raise InputError("not the vocabulary that the checkpoint was pretrained with; make one of them again",
                         where=tokenizer, expected=f"sha256 {expected} ({of_checkpoint})", found=found)  # fmt: skip
