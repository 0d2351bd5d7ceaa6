"""The closed inventories that every generated world draws from: invented name words, years and common nouns."""

from __future__ import annotations

from functools import cache
from random import Random

NAME_WORD_COUNT = 360


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ONSETS = _words("b br d dr f g gr h j k kl l m n p pr r s sk st t tr v z")
_VOWELS = _words("a e i o u")
_CODAS = _words("l m n r s sk t th x")

BYNAMES = _words("old new little great upper lower high red green far near white black north south east")
"""Common words that tell things of the same kind and two-word name apart: "old kalor mesk", "new kalor mesk"."""
YEARS = tuple(str(year) for year in range(1800, 1860))
OCCUPATIONS = _words("painter baker sailor singer judge farmer doctor poet weaver hunter miller smith")
INSTRUMENTS = _words("flute drum harp violin trumpet lute organ horn bell zither guitar whistle")
CROPS = _words("wheat barley rice maize beans onions apples grapes cotton hops plums tea")
EMBLEMS = _words("fox hawk wolf bear lion swan horse hare stag crow goat bee")
GENRES = _words("comedy romance mystery satire fable saga ballad tragedy horror thriller memoir parody")
PRODUCTS = _words("glass paper soap clocks bricks boots carpets candles ropes tools barrels lamps")
MATERIALS = _words("oak iron steel pine cedar copper teak elm bronze ash birch walnut")


@cache
def name_words() -> tuple[str, ...]:
    """The `NAME_WORD_COUNT` invented words, the same for every world: a name seen in one has other facts in the next.

    A word is onset-vowel-onset-vowel-coda, drawn by a generator of its own, so no world's seed changes it. Distinct
    words differ in their first four letters, which keeps them apart for a reader that sees pieces of words.
    """
    random = Random("invented name words")
    words: dict[str, str] = {}
    while len(words) < NAME_WORD_COUNT:
        word = "".join(random.choice(part) for part in (_ONSETS, _VOWELS, _ONSETS, _VOWELS, _CODAS))
        if 5 <= len(word) <= 7:
            words.setdefault(word[:4], word)
    return tuple(words.values())
