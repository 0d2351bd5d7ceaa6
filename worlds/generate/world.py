"""Invented worlds: families of entities with confusable names, and the facts that hold among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, cycle, islice
from random import Random
from typing import NamedTuple

from worlds.generate.inventory import BYNAMES, name_words
from worlds.generate.knobs import BenchmarkSettings
from worlds.generate.relations import CROWDED_KINDS, PERSON, TOWN, Relation, relations_of

_DRAWS = 20


class Entity(NamedTuple):
    """One thing with a page of its own. `words` are its name's words without the byname; `split` is train or dev."""

    name: str
    words: tuple[str, ...]
    kind: str
    byname: str
    pronoun: str
    family: int
    split: str


class Fact(NamedTuple):
    """`relation` of entity number `subject` is `answer`; `target` is the answer's entity number, or -1 for a noun."""

    subject: int
    relation: Relation
    answer: str
    target: int


@dataclass(frozen=True, kw_only=True)
class World:
    """Entities by number; for each, the facts its page states and those that are true but stated nowhere."""

    entities: tuple[Entity, ...]
    stated: tuple[tuple[Fact, ...], ...]
    unstated: tuple[tuple[Fact, ...], ...]
    references: tuple[tuple[str, ...], ...]
    """For each entity, what its page mentions in passing: names, or bynames of those that share its name."""
    linking: tuple[Mapping[str, tuple[str, ...]], ...]
    """For each entity, by relation label, the names of linking pages that the sentence of this fact ends with."""
    pools: dict[tuple[str, str, int], tuple[int, ...]]
    """Entity numbers by (kind, split, family); family -1 holds all families of the split."""


def build_world(random: Random, settings: BenchmarkSettings, families: Sequence[tuple[str, int]]) -> World:
    """Draws a world. Each family is (split, pages): "train" or "dev", and at most `settings.family_pages`."""
    entities = _draw_entities(random, settings, families)
    pools: dict[tuple[str, str, int], list[int]] = {}
    for number, entity in enumerate(entities):
        for family in (entity.family, -1):
            pools.setdefault((entity.kind, entity.split, family), []).append(number)
    frozen_pools = {key: tuple(numbers) for key, numbers in pools.items()}
    stated, unstated = [], []
    least, most = settings.facts_per_page
    for number, entity in enumerate(entities):
        relations = list(relations_of(entity.kind, settings.held_out_varied))
        random.shuffle(relations)
        facts = [
            fact
            for relation in relations
            if (fact := _draw_fact(random, settings, entities, frozen_pools, number, relation))
        ]
        cut = random.randint(least, most)
        stated.append(tuple(facts[:cut]))
        unstated.append(tuple(facts[cut:]))
    return World(
        entities=tuple(entities),
        stated=tuple(stated),
        unstated=tuple(unstated),
        references=_draw_references(random, settings, entities, stated),
        linking=_draw_linking(random, settings, entities, stated),
        pools=frozen_pools,
    )


def draw_object(
    random: Random,
    settings: BenchmarkSettings,
    entities: Sequence[Entity],
    pools: dict,
    subject: int,
    relation: Relation,
) -> tuple[str, int] | None:
    """One (answer, target) that could stand in a fact: an entity that shares no word with the subject, or a noun.

    None if the world holds no such entity (very small worlds only).
    """
    if not relation.links:
        return random.choice(relation.objects), -1
    entity = entities[subject]
    family = entity.family if random.random() < settings.own_family_objects else -1
    for attempt in range(_DRAWS):
        pool = pools.get((relation.objects, entity.split, family if attempt < _DRAWS // 2 else -1))
        if pool:
            target = random.choice(pool)
            other = entities[target]
            if not any(word in entity.words for word in other.words):
                return other.name, target
    return None


def _draw_fact(random, settings, entities, pools, subject, relation) -> Fact | None:
    drawn = draw_object(random, settings, entities, pools, subject, relation)
    return None if drawn is None else Fact(subject, relation, *drawn)


def _draw_entities(random: Random, settings: BenchmarkSettings, families: Sequence[tuple[str, int]]) -> list[Entity]:
    # A deck a split: dev names are new, but some of their words occur in train names too.
    decks = {split: _deal(random) for split in sorted({split for split, _ in families})}
    if settings.shared_families:
        decks = dict.fromkeys(decks, _deal(random))
    taken: set[str] = set()
    entities: list[Entity] = []
    for family, (split, pages) in enumerate(families):
        first = len(entities)
        words = _family_words(decks[split], settings.family_words)
        pairs = [_either_order(random, pair) for pair in _sample_pairs(random, len(words))]
        pairs = [(words[a], words[b]) for a, b in pairs]
        towns = [word for word in words if word not in taken][: settings.family_towns]
        if settings.names_apart:
            towns = []
        for word in towns:
            taken.add(word)
            entities.append(_entity((word,), TOWN, "it", family, split))
        free = (pair for pair in pairs if " ".join(pair) not in taken and " ".join(pair[::-1]) not in taken)
        kinds = random.sample(CROWDED_KINDS, len(CROWDED_KINDS))
        for person, pair in enumerate(islice(free, settings.family_persons)):
            taken.add(" ".join(pair))
            if not (settings.names_apart and person < settings.crowded_names):
                entities.append(_entity(pair, PERSON, random.choice(("he", "she")), family, split))
            for byname in random.sample(BYNAMES, settings.namesakes if person < settings.crowded_names else 0):
                entities.append(_entity(pair, kinds[person % len(kinds)], "it", family, split, byname))
        for pair in islice(free, settings.family_towns - len(towns)):  # one-word names ran out: a very large benchmark
            taken.add(" ".join(pair))
            entities.append(_entity(pair, TOWN, "it", family, split))
        del entities[first + pages :]
        if settings.shared_families:
            entities[first:] = _divided(random, entities[first:], settings.dev_families)
    return entities


def _divided(random: Random, family: Sequence[Entity], dev_share: float) -> list[Entity]:
    """The same entities, each with its split drawn: of every kind, and of the whole family, `dev_share` are dev's."""
    order = sorted(range(len(family)), key=lambda number: (family[number].kind, random.random()))
    start = random.random()
    divided = list(family)
    for place, number in enumerate(order):
        is_dev = int(start + (place + 1) * dev_share) > int(start + place * dev_share)
        divided[number] = family[number]._replace(split="dev" if is_dev else "train")
    return divided


def _entity(words: tuple[str, ...], kind: str, pronoun: str, family: int, split: str, byname: str = "") -> Entity:
    name = " ".join((byname, *words) if byname else words)
    return Entity(name, words, kind, byname, pronoun, family, split)


def _draw_references(
    random: Random, settings: BenchmarkSettings, entities: Sequence[Entity], stated: Sequence[tuple[Fact, ...]]
) -> tuple[tuple[str, ...], ...]:
    """For each entity what its page mentions in passing: a namesake's page the bynames of others, other pages names.

    Half of the names are of pages that link here: that is what lets a retriever find the second page of a two-page
    question, whose name is not in the question. The other names share a word with the entity's own.
    """
    linked: list[list[str]] = [[] for _ in entities]
    near: dict[tuple[int, str], list[str]] = {}
    bynames: dict[tuple[str, ...], list[str]] = {}
    for number, entity in enumerate(entities):
        for fact in stated[number]:
            if fact.target >= 0:
                linked[fact.target].append(entity.name)
        for word in entity.words:
            near.setdefault((entity.family, word), []).append(entity.name)
        if entity.byname:
            bynames.setdefault(entity.words, []).append(entity.byname)
    drawn = []
    for number, entity in enumerate(entities):
        if entity.byname:
            others = [byname for byname in bynames[entity.words] if byname != entity.byname]
            drawn.append(tuple(random.sample(others, min(settings.bynames_listed, len(others)))))
            continue
        links = random.sample(linked[number], min(len(linked[number]), settings.references - settings.references // 2))
        chosen = dict.fromkeys([entity.name, *links])  # itself first, taken out below
        for _ in range(_DRAWS):
            if len(chosen) <= settings.references:
                chosen[random.choice(near[entity.family, random.choice(entity.words)])] = None
        drawn.append(tuple(name for name in chosen if name != entity.name))
    return tuple(drawn)


def _draw_linking(
    random: Random, settings: BenchmarkSettings, entities: Sequence[Entity], stated: Sequence[Sequence[Fact]]
) -> tuple[dict[str, tuple[str, ...]], ...]:
    """`World.linking`: an entity's facts take its linking pages in turns, each as often as the next."""
    wanted = settings.linking_pages_named
    linked: list[dict[str, None]] = [{} for _ in entities]
    for facts in stated if wanted else ():
        for fact in facts:
            if fact.target >= 0:
                linked[fact.target][entities[fact.subject].name] = None
    drawn: list[dict[str, tuple[str, ...]]] = []
    for number, names in enumerate(map(list, linked)):
        random.shuffle(names)
        turns, each = cycle(names), min(wanted, len(names))
        facts = stated[number] if names else ()
        drawn.append({fact.relation.label: tuple(islice(turns, each)) for fact in facts})
    return tuple(drawn)


@cache
def _pairs(count: int) -> tuple[tuple[int, int], ...]:
    return tuple(combinations(range(count), 2))


def _sample_pairs(random: Random, count: int) -> list[tuple[int, int]]:
    pairs = list(_pairs(count))
    random.shuffle(pairs)
    return pairs


def _either_order(random: Random, pair: tuple[int, int]) -> tuple[int, int]:
    return pair if random.random() < 0.5 else pair[::-1]


def _deal(random: Random) -> Iterator[str]:
    """Name words from a shuffled deck, and from a newly shuffled one whenever it is used up."""
    deck = list(name_words())
    while True:
        random.shuffle(deck)
        yield from deck


def _family_words(deck: Iterator[str], count: int) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < count:
        words[next(deck)] = None
    return list(words)
