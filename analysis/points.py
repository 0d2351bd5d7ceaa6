"""The points of a study: every number of every artifact, joined from the registry and the run files, in percent.

`load_points` gives plain records (drawing needs no more, and pandas costs a second of start-up); `frame` gives the
same as one pandas table for exploring.
"""

from __future__ import annotations

import dataclasses
import math
import re
import statistics
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from analysis.runs import Runs, load_runs
from glimmer import experiments
from glimmer.evaluation.intervals import average_interval, difference_interval
from glimmer.experiments.registry import Measure
from glimmer.files import existing

PAPER = "paper"
PRESENT, MISSING = "present", "missing"
EXAMPLES = "95 %, bootstrap over dev examples"
SEEDS = "95 %, bootstrap over dev examples and seeds"
PAIRED = "95 %, paired bootstrap over dev examples"
_RESAMPLES = 2000
_SYMBOLS = {"alpha": "α", "beta": "β"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One number of one artifact. `value`, `low`, `high` are percent, or samples per TFLOP where `unit` says so.

    A missing point has value None, never 0. `run_ids` are all runs it rests on, `absent_ids` those of them without a
    usable result, `seeds` the seeds that entered the value. `id` is the registry's, the same in every study; `series`
    is the paper's name of the series and `label` the study's own (they differ where the study has other sizes).
    """

    study: str
    id: str
    artifact: str
    panel: str
    series: str
    label: str
    x_name: str = ""
    x: float | None = None
    level: bool = False
    metric: str
    unit: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval_kind: str = ""
    n_tasks: int | None = None
    run_ids: tuple[str, ...] = ()
    absent_ids: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    reader: str
    alpha: str
    beta: str
    k: int
    m: int
    note: str = ""
    source: str

    @property
    def status(self) -> str:
        """`present` or `missing`."""
        return MISSING if self.value is None else PRESENT

    @property
    def name(self) -> str:
        """The point as a person names it, e.g. `GLIMMER, k = 10`."""
        return self.label if self.x is None or self.level else f"{self.label}, {self.at}"

    @property
    def at(self) -> str:
        """Where the point stands on its x axis, e.g. `k = 10` or `α = 1/3`; empty without an axis."""
        return "" if self.x is None else f"{_SYMBOLS.get(self.x_name, self.x_name)} = {number(self.x)}"

    @property
    def anchor(self) -> str:
        """The point's name in links: unique in a report, safe in HTML."""
        origin = "paper-" if self.study == PAPER else ""
        return f"point-{origin}{re.sub(r'[^A-Za-z0-9.]+', '-', self.id).strip('-').lower()}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyPoints:
    """All points of a study with the run files behind them."""

    study: str
    points: tuple[Point, ...]
    runs: Runs

    def of(self, artifact: str, panel: str | None = None) -> list[Point]:
        """The points of one artifact (and panel), in the registry's order."""
        return [p for p in self.points if p.artifact == artifact and panel in (None, p.panel)]


def number(x: float) -> str:
    """A number as people write it: 5, 1/4, 1/3 for 0.3333, 0.07 for what is no small fraction."""
    near = Fraction(x).limit_denominator(24)
    return str(near) if math.isclose(near, x, abs_tol=1e-6) else f"{x:g}"


def load_points(study: str, results: str | Path = "results", artifact: str | None = None) -> StudyPoints:
    """Points of `study` from `results`/<study>, or the paper's own where the study is called `paper`.

    With `artifact` only its points and the run files behind them are read. Raises InputError if the study is
    unknown or the paper's table is absent. A run without a usable file makes its points missing; it raises nothing.
    """
    results = Path(results)
    if study == PAPER:
        return StudyPoints(study=PAPER, points=paper_points(results / PAPER / "points.csv"), runs=Runs(by_id={}))
    planned = experiments.points(experiments.load_study(study))
    if artifact is None:
        runs = load_runs(results / study)
    else:
        planned = tuple(point for point in planned if point.artifact == artifact)
        runs = load_runs(results / study, {run_id for point in planned for run_id in point.run_ids})
    return StudyPoints(study=study, points=tuple(_measured(point, study, runs) for point in planned), runs=runs)


def load_reference(results: str | Path) -> StudyPoints | None:
    """The paper's points where `results` has them, else None."""
    return load_points(PAPER, results) if (Path(results) / PAPER / "points.csv").exists() else None


def unusable(reported: experiments.PaperValue, point: experiments.Point | None) -> str | None:
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


def usable_paper_values(path: str | Path) -> dict[str, experiments.PaperValue]:
    """The lines of the paper's points that can be used, by point id; the audit names the others.

    Raises InputError where there is no such file, or it has other columns or a point twice.
    """
    known = {point.id: point for point in experiments.load_registry().points()}
    return {id: one for id, one in experiments.paper_values(path).items() if unusable(one, known.get(id)) is None}


def paper_points(path: str | Path) -> tuple[Point, ...]:
    """What the paper reports: the registry's points with the values of a CSV (point, percent, ...)."""
    values = usable_paper_values(existing(path))
    found = []
    for planned in experiments.load_registry().points():
        reported = values.get(planned.id)
        found.append(
            Point(
                **_described(planned, PAPER, 6 if planned.measure.kind == "average" else None)
                | {"label": planned.series},
                value=reported.value if reported else None,
                source=reported.source if reported else "not reported",
            )
        )
    return tuple(found)


def _described(planned: experiments.Point, study: str, n_tasks: int | None) -> dict:
    """Everything about a point but its value."""
    reader = planned.reader
    return {
        "study": study,
        "id": planned.id,
        "artifact": planned.artifact,
        "panel": planned.panel,
        "series": planned.series,
        "label": planned.label,
        "x_name": planned.x_name or "",
        "x": None if planned.x is None else float(planned.x),
        "level": planned.level,
        "metric": planned.measure.name,
        "unit": planned.measure.unit,
        "n_tasks": n_tasks,
        "reader": reader.name,
        "alpha": str(reader.alpha),
        "beta": "" if reader.beta is None else str(reader.beta),
        "k": reader.k,
        "m": reader.m,
        "run_ids": planned.run_ids,
        "note": planned.rounding or "",
    }


def _measured(planned: experiments.Point, study: str, runs: Runs) -> Point:
    """One point of the registry with what its runs measured, over the seeds that have results."""
    values = {}
    for seed in planned.terms[0].run_ids:
        value = planned.value(seed, lambda run_id: _measure(runs.by_id.get(run_id), planned.measure))
        if value is not None:
            values[seed] = value
    n_tasks = {runs.by_id[i]["average"]["n_tasks"] for i in planned.run_ids if i in runs}
    n_tasks = max(n_tasks) if planned.measure.kind == "average" and n_tasks else None
    missing = tuple(run_id for run_id in planned.run_ids if run_id not in runs)
    described = _described(planned, study, n_tasks) | {"absent_ids": missing, "source": "measured"}
    if not values:
        return Point(**described)
    value, low, high, kind = _interval(planned, values, runs)
    return Point(**described, value=value, low=low, high=high, interval_kind=kind, seeds=tuple(values))


def _measure(run: dict | None, measure: Measure) -> float | None:
    """What one run says of a measure: percent, or samples per TFLOP (10^12 over multiply-accumulates an example,
    the count behind the paper's Figure 2). None where there is no run or it lacks the number."""
    if run is None:
        return None
    if measure.kind == "speed":
        macs = (run.get("operation_counts") or {}).get("figure2")
        return 1e12 / macs if macs else None
    found = _scored(run, measure)
    return 100 * found["score"] if found else None


def _scored(run: dict, measure: Measure) -> dict | None:
    return run["average"] if measure.kind == "average" else run["tasks"].get(measure.task)


def _interval(planned: experiments.Point, values: dict[int, float], runs: Runs):
    """(value, low, high, what the interval is) of a point that has a value at the given seeds."""
    value = statistics.fmean(values.values())
    if planned.measure.kind == "speed":
        return value, None, None, ""
    by_term = [[runs.by_id[term.run_ids[seed]] for seed in values] for term in planned.terms]
    if len(values) == len(by_term) == 1:  # one run: the interval that was measured with it
        bounds = _scored(by_term[0][0], planned.measure).get("interval")
        return (value, 100 * bounds[0], 100 * bounds[1], EXAMPLES) if bounds else (value, None, None, "")
    scores = [_per_example(some_runs, planned.measure) for some_runs in by_term]
    if None in scores:
        return value, None, None, ""
    if len(scores) == 2:
        found = difference_interval(*scores, resamples=_RESAMPLES)
    else:
        found = average_interval(scores[0], resamples=_RESAMPLES)
    kind = SEEDS if len(values) > 1 else PAIRED
    return value, 100 * found.low, 100 * found.high, f"{kind} (paired)" if len(scores) == 2 and kind == SEEDS else kind


def per_example(planned: experiments.Point, seeds: Sequence[int], runs: Runs) -> dict[str, list[list[float]]] | None:
    """Per task the scores [seeds][examples], fractions, of a point that is one reader's; None where none are kept."""
    return _per_example([runs.by_id[planned.terms[0].run_ids[seed]] for seed in seeds], planned.measure)


def _per_example(runs: list[dict], measure: Measure) -> dict[str, list[list[float]]] | None:
    """Per task its scores [seeds][examples]; None where a run kept none, or seeds answered different numbers."""
    tasks = runs[0]["average"]["tasks"] if measure.kind == "average" else [measure.task]
    scores = {t: [(run["tasks"].get(t, {}).get("per_example") or {}).get("metric") for run in runs] for t in tasks}
    complete = all(all(rows) and len(set(map(len, rows))) == 1 for rows in scores.values())
    return scores if complete else None


def frame(points: Sequence[Point]):
    """The points as one pandas DataFrame with the columns of the CSV files; missing values are NaN."""
    import pandas

    return pandas.DataFrame([row(point) for point in points], columns=list(COLUMNS))


COLUMNS = (
    "study",
    "point",
    "artifact",
    "panel",
    "series",
    "label",
    "x_name",
    "x",
    "metric",
    "value_percent",
    "low_percent",
    "high_percent",
    "interval_kind",
    "samples_per_tflop",
    "n_tasks",
    "status",
    "run_ids",
    "absent_ids",
    "seeds",
    "reader",
    "alpha",
    "beta",
    "k",
    "m",
    "note",
    "source",
)


def row(point: Point) -> dict:
    """One point under the column names of the CSV files."""
    percent = point.unit == "percent"
    values = {field.name: getattr(point, field.name) for field in dataclasses.fields(point)} | {
        "point": point.id,
        "value_percent": point.value if percent else None,
        "low_percent": point.low if percent else None,
        "high_percent": point.high if percent else None,
        "samples_per_tflop": None if percent else point.value,
        "status": point.status,
        "run_ids": " ".join(point.run_ids),
        "absent_ids": " ".join(point.absent_ids),
        "seeds": " ".join(map(str, point.seeds)),
    }
    return {column: values[column] for column in COLUMNS}
