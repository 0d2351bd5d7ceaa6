"""Scoring answers: ours against a plain loop of the formulas that KILT's scorer has, held against KILT's own too."""

from __future__ import annotations

import json
import re
import string
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.peers.rows import OURS, Row, absent, in_turn, require_close
from benchmarks.scoring import write_files

LOOP, KILT = "plain loop", "KILT's package"
_KILT_LINES = 5_000
"""For its agreement alone: it takes quadratic time in the lines."""
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def rows(quick: bool) -> Iterator[Row]:
    """The row of scoring."""
    from glimmer.evaluation.kilt_scores import score_files

    lines, repeats = (300, 2) if quick else (100_000, 3)
    missing = absent("rouge")
    with tempfile.TemporaryDirectory() as directory:
        gold, guess = Path(directory, "gold.jsonl"), Path(directory, "guess.jsonl")
        write_files(gold, guess, lines)
        arms = {OURS: lambda: score_files(gold, guess, programs=["downstream"])}
        checked = ""
        if not missing:
            found, expected = score_files(gold, guess, programs=["downstream"]).as_dict(), plain_loop(gold, guess)
            checked = agree(found, expected)
            arms[LOOP] = lambda: plain_loop(gold, guess)
        checked = "; ".join(part for part in (checked, _kilts(Path(directory), min(lines, _KILT_LINES))) if part)
        seconds = in_turn(arms, repeats, warm=False)
    yield Row(
        name="scoring",
        what=f"scoring {lines:,} answers with their evidence, from files",
        against="a plain loop of the official scorer's formulas over both files in memory, with the `rouge` package",
        seconds=seconds,
        checked=checked,
        limits="one core on both sides: reading JSON, and ROUGE-L of each answer",
        facts={"lines": lines},
        missing=missing,
    )


def agree(found: Mapping[str, Mapping[str, float]], expected: Mapping[str, Mapping[str, float]]) -> str:
    """Compares every score of `expected`. Raises CheckFailed where one is not ours."""
    names = [(group, name) for group, scores in expected.items() for name in scores]
    ours, theirs = ([scores[group][name] for group, name in names] for scores in (found, expected))
    return require_close(f"{len(names)} scores", ours, theirs, 1e-9)


def _kilts(directory: Path, lines: int) -> str:
    """What KILT's own package says of as many lines, where it is installed. Raises CheckFailed where it differs."""
    from glimmer.errors import CheckFailed
    from glimmer.evaluation.kilt_package import cross_check
    from glimmer.evaluation.kilt_scores import score_files

    gold, guess = directory / "fewer-gold.jsonl", directory / "fewer-guess.jsonl"
    write_files(gold, guess, lines)
    found = cross_check(gold, guess, score_files(gold, guess, programs=["downstream"]))
    if found["status"] == "differs":
        raise CheckFailed(f"{KILT}: {found['detail']}")
    return f"{KILT} agrees on {lines:,} lines" if found["status"] == "agrees" else ""


def plain_loop(gold: Path, guess: Path) -> dict[str, dict[str, float]]:
    """Means of answers, KILT scores and retrieval, as one would write them down from the formulas."""
    from rouge import Rouge

    rouge, sums = Rouge(), Counter()
    guesses = {row["id"]: row for row in map(json.loads, lines_of(guess))}
    count = 0
    for row in map(json.loads, lines_of(gold)):
        count += 1
        given = guesses[row["id"]]["output"][0]
        answer = given["answer"].strip()
        answers = {output["answer"].strip() for output in row["output"]}
        scores = {
            "accuracy": float(answer in answers),
            "em": max(float(_normal(answer) == _normal(one)) for one in answers),
            "f1": max(_f1(answer, one) for one in answers),
            "rougel": max(_rouge_l(rouge, answer, one) for one in answers),
        }
        pages = list(dict.fromkeys(item["wikipedia_id"] for item in given["provenance"]))
        sets = [{item["wikipedia_id"] for item in output["provenance"]} for output in row["output"]]
        precision = max(len(one & set(pages[: len(one)])) / len(one) for one in sets)
        sums.update({("downstream", name): value for name, value in scores.items()})
        sums.update({("kilt", f"KILT-{name}"): value * (precision == 1) for name, value in scores.items()})
        recall = sum(one <= set(pages[:5]) for one in sets) / len(sets)
        sums.update({("retrieval", "Rprec"): precision, ("retrieval", "recall@5"): recall})
    means: dict[str, dict[str, float]] = {}
    for (group, name), total in sums.items():
        means.setdefault(group, {})[name] = total / count
    return means


def lines_of(path: Path) -> list[str]:
    """All lines of a file."""
    return path.read_text(encoding="utf-8").splitlines()


def _normal(text: str) -> str:
    kept = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
    return " ".join(_ARTICLES.sub(" ", kept).split())


def _f1(guess: str, gold: str) -> float:
    words, expected = _normal(guess).split(), _normal(gold).split()
    same = sum((Counter(words) & Counter(expected)).values())
    if not same:
        return 0.0
    precision, recall = same / len(words), same / len(expected)
    return 2 * precision * recall / (precision + recall)


def _rouge_l(rouge: object, guess: str, gold: str) -> float:
    try:
        return rouge.get_scores(guess, gold, avg=True)["rouge-l"]["f"]
    except ValueError:  # of nothing
        return 0.0
