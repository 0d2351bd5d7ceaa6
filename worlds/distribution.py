"""Word embeddings that know which words go together, from co-occurrence in generated exercises.

What pretraining on text gives a T5 before anything else: "die" lies near "died" and near the years, "genre" near
"comedy". With C_ij the number of exercises that hold words i and j, and N that of all exercises,

    M_ij = max(0, log N C_ij / (C_ii C_jj)) C_ij / (C_ij + 10)

is the shrunken positive pointwise mutual information; its leading eigenvectors, scaled by the roots of their
eigenvalues, are vectors s_i with s_i . s_j ~ M_ij (Levy and Goldberg 2014). Names mean nothing outside their world: of
them it is only known that they are names. All embeddings share one direction, as those of trained models do: what
attends with it attends from everywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from glimmer.models.tokenizer import Tokenizer
from worlds.exercises import TextForms
from worlds.generate import ReadingExample, name_words
from worlds.generate.inventory import BYNAMES

MEANING_SHARE = 0.6
CLASS_SHARE = 0.2
SHARED_LENGTH = 2.5
_LEAST_COUNT = 3
_SHRINKAGE = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartingWords:
    """Embeddings to start from; the unit vector that they share; the piece between a passage's title and its text."""

    table: Float[np.ndarray, "V D"]
    shared: Float[np.ndarray, " D"]
    separator: int | None


def starting_words(
    examples: list[ReadingExample],
    tokenizer: Tokenizer,
    forms: TextForms,
    vocabulary: int,
    width: int,
    rng: np.random.Generator,
) -> StartingWords:
    """Gaussian embeddings, mixed with what is known of each piece by its share of the variance.

    E_i = (1-r)^1/2 g_i + r^1/2 s_i + `SHARED_LENGTH` u, with r = `MEANING_SHARE` for words of the exercises, r =
    `CLASS_SHARE` and one s for all name words and another for all bynames, and r = 0 for the rest.
    """
    table = rng.normal(size=(vocabulary, width))
    vectors = distributional_vectors(examples, tokenizer, vocabulary, width)
    known = vectors.any(axis=1)
    table[known] = _mixed(table[known], vectors[known], MEANING_SHARE)
    for words in (name_words(), BYNAMES):
        pieces = sorted({number for word in words for number in tokenizer.encode(word)})
        table[pieces] = _mixed(table[pieces], _direction(rng, width) * width**0.5, CLASS_SHARE)
    shared = _direction(rng, width)
    between = tokenizer.encode(forms.passage.format(title="", text=""))
    return StartingWords(
        table=(table + SHARED_LENGTH * shared).astype(np.float32),
        shared=shared.astype(np.float32),
        separator=between[-1] if between else None,
    )


def words_of_text(
    texts: Sequence[str], tokenizer: Tokenizer, vocabulary: int, width: int, rng: np.random.Generator
) -> StartingWords:
    """Embeddings that know which words go together in `texts`, and nothing else: all words are treated alike.

    E_i = (1-r)^1/2 g_i + r^1/2 s_i with r = `MEANING_SHARE`; no direction in common, no separator.
    """
    table = rng.normal(size=(vocabulary, width))
    held = _held([tokenizer.encode(text) for text in texts], vocabulary)
    vectors = _vectors(held, width)
    known = vectors.any(axis=1)
    table[known] = _mixed(table[known], vectors[known], MEANING_SHARE)
    return StartingWords(table=table.astype(np.float32), shared=np.zeros(width, np.float32), separator=None)


def _mixed(random: np.ndarray, known: np.ndarray, share: float) -> np.ndarray:
    return (1 - share) ** 0.5 * random + share**0.5 * known


def _direction(rng: np.random.Generator, width: int) -> Float[np.ndarray, " D"]:
    drawn = rng.normal(size=width)
    return drawn / np.linalg.norm(drawn)


def distributional_vectors(
    examples: list[ReadingExample], tokenizer: Tokenizer, vocabulary: int, width: int
) -> Float[np.ndarray, "V D"]:
    """A vector of length sqrt(width) for each piece that the exercises use, and 0 for names and all others."""
    names = {number for word in (*name_words(), *BYNAMES) for number in tokenizer.encode(word)}
    texts = [(one.question, one.answer, *(text for _, text in one.passages)) for one in examples]
    return _vectors(_held([set(tokenizer.encode(" ".join(parts))) - names for parts in texts], vocabulary), width)


def _held(rows: Sequence[Iterable[int]], vocabulary: int) -> Float[np.ndarray, "N V"]:
    held = np.zeros((len(rows), vocabulary), np.float32)
    for row, pieces in enumerate(rows):
        held[row, list(pieces)] = 1.0
    return held


def _vectors(held: Float[np.ndarray, "N V"], width: int) -> Float[np.ndarray, "V D"]:
    used = np.flatnonzero(held.sum(axis=0))
    vectors = np.zeros((held.shape[1], width), np.float32)
    information = _mutual_information(held[:, used])
    values, columns = np.linalg.eigh(information)
    kept = slice(None, -width - 1, -1)
    factors = columns[:, kept] * np.sqrt(np.maximum(values[kept], 0.0))
    length = np.linalg.norm(factors, axis=1, keepdims=True)
    vectors[used, : factors.shape[1]] = np.where(length > 1e-3, factors / np.maximum(length, 1e-3), 0) * width**0.5
    return vectors


def _mutual_information(held: Float[np.ndarray, "N U"]) -> Float[np.ndarray, "U U"]:
    together = (held.T @ held).astype(np.float64)
    alone = np.diag(together)
    ratio = len(held) * together / np.outer(alone, alone)
    positive = np.log(np.maximum(ratio, 1.0)) * together / (together + _SHRINKAGE)
    positive[together < _LEAST_COUNT] = 0.0
    # A word's information with itself says only how rare it is: its largest with any word takes the place.
    np.fill_diagonal(positive, positive.max(axis=1))
    return positive
