"""Facts as inputs of the six tasks: questions, trivia, two-page questions, claims and slots."""

from __future__ import annotations

from random import Random

from worlds.generate.knobs import BenchmarkSettings
from worlds.generate.relations import CLAIMS, PERSON
from worlds.generate.world import Fact, World, draw_object

SUPPORTS, REFUTES = "SUPPORTS", "REFUTES"
GAP = "[SEP]"  # the one mark that inputs of KILT's tasks hold


def occurs_in(answer: str, text: str) -> bool:
    """Whether the words of `answer` stand next to each other in `text` (both are written with spaced punctuation)."""
    return f" {answer} " in f" {text} "


def open_question(random: Random, world: World, fact: Fact) -> str:
    """An nq input: "who wrote kalor mesk"."""
    return random.choice(fact.relation.questions).format(s=world.entities[fact.subject].name)


def trivia_question(random: Random, settings: BenchmarkSettings, world: World, fact: Fact) -> str:
    """A triviaqa input; some give a second fact of the subject as a clue."""
    subject = world.entities[fact.subject]
    name = subject.name
    clue = random.choice(world.stated[fact.subject])
    if clue is not fact and not clue.relation.unseen and random.random() < settings.clue_share:
        predicates = [text[4:] for text in clue.relation.statements if text.startswith("{s} ")]
        if predicates:
            who = "who" if subject.kind == PERSON else "which"
            name = f"{name} , {who} {random.choice(predicates).format(o=clue.answer)} ,"
    return random.choice(fact.relation.trivia).format(s=name) + " ?"


def slot_question(world: World, fact: Fact) -> str:
    """A trex or zsre input: "kalor mesk [SEP] author"."""
    return f"{world.entities[fact.subject].name} [SEP] {fact.relation.label}"


def two_page_question(random: Random, world: World, bridge: Fact, fact: Fact) -> str:
    """A hotpotqa input: asks `fact` of the entity that `bridge` leads to, without naming that entity."""
    phrase = random.choice(bridge.relation.phrase).format(s=world.entities[bridge.subject].name)
    return random.choice(fact.relation.questions).format(s=phrase) + " ?"


def cloze(random: Random, world: World, fact: Fact) -> str:
    """A statement of `fact` whose object is left out: "kalor mesk was written by [SEP] .", as span corruption asks."""
    return _gapped(random, fact, world.entities[fact.subject].name)


def two_page_cloze(random: Random, world: World, bridge: Fact, fact: Fact) -> str:
    """A cloze about the entity that `bridge` leads to, without naming that entity."""
    return _gapped(random, fact, random.choice(bridge.relation.phrase).format(s=world.entities[bridge.subject].name))


def _gapped(random: Random, fact: Fact, subject: str) -> str:
    return random.choice(fact.relation.statements).format(s=subject, o=GAP) + " ."


def claim(random: Random, settings: BenchmarkSettings, world: World, fact: Fact) -> tuple[str, str]:
    """A fever input and its label. A refuted claim names another object of the same kind, drawn as true ones are."""
    answer, label = fact.answer, SUPPORTS
    if random.random() < settings.refuted_share:
        for _ in range(10):
            drawn = draw_object(random, settings, world.entities, world.pools, fact.subject, fact.relation)
            if drawn and drawn[0] != fact.answer:
                answer, label = drawn[0], REFUTES
                break
    said = random.choice(fact.relation.statements).format(s=world.entities[fact.subject].name, o=answer)
    return random.choice(CLAIMS).format(c=said) + " .", label


def askable(fact: Fact) -> bool:
    """Whether train sets and tasks other than zsRE, and exercises of two pages, may ask for this fact."""
    return not fact.relation.unseen


def continuations(world: World, bridge: Fact, stated: bool = True) -> list[Fact]:
    """The facts, stated or not, that a two-page question through `bridge` may ask for."""
    if bridge.target < 0 or not bridge.relation.phrase:
        return []
    subject = world.entities[bridge.subject]
    return [
        fact
        for fact in (world.stated if stated else world.unstated)[bridge.target]
        if askable(fact)
        and fact.target != bridge.subject
        and not any(word in subject.words for word in fact.answer.split())
    ]
