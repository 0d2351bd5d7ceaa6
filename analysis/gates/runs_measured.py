"""Gates P2 to P5, and the untrained reader of P1: from run files, of Figure 2's FiD and GLIMMER.

The losses, and the entropy of a ranking (a share of ln k), are those of the learning curve's last entry.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.special import stdtrit

from analysis.gates.evidence_found import TWO_PAGES
from analysis.gates.measured import Measured
from analysis.ledger.delivered import alike_but_for_the_draw, but_for_the_draw, self_of, untrained_selves
from analysis.stage_files import stage_document
from glimmer.experiments import TASKS, ReaderSettings
from glimmer.results import StudyResults, answers_apart

FID, GLIMMER = "figure2/performance/FiD", "figure2/performance/GLIMMER"
ARMS = ("lambda_", "tau", "beta", "memory")
FEVER = "fever"
Run = Mapping[str, Any]
Row = Mapping[str, Any]
"""An entry of a learning curve."""
ByReplicate = Mapping[str, Measured]
"""What is measured of each replicate, by its name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSource:
    """A study's run files, and the directory of its results."""

    study: StudyResults
    directory: Path
    left_out: tuple[str, ...] = ()
    """The tasks that the study leaves out of its means."""

    def runs(self, point: str) -> dict[int, Run]:
        """The run files of a point that is one reader's, by seed; empty where the study has no such point."""
        planned, by_id = self.study.planned.get(point), self.study.runs.by_id
        ids = planned.terms[0].run_ids if planned else {}
        return {seed: by_id[id] for seed, id in ids.items() if id in by_id}

    def seeds(self, point: str) -> list[int]:
        """The seeds that such a point is planned at, finished or not."""
        planned = self.study.planned.get(point)
        return list(planned.terms[0].run_ids) if planned else []

    @functools.cached_property
    def untrained(self) -> Mapping[str, Mapping[int, str]]:
        """What a reader is before training -> its untrained runs by seed."""
        return untrained_selves(self.study.runs.by_id)

    def before(self, run: Run) -> Run | None:
        """The same reader untrained: of the same seed, or the one run that stands for all seeds."""
        own = self.untrained.get(self_of(run["settings"]), {})
        id = own.get(run["settings"]["seed"]) or (next(iter(own.values())) if len(own) == 1 else None)
        return self.study.runs.by_id.get(id)


def untrained(source: RunSource) -> Measured:
    """Percent, FiD before fine-tuning, mean of tasks and replicates."""
    before = [source.before(run) for run in source.runs(FID).values()]
    return _mean(None if run is None else 100 * run["average"]["score"] for run in before)


def gain(source: RunSource) -> Measured:
    """FiD trained minus untrained, in points, mean of replicates."""
    return _mean(_gains(source))


def gain_lower(source: RunSource) -> Measured:
    """The lower end of the 95 % interval of `gain`: mean - t s / sqrt(R), R replicates. None for fewer than two."""
    gains = list(_gains(source))
    if None in gains or len(gains) < 2:
        return Measured()
    width = float(stdtrit(len(gains) - 1, 0.975)) * statistics.stdev(gains) / len(gains) ** 0.5
    return Measured(value=statistics.fmean(gains) - width)


def in_view_one_page(source: RunSource) -> Measured:
    """Percent answered of what was in view, the least of the one-page tasks that ask for words and are in the mean."""
    answered = {task for run in source.runs(FID).values() for task in run["tasks"]}
    shares = {task: _in_view(source, task) for task in TASKS if task in answered - {*TWO_PAGES, FEVER}}
    values = [share for task, share in shares.items() if task not in source.left_out]
    return Measured(value=min(values) if values and None not in values else None, by_task=shares)


def in_view_fever(source: RunSource) -> Measured:
    """The same for FEVER."""
    return Measured(value=_in_view(source, FEVER), left_out=FEVER in source.left_out)


def in_view_two_pages(source: RunSource) -> Measured:
    """The same for questions over two pages: both have to be in view."""
    return Measured(value=_in_view(source, TWO_PAGES[0]), left_out=TWO_PAGES[0] in source.left_out)


def dev_minus_train_loss(source: RunSource) -> Measured:
    """FiD's loss on dev minus that on as many train rows at the end, nats a token, over the tasks of the mean."""
    return _of_curves(source, lambda curve: _difference(curve[-1], "dev_loss", "train_loss"))


def last_third(source: RunSource) -> Measured:
    """What the last third of training adds to the dev average of the selection slice, in points."""
    return _of_curves(source, _added_by_last_third)


def distillation(source: RunSource) -> ByReplicate:
    """GLIMMER's distillation loss, percent of what equal scores have on the same batches."""
    return _by_replicate(source, lambda seed, run: _share(_last(run), "distill_loss", "distill_uniform"))


def ranking_entropy(source: RunSource) -> ByReplicate:
    """Entropy of GLIMMER's ranking at the end, a share of ln k."""
    return _by_replicate(source, lambda seed, run: _last(run).get("ranking_entropy"))


def ranking_gain(source: RunSource) -> ByReplicate:
    """NQ's R-precision in GLIMMER's order minus that in the retriever's, which is FiD's: the same questions, points."""
    fid = source.runs(FID)
    return _by_replicate(source, lambda seed, run: _precision_gain(run, fid.get(seed)))


def arms_differ(source: RunSource) -> Measured:
    """Percent of answers that another lambda, tau, beta or memory changes at one seed: the least of the arms."""
    changed = _changed_by_arm(source)
    return Measured(value=None if None in changed.values() else min(changed.values()), by_task=changed)


def arms_beyond_seeds(source: RunSource) -> Measured:
    """The same minus what another draw of fine-tuning changes, points. None where no run has a twin."""
    least, by_id = arms_differ(source).value, source.study.runs.by_id
    own = {but_for_the_draw(run) for run in source.runs(GLIMMER).values()}
    alike = [runs for drawn, runs in alike_but_for_the_draw(by_id).items() if drawn in own]
    twins = [pair for runs in alike for pair in itertools.combinations(runs, 2)]
    between = _mean(_changed(*(by_id[id] for id in pair)) for pair in twins).value
    return Measured(value=None if least is None or between is None else least - between)


def alone_train_loss(source: RunSource) -> Measured:
    """FiD trained on NQ alone: its loss on train rows at the end, nats a token."""
    return _mean(_last(run).get("train_loss") for run in _alone(source))


def alone_dev_loss_rise(source: RunSource) -> Measured:
    """Its dev loss at the end minus the least of its curve, nats a token."""
    curves = [[row.get("dev_loss") for row in run.get("learning_curve", ())] for run in _alone(source)]
    return _mean(None if not curve or None in curve else curve[-1] - min(curve) for curve in curves)


def half_width(source: RunSource) -> Measured:
    """Half of the interval of GLIMMER above LUMEN over replicates, percent of the effect, from claims.json."""
    document = stage_document(source.directory, "claims") or {}
    rows = [row for row in document.get("claims", ()) if row["id"] == "glimmer-above-lumen" and row.get("interval")]
    if not rows or "replicates" not in str(document.get("method", {})):
        return Measured()
    (low, high), effect = rows[0]["interval"], rows[0]["effect"]
    return Measured(value=100 * (high - low) / 2 / abs(effect) if effect else None)


RUN_MEASURES: Mapping[str, Callable[[RunSource], Measured | ByReplicate]] = {
    of.__name__: of
    for of in (
        untrained, gain, gain_lower, in_view_one_page, in_view_fever, in_view_two_pages, dev_minus_train_loss,
        last_third, distillation, ranking_entropy, ranking_gain, arms_differ, arms_beyond_seeds, alone_train_loss,
        alone_dev_loss_rise, half_width,
    )
}  # fmt: skip


def _mean(values) -> Measured:
    """Over replicates; not measured without any, or where one is missing."""
    return Measured(value=Measured.mean_of(dict(enumerate(values))).value)


def _by_replicate(source: RunSource, number: Callable[[int, Run], float | None]) -> ByReplicate:
    """A number of GLIMMER's run, of each replicate, missing ones too; of seeds that share their world the mean.

    What one world has learnt does not make up for what another has not.
    """
    found = {seed: number(seed, run) for seed, run in source.runs(GLIMMER).items()}
    if not source.study.replicated:
        return {"": _mean(found.values())}
    return {f"replicate-{seed}": Measured(value=found.get(seed)) for seed in source.seeds(GLIMMER)}


def _gains(source: RunSource) -> Iterator[float | None]:
    for run in source.runs(FID).values():
        before = source.before(run)
        yield None if before is None else 100 * (run["average"]["score"] - before["average"]["score"])


def _in_view(source: RunSource, task: str) -> float | None:
    """Percent answered of a task's questions with all evidence in view, question by question; mean of replicates."""
    shares = []
    for run in source.runs(FID).values():
        kept = run["tasks"].get(task, {}).get("per_example") or {}
        asked = [score for score, seen in zip(kept.get("metric", ()), kept.get("in_view", ()), strict=False) if seen]
        if not asked:
            return None
        shares.append(100 * statistics.fmean(asked))
    return statistics.fmean(shares) if shares else None


def _last(run: Run) -> Row:
    return run["learning_curve"][-1] if run.get("learning_curve") else {}


def _of_curves(source: RunSource, number: Callable[[Sequence[Row]], float | None]) -> Measured:
    """A number of FiD's learning curves, mean of replicates; by task too, where the curves tell tasks apart."""
    curves = [run.get("learning_curve") or [{}] for run in source.runs(FID).values()]
    tasks = [task for task in TASKS if all(task in row.get("tasks", {}) for curve in curves for row in curve)]
    by_task = {task: _mean(number(_of_task(curve, task)) for curve in curves).value for task in tasks if curves}
    return dataclasses.replace(_mean(map(number, curves)), by_task=by_task)


def _of_task(curve: Sequence[Row], task: str) -> list[Row]:
    """The curve of one task: its score where that of all is the dev average."""
    rows = ((row["step"], row["tasks"][task]) for row in curve)
    return [of | {"step": step, "dev_average": of["dev_score"]} for step, of in rows]


def _difference(row: Row, one: str, other: str) -> float | None:
    return None if row.get(one) is None or row.get(other) is None else row[one] - row[other]


def _share(row: Row, one: str, other: str) -> float | None:
    return None if row.get(one) is None or not row.get(other) else 100 * row[one] / row[other]


def _added_by_last_third(curve: Sequence[Row]) -> float | None:
    """From the last point within the first two thirds; None for fewer than six points."""
    rows = [row for row in curve if row.get("dev_average") is not None]
    before = [row for row in rows if 3 * row["step"] <= 2 * rows[-1]["step"]]
    if len(rows) < 6 or not before:
        return None
    return 100 * (rows[-1]["dev_average"] - before[-1]["dev_average"])


def _precision_gain(run: Run, other: Run | None) -> float | None:
    found = [(each or {}).get("tasks", {}).get("nq", {}).get("retrieval", {}).get("Rprec") for each in (run, other)]
    return None if None in found else 100 * (found[0] - found[1])


def _changed(one: Run, other: Run) -> float | None:
    apart = answers_apart(one, other, one["tasks"])
    return apart and 100 * apart[0] / apart[1]


def _changed_by_arm(source: RunSource) -> dict[str, float | None]:
    """By arm, the least share of answers that a run which differs in it alone changes; None without such a run."""
    found: dict[str, list[float | None]] = {arm: [] for arm in ARMS}
    for run in source.runs(GLIMMER).values():
        own = ReaderSettings.from_json(run["settings"]["reader"])
        for other in source.study.runs.by_id.values():
            if {**other["settings"], "reader": None} != {**run["settings"], "reader": None}:
                continue
            reader = ReaderSettings.from_json(other["settings"]["reader"])
            differs = [f.name for f in dataclasses.fields(own) if getattr(own, f.name) != getattr(reader, f.name)]
            if len(differs) == 1 and differs[0] in ARMS:
                found[differs[0]].append(_changed(run, other))
    return {arm: min(shares) if shares and None not in shares else None for arm, shares in found.items()}


def _alone(source: RunSource) -> list[Run]:
    readers = ((run, run["settings"]["reader"]) for run in source.study.runs.by_id.values())
    return [run for run, reader in readers if reader["name"] == "fid" and reader.get("train_tasks") == ["nq"]]
