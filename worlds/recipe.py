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
    encoder_layers: int
    """Depth in this stage; where it exceeds the last stage's, the encoder grows, as `places` says."""
    places: tuple[int | None, ...] = ()
    """For each layer of a grown encoder the trained layer copied there, null for one that adds nothing at first; left
    out, the trained ones stand last. With a layer in two places the function changes, and this stage has to mend it."""
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
    evidence_weight: float = 0.0
    """Weight of the loss that asks every token whether its passage holds the evidence; see reading_losses."""
    ranking_weight: float = 0.0
    """Weight of the loss that ranks passages by the first token after `ranking_layers` live ones: `reading_losses`."""
    ranking_layers: int = 1
    knobs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Knobs of this stage's worlds (worlds.generate.BenchmarkSettings) that are not at their defaults."""
    tasks: Mapping[str, int]
    """Weight of each kind of exercise (worlds.generate.EXERCISES); those of two pages are left out of steps with
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
    """Of a checkpoint that has only read: for what share of the tasks' inputs a retriever is taken to find evidence."""

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
    """The whole section."""

    kind: Literal["pretrain"] = "pretrain"
    seed: int
    stages: Annotated[tuple[CurriculumStage, ...], NotEmpty()]
    start: Literal["planted", "plain"] = "planted"
    """Circuits of the first weights: `planted_t5`, which knows how this benchmark's texts look, or `plain_t5`."""
    reads_only: bool = False
    """Whether this checkpoint may do nothing but read text with gaps: no form of the tasks, no probe, no split, a plain
    start, and all layers trained together at the end. A recipe that says so and does otherwise is refused."""
    word_exercises: int = 0
    """Exercises from which the embeddings learn which words go together before training; 0: random embeddings. With a
    plain start they are pages of text instead, and names are words like others."""
    examination: Examination = Examination()
    places: tuple[int | None, ...] = ()
    """Where the trained layers stand in the reader's encoder, as in `CurriculumStage.places`; left out: last."""

    @staticmethod
    def from_section(section: Mapping[str, Any], where: object = "the study") -> Recipe:
        """Reads the section.

        Raises InputError naming a key that is unknown or missing, a stage that ranks after a layer it does not have,
        depths that fall, places that do not hold the layers there are, a live proportion outside 0 to 1, a knob that
        worlds do not have, or what a checkpoint that `reads_only` may not have met.
        """
        recipe = read(Recipe, section, where, "initial")
        for n, stage in enumerate(recipe.stages):
            if not 1 <= stage.ranking_layers <= stage.encoder_layers:
                raise InputError("no layer to rank after", where=f"{where}: initial.stages.{n}.ranking_layers",
                                 expected=f"1 to {stage.encoder_layers}", found=stage.ranking_layers)  # fmt: skip
            before = recipe.stages[max(n - 1, 0)].encoder_layers
            check_places(stage.places, before, stage.encoder_layers, f"{where}: initial.stages.{n}.places")
            _check_alphas(stage.alphas, f"{where}: initial.stages.{n}.alphas")
            world_settings(stage.knobs, stage.pronoun_share, where, f"initial.stages.{n}.knobs")
        depths = [stage.encoder_layers for stage in recipe.stages]
        if depths != sorted(depths):
            raise InputError(
                "an encoder only grows", where=f"{where}: initial.stages", expected="rising depths", found=depths
            )
        world_settings(recipe.examination.knobs, 0.0, where, "initial.examination.knobs")
        if recipe.reads_only:
            _check_reads_only(recipe, f"{where}: initial")
        return recipe


def _check_reads_only(recipe: Recipe, where: str) -> None:
    allowed: list[tuple[str, object, object, bool]] = [
        ("start", "plain", recipe.start, recipe.start == "plain"),
        ("places", "none: all layers are trained together", list(recipe.places), not recipe.places),
    ]
    for n, stage in enumerate(recipe.stages):
        forms = sorted(set(stage.tasks) - set(PLAIN_READING))
        allowed += [
            (f"stages.{n}.tasks", ", ".join(PLAIN_READING), forms, not forms),
            (f"stages.{n}.evidence_weight", 0, stage.evidence_weight, stage.evidence_weight == 0),
            (f"stages.{n}.ranking_weight", 0, stage.ranking_weight, stage.ranking_weight == 0),
            (f"stages.{n}.alphas", ["1"], list(stage.alphas), stage.alphas == ("1",)),
        ]
    for key, expected, found, fine in allowed:
        if not fine:
            raise InputError("no checkpoint that only reads", where=f"{where}.{key}", expected=expected, found=found)


def check_places(places: tuple[int | None, ...], old: int, new: int, where: str) -> None:
    """Raises InputError unless `places` (empty: the default ones) put each of `old` layers somewhere among `new`."""
    if not old <= new:
        raise InputError("an encoder only grows", where=where, expected=f"at least {old} layers", found=new)
    held = {place for place in places if place is not None}
    if places and (len(places) != new or held != set(range(old))):
        raise InputError("not the places of these layers", where=where, found=list(places),
                         expected=f"{new} places that hold each of 0 to {old - 1}, or null")  # fmt: skip


def _check_alphas(alphas: tuple[str, ...], where: str) -> None:
    try:
        if alphas and all(0 <= Fraction(alpha) <= 1 for alpha in alphas):
            return
    except (ValueError, TypeError, ZeroDivisionError):
        pass
    raise InputError(
        "not live proportions", where=where, expected='one or more of 0 to 1, as "1/3"', found=list(alphas)
    )
