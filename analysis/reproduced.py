"""Runs made here against cached ones. A difference above what is expected is as much a mismatch as one below.

What was made here is one of three things:

1. A run whose id is cached too. `identical`: of the same files, and every question answered alike. `differs`: trained
   from the same files, made here to the byte, but another answer, whatever the level (fine-tuning is the same to the
   bit on one kind of processor). `other draw`: a file that rests on trained parameters came out otherwise. Another
   kind of processor rounds otherwise, and a checkpoint trained with other rounding is another draw of it; levels say
   nothing then. In all other cases `agrees`, where each score lies in the other's interval, or `differs`.
2. A new draw: a run whose id is not cached, or another draw of one that is. Two readers made at one seed have a
   difference, in percent, mean of tasks. The cached replicates of other seeds give the 95 % prediction interval of it
   (`Replicated.prediction`): `within`, `outside`, or, with fewer than two such replicates, `not judged`. Readers are
   matched between seeds by everything in their settings but the seeds.
3. A new draw where the cached runs are no replicates, since their seeds share one world: nothing predicts it, and it is
   not judged.

Reproduced is what was judged at all, holds no `differs` and no `outside`, and no other draw that nothing judges. When
all is well one difference in twenty lies outside, and differences share readers: three readers have three. A wide
interval confirms little; its width stands in its row.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.ledger.chance import Replicated
from analysis.ledger.delivered import but_for_the_replicate
from analysis.names import reader_text
from glimmer.errors import InputError
from glimmer.files import existing
from glimmer.results import Runs, answers_apart, load_runs
from glimmer.results.points import is_redrawn

IDENTICAL, AGREES, OTHER_DRAW, DIFFERS = "identical", "agrees", "other draw", "differs"
WITHIN, OUTSIDE, NOT_JUDGED = "within", "outside", "not judged"
_EXACT = ("data", "tokenizer", "tokens")  # digests in order of making: those that no rounding changes,
_TRAINED = ("initial_checkpoint", "retrieved", "kept_rows")  # and those that rest on trained parameters


def agreement(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """`agrees`: equal, or each in the other's interval; else `differs`. Takes two runs' `average`."""
    if first["score"] == second["score"]:
        return AGREES
    if not first.get("interval") or not second.get("interval"):
        return DIFFERS
    inside = [
        low <= other["score"] <= high
        for (low, high), other in ((first["interval"], second), (second["interval"], first))
    ]
    return AGREES if all(inside) else DIFFERS


def parting(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The first stage whose digests differ, in words, of two runs' `digests`; `fine-tuning` where none does."""
    return (_first_apart(first, second) or "fine-tuning").replace("_", " ")


def _first_apart(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    return next((stage for stage in _EXACT + _TRAINED if first.get(stage) != second.get(stage)), None)


def load_both(made: Path, cached: Path) -> tuple[Runs, Runs]:
    """The runs of two results/<study> directories.

    Raises InputError where a directory is missing, both are the same, a run file cannot be trusted, or no reader is in
    both.
    """
    if existing(made).resolve() == existing(cached).resolve():
        raise InputError("one directory, given twice", where=made, expected="results made here, and cached ones")
    ours, theirs = load_runs(made), load_runs(cached)
    for directory, runs in ((made, ours), (cached, theirs)):
        for refused in runs.refused:
            raise InputError(f"run file not to be trusted: {refused.reason}", where=directory / "runs" / refused.file)
    if not _by_reader(ours).keys() & _by_reader(theirs).keys():
        raise InputError(
            "no reader in common", where=made, expected=f"readers of {cached}", found=f"{len(ours.by_id)} other runs"
        )
    return ours, theirs


def _by_reader(runs: Runs) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Reader (`but_for_the_replicate`) -> seed -> run."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for run in runs.by_id.values():
        found.setdefault(but_for_the_replicate(run), {})[run["seed"]] = run
    return found


def compare(ours: Runs, theirs: Runs) -> list[dict[str, Any]]:
    """One row for each run made here that is cached too; scores in percent."""
    rows = []
    for run_id, run in ours.by_id.items():
        if run_id not in theirs:
            continue
        other = theirs.by_id[run_id]
        first, second = run["average"], other["average"]
        found = answers_apart(run, other, run["tasks"]) if run["tasks"].keys() == other["tasks"].keys() else None
        apart = found and found[0]
        verdict = _verdict(run, other, apart)
        rows.append(
            {
                "run": run_id,
                "reader": f"{reader_text(run['settings'])}, seed {run['seed']}",
                "here": round(100 * first["score"], 2),
                "cached": round(100 * second["score"], 2),
                "interval": [round(100 * bound, 2) for bound in second.get("interval") or []],
                "answers_apart": apart,
                "verdict": verdict,
                "parts_at": ""
                if verdict == IDENTICAL
                else parting(run.get("digests") or {}, other.get("digests") or {}),
            }
        )
    return rows


def _verdict(run: Mapping[str, Any], other: Mapping[str, Any], apart: int | None) -> str:
    """One run against the other of its id; `apart` is how many questions they answer differently."""
    parts_at = _first_apart(*((each.get("digests") or {}) for each in (run, other)))
    if parts_at in _TRAINED:
        return OTHER_DRAW
    if parts_at is None and apart == 0:
        return IDENTICAL
    trained_here = (run["settings"].get("initial") or {}).get("kind") == "pretrain"
    if parts_at is None and apart and trained_here:
        return DIFFERS
    return agreement(run["average"], other["average"])


def differences(ours: Runs, theirs: Runs, drawn: Iterable[str]) -> list[dict[str, Any]]:
    """One row for each two readers that were made here at one seed, one of them at least a new draw, judged ones first.

    `drawn`: the ids of runs that are another draw of the cached one. In percent, the reader less the other, which is
    the one that the cached replicates have below.
    """
    new = set(drawn) | (ours.by_id.keys() - theirs.by_id.keys())
    here, cached = _by_reader(ours), _by_reader(theirs)
    if not is_redrawn("data", [*ours.by_id.values(), *theirs.by_id.values()]):
        cached = {}
    rows = []
    for pair in itertools.combinations(here, 2):
        before = _differences([cached.get(reader, {}) for reader in pair])
        for seed, measured in _differences([here[reader] for reader in pair]).items():
            runs = [here[reader][seed] for reader in pair]
            if new & {run["id"] for run in runs}:
                rows.append(_row(runs, measured, {at: value for at, value in before.items() if at != seed}))
    return sorted(rows, key=lambda row: (row["verdict"] == NOT_JUDGED, row["seed"]))


def _differences(pair: Sequence[Mapping[int, Mapping[str, Any]]]) -> dict[int, float]:
    """Seed -> the first reader's score less the second's, percent, where both answered as many of the same tasks."""
    first, second = pair
    return {
        seed: 100 * (first[seed]["average"]["score"] - second[seed]["average"]["score"])
        for seed in sorted(first.keys() & second.keys())
        if _sizes(first[seed]) == _sizes(second[seed])
    }


def _sizes(run: Mapping[str, Any]) -> dict[str, int]:
    return {task: scored["n"] for task, scored in run["tasks"].items()}


def _row(runs: Sequence[Mapping[str, Any]], measured: float, cached: Mapping[int, float]) -> dict[str, Any]:
    """Of two runs of one seed: the difference measured here beside those of the cached replicates, by seed."""
    if np.mean(list(cached.values()) or [measured]) < 0:
        runs, measured, cached = runs[::-1], -measured, {seed: -value for seed, value in cached.items()}
    row = {
        "reader": reader_text(runs[0]["settings"]),
        "less": reader_text(runs[1]["settings"]),
        "seed": runs[0]["seed"],
        "runs": [run["id"] for run in runs],
        "here": round(measured, 2),
        "replicates": len(cached),
        "cached": {seed: round(value, 2) for seed, value in cached.items()},
    }
    if len(cached) < 2:
        return row | {"mean": None, "interval": None, "width": None, "verdict": NOT_JUDGED}
    known = Replicated(draws=np.array(list(cached.values())))
    low, high = known.prediction
    return row | {
        "mean": round(float(known.draws.mean()), 2),
        "interval": [round(low, 2), round(high, 2)],
        "width": round(high - low, 2),
        "verdict": WITHIN if known.predicts(measured) else OUTSIDE,
    }


def compare_directories(made: Path, cached: Path) -> dict[str, Any]:
    """What the runs of two results/<study> directories say of each other; raises as `load_both`.

    outcome: in one line; reproduced: whether they are; runs: rows of `compare`; differences: rows of `differences`.
    """
    ours, theirs = load_both(made, cached)
    rows = compare(ours, theirs)
    drawn = [row["run"] for row in rows if row["verdict"] == OTHER_DRAW]
    between = differences(ours, theirs, drawn)
    counts = Counter(row["verdict"] for row in [*rows, *between])
    left = set(drawn) - {id for row in between if row["verdict"] != NOT_JUDGED for id in row["runs"]}
    is_judged = bool(counts.keys() & {IDENTICAL, AGREES, WITHIN}) and not left
    failed = counts[DIFFERS] + counts[OUTSIDE] > 0
    outcome = "Not reproduced" if failed else "Reproduced" if is_judged else "Not judged"
    return {
        "outcome": f"{outcome}: {_counted(counts, len(left))}.",
        "reproduced": is_judged and not failed,
        "runs": rows,
        "differences": between,
    }


def _counted(counts: Mapping[str, int], left: int) -> str:
    """How many differences and runs came out how, in words; `left` is how many other draws nothing judges."""
    judged = counts[WITHIN] + counts[OUTSIDE]
    parts = []
    if judged:
        parts.append(f"{counts[WITHIN]} of {judged} differences between readers within their prediction intervals")
    if counts[NOT_JUDGED]:
        parts.append(f"{counts[NOT_JUDGED]} differences without two cached replicates to judge by")
    same = {verdict: counts[verdict] for verdict in (IDENTICAL, AGREES, DIFFERS, OTHER_DRAW) if counts[verdict]}
    if same:
        told = ", ".join(f"{count} {verdict}" for verdict, count in same.items())
        told += f" ({left} that nothing predicts)" if left else ""
        parts.append(f"of {sum(same.values())} runs that are cached too, {told}")
    return "; ".join(parts) or "no two readers were made at one seed"
