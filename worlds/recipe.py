"""How the initial checkpoint of a small study is made: the keys of a study's `initial` section of kind pretrain."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from glimmer.errors import InputError
from glimmer.experiments.sections import Lengths
from glimmer.experiments.settings import TASKS
from glimmer.experiments.strict import NotEmpty, read
from worlds.exercises import Exercises, world_settings
from worlds.generate import PLAIN_READING


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurriculumStage:
    """One stage of the curriculum; its fields are the keys of an item of `initial.stages`."""

    name: str
    steps: int
    passages: tuple[int, ...]
    """Passages a question: each step draws one of these."""
    pairs: int
    """Question-passage pairs a step: pairs // passages questions, so that every step costs about the same."""
    learning_rate: float
    """Adam's rate once `warmup_steps` have raised it from 0."""
    final_rate: float = 1.0
    """Share of the rate that is left at the last step, after a cosine; 1 keeps it constant."""
    warmup_steps: int = 20
    alphas: tuple[str, ...] = ("1",)
    """Live proportions: each step draws one of these; 1 reads as FiD does, the others as LUMEN."""
    facts: tuple[int, int]
    """Least and most facts that a passage states."""
    question_tokens: int
    passage_tokens: int
    answer_tokens: int = 4
    near_share: float = 0.7
    """Share of the passages beside the evidence that are of like-named pages."""
    pronoun_share: float = 0.8
    """Share of sentences that say he, she or it for the page's name, where grammar allows it."""
    knobs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Knobs of this stage's worlds (worlds.generate.BenchmarkSettings) that are not at their defaults."""
    tasks: Mapping[str, int]
    """Weight of each kind of exercise (worlds.generate.PLAIN_READING); those of two pages are left out of steps with
    one passage."""

    @property
    def exercises(self) -> Exercises:
        """What this stage draws."""
        lengths = Lengths(question=self.question_tokens, passage=self.passage_tokens, target=self.answer_tokens)
        return Exercises(
            tasks=self.tasks,
            facts=self.facts,
            near_share=self.near_share,
            pronoun_share=self.pronoun_share,
            lengths=lengths,
            knobs=self.knobs,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examination:
    """How the checkpoint is examined: `initial.examination`. Exercises come from worlds that no stage drew."""

    passages: tuple[int, ...] = (5, 10, 25)
    """Numbers of passages, the evidence among them."""
    alphas: tuple[str, ...] = ("1", "1/2")
    """Live proportions: 1 reads as FiD, the others as LUMEN readers that were never fine-tuned."""
    examples: int = 32
    """Exercises a task."""
    tasks: tuple[str, ...] = TASKS
    facts: tuple[int, int] = (2, 4)
    near_share: float = 0.7
    pronoun_share: float = 0.8
    knobs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """As a stage's."""
    question_tokens: int = 24
    passage_tokens: int = 56
    answer_tokens: int = 8
    seen_share: float = 0.65
    """For what share of the tasks' inputs a retriever is taken to find evidence."""

    def exercises(self, task: str) -> Exercises:
        """What is drawn of one kind of exercise."""
        return Exercises(
            tasks={task: 1},
            facts=self.facts,
            near_share=self.near_share,
            pronoun_share=self.pronoun_share,
            lengths=self.lengths,
            knobs=self.knobs,
        )

    @property
    def lengths(self) -> Lengths:
        """Tokens of each question, passage and answer."""
        return Lengths(question=self.question_tokens, passage=self.passage_tokens, target=self.answer_tokens)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """The whole section. All layers of the encoder are trained together from the first step, from a mimetic start."""

    kind: Literal["pretrain"] = "pretrain"
    seed: int
    stages: Annotated[tuple[CurriculumStage, ...], NotEmpty()]
    examination: Examination = Examination()

    @staticmethod
    def from_section(section: Mapping[str, Any], where: object = "the study") -> Recipe:
        """Reads the section.

        Raises InputError naming a key that is unknown or missing, a live proportion outside 0 to 1, a knob that worlds
        do not have, or an exercise that has a form of the tasks: a checkpoint has read text with gaps, nothing else.
        """
        recipe = read(Recipe, section, where, "initial")
        for n, stage in enumerate(recipe.stages):
            key = f"initial.stages.{n}"
            _check_alphas(stage.alphas, f"{where}: {key}.alphas")
            world_settings(stage.knobs, stage.pronoun_share, where, f"{key}.knobs")
            forms = sorted(set(stage.tasks) - set(PLAIN_READING))
            if forms:
                raise InputError("no checkpoint that has only read", where=f"{where}: {key}.tasks",
                                 expected=", ".join(PLAIN_READING), found=forms)  # fmt: skip
        world_settings(recipe.examination.knobs, 0.0, where, "initial.examination.knobs")
        return recipe


def _check_alphas(alphas: tuple[str, ...], where: str) -> None:
    try:
        if alphas and all(0 <= Fraction(alpha) <= 1 for alpha in alphas):
            return
    except (ValueError, TypeError, ZeroDivisionError):
        pass
    raise InputError(
        "not live proportions", where=where, expected='one or more of 0 to 1, as "1/3"', found=list(alphas)
    )
