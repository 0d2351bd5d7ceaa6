"""Training and dev examples as token arrays: questions, the passages that were retrieved for them, answers."""

from __future__ import annotations

import copy
import json
import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from glimmer.errors import InputError
from glimmer.experiments.sections import Lengths
from glimmer.files import atomic_write, existing, require_space
from glimmer.kilt.aliases import answer_to_train_on
from glimmer.kilt.formats import Example, read_examples, task_file
from glimmer.kilt.passages import PassageFile
from glimmer.models.batch import Batch
from glimmer.models.tokenizer import Tokenizer
from glimmer.parts import State, gather, reopened, stored
from glimmer.retrieval.retrieved import mapped_arrays


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


class AnswerChoice:
    """Which of its gold answers an example is trained on; see `answer_to_train_on` for which of several.

    Aliases that fit `length` tokens with their end token go before those that do not, and of those that fit the ones
    that stand in the title or text of the first passages retrieved. TriviaQA lists its aliases in no useful order, and
    the first may be in another language or casing.
    """

    PASSAGES = 5
    """How many are looked through: as many for every reader, so that all are trained on the same answers."""

    def __init__(self, tokenizer: Tokenizer, passages: PassageFile, length: int):
        self.tokenizer, self.passages, self.length = tokenizer, passages, length

    def __call__(self, aliases: Sequence[str], retrieved: Int[np.ndarray, " depth"]) -> str:
        """The answer to train on, "" where there is no gold answer."""
        if len(aliases) < 2:
            return answer_to_train_on(aliases, ())
        fitting = [alias for alias in aliases if len(self.tokenizer.encode(alias)) < self.length]
        return answer_to_train_on(fitting or aliases, self._texts(retrieved))

    def _texts(self, retrieved: Int[np.ndarray, " depth"]) -> Iterator[str]:
        for number in retrieved[: self.PASSAGES]:
            if number >= 0:
                passage = self.passages[int(number)]
                yield f"{passage['title']}\n{passage['text']}"


class PackedExamples(Sequence[Example]):
    """Examples without their evidence, packed into one text, of which the one that is asked for is taken apart."""

    def __init__(self, examples: Iterable[Example]):
        self._text, ends = bytearray(), array("q", [0])
        for each in examples:
            self._text += json.dumps([each.id, each.input, each.answers]).encode()
            ends.append(len(self._text))
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> Example:
        row = range(len(self))[row]
        identifier, question, answers = json.loads(self._text[self._ends[row] : self._ends[row + 1]])
        return Example(id=identifier, input=question, answers=answers)


class TaskExamples:
    """One task's examples of one split, those rows that the relevance filter kept, with what was retrieved for each.

    With `choice` they are for training, and each has one answer to train on, chosen once.
    """

    def __init__(
        self,
        task: str,
        data: str | Path,
        split: str,
        retrieved: str | Path,
        rows: np.ndarray | None = None,
        choice: AnswerChoice | None = None,
    ):
        self.task = task
        self.path = task_file(Path(data), task, split)
        self.examples: Sequence[Example] = PackedExamples(read_examples(self.path, require_answers=True))
        found = mapped_arrays(Path(retrieved) / f"{task}-{split}.npz")  # 4 GB, of T-REx with 100 passages a question
        self.passages: Int[np.ndarray, "n depth"] = found["passages"]
        self._gold: Int[np.ndarray, "n parts"] | None = found.get("gold")
        self._complete: Float[np.ndarray, "n depth"] | None = found.get("complete")
        if len(self.passages) != len(self.examples):
            raise InputError(
                "retrieved for another file", where=self.path, expected=len(self.examples), found=len(self.passages)
            )
        self._retrieved = Path(retrieved)
        self.rows = np.arange(len(self.examples)) if rows is None else np.asarray(rows)
        self._choice = choice
        self._answers: dict[int, str] = {}  # of this file's rows; no other file's examples ever see it
        self._answered_by: dict[int, int] = {}  # row -> the row whose answer it is trained on, where that is another

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, count: int | None) -> TaskExamples:
        """The same task with at most `count` rows, spread evenly over the file so that no part of it is favoured."""
        if count is None or count >= len(self.rows):
            return self
        part = copy.copy(self)
        part.rows = self.rows[evenly(len(self.rows), count)]
        return part

    def with_evidence_first(self) -> TaskExamples:
        """The same task with each row's gold passages before the others: moved there, or put in where not retrieved.

        As many passages a row as before. Raises InputError for a file of retrieved passages that does not name them.
        """
        if self._gold is None:
            raise InputError(
                "what was retrieved does not say which passages are gold: retrieve again",
                where=self._retrieved,
                expected="an array `gold` beside `passages`",
                found="none",
            )
        part = copy.copy(self)
        part.passages, part._complete = self.passages.copy(), None
        for row, gold in zip(part.passages, self._gold, strict=True):
            row[:] = _first(gold, row)[: len(row)]
        part._answers = {}
        return part

    def with_passages_of_another(self, seed: int) -> TaskExamples:
        """The same task with what was retrieved for each row given to another: one cycle through all rows, by `seed`.

        Raises InputError for a task of one question, which has no other.
        """
        if len(self.passages) < 2:
            raise InputError("no other question", where=self.path, expected="two questions or more", found=1)
        part = copy.copy(self)
        cycle = np.random.default_rng([seed, len(self.passages)]).permutation(len(self.passages))
        part.passages = self.passages.copy()
        part.passages[cycle] = self.passages[np.roll(cycle, 1)]
        part._gold, part._complete, part._answers = None, None, {}
        return part

    def with_shuffled_answers(self, seed: int) -> TaskExamples:
        """The same task with the answer of each of its rows given to another: one cycle through all rows, by `seed`."""
        part = copy.copy(self)
        cycle = np.random.default_rng([seed, len(self.rows)]).permutation(self.rows)
        part._answered_by = dict(zip(cycle.tolist(), np.roll(cycle, 1).tolist(), strict=True))
        return part

    def evidence_in_view(self, row: int, k: int) -> bool | None:
        """Whether all evidence of a row is among its first k retrieved passages.

        None where passages were moved, or what was retrieved does not say.
        """
        return None if self._complete is None or not k else bool(self._complete[row, k - 1] > 0)

    def with_answers(self, choice: AnswerChoice) -> TaskExamples:
        """The same task with one answer a row, as if for training: to measure the loss on dev, and for nothing else."""
        part = copy.copy(self)
        part._choice, part._answers = choice, {}
        return part

    def answer(self, row: int) -> str:
        """The answer to train on; "" where these are not for training, as nothing may learn from a dev answer."""
        if self._choice is None:
            return ""
        row = self._answered_by.get(row, row)
        if row not in self._answers:
            self._answers[row] = self._choice(self.examples[row].answers, self.passages[row])
        return self._answers[row]


def evenly(n: int, count: int) -> Int[np.ndarray, " count"]:
    """`count` places of `n`, spread evenly, first and last among them."""
    return np.linspace(0, n - 1, count).astype(int)


def _first(gold: Int[np.ndarray, " parts"], retrieved: Int[np.ndarray, " depth"]) -> Int[np.ndarray, " places"]:
    """Gold passages in their order, then the retrieved ones that are none of them; -1 is none."""
    gold = np.array(list(dict.fromkeys(gold[gold >= 0].tolist())), retrieved.dtype)
    return np.concatenate([gold, retrieved[~np.isin(retrieved, gold)], np.full(len(gold), -1, retrieved.dtype)])


class Batcher:
    """Turns rows of tasks into batches of token arrays for one reader's k and one set of lengths.

    A closed book (k = 0) becomes one slot that no passage fills, as where nothing was retrieved: the question is read
    alone, and whoever gets the batch need not know why.
    """

    def __init__(self, tokenizer: Tokenizer, corpus: Corpus, lengths: Lengths, k: int, question_template: str):
        self.tokenizer, self.corpus, self.lengths, self.k = tokenizer, corpus, lengths, k
        self._slots, self._slot_tokens = (k, lengths.passage) if k else (1, 1)
        self.question_template = question_template

    def passage_ids(self, task: TaskExamples, row: int) -> Int[np.ndarray, " k"]:
        """Ids of the first k retrieved passages, -1 where there are fewer (one -1 for a closed book)."""
        ids = task.passages[row][: self.k]
        return np.pad(ids, (0, self._slots - len(ids)), constant_values=-1)

    def batch(self, chosen: Sequence[tuple[TaskExamples, int]]) -> Batch:
        """A batch of (task, row) pairs. Questions are padded on the left, passages and answers on the right.

        Rows that are not for training have no answer: an end token alone.
        """
        questions = [task.examples[row].input for task, row in chosen]
        ids = np.stack([self.passage_ids(task, row) for task, row in chosen])
        answers = [task.answer(row) for task, row in chosen]
        return Batch.of(
            question=self.tokenizer.encode_questions(questions, self.question_template, self.lengths.question),
            passages=self.corpus.gather(ids, self._slot_tokens),
            answer=self.tokenizer.encode_array(answers, self.lengths.target, end=True),
        )


TOKENS = "passages.npy"


def tokenize_passages(
    tokenizer: Tokenizer,
    passages: PassageFile,
    length: int,
    template: str,
    out: Path,
    rows: tuple[int, int] | None = None,
) -> None:
    """Writes the token ids of every passage, [passages, length] int32, as one .npy file, in blocks.

    `template` holds {title} and {text}; the end token stands last, as in T5's inputs. `rows`: of passages [start, end).
    """
    start, end = rows or (0, len(passages))
    # Written, not mapped: where a disk is full, writing says so, and a page that cannot be stored kills the process.
    require_space(out, 4 * (end - start) * length, "the passages' tokens")
    with atomic_write(out, "wb") as file:
        np.lib.format.write_array_header_1_0(file, _header(end - start, length))
        block: list[str] = []
        for number, passage in enumerate(passages.rows(start, end), start=start + 1):
            block.append(template.format(title=passage["title"], text=passage["text"]))
            if len(block) == 4096 or number == end:
                file.write(tokenizer.encode_array(block, length, end=True).astype("<i4", copy=False).tobytes())
                block = []


def gather_tokens(out: str | Path, of: int, made_of: Mapping[str, Any], *, passages: int, length: int) -> None:
    """Makes the sealed directory of what `tokenize_passages` writes of all passages, to the byte, of its parts.

    A part holds the tokens of its share of the passages. Raises as `glimmer.parts.gather` does.
    """

    def append(part: Path, whole: Path, state: State) -> State:
        with (
            stored(reopened(whole / TOKENS, state.get("bytes", 0))) as file,
            open(part / TOKENS, "rb") as added,
        ):
            if not state:
                np.lib.format.write_array_header_1_0(file, _header(passages, length))
            np.lib.format.read_magic(added)
            np.lib.format.read_array_header_1_0(added)
            shutil.copyfileobj(added, file, 1 << 24)
            return {"bytes": file.tell()}

    gather(out, of, made_of, append=append)


def _header(passages: int, length: int) -> dict[str, Any]:
    return {"descr": "<i4", "fortran_order": False, "shape": (passages, length)}
