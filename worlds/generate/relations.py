"""What may be said about each kind of thing: relations, with their sentences, questions and claims.

`{s}` stands for the subject and `{o}` for the object. A statement that begins with `{s}` may begin with a pronoun
instead. Text is lower-case with spaced punctuation, so that a word is spelled one way wherever it stands: a reader that
copies and a retriever that matches meet the same token in title, text, question and answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from worlds.generate import inventory as names

PERSON, TOWN, BOOK, COMPANY, SHIP = KINDS = ("person", "town", "book", "company", "ship")
CROWDED_KINDS = (BOOK, COMPANY, SHIP)
"""Kinds whose members bear a person's two-word name with a byname before it."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One functional relation: every subject of `kind` has exactly one object.

    `objects` is a kind (the object is another entity) or a tuple of common nouns or years. `phrase` names the object by
    its subject, for two-page questions ("the author of {s}"). `unseen` relations are asked in zsRE's dev set and
    in no train set; all their statements hold the label's words: word overlap is what an unseen label offers. Their
    `varied` statements hold them as often as those of the other relations do.
    """

    kind: str
    label: str
    objects: str | tuple[str, ...]
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    trivia: tuple[str, ...]
    phrase: tuple[str, ...] = ()
    unseen: bool = False
    varied: tuple[str, ...] = ()

    @property
    def links(self) -> bool:
        """Whether the object is an entity with a page of its own."""
        return isinstance(self.objects, str)


def _relation(kind, label, objects, statements, questions, trivia, phrase="", unseen=False, varied="") -> Relation:
    def split(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split("|") if part.strip())

    return Relation(
        kind=kind,
        label=label,
        objects=objects,
        statements=split(statements),
        questions=split(questions),
        trivia=split(trivia),
        phrase=split(phrase),
        unseen=unseen,
        varied=split(varied),
    )


_PERSON = (
    _relation(
        PERSON,
        "place of birth",
        TOWN,
        "{s} was born in {o} | {s} came into the world in {o} | "
        "the place of birth of {s} was {o} | {s} was a native of {o}",
        "where was {s} born | where did {s} come into the world | "
        "what is the place of birth of {s} | where is {s} from",
        "in which town was {s} born | name the native town of {s}",
        "the place of birth of {s} | the town where {s} was born",
    ),
    _relation(
        PERSON,
        "occupation",
        names.OCCUPATIONS,
        "{s} worked as a {o} | {s} lived by the work of a {o} | {s} was a {o} by trade | the occupation of {s} was {o}",
        "what did {s} do for a living | what was the occupation of {s} | "
        "what did {s} work as | what was the trade of {s}",
        "which trade did {s} follow | name the occupation of {s}",
    ),
    _relation(
        PERSON,
        "student of",
        PERSON,
        "{s} was taught by {o} | {s} learned from {o} | {s} was a student of {o} | the teacher of {s} was {o}",
        "who taught {s} | who was the teacher of {s} | who did {s} learn from | whose student was {s}",
        "under which person did {s} study | name the teacher of {s}",
        "the teacher of {s} | the person who taught {s}",
    ),
    _relation(
        PERSON,
        "instrument",
        names.INSTRUMENTS,
        "{s} played the {o} | {s} made music on the {o} | "
        "the instrument of {s} was the {o} | {s} loved to play the {o}",
        "what did {s} play | what instrument did {s} play | "
        "on what did {s} make music | what was the instrument of {s}",
        "which instrument was played by {s} | name the instrument of {s}",
    ),
    _relation(
        PERSON,
        "year of death",
        names.YEARS,
        "{s} died in {o} | {s} lived until {o} | the year of death of {s} was {o} | the life of {s} ended in {o}",
        "when did {s} die | until when did {s} live | what was the year of death of {s} | when did the life of {s} end",
        "in which year did {s} die | name the year of death of {s}",
    ),
    _relation(
        PERSON,
        "burial place",
        TOWN,
        "{s} has a burial place in {o} | the burial place of {s} is {o} | {o} is the burial place of {s}",
        "where is the burial place of {s}",
        "in which town is the burial place of {s}",
        unseen=True,
        varied="{s} was laid to rest in {o} | {s} lies in the ground of {o} | "
        "the burial place of {s} is {o} | {s} found a place of rest in {o}",
    ),
)
_TOWN = (
    _relation(
        TOWN,
        "mayor",
        PERSON,
        "the mayor of {s} was {o} | {s} was governed by {o} | {s} had {o} as mayor | {s} was led by {o}",
        "who was the mayor of {s} | who governed {s} | who led {s} | who was mayor in {s}",
        "which person was mayor of {s} | name the mayor of {s}",
        "the mayor of {s} | the person who governed {s}",
    ),
    _relation(
        TOWN,
        "main crop",
        names.CROPS,
        "the farms of {s} grow {o} | the main crop of {s} is {o} | "
        "{s} is known for fields of {o} | {s} lives from its {o}",
        "what do the farms of {s} grow | what is the main crop of {s} | "
        "what grows in {s} | what do the fields of {s} grow",
        "which crop is grown in {s} | name the main crop of {s}",
    ),
    _relation(
        TOWN,
        "coat of arms",
        names.EMBLEMS,
        "the coat of arms of {s} shows a {o} | {s} has a {o} on its flag | "
        "the sign of {s} is a {o} | {s} took the {o} as its sign",
        "what is on the coat of arms of {s} | what does the flag of {s} show | what is the sign of {s} | "
        "what animal stands for {s}",
        "which animal is the sign of {s} | name the animal on the coat of arms of {s}",
    ),
    _relation(
        TOWN,
        "year of town rights",
        names.YEARS,
        "{s} became a town in {o} | {s} was given town rights in {o} | the town rights of {s} are from {o} | "
        "{s} has been a town since {o}",
        "when did {s} become a town | when was {s} given town rights | since when is {s} a town | "
        "what is the year of town rights of {s}",
        "in which year did {s} become a town | name the year of the town rights of {s}",
    ),
    _relation(
        TOWN,
        "twin town",
        TOWN,
        "the twin town of {s} is {o} | {s} is the twin town of {o} | {s} has {o} as its twin town",
        "what is the twin town of {s}",
        "which place is the twin town of {s}",
        unseen=True,
        varied="{s} is paired with {o} | {s} keeps a bond with {o} | "
        "the twin town of {s} is {o} | {s} has a twin in {o}",
    ),
)
_BOOK = (
    _relation(
        BOOK,
        "author",
        PERSON,
        "{s} was written by {o} | the author of {s} was {o} | {s} is by the pen of {o} | {o} wrote {s}",
        "who wrote {s} | who was the author of {s} | who is {s} by | by whom was {s} written",
        "which person wrote {s} | name the author of {s}",
        "the author of {s} | the person who wrote {s}",
    ),
    _relation(
        BOOK,
        "genre",
        names.GENRES,
        "{s} is a {o} | {s} is read as a {o} | the genre of {s} is {o} | {s} belongs to the genre of {o}",
        "what genre is {s} | what is the genre of {s} | what is {s} read as | to which genre does {s} belong",
        "which kind of book is {s} | name the genre of {s}",
    ),
    _relation(
        BOOK,
        "publication year",
        names.YEARS,
        "{s} was printed in {o} | {s} came out in {o} | the publication year of {s} is {o} | {s} was first read in {o}",
        "when was {s} printed | when did {s} come out | what is the publication year of {s} | when was {s} first read",
        "in which year did {s} come out | name the publication year of {s}",
    ),
    _relation(
        BOOK,
        "narrative location",
        TOWN,
        "{s} is set in {o} | {s} tells of life in {o} | "
        "the story of {s} takes place in {o} | the narrative location of {s} is {o}",
        "where is {s} set | where does the story of {s} take place | what place does {s} tell of | "
        "what is the narrative location of {s}",
        "in which town is {s} set | name the town where the story of {s} takes place",
        "the town where {s} is set | the narrative location of {s}",
    ),
    _relation(
        BOOK,
        "translator",
        PERSON,
        "the translator of {s} was {o} | {s} had {o} as its translator | {o} was the translator of {s}",
        "who was the translator of {s}",
        "which person was the translator of {s}",
        unseen=True,
        varied="{s} was put into other tongues by {o} | {s} owes its second tongue to {o} | "
        "the translator of {s} was {o} | {o} rendered {s} abroad",
    ),
)
_COMPANY = (
    _relation(
        COMPANY,
        "founded by",
        PERSON,
        "{s} was founded by {o} | {s} was started by {o} | the founder of {s} was {o} | {o} set up {s}",
        "who founded {s} | who started {s} | who was the founder of {s} | who set up {s}",
        "which person founded {s} | name the founder of {s}",
        "the founder of {s} | the person who started {s}",
    ),
    _relation(
        COMPANY,
        "headquarters location",
        TOWN,
        "{s} is based in {o} | the headquarters of {s} are in {o} | {s} has its office in {o} | {s} is run from {o}",
        "where is {s} based | where are the headquarters of {s} | where is the office of {s} | from where is {s} run",
        "in which town is {s} based | name the town with the headquarters of {s}",
        "the town where {s} is based | the headquarters location of {s}",
    ),
    _relation(
        COMPANY,
        "product",
        names.PRODUCTS,
        "{s} makes {o} | {s} sells {o} | the product of {s} is {o} | the workshops of {s} turn out {o}",
        "what does {s} make | what does {s} sell | what is the product of {s} | what do the workshops of {s} turn out",
        "which goods does {s} make | name the product of {s}",
    ),
    _relation(
        COMPANY,
        "founding year",
        names.YEARS,
        "{s} was founded in {o} | {s} opened in {o} | the founding year of {s} is {o} | {s} has been at work since {o}",
        "when was {s} founded | when did {s} open | what is the founding year of {s} | since when is {s} at work",
        "in which year was {s} founded | name the founding year of {s}",
    ),
    _relation(
        COMPANY,
        "director",
        PERSON,
        "the director of {s} was {o} | {s} had {o} as director | {o} was the director of {s}",
        "who was the director of {s}",
        "which person was the director of {s}",
        unseen=True,
        varied="{s} was headed by {o} | {s} took orders from {o} | "
        "the director of {s} was {o} | {o} ran the works of {s}",
    ),
)
_SHIP = (
    _relation(
        SHIP,
        "captain",
        PERSON,
        "the captain of {s} was {o} | {s} was steered by {o} | {s} sailed under {o} | {o} commanded {s}",
        "who was the captain of {s} | who steered {s} | under whom did {s} sail | who commanded {s}",
        "which person commanded {s} | name the captain of {s}",
        "the captain of {s} | the person who commanded {s}",
    ),
    _relation(
        SHIP,
        "home port",
        TOWN,
        "the home port of {s} was {o} | {s} sailed from {o} | {s} lay in the harbour of {o} | {s} was at home in {o}",
        "what was the home port of {s} | where did {s} sail from | "
        "in which harbour did {s} lie | where was {s} at home",
        "which town was the home port of {s} | name the home port of {s}",
        "the home port of {s} | the town that {s} sailed from",
    ),
    _relation(
        SHIP,
        "made of",
        names.MATERIALS,
        "{s} was made of {o} | {s} was built from {o} | the hull of {s} was {o} | {s} had a hull of {o}",
        "what was {s} made of | what was {s} built from | what was the hull of {s} | of what was the hull of {s} made",
        "which material was {s} made of | name the material of the hull of {s}",
    ),
    _relation(
        SHIP,
        "launch year",
        names.YEARS,
        "{s} was launched in {o} | {s} first sailed in {o} | the launch year of {s} is {o} | {s} was at sea since {o}",
        "when was {s} launched | when did {s} first sail | what is the launch year of {s} | since when was {s} at sea",
        "in which year was {s} launched | name the launch year of {s}",
    ),
    _relation(
        SHIP,
        "namesake",
        PERSON,
        "the namesake of {s} is {o} | {s} has {o} as its namesake | {o} is the namesake of {s}",
        "who is the namesake of {s}",
        "which person is the namesake of {s}",
        unseen=True,
        varied="{s} was called after {o} | {s} was christened for {o} | "
        "the namesake of {s} is {o} | {s} was meant to honour {o}",
    ),
)

RELATIONS: tuple[Relation, ...] = _PERSON + _TOWN + _BOOK + _COMPANY + _SHIP
UNSEEN_LABELS = frozenset(relation.label for relation in RELATIONS if relation.unseen)
"""Relations of zsRE's dev set: no question of another task or of a train set asks for them."""
CLAIMS = ("{c}", "it is said that {c}", "the record says that {c}")
SEE_ALSO = ("see also {o}", "this page is not about {o}")
OTHER_BEARERS = ("others of this name are {o}", "the name is also borne by {o}")


@cache
def relations_of(kind: str, held_out_varied: bool = False) -> tuple[Relation, ...]:
    """All relations whose subjects are of this kind; held-out ones with their `varied` statements if so asked."""
    return tuple(
        replace(relation, statements=relation.varied) if held_out_varied and relation.unseen else relation
        for relation in RELATIONS
        if relation.kind == kind
    )
