"""Runs made here against the committed ones of the same id: a difference beyond the intervals counts either way.

Each row also says where the two part: the first stage of the road whose files are not the same, byte for byte. Another
kind of processor rounds otherwise, and a checkpoint trained with other rounding is another draw of it. The intervals
know nothing of such draws, so levels that differ then say nothing; by how much a reader is better than another does.
Where the cached runs tell two neighbours apart, the runs made here must do so in the same direction, and the intervals
of the two differences must overlap.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.names import reader_text
from glimmer.errors import InputError
from glimmer.evaluation.intervals import Interval, difference_interval
from glimmer.files import existing
from glimmer.results import Runs, answers_apart, example_scores, load_runs

IDENTICAL, AGREES, OTHER_DRAW, DIFFERS = "identical", "agrees", "other draw", "differs"
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


def _other_draw(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return _first_apart(first.get("digests") or {}, second.get("digests") or {}) in _TRAINED


def _first_apart(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    return next((stage for stage in _EXACT + _TRAINED if first.get(stage) != second.get(stage)), None)


def load_both(made: Path, cached: Path) -> tuple[Runs, Runs]:
    """The runs of two results/<study> directories.

    Raises InputError where a directory is missing, both are the same, a run file cannot be trusted, or no run is in
    both.
    """
    if existing(made).resolve() == existing(cached).resolve():
        raise InputError("one directory, given twice", where=made, expected="results made here, and cached ones")
    ours, theirs = load_runs(made), load_runs(cached)
    for directory, runs in ((made, ours), (cached, theirs)):
        for refused in runs.refused:
            raise InputError(f"run file not to be trusted: {refused.reason}", where=directory / "runs" / refused.file)
    if not ours.by_id.keys() & theirs.by_id.keys():
        raise InputError(
            "no run in common", where=made, expected=f"runs of {cached}", found=f"{len(ours.by_id)} others"
        )
    return ours, theirs


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
    """One run against the other; `apart` is how many questions they answer differently.

    A checkpoint trained here that came out the same to the byte was trained on the same kind of processor, where
    fine-tuning is the same to the bit: then one other answer is an error, whatever the levels say.
    """
    if apart == 0:
        return IDENTICAL
    verdict = agreement(run["average"], other["average"])
    digests = [each.get("digests") or {} for each in (run, other)]
    trained_here = (run["settings"].get("initial") or {}).get("kind") == "pretrain"
    if apart and trained_here and _first_apart(*digests) is None:
        return DIFFERS
    return OTHER_DRAW if verdict == DIFFERS and _other_draw(run, other) else verdict


def gaps(ours: Runs, theirs: Runs) -> list[dict[str, Any]]:
    """Of runs that rest on another draw, neighbours by cached score at one seed: by how much the better is better.

    In percent, with intervals that pair the examples; only those whose cached interval lies above zero.
    """
    rows = []
    drawn = [id for id, run in ours.by_id.items() if id in theirs and _other_draw(run, theirs.by_id[id])]
    for seed in sorted({theirs.by_id[id]["seed"] for id in drawn}):
        at_seed = [id for id in drawn if theirs.by_id[id]["seed"] == seed]
        ranked = sorted(at_seed, key=lambda id: theirs.by_id[id]["average"]["score"])
        for worse, better in itertools.pairwise(ranked):
            if not all(_paired(runs.by_id[worse], runs.by_id[better]) for runs in (ours, theirs)):
                continue
            here, cached = (_gap(runs, better, worse) for runs in (ours, theirs))
            if cached.verdict() != "above":
                continue
            rows.append(
                {
                    "better": reader_text(theirs.by_id[better]["settings"]),
                    "worse": reader_text(theirs.by_id[worse]["settings"]),
                    "seed": seed,
                    "here": [round(100 * value, 2) for value in (here.mean, here.low, here.high)],
                    "cached": [round(100 * value, 2) for value in (cached.mean, cached.low, cached.high)],
                    "verdict": AGREES if here.verdict() == "above" and _overlap(here, cached) else DIFFERS,
                }
            )
    return rows


def _overlap(first: Interval, second: Interval) -> bool:
    return first.low <= second.high and second.low <= first.high


def _paired(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two runs answered the same tasks, as many examples of each, and kept a score for every one."""
    sizes = [{task: len(scores) for task, scores in _scores(run).items()} for run in (first, second)]
    return sizes[0] == sizes[1] and all(sizes[0].values())


def _gap(runs: Runs, better: str, worse: str) -> Interval:
    return difference_interval(_scores(runs.by_id[better]), _scores(runs.by_id[worse]))


def _scores(run: Mapping[str, Any]) -> dict[str, Any]:
    return {task: example_scores(run, task) for task in run["tasks"]}


def compare_directories(made: Path, cached: Path) -> dict[str, Any]:
    """The runs that two results/<study> directories have in common, and whether they agree; raises as `load_both`.

    Where levels are of another draw, the gaps between readers are compared too, and there must be one: a draw without
    confirms nothing.
    """
    ours, theirs = load_both(made, cached)
    rows = compare(ours, theirs)
    is_other_draw = any(row["verdict"] == OTHER_DRAW for row in rows)
    between = gaps(ours, theirs) if is_other_draw else []
    agrees = all(row["verdict"] != DIFFERS for row in [*rows, *between]) and bool(between or not is_other_draw)
    return {"runs": rows, "other_draw": is_other_draw, "gaps": between, "agrees": agrees}
