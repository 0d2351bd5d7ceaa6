"""What the plan foretells beside what was measured: each job's seconds, by Snakemake's benchmarks or by run files.

A machine without a peak, as a CPU, has a rate a stage: seconds = fixed + rate x amount of the bill's jobs, fitted to
jobs that it has done (glimmer/experiments/hours.py). No job is foretold by itself, nor by those left out with it.

Errors are those of single jobs, summed without their signs: of jobs that foretell each other they would cancel.
"""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal

from glimmer.errors import InputError
from glimmer.experiments import Run, Study, hours, runs_for
from glimmer.results import load_runs
from glimmer.runs.bill import Job, jobs_of

MEASURED = "measured"
"""The device of a machine whose rates its own jobs gave."""

LeftOut = Literal["job", "reader", "replicate", "study"]
Clock = Literal["wall", "cpu"]

LONG = 60.0
"""Seconds from which on a job is a long one: of shorter ones start-up is the most."""

NEAR = 25.0
"""Percent."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredMachine:
    """A machine that has done jobs of some stages, and has a rate of each; the bill's `Times`."""

    rates: Mapping[str, hours.Rate]
    jobs: int = 1
    devices: int = 1
    price: float | None = None

    def seconds(self, job: Job) -> float | None:
        """Of one job, start-up and compilation among them; None of a stage that it has never done."""
        rate = self.rates.get(job.stage)
        return None if rate is None else rate.seconds(job.amount)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """A job that was done: seconds by `clock`, as `of` says them. `like`: the shape of its reader, or its stage."""

    study: str
    job: Job
    like: str
    replicate: int | None
    seconds: float
    of: Literal["benchmark", "run file"]

    def goes_with(self, other: Timed, left_out: LeftOut) -> bool:
        """Whether it is left out where the other is to be foretold."""
        if self.study != other.study:
            return False
        if left_out == "job":
            return self is other
        alike = {"reader": self.like == other.like, "replicate": self.replicate == other.replicate, "study": True}
        return alike[left_out]


def timed_jobs(study: Study, passages: int | None = None, clock: Clock = "wall") -> list[Timed]:
    """Every job of the study that was measured, by its benchmark, or by its run file where it has none.

    Run files say the seconds of a part of what a job does: start-up is not in them, nor what `evaluation.both` answers
    again. CPU seconds stand in benchmarks alone. Raises InputError for a benchmark that is none.
    """
    runs, replicates = runs_for(study), study.seeds if study.replicates else [None]
    planned = {(job.stage, job.run): job for job in jobs_of(study, passages)}
    once = dataclasses.replace(study, evaluation=dataclasses.replace(study.evaluation, both=False))
    jobs = {"benchmark": planned, "run file": {(job.stage, job.run): job for job in jobs_of(once, passages)}}
    found: dict[tuple[str, str, int | None, str], Timed] = {}
    told = [("run file", one) for one in _of_run_files(study, runs) if clock == "wall"]
    told += [("benchmark", one) for seed in replicates for one in _of_benchmarks(study, runs, seed, clock)]
    for of, (stage, run, seed, part, seconds) in told:
        if (job := jobs[of].get((stage, run))) is not None:
            like = hours.shape(runs[run].settings) if run else stage
            found[stage, run, seed, part] = Timed(
                study=study.name, job=job, like=like, replicate=seed, seconds=seconds, of=of
            )
    return list(found.values())


_Told = tuple[str, str, int | None, str, float]
"""Stage, run, replicate, part, seconds."""


def _of_run_files(study: Study, runs: Mapping[str, Run]) -> Iterator[_Told]:
    for id, result in load_runs(study.results_directory, only=runs).by_id.items():
        seconds = hours.Finished.of(result).seconds
        if runs[id].reader.is_trained_by_its_run:
            yield "train", id, runs[id].seed, "", seconds["train"]
        yield "evaluate", id, runs[id].seed, "", seconds["memory"] + seconds["evaluate"]


def _of_benchmarks(study: Study, runs: Mapping[str, Run], seed: int | None, clock: Clock) -> Iterator[_Told]:
    """Of the whole study, or of a replicate; answering lies with the whole study's. A stage's file is of the number of
    parts that the study states: others are of another call."""
    whole = study.work_directory
    of_replicate = whole / "benchmarks" if seed is None else whole / f"replicate-{seed}" / "benchmarks"
    for path in sorted({*of_replicate.rglob("*.tsv"), *(whole / "benchmarks").glob("evaluate/*.tsv")}):
        stage, name = _rule(path), path.stem
        in_folder = path.parent.name != "benchmarks"
        run, _, part = name.partition("-")
        if in_folder and run in runs:
            if seed is not None and runs[run].seed != seed:
                continue
            place = (stage, run, runs[run].seed, part)
        elif in_folder == (getattr(study.parts, stage, 1) > 1):
            place = (stage, "", seed, name if in_folder else "")
        else:
            continue
        if (seconds := _seconds(path, clock)) is not None:
            yield *place, seconds


def _rule(path: Path) -> str:
    """The rule that left a benchmark: the name of the file, or of its folder."""
    name = path.stem if path.parent.name == "benchmarks" else path.parent.name
    return {"filter": "filter_by_relevance"}.get(name, name.replace("-", "_"))


def _seconds(path: Path, clock: Clock) -> float | None:
    """What the last line of a benchmark says; None where Snakemake could not tell CPU seconds of so short a job."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    column = "s" if clock == "wall" else "cpu_time"
    text = rows[-1].get(column) if rows else None
    if clock == "cpu" and text in ("NA", "-"):
        return None
    try:
        return float(text)
    except (TypeError, ValueError):
        raise InputError("not a benchmark", where=path, expected=f"a number as {column}", found=text) from None


# -- foretelling -----------------------------------------------------------------------------------------------------


def rates(timed: Iterable[Timed]) -> dict[str, hours.Rate]:
    """Of each stage, over its jobs; over benchmarks where it has some: run files leave out a part of a job."""
    by_stage: dict[str, list[Timed]] = {}
    for one in timed:
        if one.job.amount:
            by_stage.setdefault(one.job.stage, []).append(one)
    return {stage: _rate(group) for stage, group in by_stage.items()}


def _rate(timed: Sequence[Timed]) -> hours.Rate:
    whole_jobs = [one for one in timed if one.of == "benchmark"] or timed
    return hours.fitted([(one.job.amount / 1e12, one.seconds) for one in whole_jobs])


Foretell = Callable[[Timed], float | None]
"""The seconds of a job as if it had not been done; None where nothing says them."""


def from_others(timed: Sequence[Timed], left_out: LeftOut) -> Foretell:
    """By the other jobs of its stage that were measured alike."""

    def foretell(one: Timed) -> float | None:
        others = [
            other
            for other in timed
            if (other.job.stage, other.of) == (one.job.stage, one.of) and not other.goes_with(one, left_out)
        ]
        return rates(others).get(one.job.stage, _UNKNOWN).seconds(one.job.amount) or None

    return foretell


_UNKNOWN = hours.Rate(fixed=0.0, per_tera=0.0)


def compare(
    study: Study, timed: Sequence[Timed], foretell: Foretell, passages: int | None = None
) -> list[dict[str, Any]]:
    """A row a stage: jobs planned and measured, what was foretold of those and what they took, how far off that is.

    Seconds. `error_percent` is the jobs' errors together, in percent of what they took; `pairs` has foretold and
    measured seconds of each job that has both.
    """
    planned = Counter(job.stage for job in jobs_of(study, passages))
    mine = [one for one in timed if one.study == study.name]
    return [
        _row(stage, jobs, [one for one in mine if one.job.stage == stage], foretell) for stage, jobs in planned.items()
    ]


def _row(stage: str, jobs: int, timed: Sequence[Timed], foretell: Foretell) -> dict[str, Any]:
    pairs = [(foretold, one.seconds) for one in timed if (foretold := foretell(one)) is not None]
    row = {"stage": stage, "jobs": jobs, "measured": len(timed), "by": " and ".join(sorted({one.of for one in timed}))}
    return row | _outcome(pairs) | {"says": _lack(timed, pairs), "pairs": pairs}


_Pairs = Sequence[tuple[float, float]]
"""Foretold and measured seconds, job by job."""


def _outcome(pairs: _Pairs) -> dict[str, Any]:
    if not pairs:
        return {"foretold": 0} | dict.fromkeys(
            ("foretold_seconds", "seconds", "error_percent", "median_error_percent", "largest_error_percent")
        )
    errors = [abs(hours.error_percent(*pair)) for pair in pairs]
    foretold, outcome = (sum(values) for values in zip(*pairs, strict=True))
    return {
        "foretold": len(pairs),
        "foretold_seconds": foretold,
        "seconds": outcome,
        "error_percent": 100 * sum(abs(one - other) for one, other in pairs) / outcome,
        "median_error_percent": median(errors),
        "largest_error_percent": max(errors),
    }


def _lack(timed: Sequence[Timed], pairs: _Pairs) -> str:
    if not timed:
        return "no measurement"
    missing = len(timed) - len(pairs)
    return f"{missing} with no other job to foretell by" if missing else ""


def whole(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The line of all stages: of jobs that were measured and foretold. `rows` are those of `compare`.

    A long stage is one whose jobs take LONG seconds each, in the mean. Raises InputError where there is no such job.
    """
    pairs = [pair for row in rows for pair in row["pairs"]]
    measured = sum(row["measured"] for row in rows)
    if not pairs:
        expected = "measured jobs, and others of their stages to foretell them by (--by STUDY, --compare job)"
        raise InputError("nothing to compare", expected=expected, found=f"{measured} measured jobs, none foretold")
    long = [row for row in rows if row["foretold"] and row["seconds"] / row["foretold"] >= LONG]
    return {
        "jobs": sum(row["jobs"] for row in rows),
        "measured": measured,
        **_outcome(pairs),
        "long_stages": len(long),
        f"long_stages_within_{NEAR:.0f}_percent": sum(row["error_percent"] <= NEAR for row in long),
        "without_measurement": " ".join(row["stage"] for row in rows if not row["measured"]),
    }
