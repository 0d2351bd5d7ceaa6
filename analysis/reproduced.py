"""Runs made here against the committed ones of the same id: a difference beyond the intervals counts either way.

Each row also says where the two part: the first stage of the road whose files are not the same, byte for byte. Another
kind of processor rounds otherwise, and a checkpoint trained with other rounding is another draw of it. The intervals
know nothing of such draws, so levels that differ then say nothing; by how much a reader is better than another does.
Where the cached runs tell two neighbours apart, the runs made here must do so in the same direction, and the intervals
of the two differences must overlap.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.grids import reader_text
from analysis.runs import Runs, load_runs
from glimmer.errors import GlimmerError, InputError
from glimmer.evaluation.intervals import Interval, difference_interval
from glimmer.files import existing

IDENTICAL, AGREES, OTHER_DRAW, DIFFERS = "identical", "agrees", "other draw", "differs"
_EXACT = ("data", "tokenizer", "tokens")  # digests in order of making: those that no rounding changes,
_TRAINED = ("initial_checkpoint", "retrieved", "kept_rows")  # and those that rest on trained parameters


def agreement(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """`identical` scores; `agrees`: each lies in the other's interval; else `differs`. Takes two runs' `average`."""
    if first["score"] == second["score"]:
        return IDENTICAL
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
    return _first_apart(first["digests"], second["digests"]) in _TRAINED


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
        for one in runs.refused:
            raise InputError(f"run file not to be trusted: {one.reason}", where=directory / "runs" / one.file)
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
        verdict = agreement(first, second)
        if verdict == DIFFERS and _other_draw(run, other):
            verdict = OTHER_DRAW
        rows.append(
            {
                "run": run_id,
                "reader": f"{reader_text(run['settings']['reader'])}, seed {run['seed']}",
                "here": round(100 * first["score"], 2),
                "cached": round(100 * second["score"], 2),
                "interval": [round(100 * bound, 2) for bound in second.get("interval") or []],
                "verdict": verdict,
                "parts_at": "" if verdict == IDENTICAL else parting(run["digests"], other["digests"]),
            }
        )
    return rows


def gaps(ours: Runs, theirs: Runs) -> list[dict[str, Any]]:
    """Of runs that rest on another draw, neighbours by cached score at one seed: by how much the better is better.

    In percent, with intervals that pair the examples; only those whose cached interval lies above zero.
    """
    found = []
    drawn = [id for id, run in ours.by_id.items() if id in theirs and _other_draw(run, theirs.by_id[id])]
    for seed in sorted({theirs.by_id[one]["seed"] for one in drawn}):
        ranked = sorted(
            (one for one in drawn if theirs.by_id[one]["seed"] == seed),
            key=lambda one: theirs.by_id[one]["average"]["score"],
        )
        for worse, better in itertools.pairwise(ranked):
            if not all(_paired(runs.by_id[worse], runs.by_id[better]) for runs in (ours, theirs)):
                continue
            cached, here = (_gap(runs, better, worse) for runs in (theirs, ours))
            if cached.verdict() != "above":
                continue
            readers = [reader_text(theirs.by_id[one]["settings"]["reader"]) for one in (better, worse)]
            found.append(
                {
                    "better": readers[0],
                    "worse": readers[1],
                    "seed": seed,
                    "here": [round(100 * value, 2) for value in (here.mean, here.low, here.high)],
                    "cached": [round(100 * value, 2) for value in (cached.mean, cached.low, cached.high)],
                    "verdict": AGREES if here.verdict() == "above" and _overlap(here, cached) else DIFFERS,
                }
            )
    return found


def _overlap(first: Interval, second: Interval) -> bool:
    return first.low <= second.high and second.low <= first.high


def _paired(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two runs answered the same tasks, as many examples of each, and kept a score for every one."""
    sizes = [{task: len(scores) for task, scores in _scores(run).items()} for run in (first, second)]
    return sizes[0] == sizes[1] and all(sizes[0].values())


def _gap(runs: Runs, better: str, worse: str) -> Interval:
    return difference_interval(_scores(runs.by_id[better]), _scores(runs.by_id[worse]))


def _scores(run: Mapping[str, Any]) -> dict[str, Any]:
    return {task: (found.get("per_example") or {}).get("metric") or [] for task, found in run["tasks"].items()}


def show(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table for the terminal."""
    wide = max(len(row["reader"]) for row in rows) + 2
    heads = f"{'run':<14}{'reader':<{wide}}{'here':>7}{'cached':>8}  {'interval of the cached':<24}"
    lines = [f"{heads}{'verdict':<12}parts at"]
    for row in rows:
        bounds = " to ".join(f"{bound:.2f}" for bound in row["interval"]) or "none"
        numbers = f"{row['here']:>7.2f}{row['cached']:>8.2f}  {bounds:<24}"
        found = f"{row['verdict']:<12}{row['parts_at']}"
        lines.append(f"{row['run']:<14}{row['reader']:<{wide}}{numbers}{found}".rstrip())
    return "\n".join(lines)


def show_gaps(found: Sequence[Mapping[str, Any]]) -> str:
    """Sentences for the terminal: which differences between readers the other draw has too."""
    lines = ["Another draw of what readers start from: levels are not compared, differences between readers are."]
    for gap in found:
        here, cached = ("{:.2f} ({:.2f} to {:.2f})".format(*gap[side]) for side in ("here", "cached"))
        lines.append(f"{gap['better']}\n  above {gap['worse']}, seed {gap['seed']}")
        lines.append(f"  here {here}, cached {cached}: {gap['verdict']}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m analysis.reproduced MADE CACHED`: 0 if all agrees, 1 if something differs, 2 for bad input.

    Where levels are of another draw, there must be a difference between readers to compare, or that is 1 too.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("made", type=Path, help="results/<study> of the runs made here")
    parser.add_argument("cached", type=Path, help="results/<study> to compare them with")
    args = parser.parse_args(argv)
    try:
        ours, theirs = load_both(args.made, args.cached)
        rows = compare(ours, theirs)
        drawn = any(row["verdict"] == OTHER_DRAW for row in rows)
        found = gaps(ours, theirs) if drawn else []
    except GlimmerError as error:
        print(f"reproduced: {error}", file=sys.stderr)
        return error.exit_code
    print(show(rows))
    if drawn:
        print(show_gaps(found))
    return int(any(row["verdict"] == DIFFERS for row in [*rows, *found]) or (drawn and not found))


if __name__ == "__main__":
    sys.exit(main())
