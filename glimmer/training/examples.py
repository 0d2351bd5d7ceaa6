"""Training and dev examples as token arrays: questions, the passages that were retrieved for them, answers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from glimmer.errors import InputError
from glimmer.experiments.sections import Lengths
from glimmer.files import existing
from glimmer.kilt.formats import Example, read_examples, task_file
from glimmer.kilt.passages import PassageFile
from glimmer.models.batch import Batch
from glimmer.models.tokenizer import Tokenizer


class Corpus:
    """Passages by id: their token ids (memory-mapped) and, where text is asked for, their text."""

    def __init__(self, tokens: str | Path, passages: str | Path):
        self.tokens: Int[np.ndarray, "passages P"] = np.load(existing(tokens), mmap_mode="r", allow_pickle=False)
        self.file = PassageFile(passages)
        if len(self.file) != len(self.tokens):
            raise InputError(
                "tokens of another corpus", where=tokens, expected=f"{len(self.file)} passages", found=len(self.tokens)
            )

    def gather(self, ids: Int[np.ndarray, "B k"], length: int) -> Int[np.ndarray, "B k P"]:
        """Token ids of passages; an id of -1 (none retrieved) gives padding alone."""
        rows = np.asarray(self.tokens[np.maximum(ids, 0).ravel()])[:, :length].reshape(*ids.shape, -1)
        return np.where(ids[..., None] >= 0, rows, 0).astype(np.int32)


class TaskExamples:
    """One task's examples of one split, those rows that the relevance filter kept, with what was retrieved for each."""

    def __init__(self, task: str, data: str | Path, split: str, retrieved: str | Path, rows: np.ndarray | None = None):
        self.task = task
        self.path = task_file(Path(data), task, split)
        self.examples: list[Example] = list(read_examples(self.path, require_answers=True))
        with np.load(existing(Path(retrieved) / f"{task}-{split}.npz"), allow_pickle=False) as found:
            self.passages: Int[np.ndarray, "n depth"] = found["passages"]
        if len(self.passages) != len(self.examples):
            raise InputError(
                "retrieved for another file", where=self.path, expected=len(self.examples), found=len(self.passages)
            )
        self.rows = np.arange(len(self.examples)) if rows is None else np.asarray(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, count: int | None) -> TaskExamples:
        """The same task with at most `count` rows, spread evenly over the file so that no part of it is favoured."""
        if count is None or count >= len(self.rows):
            return self
        part = copy.copy(self)
        part.rows = self.rows[np.linspace(0, len(self.rows) - 1, count).astype(int)]
        return part


class Batcher:
    """Turns rows of tasks into batches of token arrays for one reader's k and one set of lengths.

    A closed book (k = 0) becomes one slot that no passage fills, as where nothing was retrieved: the question is read
    alone, and whoever gets the batch need not know why.
    """

    def __init__(self, tokenizer: Tokenizer, corpus: Corpus, lengths: Lengths, k: int, question_template: str):
        self.tokenizer, self.corpus, self.lengths, self.k = tokenizer, corpus, lengths, k
        self._slots, self._slot_tokens = (k, lengths.passage) if k else (1, 1)
        self.question_template = question_template
        self._answers: dict[tuple[Path, int], str] = {}

    def passage_ids(self, task: TaskExamples, row: int) -> Int[np.ndarray, " k"]:
        """Ids of the first k retrieved passages, -1 where there are fewer (one -1 for a closed book)."""
        ids = task.passages[row][: self.k]
        return np.pad(ids, (0, self._slots - len(ids)), constant_values=-1)

    def batch(self, chosen: Sequence[tuple[TaskExamples, int]]) -> Batch:
        """A batch of (task, row) pairs. Questions are padded on the left, passages and answers on the right."""
        questions = [self.question_template.format(question=task.examples[row].input) for task, row in chosen]
        ids = np.stack([self.passage_ids(task, row) for task, row in chosen])
        answers = [self._answer(task, row) for task, row in chosen]
        return Batch.of(
            question=self.tokenizer.encode_array(questions, self.lengths.question, pad_left=True),
            passages=self.corpus.gather(ids, self._slot_tokens),
            answer=self.tokenizer.encode_array(answers, self.lengths.target, end=True),
        )

    def _answer(self, task: TaskExamples, row: int) -> str:
        key = (task.path, row)  # the file, not the task: train and dev rows have the same numbers
        if key not in self._answers:
            self._answers[key] = self.training_answer(task.examples[row].answers, task.passages[row])
        return self._answers[key]

    def training_answer(self, answers: Sequence[str], retrieved: Int[np.ndarray, " depth"]) -> str:
        """The alias to train on: the first that stands in a retrieved passage, else the first of all.

        TriviaQA lists its aliases in no useful order, and the first may be in another language or casing.
        """
        if len(answers) < 2:
            return answers[0] if answers else ""
        for passage in retrieved[:5]:
            if passage >= 0:
                text = self.corpus.file.text(int(passage))
                found = next((answer for answer in answers if answer in text), None)
                if found is not None:
                    return found
        return answers[0]


def tokenize_passages(tokenizer: Tokenizer, passages: PassageFile, length: int, template: str, out: Path) -> None:
    """Writes the token ids of every passage, [passages, length] int32, as one .npy file, in blocks.

    `template` holds {title} and {text}; the end token stands last, as in T5's inputs.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp.npy")
    array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.int32, shape=(len(passages), length))
    block: list[str] = []
    start = 0
    for number, passage in enumerate(passages):
        block.append(template.format(title=passage["title"], text=passage["text"]))
        if len(block) == 4096 or number == len(passages) - 1:
            array[start : start + len(block)] = tokenizer.encode_array(block, length, end=True)
            start, block = start + len(block), []
    array.flush()
    del array
    temporary.replace(out)
