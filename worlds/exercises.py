"""Reading exercises as token arrays. Checking a recipe needs no jax, so batches are asked for where they are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from glimmer.experiments.sections import Lengths
from glimmer.experiments.strict import read
from glimmer.models.tokenizer import Tokenizer
from worlds.generate import TWO_PAGES, BenchmarkSettings, ReadingExample, sample_reading_examples

if TYPE_CHECKING:
    from glimmer.models.batch import Batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextForms:
    """How questions and passages are spelled for a reader; the templates of glimmer.training.examples."""

    question: str = "{question}"
    passage: str = "{title} : {text}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exercises:
    """What exercises to draw: tasks by weight, passages a question, facts a passage, near-duplicates, pronouns."""

    tasks: Mapping[str, int]
    facts: tuple[int, int]
    near_share: float
    pronoun_share: float
    lengths: Lengths
    knobs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Knobs of the worlds drawn that are not at `BenchmarkSettings`' defaults."""

    def draw(self, rng: np.random.Generator, count: int, passages: int) -> list[ReadingExample]:
        """`count` exercises of `passages` passages each."""
        # A two-page question needs two passages.
        tasks = [t for t, n in self.tasks.items() for _ in range(n) if passages > 1 or t not in TWO_PAGES]
        settings = world_settings(self.knobs, self.pronoun_share, "exercises")
        return sample_reading_examples(
            rng,
            count,
            passages=passages,
            facts=self.facts,
            tasks=tuple(tasks),
            near_share=self.near_share,
            settings=settings,
        )


def world_settings(
    knobs: Mapping[str, Any], pronoun_share: float, where: object, key: str = "knobs"
) -> BenchmarkSettings:
    """The worlds of exercises. Raises InputError naming a knob that there is not, or one out of range."""
    return read(BenchmarkSettings, {"pronoun_share": pronoun_share, **knobs}, where, key)


def exercise_batch(
    examples: Sequence[ReadingExample], tokenizer: Tokenizer, forms: TextForms, lengths: Lengths
) -> Batch:
    """Token ids as readers see them: questions padded on the left, passages and answers on the right.

    Exercises of one world share passages: each is tokenized once.
    """
    from glimmer.models.batch import Batch

    rows: dict[tuple[str, str], int] = {}
    places = [[rows.setdefault(passage, len(rows)) for passage in example.passages] for example in examples]
    passages = tokenizer.encode_array(
        [forms.passage.format(title=title, text=text) for title, text in rows], lengths.passage, end=True
    )
    questions = [example.question for example in examples]
    return Batch.of(
        question=tokenizer.encode_questions(questions, forms.question, lengths.question),
        passages=passages[np.array(places)],
        answer=tokenizer.encode_array([example.answer for example in examples], lengths.target, end=True),
    )


def evidence_of(examples: Sequence[ReadingExample]) -> Bool[np.ndarray, "B k"]:
    """Which passages hold the evidence."""
    return np.array([[place in example.gold for place in range(len(example.passages))] for example in examples])
