"""Facts as text: sentences, and pages in KILT's knowledge-source format with the place of every fact in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple
from urllib.parse import quote

from worlds.generate.knobs import BenchmarkSettings
from worlds.generate.relations import OTHER_BEARERS, PERSON, SEE_ALSO
from worlds.generate.world import Entity, Fact, World

ABSTRACT = "Section::::Abstract."
HEADING = "Section::::Details."


class Span(NamedTuple):
    """Where a page states a fact: a paragraph's number in `text`, and the sentence's characters, end exclusive."""

    paragraph: int
    start: int
    end: int
    section: str


@dataclass(frozen=True, kw_only=True)
class WrittenPage:
    """One page: KILT's `text` (item 0 is the title) and the span of each stated fact, by relation label."""

    wikipedia_id: str
    title: str
    text: tuple[str, ...]
    spans: dict[str, Span]
    anchors: tuple[dict, ...]
    category: str

    def record(self) -> dict:
        """The page as one line of a knowledge source."""
        return {
            "_id": self.wikipedia_id,
            "wikipedia_id": self.wikipedia_id,
            "wikipedia_title": self.title,
            "text": list(self.text),
            "anchors": list(self.anchors),
            "categories": self.category,
        }

    def sentence(self, label: str) -> str:
        """The sentence that states the fact of this relation."""
        span = self.spans[label]
        return self.text[span.paragraph][span.start : span.end]


def introduction(entity: Entity) -> str:
    """A sentence saying what the page is about."""
    return f"{_short_name(entity)} {'was' if entity.kind == PERSON else 'is'} a {entity.kind} ."


def reference(random: Random, entity: Entity, mentioned: Sequence[str]) -> str:
    """A sentence that mentions other pages by name, or by byname where they share the entity's name."""
    if entity.byname:
        return random.choice(OTHER_BEARERS).format(o=" ".join(mentioned)) + " ."
    return random.choice(SEE_ALSO).format(o=" and ".join(mentioned)) + " ."


def statement(
    random: Random,
    entity: Entity,
    fact: Fact,
    pronoun_share: float,
    linking: Sequence[str] = (),
    mentions: int = 1,
) -> str:
    """One sentence stating `fact`, by pronoun in a share of the cases whose grammar allows it, else by short name.

    It ends with the names of the pages in `linking`, each `mentions` times: "he was born in mesk ; old kalor trin ."
    """
    template = random.choice(fact.relation.statements)
    by_pronoun = template.startswith("{s}") and random.random() < pronoun_share
    said = template.format(s=entity.pronoun if by_pronoun else _short_name(entity), o=fact.answer)
    named = " , ".join(" ".join([name] * mentions) for name in linking)
    return f"{said} ; {named} ." if named else f"{said} ."


def _short_name(entity: Entity) -> str:
    """The name without its byname, as encyclopaedias write once the title has said it in full."""
    return " ".join(entity.words)


def render_page(
    random: Random, settings: BenchmarkSettings, world: World, number: int, ids: Sequence[str]
) -> WrittenPage:
    """The page of entity `number`: its stated facts in a random order, in one to three paragraphs.

    `ids` are the page ids of all entities: anchors point to the pages of the entities a sentence mentions.
    """
    entity, facts = world.entities[number], world.stated[number]
    paragraphs = _paragraphs(random, facts)
    heading_before = (
        random.randrange(1, len(paragraphs)) if len(paragraphs) > 1 and random.random() < settings.section_share else -1
    )
    reference_in = random.randrange(len(paragraphs)) if world.references[number] else -1
    text, spans, anchors, section = [entity.name], {}, [], ABSTRACT
    for index, paragraph in enumerate(paragraphs):
        if index == heading_before:
            section = HEADING
            text.append(HEADING)
        written = [introduction(entity)] if index == 0 and random.random() < settings.introduction_share else []
        length = sum(len(sentence) + 1 for sentence in written)
        for fact in paragraph:
            share = settings.pronoun_share if written or index else 0.0
            linking = world.linking[number].get(fact.relation.label, ())
            sentence = statement(random, entity, fact, share, linking, settings.linking_mentions)
            spans[fact.relation.label] = Span(len(text), length, length + len(sentence), section)
            if fact.target >= 0:
                start = length + f" {sentence}".index(f" {fact.answer} ")
                anchors.append(_anchor(fact, world.entities[fact.target].name, ids, len(text), start))
            written.append(sentence)
            length += len(sentence) + 1
        if index == reference_in:
            written.append(reference(random, entity, world.references[number]))
        text.append(" ".join(written))
    return WrittenPage(
        wikipedia_id=ids[number],
        title=entity.name,
        text=tuple(text),
        spans=spans,
        anchors=tuple(anchors),
        category=entity.kind,
    )


def _paragraphs(random: Random, facts: Sequence[Fact]) -> list[list[Fact]]:
    """Facts cut into one to three runs, none empty."""
    cuts = sorted(random.sample(range(1, len(facts)), min(random.randrange(3), len(facts) - 1)))
    return [list(facts[a:b]) for a, b in zip([0, *cuts], [*cuts, len(facts)], strict=True)]


def _anchor(fact: Fact, title: str, ids: Sequence[str], paragraph: int, start: int) -> dict:
    return {
        "text": fact.answer,
        "href": quote(title),
        "wikipedia_id": ids[fact.target],
        "wikipedia_title": title,
        "paragraph_id": paragraph,
        "start": start,
        "end": start + len(fact.answer),
    }
