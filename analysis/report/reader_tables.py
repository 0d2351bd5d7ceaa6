"""What the report says about scores: the readers with their baselines, every drawn point, another reproduction."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from analysis.figures import BASELINES
from analysis.figures.artifact import value_text
from analysis.figures.table import interval_text
from analysis.names import METRIC_NAMES, TASK_NAMES, passages_text
from analysis.report.cells import NOTHING, Cell, CellTable, count, percent, run_links
from analysis.reproduced import DIFFERS
from glimmer.experiments import TASKS
from glimmer.results import PAPER, PointResult, StudyResults
from glimmer.results.foreign import LEGEND, ForeignRow


def readers(study: StudyResults) -> CellTable | None:
    """FiD, LUMEN and GLIMMER per task and on average, each before its floors and ceilings; None without any run."""
    groups = (
        ("figure2", "performance", ""),
        (BASELINES, "as_many_kept", "with as many passages as GLIMMER keeps"),
        (BASELINES, "gold_first", "given the gold passages first"),
        (BASELINES, "other_passages", "given passages of another question"),
        (BASELINES, "no_passages", "trained without passages (all readers are one)"),
        (BASELINES, "untrained", "untrained, with passages"),
    )
    rows, runs = [], {}
    for series in dict.fromkeys(result.point.series for result in study.of("figure2", "performance")):
        for artifact, panel, what in groups:
            for result in study.of(artifact, panel):
                shown = any(result.point.run_ids == other.point.run_ids for other, _ in rows)
                if result.point.series == series and not shown:
                    rows.append((result, what))
                    runs |= {id: study.runs.by_id[id] for id in result.point.run_ids if id in study.runs}
    tasks = [task for task in TASKS if any(task in run["tasks"] for run in runs.values())]
    if not tasks:
        return None
    metrics = {task: run["tasks"][task]["metric"] for run in study.runs.by_id.values() for task in run["tasks"]}
    averaged = {task for run in runs.values() for task in run["average"]["tasks"]}
    heads = ["Reader", f"Mean of {len(averaged)} tasks (percent)"]
    heads += [_task_head(task, METRIC_NAMES.get(metrics[task], metrics[task]), task in averaged) for task in tasks]
    return CellTable(
        caption="Dev scores in percent; in small print 95 % intervals. Floors and ceilings stand below their reader."
        + (f" {LEGEND}." if study.foreign else ""),
        heads=(*heads, "Examples"),
        rows=(
            *(_reader_row(result, what, study, tasks) for result, what in rows),
            *(_foreign_row(row, tasks, averaged) for row in study.foreign),
        ),
    )


def _foreign_row(row: ForeignRow, tasks: Sequence[str], averaged: Collection[str]) -> tuple[Cell, ...]:
    """A foreign reader, marked; the mean only where it is of the same tasks as the other readers'."""
    kept = f", {row.m} kept" if row.m != row.k else ""
    name = Cell(row.label, small=", ".join(filter(None, (f"k = {row.k}{kept}", row.of))), state="foreign")
    interval = "{:.1f} to {:.1f}".format(*row.interval)
    is_of_these = set(row.tasks) == set(averaged)
    average = Cell(f"{row.value:.1f}", sort=row.value, state="strong", small=interval) if is_of_these else NOTHING
    by_task = [_foreign_score(row, task) for task in tasks]
    examples = sum(scored.n for scored in row.members[0].tasks.values())
    return name, average, *by_task, Cell(str(examples), sort=examples)


def _foreign_score(row: ForeignRow, task: str) -> Cell:
    scored = [reader.tasks[task] for reader in row.members if task in reader.tasks]
    if len(scored) == 1:
        return percent(vars(scored[0]))
    if not scored:
        return NOTHING
    mean = sum(one.score for one in scored) / len(scored)
    return Cell(f"{100 * mean:.1f}", sort=mean, small=f"{len(scored)} replicates")


def _task_head(task: str, metric: str, averaged: bool) -> str:
    return f"{TASK_NAMES[task]} {metric} (percent{'' if averaged else ', not in the mean'})"


def _reader_row(result: PointResult, what: str, study: StudyResults, tasks: Sequence[str]) -> tuple[Cell, ...]:
    reader, run_ids = result.point.reader, result.point.run_ids
    runs = [study.runs.by_id[run_id] for run_id in run_ids if run_id in study.runs]
    unit = "replicates" if study.replicated else "seeds"
    by_task = [percent(runs[0]["tasks"].get(task)) if len(runs) == 1 else _mean(runs, task, unit) for task in tasks]
    examples = sum(score["n"] for score in runs[0]["tasks"].values()) if runs else 0
    name = Cell(
        f"↳ {what}" if what else result.label,
        small=passages_text(reader.k, reader.m),
        state="baseline" if what else reader.name,
        links=run_links(run_ids, study.runs.by_id),
    )
    average = Cell("missing", sort="", state="missing")
    if result.value is not None:
        interval = "" if result.low is None else interval_text(result)
        average = Cell(f"{result.value:.1f}", sort=result.value, state="strong", small=interval)
    return name, average, *by_task, Cell(str(examples) if runs else "–", sort=examples or "")


def _mean(runs: list[dict], task: str, unit: str) -> Cell:
    scores = [run["tasks"][task]["score"] for run in runs if task in run["tasks"]]
    if not scores:
        return NOTHING
    mean = sum(scores) / len(scores)
    return Cell(f"{100 * mean:.1f}", sort=mean, small=f"{len(scores)} {unit}")


def drawn_points(name: str, study: StudyResults, reference: StudyResults | None) -> CellTable:
    """Every point of one artifact: ours with interval, seeds and runs, and the paper's point of the same id."""
    reported = {result.id: result for result in reference.of(name)} if reference else {}
    heads = ("Point", "Measured" if study.study != PAPER else "Reported", "Seeds, runs", "Paper, reported")
    return CellTable(
        caption="Every point drawn.",
        heads=heads,
        rows=tuple(_drawn_row(result, reported.get(result.id), study) for result in study.of(name)),
        anchors=tuple(result.anchor for result in study.of(name)),
        numeric_from=9,
    )


def _drawn_row(result: PointResult, papers: PointResult | None, study: StudyResults) -> tuple[Cell, ...]:
    point, unit = result.point, " %" if result.point.measure.unit == "percent" else f" {result.point.measure.unit}"
    panel, at = f"{point.panel}: " if point.panel else "", f", {result.at}" if result.at else ""
    sort = "" if result.value is None else result.value
    absent = f"no result: {' '.join(result.absent_ids)}" if result.absent_ids else ""
    links = run_links(point.run_ids, study.runs.by_id)
    cells = (
        Cell(f"{panel}{result.label}{at}", small=point.rounding or ""),
        Cell(value_text(result), sort=sort, state=result.status, small=result.interval_kind),
        Cell(" ".join(map(str, result.seeds)) or "–", links=links, small=absent),
    )
    if papers is None:
        return *cells, NOTHING
    if papers.value is None:  # drawn as missing, so that something leads here
        return *cells, dataclasses.replace(NOTHING, anchor=papers.anchor, small=papers.source)
    small = f"{papers.name} ({papers.source})"
    return *cells, Cell(f"{papers.value:g}{unit}", sort=papers.value, anchor=papers.anchor, small=small)


def comparison(rows: Sequence[dict[str, Any]], study: StudyResults) -> CellTable:
    """Rows of `analysis.reproduced.compare`: this study's runs beside those of the same id elsewhere."""
    cells = []
    for row in rows:
        apart, bounds, answers = row["here"] - row["cached"], row["interval"], row["answers_apart"]
        cells.append(
            (
                Cell(row["reader"], links=run_links([row["run"]], study.runs.by_id)),
                Cell(f"{row['here']:.2f}", sort=row["here"]),
                Cell(f"{row['cached']:.2f}", sort=row["cached"], small=f"{bounds[0]} to {bounds[1]}" if bounds else ""),
                Cell(f"{apart:+z.2f}", sort=apart),
                count(answers, "{:,}"),
                Cell(row["verdict"], state="bad" if row["verdict"] == DIFFERS else "good", small=row["parts_at"]),
            )
        )
    alone = len(study.runs.by_id) - len(rows)
    return CellTable(
        caption="Runs of the same id, hence of the same settings. `agrees`: each score lies in the other's interval;"
        " `identical`: of the same files, every question is answered alike; `other draw`: what they start from is"
        " another draw, so levels say nothing. In small print the first stage that differs."
        f" {alone} runs have no counterpart.",
        heads=("Run", "Here (percent)", "Reference (percent)", "Difference (points)", "Answers apart", "Verdict"),
        rows=tuple(cells),
    )
