"""What results make of every point: the registry joined with the run files of a study, or with the paper's numbers.

Values are percent, or samples per TFLOP.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from glimmer import experiments
from glimmer.evaluation.intervals import average_interval, difference_interval, student_interval
from glimmer.experiments import Artifact, PaperValue, Point
from glimmer.experiments.registry import Measure
from glimmer.experiments.study import REDRAWN
from glimmer.files import canonical_json, existing
from glimmer.results.foreign import ForeignRow, foreign_rows, load_foreign
from glimmer.results.run_files import Runs, example_scores, load_runs

PAPER = "paper"
PRESENT, MISSING = "present", "missing"
EXAMPLES = "95 %, bootstrap over dev examples"
SEEDS = "95 %, bootstrap over dev examples and seeds"
PAIRED = "95 %, paired bootstrap over dev examples"
REPLICATES = "95 %, Student's t over replicates"
HEADLINE_SCORE = "metric"
_RESAMPLES = 2000
_SYMBOLS = {"alpha": "α", "beta": "β"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PointResult:
    """What a study, or the paper, has for one point of the registry.

    `value`, `low` and `high` are in the unit of the point's measure. The value of a missing point is None, never 0.
    `absent_ids` are those of the point's runs without a usable result, `seeds` those that entered the value, `source`
    is where a number comes from (of the paper's: `vector` or `printed`).
    """

    study: str
    point: Point
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval_kind: str = ""
    n_tasks: int | None = None
    absent_ids: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    source: str = "measured"

    @property
    def id(self) -> str:
        """The registry's id of the point, the same in every study."""
        return self.point.id

    @property
    def label(self) -> str:
        """What its series is called here: in the paper's own words, or with the study's own sizes in them."""
        return self.point.series if self.study == PAPER else self.point.label

    @property
    def x(self) -> float | None:
        """Where it stands on the x axis, None without one."""
        return None if self.point.x is None else float(self.point.x)

    @property
    def status(self) -> str:
        """`present` or `missing`."""
        return MISSING if self.value is None else PRESENT

    @property
    def name(self) -> str:
        """The point as a person names it, e.g. `GLIMMER, k = 10`."""
        return self.label if self.x is None or self.point.level else f"{self.label}, {self.at}"

    @property
    def at(self) -> str:
        """Where it stands on its x axis in words, e.g. `k = 10` or `α = 1/3`; empty without an axis."""
        name = self.point.x_name
        return "" if self.x is None else f"{_SYMBOLS.get(name, name)} = {number(self.x)}"

    @property
    def anchor(self) -> str:
        """The point's name in links: unique in a report, safe in HTML."""
        origin = "paper-" if self.study == PAPER else ""
        return f"point-{origin}{re.sub(r'[^A-Za-z0-9.]+', '-', self.id).strip('-').lower()}"

    def row(self) -> dict[str, Any]:
        """The result under the columns of `glimmer.results.frame`; the CSV files beside figures have the same."""
        point, reader = self.point, self.point.reader
        is_percent = point.measure.unit == "percent"
        return {
            "study": self.study,
            "point": point.id,
            "artifact": point.artifact,
            "panel": point.panel,
            "series": point.series,
            "label": self.label,
            "x_name": point.x_name,
            "x": self.x,
            "metric": point.measure.name,
            "value_percent": self.value if is_percent else None,
            "low_percent": self.low if is_percent else None,
            "high_percent": self.high if is_percent else None,
            "interval_kind": self.interval_kind or None,
            "samples_per_tflop": None if is_percent else self.value,
            "n_tasks": self.n_tasks,
            "status": self.status,
            "run_ids": " ".join(point.run_ids),
            "absent_ids": " ".join(self.absent_ids),
            "seeds": " ".join(map(str, self.seeds)),
            "reader": reader.name,
            "alpha": str(reader.alpha),
            "beta": None if reader.beta is None else str(reader.beta),
            "k": reader.k,
            "m": reader.m,
            "note": point.rounding,
            "source": self.source,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyResults:
    """Artifacts of a study with the run files behind them; of the paper, with what it reports (by point id).

    `foreign` is shown beside the points and enters none of them.
    """

    study: str
    artifacts: Mapping[str, Artifact]
    runs: Runs = Runs(by_id={})
    foreign: tuple[ForeignRow, ...] = ()
    reported: Mapping[str, PaperValue] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def planned(self) -> dict[str, Point]:
        """The registry's points by id, in its order."""
        return {point.id: point for artifact in self.artifacts.values() for point in artifact.points}

    @functools.cached_property
    def points(self) -> tuple[PointResult, ...]:
        """Every point with its value and interval, in the registry's order."""
        make = self._reported if self.study == PAPER else self._measured
        return tuple(map(make, self.planned.values()))

    @functools.cached_property
    def redrawn(self) -> tuple[str, ...]:
        """Which of data, initial and retriever have other settings at every seed (runs of one model compared)."""
        return tuple(part for part in REDRAWN if is_redrawn(part, self.runs.by_id.values()))

    @property
    def replicated(self) -> bool:
        """Whether its seeds are replicates: each answers questions of a world of its own."""
        return "data" in self.redrawn

    def of(self, artifact: str, panel: str | None = None) -> list[PointResult]:
        """The points of one artifact (and panel)."""
        return [p for p in self.points if p.point.artifact == artifact and panel in (None, p.point.panel)]

    def _reported(self, point: Point) -> PointResult:
        line = self.reported.get(point.id)
        return PointResult(
            study=PAPER,
            point=point,
            value=line.value if line else None,
            n_tasks=len(experiments.TASKS) if point.measure.kind == "average" else None,
            source=line.source if line else "not reported",
        )

    def _measured(self, point: Point) -> PointResult:
        """One point with what its runs measured, over the seeds that have results."""
        values = {seed: self.value(point, seed) for seed in _distinct_seeds(point)}
        values = {seed: value for seed, value in values.items() if value is not None}
        averaged = [len(measured_tasks(self.runs.by_id[id], point.measure)) for id in point.run_ids if id in self.runs]
        result = PointResult(
            study=self.study,
            point=point,
            n_tasks=max(averaged, default=None) if point.measure.kind == "average" else None,
            absent_ids=tuple(id for id in point.run_ids if id not in self.runs),
        )
        if not values:
            return result
        if self.replicated and len(values) > 1 and point.measure.kind != "speed":
            low, high, kind = *student_interval(list(values.values())), REPLICATES
        else:
            low, high, kind = self._interval(point, tuple(values))
        mean = statistics.fmean(values.values())
        return dataclasses.replace(result, value=mean, low=low, high=high, interval_kind=kind, seeds=tuple(values))

    def value(self, point: Point, seed: int) -> float | None:
        """A point at one seed, None as soon as one of its runs lacks the number."""
        return point.value(seed, lambda run_id: measured(self.runs.by_id.get(run_id), point.measure))

    def _interval(self, point: Point, seeds: Sequence[int]) -> tuple[float | None, float | None, str]:
        """(low, high, what the interval is) of a point that has a value at these seeds."""
        if point.measure.kind == "speed":
            return None, None, ""
        by_term = [[self.runs.by_id[term.run_ids[seed]] for seed in seeds] for term in point.terms]
        if len(seeds) == len(by_term) == 1 and point.measure.score == HEADLINE_SCORE:  # measured with the run
            bounds = _scored(by_term[0][0], point.measure).get("interval")
            return (100 * bounds[0], 100 * bounds[1], EXAMPLES) if bounds else (None, None, "")
        scores = [_per_example(runs, point.measure) for runs in by_term]
        if None in scores:
            return None, None, ""
        make = difference_interval if len(scores) == 2 else average_interval
        interval = make(*scores, resamples=_RESAMPLES)
        kind = PAIRED if len(seeds) == 1 else SEEDS if len(scores) == 1 else f"{SEEDS} (paired)"
        return 100 * interval.low, 100 * interval.high, kind

    def per_example(self, point: Point, seeds: Sequence[int]) -> dict[str, list[list[float]]] | None:
        """Per task the scores [seeds][examples], fractions, of a point that is one reader's; None if none are kept."""
        return _per_example([self.runs.by_id[point.terms[0].run_ids[seed]] for seed in seeds], point.measure)


def is_redrawn(part: str, runs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether runs of several seeds have other settings of a section at every seed (runs of one model compared)."""
    seeds: dict[str, dict[int, str]] = {}
    for run in runs:
        settings = run["settings"]
        model = canonical_json(settings.get("model"))
        seeds.setdefault(model, {})[settings["seed"]] = canonical_json(settings.get(part))
    several = [drawn for drawn in seeds.values() if len(drawn) > 1]
    return bool(several) and all(len(set(drawn.values())) == len(drawn) for drawn in several)


def _distinct_seeds(point: Point) -> Iterable[int]:
    """The seeds at which the point has runs of its own: of an untrained reader, whom no seed changes, the first."""
    first: dict[tuple[str, ...], int] = {}
    for seed in point.terms[0].run_ids:
        first.setdefault(tuple(term.run_ids[seed] for term in point.terms), seed)
    return first.values()


def measured(run: Mapping[str, Any] | None, measure: Measure) -> float | None:
    """What one run file says of a measure, in its unit; None where there is no run or it lacks the number."""
    if run is None:
        return None
    if measure.kind == "speed":
        return speed(run)
    scored = _scored(run, measure)
    return 100 * scored["score"] if scored else None


def speed(run: Mapping[str, Any]) -> float | None:
    """Samples per TFLOP: 10^12 over the multiply-accumulates an example, in the count behind the paper's Figure 2."""
    macs = (run.get("operation_counts") or {}).get("figure2")
    return 1e12 / macs if macs else None


def measured_tasks(run: Mapping[str, Any], measure: Measure) -> list[str]:
    """The tasks of a run that a measure is over: of a score beside the headline ones, those that have it."""
    if measure.kind == "speed":
        return []
    tasks = run["average"]["tasks"] if measure.kind == "average" else [measure.task]
    return (
        list(tasks) if measure.score == HEADLINE_SCORE else [t for t in tasks if example_scores(run, t, measure.score)]
    )


def task_score(run: Mapping[str, Any], task: str, score: str) -> float:
    """One task's score, a fraction."""
    if score == HEADLINE_SCORE:
        return run["tasks"][task]["score"]
    return statistics.fmean(example_scores(run, task, score))


def _scored(run: Mapping[str, Any], measure: Measure) -> dict | None:
    """`score` and, where it was measured with the run, `interval`."""
    if measure.score == HEADLINE_SCORE:
        return run["average"] if measure.kind == "average" else run["tasks"].get(measure.task)
    tasks = measured_tasks(run, measure)
    return {"score": statistics.fmean(task_score(run, task, measure.score) for task in tasks)} if tasks else None


def _per_example(runs: Sequence[Mapping], measure: Measure) -> dict[str, list[list[float]]] | None:
    """Per task its scores [seeds][examples]; None where a run kept none, or seeds answered different numbers."""
    scores = {
        task: [example_scores(run, task, measure.score) for run in runs] for task in measured_tasks(runs[0], measure)
    }
    complete = all(all(rows) and len(set(map(len, rows))) == 1 for rows in scores.values())
    return scores if complete else None


def number(x: float) -> str:
    """A number as people write it: 5, 1/4, 1/3 for 0.3333, 0.07 for what is no small fraction."""
    near = Fraction(x).limit_denominator(24)
    return str(near) if math.isclose(near, x, abs_tol=1e-6) else f"{x:g}"


def load_results(study: str, results: str | Path = "results", artifact: str | None = None) -> StudyResults:
    """Results of `study` from `results`/<study>, or the paper's own numbers where the study is called `paper`.

    With `artifact` only its points and the run files behind them are read. Raises InputError if the study is unknown
    or the paper's table is absent. A run without a usable file makes its points missing; it raises nothing.
    """
    results = Path(results)
    if study == PAPER:
        reported = usable_paper_values(existing(results / PAPER / "points.csv"))
        artifacts = {name: entry for name, entry in experiments.load_registry().artifacts.items() if entry.in_paper}
        return StudyResults(study=PAPER, artifacts=artifacts, reported=reported)
    artifacts = experiments.artifacts_of(experiments.load_study(study))
    foreign, _ = load_foreign(results / study)
    common = {"study": study, "foreign": foreign_rows(foreign)}
    if artifact is None:
        return StudyResults(**common, artifacts=artifacts, runs=load_runs(results / study))
    artifacts = {name: entry for name, entry in artifacts.items() if name == artifact}
    run_ids = {id for entry in artifacts.values() for point in entry.points for id in point.run_ids}
    return StudyResults(**common, artifacts=artifacts, runs=load_runs(results / study, run_ids))


def load_reference(results: str | Path) -> StudyResults | None:
    """What the paper reports where `results` has it, else None."""
    return load_results(PAPER, results) if (Path(results) / PAPER / "points.csv").exists() else None


def unusable(reported: PaperValue, point: Point | None) -> str | None:
    """Why a line of the paper's points cannot be used; None if it can."""
    if point is None:
        return "no such point in the registry"
    percent = point.measure.unit == "percent"
    spelled, empty = (reported.percent, reported.samples_per_tflop)[:: 1 if percent else -1]
    try:
        value = float(spelled)
    except ValueError:
        return f"no number of {point.measure.unit}: {spelled!r}"
    if empty:
        return "both a percentage and a speed"
    lowest = -100 if len(point.terms) > 1 else 0
    if not (math.isfinite(value) and lowest <= value and (value <= 100 or not percent)):
        return f"out of range: {spelled}"
    return None


def usable_paper_values(path: str | Path) -> dict[str, PaperValue]:
    """The lines of the paper's points that can be used, by point id; the audit names the others.

    Raises InputError where there is no such file, or it has other columns or a point twice.
    """
    known = {point.id: point for point in experiments.load_registry().points()}
    lines = experiments.paper_values(path)
    return {id: line for id, line in lines.items() if unusable(line, known.get(id)) is None}
