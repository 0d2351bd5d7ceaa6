"""What the report says about scores: the readers with their baselines, every drawn point, another reproduction."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from analysis.differences import difference, pairing
from analysis.figures import BASELINES
from analysis.figures.artifact import value_text
from analysis.figures.table import interval_text
from analysis.names import METRIC_NAMES, READER_NAMES, TASK_NAMES, passages_text
from analysis.report.cells import NOTHING, Cell, CellTable, count, percent, run_links, setting_links, settings_by_run
from analysis.report.opening import base_reader
from analysis.report.reader_metrics import choices, scores_of_foreign, scores_of_runs
from analysis.reproduced import DIFFERS
from glimmer.experiments import TASKS
from glimmer.results import PAPER, PointResult, StudyResults
from glimmer.results.foreign import LEGEND, ForeignRow

FLOOR, CEILING, CONTROL, CHANCE, FOREIGN = "floor", "ceiling", "control", "chance", "foreign"
"""What a row of the table of readers is that is none of the study's three readers."""

_GROUPS = (
    ("figure2", "performance", "", ""),
    (BASELINES, "as_many_kept", "with as many passages as GLIMMER keeps", CONTROL),
    (BASELINES, "gold_first", "given the gold passages first", CEILING),
    (BASELINES, "other_passages", "given passages of another question", FLOOR),
    (BASELINES, "no_passages", "trained without passages (all readers are one)", FLOOR),
    (BASELINES, "untrained", "untrained, with passages", FLOOR),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadersTable:
    """The table of readers by each task's own metric, and (JSON) what other metrics say in its cells."""

    table: CellTable
    choices: str


def readers(study: StudyResults, priors: Sequence[Mapping[str, Any]] = ()) -> ReadersTable | None:
    """FiD, LUMEN and GLIMMER per task and on average, each before its floors and ceilings; None without any run.

    `priors` are contents of priors.json, one a replicate: what the most frequent answer scores is the row of chance.
    """
    rows, runs = [], {}
    for series in dict.fromkeys(result.point.series for result in study.of("figure2", "performance")):
        for artifact, panel, what, kind in _GROUPS:
            for result in study.of(artifact, panel):
                shown = any(result.point.run_ids == other.point.run_ids for other, _, _ in rows)
                if result.point.series == series and not shown:
                    rows.append((result, what, kind))
                    runs |= {id: study.runs.by_id[id] for id in result.point.run_ids if id in study.runs}
    tasks = [task for task in TASKS if any(task in run["tasks"] for run in runs.values())]
    if not tasks:
        return None
    metrics = {task: run["tasks"][task]["metric"] for run in study.runs.by_id.values() for task in run["tasks"]}
    averaged = {task for run in runs.values() for task in run["average"]["tasks"]}
    base_name = base_reader(study)
    above = _above_base(rows, study, base_name)
    heads = ["Reader", f"Mean of {len(averaged)} tasks (percent)"]
    heads += [_task_head(task, METRIC_NAMES.get(metrics[task], metrics[task]), task in averaged) for task in tasks]
    settings = settings_by_run(study)
    chance = _chance_row(priors, tasks, averaged)
    table = CellTable(
        caption=f"Dev scores in percent of {_questions(runs.values())} questions"
        f"{_of_draws([result for result, _, _ in rows], study)}; in small print 95 % intervals."
        " Bold: the most of the three. Floors and ceilings stand below their reader."
        + (" Chance: the most frequent answer of training, for every question." if chance else "")
        + (f" {LEGEND}." if study.foreign else ""),
        heads=(*heads, f"Above {READER_NAMES[base_name]} (points)"),
        rows=(
            *_with_the_most_marked(
                [
                    _reader_row(result, what, kind, study, tasks, settings) + (cell,)
                    for (result, what, kind), cell in zip(rows, above, strict=True)
                ],
                [not what for _, what, _ in rows],
            ),
            *chance,
            *(_foreign_row(row, tasks, averaged) for row in study.foreign),
        ),
    )
    by_metric = [functools.partial(scores_of_runs, _runs_of(result, study)) for result, _, _ in rows]
    by_metric += [lambda task, metric: None for _ in chance]
    by_metric += [functools.partial(scores_of_foreign, row) for row in study.foreign]
    names = [None if what else result.point.reader.name for result, what, _ in rows]
    base = names.index(base_name) if base_name in names else None
    compared = [n for n, cell in enumerate(above) if cell is not NOTHING]
    offered = choices(by_metric, tasks, averaged, base, compared, READER_NAMES[base_name])
    return ReadersTable(table=table, choices=offered)


def _above_base(rows: Sequence[tuple[PointResult, str, str]], study: StudyResults, name: str) -> list[Cell]:
    """What each of the three readers and of the controls answers more than the reader `name`, paired; nothing for
    floors and ceilings, which are held against their own reader."""
    measured = [result for result, what, _ in rows if not what and result.value is not None]
    base = next((result for result in measured if result.point.reader.name == name), None)
    bootstrap = pairing(study)
    cells = []
    for result, what, kind in rows:
        if base is None or result is base or result.value is None or (what and kind != CONTROL):
            cells.append(NOTHING)
            continue
        one = difference(result, base, bootstrap)
        small = "" if one.low is None else f"{one.low:+z.1f} to {one.high:+z.1f}"
        cells.append(Cell(f"{one.value:+z.1f}", sort=one.value, small=small))
    return cells


def _with_the_most_marked(rows: Sequence[tuple[Cell, ...]], among: Sequence[bool]) -> list[tuple[Cell, ...]]:
    """Rows in which the highest score of each column is `strong`, of those rows that `among` admits; of equal ones, as
    written, each. The first and the last column are no scores."""
    columns = list(zip(*rows, strict=True))
    scored = [_the_most_marked(column, among) for column in columns[1:-1]]
    return list(zip(columns[0], *scored, columns[-1], strict=True))


def _the_most_marked(cells: Sequence[Cell], among: Sequence[bool]) -> list[Cell]:
    scores = {n: float(cell.text) for n, cell in enumerate(cells) if among[n] and isinstance(cell.sort, float)}
    best = {n for n, score in scores.items() if score == max(scores.values())} if len(scores) > 1 else set()
    return [dataclasses.replace(cell, state="strong") if n in best else cell for n, cell in enumerate(cells)]


def _questions(runs: Iterable[Mapping[str, Any]]) -> str:
    """`1,500`, or `300 to 1,500` where readers answer different numbers of them."""
    numbers = [sum(scored["n"] for scored in run["tasks"].values()) for run in runs]
    return " to ".join(f"{n:,}" for n in dict.fromkeys((min(numbers), max(numbers))))


def _of_draws(results: Sequence[PointResult], study: StudyResults) -> str:
    """Of how many draws the means are, and which readers have not finished in all of them."""
    usual = max(len(result.point.run_ids) for result in results)
    if usual == 1:
        return ""
    draws = "replicates" if study.replicated else "seeds"
    finished = {result.point.series: len(_runs_of(result, study)) for result in reversed(results)}
    fewer = [f"{name} has finished in {n}" for name, n in reversed(finished.items()) if 0 < n < usual]
    alone = f"; of one of the {draws} alone the interval is over its questions" if 1 in finished.values() else ""
    return f", means over {usual} {draws}" + (f" ({', '.join(fewer)}{alone})" if fewer else "")


def _runs_of(result: PointResult, study: StudyResults) -> list[dict]:
    return [study.runs.by_id[run_id] for run_id in result.point.run_ids if run_id in study.runs]


def _chance_row(
    priors: Sequence[Mapping[str, Any]], tasks: Sequence[str], averaged: Collection[str]
) -> tuple[tuple[Cell, ...], ...]:
    """What the most frequent answer of training scores, the mean over replicates; no row where none was counted."""
    scores = {
        task: statistics.fmean(one[task]["majority"] for one in priors)
        for task in tasks
        if priors and all((one.get(task) or {}).get("majority") is not None for one in priors)
    }
    if not scores:
        return ()
    cells = [count(100 * scores[task], "{:.1f}") if task in scores else NOTHING for task in tasks]
    mean = 100 * statistics.fmean(scores[task] for task in averaged) if set(averaged) <= scores.keys() else None
    name = Cell("no reader", small="the most frequent answer", state="baseline", tag=CHANCE)
    return ((name, count(mean, "{:.1f}"), *cells, NOTHING),)


def _foreign_row(row: ForeignRow, tasks: Sequence[str], averaged: Collection[str]) -> tuple[Cell, ...]:
    """A foreign reader, marked; the mean only where it is of the same tasks as the other readers'."""
    kept = f", {row.m} kept" if row.m != row.k else ""
    name = Cell(row.label, small=", ".join(filter(None, (f"k = {row.k}{kept}", row.of))), state="foreign", tag=FOREIGN)
    interval = "{:z.1f} to {:z.1f}".format(*row.interval)
    is_of_these = set(row.tasks) == set(averaged)
    average = Cell(f"{row.value:.1f}", sort=row.value, small=interval) if is_of_these else NOTHING
    return name, average, *(_foreign_score(row, task) for task in tasks), NOTHING


def _foreign_score(row: ForeignRow, task: str) -> Cell:
    scored = [reader.tasks[task] for reader in row.members if task in reader.tasks]
    if len(scored) == 1:
        return percent(vars(scored[0]))
    if not scored:
        return NOTHING
    mean = sum(one.score for one in scored) / len(scored)
    return Cell(f"{100 * mean:.1f}", sort=mean, small=_counted(len(scored), "replicates"))


def _task_head(task: str, metric: str, averaged: bool) -> str:
    return f"{TASK_NAMES[task]} {metric} (percent{'' if averaged else ', not in the mean'})"


def _reader_row(
    result: PointResult,
    what: str,
    kind: str,
    study: StudyResults,
    tasks: Sequence[str],
    settings: Mapping[str, str],
) -> tuple[Cell, ...]:
    reader, runs = result.point.reader, _runs_of(result, study)
    unit = "replicates" if study.replicated else "seeds"
    planned = len(result.point.run_ids)
    by_task = [percent(runs[0]["tasks"].get(task)) if planned == 1 and runs else _mean(runs, task, planned, unit)
               for task in tasks]  # fmt: skip
    name = Cell(
        f"↳ {what}" if what else result.label,
        small=passages_text(reader.k, reader.m),
        state="baseline" if what else reader.name,
        links=setting_links(result.point.run_ids, settings),
        tag=kind,
        words=READER_NAMES[reader.name] if what else "",
    )
    average = Cell("missing", sort="", state="missing")
    if result.value is not None:
        interval = "" if result.low is None else interval_text(result)
        average = Cell(f"{result.value:.1f}", sort=result.value, small=interval)
    return name, average, *by_task


def _mean(runs: list[dict], task: str, planned: int, unit: str) -> Cell:
    """The mean over runs; how many they are is said where some are missing, and in the caption else."""
    scores = [run["tasks"][task]["score"] for run in runs if task in run["tasks"]]
    if not scores:
        return NOTHING
    mean = sum(scores) / len(scores)
    return Cell(f"{100 * mean:.1f}", sort=mean, small="" if len(scores) == planned else _counted(len(scores), unit))


def _counted(n: int, unit: str) -> str:
    """`1 replicate`, `2 replicates`; `unit` in the plural."""
    return f"{n} {unit.removesuffix('s') if n == 1 else unit}"


def drawn_points(name: str, study: StudyResults, reference: StudyResults | None) -> CellTable:
    """Every point of one artifact: ours with interval, seeds and runs, and the paper's point of the same id."""
    reported = {result.id: result for result in reference.of(name)} if reference else {}
    heads = ("Point", "Measured" if study.study != PAPER else "Reported", "Seeds, runs", "Paper, reported")
    results, settings = study.of(name), settings_by_run(study)
    kinds = {result.interval_kind for result in results if result.interval_kind}
    said = f" Intervals: {next(iter(kinds))}." if len(kinds) == 1 else ""
    return CellTable(
        caption=f"Every point of it.{said}",
        heads=heads,
        rows=tuple(_drawn_row(result, reported.get(result.id), study, settings, not said) for result in results),
        anchors=tuple(result.anchor for result in results),
        numeric_from=9,
    )


def _drawn_row(
    result: PointResult, papers: PointResult | None, study: StudyResults, settings: Mapping[str, str], with_kind: bool
) -> tuple[Cell, ...]:
    point, unit = result.point, " %" if result.point.measure.unit == "percent" else f" {result.point.measure.unit}"
    panel, at = f"{point.panel}: " if point.panel else "", f", {result.at}" if result.at else ""
    sort = "" if result.value is None else result.value
    absent = f"no result: {' '.join(result.absent_ids)}" if result.absent_ids else ""
    links = setting_links(point.run_ids, settings)
    cells = (
        Cell(f"{panel}{result.label}{at}", small=point.rounding or ""),
        Cell(
            value_text(result),
            sort=sort,
            state="" if result.value is not None else result.status,
            small=result.interval_kind if with_kind else "",
        ),
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
