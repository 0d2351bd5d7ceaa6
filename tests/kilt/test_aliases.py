"""Gold answers in texts: whole words, no fragments, and always one of the aliases."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.kilt.aliases import answer_to_train_on, whole_words

NEMO = ["Capt", "the captain", "Captain Nemo", "Nemo"]


@pytest.mark.parametrize(
    ("alias", "text", "stands"),
    [
        ("Switz", "in Switzerland", False),
        ("switzerland", "in SWITZERLAND.", True),
        ("U.S.", "the U.S. Senate", True),
        ("U.S.", "the U.S.A", False),
        ("no", "a note", False),
        ("C++", "written in C++, mostly", True),
    ],
)
def test_an_alias_stands_as_whole_words_whatever_the_case(alias, text, stands):
    assert bool(whole_words([alias]).search(text)) is stands


@pytest.mark.parametrize(
    ("aliases", "texts", "chosen"),
    [
        (["Suisse", "Switz", "Switzerland"], ["born in Switzerland"], "Switzerland"),
        (NEMO, ["Capt. Nemo, or Captain Nemo; the crew says Nemo"], "Captain Nemo"),
        (NEMO, ["Nemo alone", "Captain Nemo"], "Nemo"),
        (["PARIS", "Paris", "paris"], ["Lyon", "Paris it is"], "Paris"),
        (["PARIS", "City of Light"], ["Lyon", "Paris it is"], "PARIS"),
        (["b", "a"], ["a b"], "b"),
        (["x", "y"], ["neither"], "x"),
        (["x", "y"], [], "x"),
        (["x"], ["nothing"], "x"),
        ([], ["nothing"], ""),
    ],
)
def test_the_answer_to_train_on_is_an_alias_that_stands_in_the_first_text_that_has_one(aliases, texts, chosen):
    assert answer_to_train_on(aliases, texts) == chosen


ALIASES = st.lists(st.text("abAB .", min_size=1, max_size=6).map(str.strip).filter(bool), min_size=1, unique=True)


@given(ALIASES, st.lists(st.text("abAB .", max_size=20), max_size=3))
def test_it_is_one_of_the_aliases_and_never_a_part_of_another_that_stands_beside_it(aliases, texts):
    chosen = answer_to_train_on(aliases, texts)
    assert chosen in aliases
    for text in texts:
        standing = [a for a in aliases if re.search(rf"(?<!\w){re.escape(a)}(?!\w)", text, re.IGNORECASE)]
        if standing and len(aliases) > 1:
            assert chosen in standing
            assert not [a for a in standing if len(a) > len(chosen) and chosen.lower() in a.lower()]
            return
    assert chosen == aliases[0]
