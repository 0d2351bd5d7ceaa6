"""Runs made here against cached ones. A difference above what is expected is as much a mismatch as one below.

What was made here is one of three things:

1. A run whose id is cached too. `identical`: of the same files, and every question answered alike. `differs`: trained
   from the same files, made here to the byte, but another answer, whatever the level (fine-tuning is the same to the
   bit on one kind of processor). `other draw`: a file that rests on trained parameters came out otherwise. Another
   kind of processor rounds otherwise, and a checkpoint trained with other rounding is another draw of it; levels say
   nothing then. In all other cases `agrees`, where each score lies in the other's interval, or `differs`.
2. A new draw: a run whose id is not cached, or another draw of one that is. Its level (percent, mean of tasks), and its
   difference to every other reader made at its seed, are held to the 95 % prediction interval that the cached
   replicates of other seeds give (`Replicated.prediction`), on both sides. `OK`: inside. `near`: outside, and inside
   the interval of 1 - 5 % / J of all J numbers judged, since of many numbers some lie outside by chance. `FAIL`:
   outside that too; of faithful replicates one in twenty has any (Bonferroni). `not judged`: fewer than two such
   replicates, of which nobody knows how they vary. Readers are matched between seeds by everything in their settings
   but the seeds.
3. A new draw where the cached runs are no replicates, since their seeds share one world: nothing predicts it, and it is
   not judged.

Counted together, `identical` is OK, `agrees` is near and `differs` is a FAIL. Verified is what was judged at all, has
no FAIL, and no other draw that nothing judges. A wide interval confirms little; its width stands in its row.
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
from analysis.sources import existing_results
from glimmer.errors import InputError
from glimmer.results import Runs, answers_apart, load_runs
from glimmer.results.points import is_redrawn

IDENTICAL, AGREES, OTHER_DRAW, DIFFERS = "identical", "agrees", "other draw", "differs"
OK, NEAR, FAIL, NOT_JUDGED = "OK", "near", "FAIL", "not judged"
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
    if existing_results(made).resolve() == existing_results(cached).resolve():
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
    return sorted(rows, key=lambda row: (row["interval"] is None, row["seed"]))


def levels(ours: Runs, theirs: Runs, drawn: Iterable[str]) -> list[dict[str, Any]]:
    """One row for each run that was made here and is a new draw: its level beside those of the cached replicates."""
    new = set(drawn) | (ours.by_id.keys() - theirs.by_id.keys())
    cached = _by_reader(theirs) if is_redrawn("data", [*ours.by_id.values(), *theirs.by_id.values()]) else {}
    rows = []
    for reader, by_seed in _by_reader(ours).items():
        for seed, run in by_seed.items():
            if run["id"] in new:
                others = {at: other for at, other in cached.get(reader, {}).items() if at != seed}
                known = {at: _level(other) for at, other in others.items() if _sizes(other) == _sizes(run)}
                rows.append(_row([run], _level(run), known))
    return rows


def _level(run: Mapping[str, Any]) -> float:
    return 100 * run["average"]["score"]


def judge(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `levels` and `differences` with their verdicts, as one family: see above."""
    judged = [row for row in rows if row["interval"]]
    for row in judged:
        known = Replicated(draws=np.array(list(row["exact"].values())))
        if known.predicts(row["measured"]):
            row["verdict"] = OK
        else:
            row["verdict"] = NEAR if known.predicts(row["measured"], 1 - 0.05 / len(judged)) else FAIL
    hidden = ("exact", "measured")
    return [{key: value for key, value in row.items() if key not in hidden} for row in rows]


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
    """Of a run, or of two of one seed: what was measured here beside the same of the cached replicates, by seed."""
    if len(runs) > 1 and np.mean(list(cached.values()) or [measured]) < 0:
        runs, measured, cached = runs[::-1], -measured, {seed: -value for seed, value in cached.items()}
    row = {
        "reader": reader_text(runs[0]["settings"]),
        "less": reader_text(runs[1]["settings"]) if len(runs) > 1 else None,
        "seed": runs[0]["seed"],
        "runs": [run["id"] for run in runs],
        "here": round(measured, 2),
        "replicates": len(cached),
        "cached": {seed: round(value, 2) for seed, value in cached.items()},
        "exact": dict(cached),
        "measured": measured,
        "verdict": NOT_JUDGED,
    }
    if len(cached) < 2:
        return row | {"mean": None, "interval": None, "width": None}
    known = Replicated(draws=np.array(list(cached.values())))
    low, high = known.prediction
    return row | {
        "mean": round(float(known.draws.mean()), 2),
        "interval": [round(low, 2), round(high, 2)],
        "width": round(high - low, 2),
    }


def compare_directories(made: Path, cached: Path) -> dict[str, Any]:
    """What the runs of two results/<study> directories say of each other; raises as `load_both`.

    outcome: in one line; verified: whether they are; counts: of OK, near, FAIL and not judged; runs: rows of `compare`;
    levels and differences: rows of `judge`.
    """
    ours, theirs = load_both(made, cached)
    rows = compare(ours, theirs)
    drawn = [row["run"] for row in rows if row["verdict"] == OTHER_DRAW]
    of_levels = levels(ours, theirs, drawn)
    draws = judge([*of_levels, *differences(ours, theirs, drawn)])
    left = set(drawn) - {id for row in draws if row["verdict"] != NOT_JUDGED for id in row["runs"]}
    of_runs = Counter(_OF_A_RUN[row["verdict"]] for row in rows if row["verdict"] in _OF_A_RUN)
    counted = of_runs + Counter(row["verdict"] for row in draws)
    counts = {verdict: counted[verdict] for verdict in (OK, NEAR, FAIL, NOT_JUDGED)}
    is_judged = bool(counts[OK] + counts[NEAR]) and not left
    outcome = "Not verified" if counts[FAIL] else "Verified" if is_judged else "Cannot be judged"
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "nothing to judge"
    why = _reasons(rows, draws, len(left))
    return {
        "outcome": f"{outcome}: {told}{why}.",
        "verified": is_judged and not counts[FAIL],
        "counts": counts,
        "runs": rows,
        "levels": draws[: len(of_levels)],
        "differences": draws[len(of_levels) :],
    }


_OF_A_RUN = {IDENTICAL: OK, AGREES: NEAR, DIFFERS: FAIL}


def _reasons(rows: Sequence[Mapping], draws: Sequence[Mapping], left: int) -> str:
    """Why something could not be judged, and how many runs of cached ids there are, in words."""
    parts = []
    if few := sorted({row["replicates"] for row in draws if row["verdict"] == NOT_JUDGED}):
        known = " or ".join(map(str, few))
        parts.append(
            f"not judged is what has {known} cached replicates of another seed, since two say how numbers vary"
        )
    if left:
        parts.append(f"{left} runs are another draw that nothing predicts")
    if rows:
        same = Counter(row["verdict"] for row in rows)
        parts.append(
            f"of {len(rows)} runs that are cached too, " + ", ".join(f"{n} {what}" for what, n in same.items())
        )
    return "".join(f"; {part}" for part in parts)
