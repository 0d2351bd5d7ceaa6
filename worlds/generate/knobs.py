"""The knobs of the generated benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments.settings import TASKS
from glimmer.experiments.strict import Count
from worlds.generate.inventory import BYNAMES

MINIMUM_PAGES = 40


def _later(**default: Any) -> Any:
    """A knob that came later: told only where it is not at its default, so that older worlds keep their bytes."""
    return field(**default, metadata={"later": True})


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """What a generated benchmark is made of. Shares are fractions of 1.

    A family is a set of pages whose names are built from the same few words: it is what makes retrieval hard. The knobs
    up to `references` set how many near-duplicates a page has; they were set by how BM25 ranks the evidence, see
    docs/generated-benchmark.md.
    """

    pages: int = 1500
    """Pages of the knowledge source, spread evenly over as few families as hold them (two at least)."""
    family_words: int = 8
    """Name words a family's names are built from."""
    family_persons: int = 8
    """Persons of a family, named by two of its words: at most family_words * (family_words - 1) / 2."""
    crowded_names: int = 4
    """How many of those persons' names are borne by namesakes too."""
    namesakes: int = 14
    """Books, or companies, or ships that bear a crowded name, told apart by a byname ("old", "new") before it."""
    bynames_listed: int = 7
    """Bynames of its namesakes that such a page lists: with them, no set of words tells these pages apart."""
    own_family_objects: float = 0.4
    """Share of facts about two entities that stay in the family (the others go to any page of the same split)."""
    references: int = 3
    """Names that a person's or town's page mentions in passing: of pages that link to it, then of near-duplicates."""
    family_towns: int = 6
    """Towns of a family, named by one word each."""
    facts_per_page: tuple[int, int] = (3, 4)
    """Least and most facts stated on a page; what is not stated is true in the world but absent from the corpus."""
    pronoun_share: float = 0.8
    """Share of later sentences that say he, she or it instead of the name, where grammar allows it."""
    introduction_share: float = 0.3
    """Share of pages that begin by saying what kind of thing they are about."""
    section_share: float = 0.3
    """Share of pages whose later paragraphs stand under a heading."""
    dev_families: float = 0.25
    """Share of families whose entities are asked for in dev; the others serve train."""
    dev_examples: int = 128
    """Dev examples a task."""
    train_examples: int = 400
    """Train examples a task, except T-REx."""
    trex_train_examples: int = 1600
    missing_evidence_share: float = 0.15
    """Share of train examples whose fact no page states: half carry no provenance, half one that does not hold it."""
    refuted_share: float = 0.5
    """Share of claims that are false."""
    train_examples_of: Mapping[str, Count] = _later(default_factory=lambda: MappingProxyType({}))
    """Train examples of the tasks named; the others have as many as the two knobs above say."""
    wordings: int = _later(default=1)
    """How often a train set may ask for one fact, in other words each time; again only once all were asked."""
    shared_families: bool = _later(default=False)
    """Whether each family has pages of both splits, `dev_families` of them dev's: only chance tells them apart then."""
    held_out_varied: bool = _later(default=False)
    """Whether zsRE's dev relations are stated as the others are, and not by their label's words every time."""
    clue_share: float = _later(default=0.5)
    """Share of triviaqa's questions that give a second fact as a clue, where the page states one that can be given."""
    claims_of_nouns: bool = _later(default=False)
    """Whether claims are about trades, years and other nouns alone. A false name leads a retriever to its bearer."""
    names_apart: bool = _later(default=False)
    """Whether towns have names of two words, and no person a crowded one: then no page's name is part of another's."""
    linking_pages_named: int = _later(default=0)
    """Pages linking to a person or town that each sentence about it names: a retriever finds the second page of a
    two-page question by them, in passages of any length. 0: `references` alone do that."""
    linking_mentions: int = _later(default=1)
    """How often the sentence names each of them, one time after the other."""

    def __post_init__(self):
        pairs = self.family_words * (self.family_words - 1) // 2
        towns, of = (pairs - self.family_persons, "the pairs of family_words left") if self.names_apart else (
            self.family_words, "family_words")  # fmt: skip
        checks = {
            "family_persons": (1 <= self.family_persons <= pairs, f"1 to {pairs} (pairs of family_words)"),
            "crowded_names": (0 <= self.crowded_names <= self.family_persons, "0 to family_persons"),
            "namesakes": (0 <= self.namesakes <= len(BYNAMES), f"0 to {len(BYNAMES)}"),
            "family_words": (4 <= self.family_words <= 40, "4 to 40: an object shares no word with its subject"),
            "family_towns": (1 <= self.family_towns <= towns, f"1 to {towns} ({of})"),
            "facts_per_page": (1 <= self.facts_per_page[0] <= self.facts_per_page[1], "1 <= least <= most"),
            "pages": (self.pages >= MINIMUM_PAGES, f"at least {MINIMUM_PAGES}"),
            "wordings": (self.wordings >= 1, "at least 1"),
            "linking_mentions": (self.linking_mentions >= 1, "at least 1"),
            "linking_pages_named": (self.linking_pages_named >= 0, "at least 0"),
            "train_examples_of": (set(self.train_examples_of) <= set(TASKS), f"some of {', '.join(TASKS)}"),
        }
        shares = (n for n in vars(self) if n.endswith("_share") or n in ("own_family_objects", "dev_families"))
        checks |= {name: (0 <= getattr(self, name) <= 1, "a fraction from 0 to 1") for name in shares}
        checks["missing_evidence_share"] = (0 <= self.missing_evidence_share < 1, "a fraction from 0 to below 1")
        for name, (ok, expected) in checks.items():
            if not ok:
                raise InputError(f"setting {name} out of range", expected=expected, found=getattr(self, name))

    @property
    def family_pages(self) -> int:
        """Pages of a whole family."""
        persons = self.family_persons - (self.crowded_names if self.names_apart else 0)
        return self.family_towns + persons + self.crowded_names * self.namesakes

    def examples(self, task: str, split: str) -> int:
        """How many examples a task's split has."""
        if split == "dev":
            return self.dev_examples
        default = self.trex_train_examples if task == "trex" else self.train_examples
        return self.train_examples_of.get(task, default)

    def record(self) -> dict[str, Any]:
        """The knobs as JSON; those that came later only where they differ from their defaults."""
        defaults = BenchmarkSettings()
        told = [item.name for item in fields(self) if not item.metadata.get("later")
                or getattr(self, item.name) != getattr(defaults, item.name)]  # fmt: skip
        values = {name: getattr(self, name) for name in told}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}
