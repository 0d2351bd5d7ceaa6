"""Reading exercises for pretraining: questions with passages that hold the answer, from worlds made for the moment.

They use the benchmark's inventory, relations and templates, but worlds of their own: names mean something else in
every batch of exercises, so the only way to answer is to read. They ask for zsRE's dev relations too: what a relation's
name means is what T5 knows from its own pretraining; unseen are these relations in the train sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np

from glimmer.errors import InputError
from glimmer.experiments.settings import TASKS
from worlds.generate import clozes, questions
from worlds.generate.knobs import BenchmarkSettings
from worlds.generate.pages import introduction, reference, statement
from worlds.generate.world import Fact, World, build_world

EXAMPLES_PER_WORLD = 96
GAPPED = ("text_cloze", "text_span", "text_bridge", "text_claim")
PLAIN_READING = (*GAPPED, "text_whole")  # no form of the tasks: generate.clozes
EXERCISES = (*TASKS, "cloze", "two_page_cloze", *PLAIN_READING)  # the tasks' own inputs, and statements with a gap
TWO_PAGES = frozenset({"hotpotqa", "two_page_cloze", "text_bridge"})
_FAMILIES_PER_WORLD = 4
_TWO_PAGE_FORMS = {
    "hotpotqa": questions.two_page_question,
    "two_page_cloze": questions.two_page_cloze,
    "text_bridge": clozes.text_bridge,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingExample:
    """A question, `passages` as (title, text) with the evidence among them, and `gold`: the places of the evidence."""

    task: str
    question: str
    passages: tuple[tuple[str, str], ...]
    answer: str
    gold: tuple[int, ...]


def sample_reading_examples(
    rng: np.random.Generator,
    n: int,
    *,
    passages: int,
    facts: tuple[int, int] = (2, 4),
    tasks: tuple[str, ...] = ("nq", "triviaqa", "hotpotqa", "fever", "trex"),
    near_share: float = 0.7,
    settings: BenchmarkSettings | None = None,
) -> list[ReadingExample]:
    """Draws `n` exercises, each of a task drawn from `tasks` (repeat a name to give it weight).

    Args:
        rng: decides everything; equal states give equal exercises.
        n: how many.
        passages: passages of each exercise, the evidence included; at least 2 for `TWO_PAGES`.
        facts: least and most facts a passage states.
        tasks: of `EXERCISES`; hotpotqa and two_page_cloze have two pages of evidence.
        near_share: share of the other passages that are from pages of like names: as likely of the name without its
            byname (the page's own other passages and its namesakes) as of the byname or of each other word.
        settings: the families' knobs (names, namesakes, pronouns); the benchmark's defaults if None.
    Raises: InputError for an unknown task or too few passages.
    """
    unknown = sorted(set(tasks) - set(EXERCISES))
    if unknown or not tasks:
        expected = f"some of {', '.join(EXERCISES)}"
        raise InputError("unknown task", where="tasks", expected=expected, found=", ".join(unknown) or "none")
    if passages < (2 if TWO_PAGES & set(tasks) else 1):
        raise InputError("too few passages", where="passages", expected="1, or 2 for two pages", found=passages)
    settings = settings or BenchmarkSettings()
    random = Random(int(rng.integers(2**63)))
    examples: list[ReadingExample] = []
    while len(examples) < n:
        room = _ReadingRoom(random, settings, facts, passages)
        wanted = min(EXAMPLES_PER_WORLD, n - len(examples))
        examples += [room.example(random.choice(tasks), passages, near_share) for _ in range(wanted)]
    return examples


def sample_pages(rng: np.random.Generator, n: int, *, settings: BenchmarkSettings | None = None) -> list[str]:
    """`n` pages of plain text (title, then sentences) of passing worlds: for span corruption and tokenizers."""
    settings = settings or BenchmarkSettings()
    random = Random(int(rng.integers(2**63)))
    texts: list[str] = []
    while len(texts) < n:
        room = _ReadingRoom(random, settings, (1, max(settings.facts_per_page)), 1, whole_pages=True)
        room_texts = [f"{title} . {text}" for title, text in room.passages]
        random.shuffle(room_texts)
        texts += room_texts
    return texts[:n]


class _ReadingRoom:
    """One small world with its pages written out as passages, from which some exercises are drawn."""

    def __init__(
        self,
        random: Random,
        settings: BenchmarkSettings,
        facts: tuple[int, int],
        passages: int,
        whole_pages: bool = False,
    ):
        self.random, self.settings = random, settings
        families = max(_FAMILIES_PER_WORLD, -(-2 * passages // settings.family_pages))
        self.world: World = build_world(random, settings, [("train", settings.family_pages)] * families)
        self.passages: list[tuple[str, str]] = []
        self.passage_of: dict[Fact, int] = {}
        self.near: dict[str | tuple[str, ...], list[int]] = {}
        for number, entity in enumerate(self.world.entities):
            stated = self.world.stated[number]
            runs = [stated] if whole_pages else list(_runs(random, stated, facts))
            reference_in = random.choice(runs)
            for run in runs:
                place = len(self.passages)
                self.passages.append((entity.name, self._text(number, run, run is reference_in)))
                for fact in run:
                    self.passage_of[fact] = place
                for part in {entity.words, *entity.name.split()}:
                    self.near.setdefault(part, []).append(place)
        self.facts = list(self.passage_of)

    def _text(self, number: int, run: tuple[Fact, ...], refers: bool) -> str:
        random, entity, settings = self.random, self.world.entities[number], self.settings
        sentences = [introduction(entity)] if len(run) > 1 and random.random() < settings.introduction_share / 2 else []
        for fact in run:
            linking = self.world.linking[number].get(fact.relation.label, ())
            sentences.append(
                statement(random, entity, fact, settings.pronoun_share, linking, settings.linking_mentions)
            )
        if refers and self.world.references[number]:
            sentences.append(reference(random, entity, self.world.references[number]))
        return " ".join(sentences)

    def example(self, task: str, passages: int, near_share: float) -> ReadingExample:
        question, answer, evidence = self._ask(task)
        gold = list(dict.fromkeys(self.passage_of[fact] for fact in evidence))
        shown = self._with_distractors(evidence[0].subject, gold, passages, near_share)
        return ReadingExample(
            task=task,
            question=question,
            passages=tuple(self.passages[place] for place in shown),
            answer=answer,
            gold=tuple(shown.index(place) for place in gold),
        )

    def _ask(self, task: str) -> tuple[str, str, list[Fact]]:
        """A question, its answer and the facts it needs."""
        random, world = self.random, self.world
        while True:
            fact = random.choice(self.facts)
            if task == "fever":
                return *questions.claim(random, self.settings, world, fact), [fact]
            if task == "text_claim":
                return *clozes.text_claim(random, self.settings, world, fact), [fact]
            if task == "text_whole":
                return clozes.text_whole(random, world, fact), "", [fact]
            if task in TWO_PAGES:
                following = questions.continuations(world, fact)
                if not following:
                    continue
                bridge, fact = fact, random.choice(following)
                question, evidence = _TWO_PAGE_FORMS[task](random, world, bridge, fact), [bridge, fact]
            else:
                evidence = [fact]
                if task == "text_span":
                    question, answer = clozes.text_span(random, world, fact)
                    if not questions.occurs_in(answer, question):
                        return question, answer, evidence
                    continue
                if task == "nq":
                    question = questions.open_question(random, world, fact)
                elif task == "triviaqa":
                    question = questions.trivia_question(random, self.settings, world, fact)
                elif task == "cloze":
                    question = questions.cloze(random, world, fact)
                elif task == "text_cloze":
                    question = clozes.text_cloze(random, world, fact)
                else:
                    question = questions.slot_question(world, fact)
            if not questions.occurs_in(fact.answer, question):
                return question, fact.answer, evidence

    def _with_distractors(self, subject: int, gold: list[int], passages: int, near_share: float) -> list[int]:
        random = self.random
        shown = dict.fromkeys(gold)
        wanted = len(shown) + round((passages - len(shown)) * near_share)
        entity = self.world.entities[subject]
        near = [self.near[part] for part in (entity.words, *entity.name.split())]  # its namesakes; of like names
        for _ in range(4 * wanted):  # some are drawn twice
            if len(shown) >= wanted:
                break
            shown[random.choice(random.choice(near))] = None
        while len(shown) < passages:
            shown[random.randrange(len(self.passages))] = None
        order = list(shown)
        random.shuffle(order)
        return order


def _runs(random: Random, stated: tuple[Fact, ...], facts: tuple[int, int]) -> Iterator[tuple[Fact, ...]]:
    """Cuts a page's facts into passages of `facts` facts; the last may be shorter."""
    start = 0
    while start < len(stated):
        length = random.randint(*facts)
        yield stated[start : start + length]
        start += length
