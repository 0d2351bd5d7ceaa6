"""Results as they are trusted: run files, checked, and what they make of every point of a study. No jax.

`load_results` gives plain records, since drawing needs no more and pandas costs a second or more of start-up; `frame`
gives the same as one pandas table.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glimmer.results.points import PAPER, PointResult, StudyResults, load_reference, load_results
from glimmer.results.run_files import Refused, Runs, answers_apart, example_scores, flat_digests, load_runs

if TYPE_CHECKING:
    import pandas

__all__ = [
    "PAPER",
    "PointResult",
    "Refused",
    "Runs",
    "StudyResults",
    "answers_apart",
    "example_scores",
    "flat_digests",
    "frame",
    "load_reference",
    "load_results",
    "load_runs",
]


def frame(study: str = "embedded", results: str | Path = "results") -> pandas.DataFrame:
    """Every point of a study (or of `paper`), one row a point; what is missing or does not apply is NaN.

    The first columns are those of the CSV files beside figures and tables:
        study, point, artifact, panel, series, label: what it is. `point` is the registry's id, the same in every
            study; `series` is the paper's name of the series and `label` the study's own.
        x_name, x: its place on the x axis (k or m passages, alpha, beta).
        metric, value_percent, low_percent, high_percent: a score in percent with its 95 % interval.
        interval_kind: what was resampled for it. n_tasks: how many tasks are averaged.
        samples_per_tflop: the speed, of the points that are one.
        status: present or missing. run_ids, absent_ids, seeds: what it rests on, separated by spaces.
        reader, alpha, beta, k, m: the reader; proportions are exact fractions, as text.
        note: where whole layers could not give the paper's proportion. source: measured, or how the paper gives it.
    Every other field of the reader follows under its name in run files (lambda, tau, reranker, memory ...).
    Raises InputError as `load_results` does.
    """
    import pandas

    points = load_results(study, results).points
    table = pandas.DataFrame([result.row() | _other_settings(result) for result in points])
    numbers = ("x", "value_percent", "low_percent", "high_percent", "samples_per_tflop", "n_tasks")
    return table.astype(dict.fromkeys(numbers, float))


def _other_settings(result: PointResult) -> dict[str, Any]:
    """The fields of the reader that a row does not spell in its own way."""
    reader, row = result.point.reader, result.row()
    settings = {field.name.rstrip("_"): getattr(reader, field.name) for field in dataclasses.fields(reader)}
    settings |= {"train_tasks": " ".join(reader.train_tasks)}
    return {name: value for name, value in settings.items() if name not in (*row, "name")}
