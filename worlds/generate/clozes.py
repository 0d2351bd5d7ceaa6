"""Text of the encyclopaedia with gaps, as span corruption asks: exercises that hold no form of the six tasks.

The gap is T5's sentinel, and not the mark of slot-filling inputs; nothing is asked by a question's words, by a
relation's label, or by a noun phrase in another's place; and whether a statement holds is said in words that are not
FEVER's.
"""

from __future__ import annotations

from random import Random

from worlds.generate.knobs import BenchmarkSettings
from worlds.generate.world import Fact, World, draw_object

GAP, BRIDGE = "<extra_id_0>", "<extra_id_1>"
HOLDS = "true"
LONGEST_SPAN = 3  # words; the mean of T5's spans


def text_cloze(random: Random, world: World, fact: Fact) -> str:
    """A statement whose object is left out: "kalor mesk was written by <extra_id_0> ."."""
    return _said(random, fact, world.entities[fact.subject].name, GAP)


def text_span(random: Random, world: World, fact: Fact) -> tuple[str, str]:
    """A statement with one to three of its words left out, wherever they stand, and those words."""
    words = _said(random, fact, world.entities[fact.subject].name, fact.answer).split()[:-1]
    length = random.randint(1, min(LONGEST_SPAN, len(words) - 1))
    start = random.randrange(len(words) - length + 1)
    return " ".join([*words[:start], GAP, *words[start + length :], "."]), " ".join(words[start : start + length])


def text_bridge(random: Random, world: World, bridge: Fact, fact: Fact) -> str:
    """Two statements with a gap in common and one to fill: "... was written by <b> . <b> was born in <gap> ."."""
    subject = world.entities[bridge.subject].name
    return f"{_said(random, bridge, subject, BRIDGE)} {_said(random, fact, BRIDGE, GAP)}"


def text_claim(random: Random, settings: BenchmarkSettings, world: World, fact: Fact) -> tuple[str, str]:
    """ "that kalor mesk was written by dal bor is <extra_id_0> .", and "true", or what belongs in the object's place.

    Half of them are wrong. Of one passage to mend is learnt and a bare verdict is not: one of two words says little of
    which word was compared with which. Among five passages neither was (docs/embedded-pilot.md, the checkpoint).
    """
    answer, word = fact.answer, HOLDS
    if random.random() < 0.5:
        drawn = draw_object(random, settings, world.entities, world.pools, fact.subject, fact.relation)
        if drawn and drawn[0] != fact.answer:
            answer, word = drawn[0], fact.answer
    said = _said(random, fact, world.entities[fact.subject].name, answer).removesuffix(" .")
    return f"that {said} is {GAP} .", word


def text_whole(random: Random, world: World, fact: Fact) -> str:
    """A statement without a gap: there is nothing to fill in, as where span corruption has masked nothing."""
    return _said(random, fact, world.entities[fact.subject].name, fact.answer)


def _said(random: Random, fact: Fact, subject: str, answer: str) -> str:
    return random.choice(fact.relation.statements).format(s=subject, o=answer) + " ."
