"""Scores of a whole guess file: gold is streamed, each guess is fetched from its place in its file."""

from __future__ import annotations

import gzip
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glimmer.errors import InputError
from glimmer.evaluation.kilt_scores.answers import ANSWER_METRICS
from glimmer.evaluation.kilt_scores.example import PAGE, PROGRAMS, ExampleScores, score_example
from glimmer.files import bounded_lines, existing, numbered_lines, open_binary
from glimmer.kilt.digests import DigestTable
from glimmer.kilt.formats import id_text, parse_object, read_objects
from glimmer.kilt.hub import in_kilts_words

RETRIEVAL_METRICS = ("Rprec", "recall@5")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Mean scores of a guess file, and the six per-example scores that everything else follows from.

    `per_example` maps accuracy, em, f1, rougel, Rprec and recall@5 to float64 [n] in gold order (nothing
    without the downstream program). `ranking` is keyed by rank key, keys that name an item together joined by
    "+".
    """

    n: int
    unused_guesses: int
    downstream: dict[str, float]
    kilt: dict[str, float]
    retrieval: dict[str, float]
    ranking: dict[str, dict[str, float]]
    per_example: dict[str, np.ndarray]

    def as_dict(self) -> dict[str, Any]:
        """The means in the official programs' form, and the counts; without the per-example scores."""
        return {
            name: getattr(self, name) for name in ("n", "unused_guesses", "downstream", "kilt", "retrieval", "ranking")
        }


def score_files(
    gold: str | Path,
    guess: str | Path,
    ks: Sequence[int] = (1, 5, 20, 100),
    rank_keys: Sequence[Sequence[str]] = (PAGE,),
    programs: Sequence[str] = PROGRAMS,
    each: Callable[[ExampleScores], None] | None = None,
) -> Scores:
    """Scores a guess file against a gold file, plain or gzipped, in bounded memory.

    Args:
        ks: depths of the ranking metrics, each at least 1.
        rank_keys: alternatives, each a sequence of provenance keys that together name an item.
        programs: which of KILT's two programs to compute.
        each: called with every example's scores, in gold order.
    Raises InputError for what the official programs die of (the list is in this package's docstring).
    """
    guesses = _GuessFile(guess)
    per_example = {name: array("d") for name in (*ANSWER_METRICS, *RETRIEVAL_METRICS)}
    totals = {group: dict.fromkeys(names, 0.0) for group, names in _names(ks, rank_keys, programs).items()}
    n = 0
    for scores in iterate_scores(gold, guesses, ks, rank_keys, programs):
        n += 1
        for name, value in (scores.downstream | scores.retrieval).items():
            per_example[name].append(value)
        values = {"": scores.downstream | scores.kilt | scores.retrieval, **scores.ranking}
        for group, sums in totals.items():
            for name in sums:
                sums[name] += values[group][name]
        if each is not None:
            each(scores)
    means = {group: {name: total / max(n, 1) for name, total in sums.items()} for group, sums in totals.items()}
    plain = means.pop("", {})
    return Scores(
        n=n,
        unused_guesses=len(guesses) - n,
        downstream={name: plain[name] for name in ANSWER_METRICS if name in plain},
        kilt={name: value for name, value in plain.items() if name.startswith("KILT-")},
        retrieval={name: plain[name] for name in RETRIEVAL_METRICS if name in plain},
        ranking=means,
        per_example={name: np.array(values) for name, values in per_example.items() if "downstream" in programs},
    )


def _names(ks: Sequence[int], rank_keys: Sequence[Sequence[str]], programs: Sequence[str]) -> dict[str, list[str]]:
    """The names of the means.

    Of the downstream program under "", of the ranking program under each rank key.
    """
    names: dict[str, list[str]] = {}
    if "downstream" in programs:
        names[""] = [*ANSWER_METRICS, *(f"KILT-{metric}" for metric in ANSWER_METRICS), *RETRIEVAL_METRICS]
    if "ranking" in programs:
        contexts = ("answer_in_context", "answer_and_ent_in_context", "entity_in_context")
        ranking = ["Rprec", "entity_in_input"]
        for k in ks:
            ranking += [f"{name}@{k}" for name in ("precision", *contexts)]
            if k > 1:  # the official output has no recall@1 and no success_rate@1
                ranking += [f"recall@{k}", f"success_rate@{k}"]
        names |= {"+".join(keys): ranking for keys in rank_keys}
    return names


def iterate_scores(
    gold: str | Path,
    guess: str | Path | _GuessFile,
    ks: Sequence[int] = (1, 5, 20, 100),
    rank_keys: Sequence[Sequence[str]] = (PAGE,),
    programs: Sequence[str] = PROGRAMS,
) -> Iterator[ExampleScores]:
    """Streams every example's scores in gold order.

    Repeated gold ids are reported at the end; arguments as of score_files.
    """
    ks = _checked(ks, rank_keys, programs)
    guesses = guess if isinstance(guess, _GuessFile) else _GuessFile(guess)
    ids = DigestTable()
    for number, (where, row) in enumerate(read_objects(gold), start=1):
        identifier = _id(row, where)
        ids.append(identifier, number)
        prediction, place = guesses.find(identifier, where)
        yield score_example(in_kilts_words(row), prediction, ks, rank_keys, programs, where, place)
    for first, again in ids.repeats():
        identifier = next(_id(row, where) for n, (where, row) in enumerate(read_objects(gold), start=1) if n == again)
        raise InputError(
            f"gold id {identifier} appears twice", where=f"{gold}:{again}", found=f"it on line {first} too"
        )


class _GuessFile:
    """A guess file whose lines are found by id: 16 bytes a line in memory, the rest stays on disk."""

    def __init__(self, path: str | Path):
        self.path = path
        self._file = _seekable(path)
        self._offsets = DigestTable()  # id -> byte offset of its line
        offset = 0
        for number, line in enumerate(bounded_lines(self._file, path), start=1):
            where = f"{path}:{number}"
            self._offsets.append(_id(parse_object(line.rstrip(b"\r\n"), where), where), offset)
            offset += len(line)
        for first, again in self._offsets.repeats():
            raise InputError(
                f"guess id {_id(self._row(again), path)} appears twice",
                where=self.place(again),
                found=f"it at {self.place(first)} too",
            )

    def __len__(self) -> int:
        return len(self._offsets)

    def find(self, identifier: str, gold_where: str) -> tuple[dict[str, Any], _GuessAt]:
        """The guess with an id and where it stands. Raises InputError if there is none."""
        offset = self._offsets.find(identifier)
        if offset is None:
            raise InputError(
                f"no guess for gold id {identifier}", where=gold_where, expected=f"a line of {self.path} with this id"
            )
        return self._row(offset), self.place(offset)

    def place(self, offset: int) -> _GuessAt:
        return _GuessAt(self, offset)

    def line_number(self, offset: int) -> int:
        """The number of the line that starts at a byte offset, found by reading up to it."""
        self._file.seek(0)
        number = 1
        while self._file.tell() < offset:
            self._file.readline()
            number += 1
        return number

    def _row(self, offset: int) -> dict[str, Any]:
        self._file.seek(offset)
        return parse_object(self._file.readline().rstrip(b"\r\n"), self.place(offset))


@dataclass(frozen=True, slots=True)
class _GuessAt:
    """file:line of a guess, worked out only if an error has to name it."""

    file: _GuessFile
    offset: int

    def __str__(self) -> str:
        return f"{self.file.path}:{self.file.line_number(self.offset)}"


def _seekable(path: str | Path):
    """The file's plain bytes, unpacked to a temporary file if it is gzipped."""
    existing(path)
    file = open_binary(path)
    if not isinstance(file, gzip.GzipFile):
        return file
    file.close()
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115
    for _, line in numbered_lines(path):
        unpacked.write(line + b"\n")
    unpacked.seek(0)
    return unpacked


def _id(row: dict[str, Any], where: object) -> str:
    if "id" not in row:
        raise InputError("line without `id`", where=where)
    return id_text(row["id"])


def _checked(ks: Sequence[int], rank_keys: Sequence[Sequence[str]], programs: Sequence[str]) -> list[int]:
    """The distinct ks in order. Raises InputError for arguments that name nothing to compute."""
    if not ks or any(k < 1 for k in ks):
        raise InputError("ks", expected="depths of at least 1", found=list(ks))
    if not rank_keys or any(isinstance(keys, str) or not keys or not all(keys) for keys in rank_keys):
        raise InputError("rank keys", expected="one or more non-empty groups of provenance keys", found=list(rank_keys))
    if not programs or not set(programs) <= set(PROGRAMS):
        raise InputError("programs", expected=f"some of {', '.join(PROGRAMS)}", found=list(programs))
    return list(dict.fromkeys(ks))
