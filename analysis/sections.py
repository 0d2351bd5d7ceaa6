"""What the report says about scores: the readers with their baselines, every drawn point, another reproduction."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.artifact import value_text
from analysis.grids import METRIC_NAMES, TASK_NAMES, Cell, Grid, ordered_runs, percent, reader_text, run_links
from analysis.points import PAPER, Point, StudyPoints
from analysis.reproduced import DIFFERS, agreement
from glimmer.experiments import TASKS


def readers(study: StudyPoints) -> Grid | None:
    """FiD, LUMEN and GLIMMER per task and on average, each followed by its baselines; None without any run."""
    rows, tasks_seen = [], set()
    groups = (
        ("figure2", "performance", ""),
        ("baselines", "untrained", "untrained, with passages"),
        ("baselines", "no_passages", "trained, without passages"),
    )
    for point in study.of("figure2", "performance"):
        for artifact, panel, what in groups:
            same = next((p for p in study.of(artifact, panel) if p.series == point.series), None)
            rows += [_reader_row(same, what, study)] if same else []
            for run_id in same.run_ids if same else ():
                tasks_seen |= set(study.runs.by_id[run_id]["tasks"]) if run_id in study.runs else set()
    if not tasks_seen:
        return None
    tasks = [task for task in TASKS if task in tasks_seen]
    metrics = {t: run["tasks"][t]["metric"] for run in study.runs.by_id.values() for t in run["tasks"]}
    heads = ["Reader", f"Mean of {len(tasks)} tasks (percent)"]
    heads += [f"{TASK_NAMES[t]} {METRIC_NAMES.get(metrics[t], metrics[t])} (percent)" for t in tasks] + ["Examples"]
    return Grid(
        caption="Dev scores in percent; in small print 95 % intervals. Baselines stand below their reader.",
        heads=tuple(heads),
        rows=tuple((*row[0], *(row[1][t] for t in tasks), *row[2]) for row in rows),
    )


def _reader_row(
    point: Point, what: str, study: StudyPoints
) -> tuple[tuple[Cell, ...], dict[str, Cell], tuple[Cell, ...]]:
    runs = [study.runs.by_id[i] for i in point.run_ids if i in study.runs]
    passages = "no passages" if not point.k else f"k = {point.k}" + (f", {point.m} kept" if point.m != point.k else "")
    name = Cell(
        text=f"↳ {what}" if what else point.label,
        small=passages,
        state="baseline" if what else point.reader,
        links=run_links(point.run_ids, study.runs.by_id),
    )
    by_task = {t: percent(runs[0]["tasks"].get(t)) if len(runs) == 1 else _mean(runs, t) for t in TASKS}
    n = sum(result["n"] for result in runs[0]["tasks"].values()) if runs else None
    average = (
        Cell(text="missing", sort="", state="missing")
        if point.value is None
        else Cell(
            text=f"{point.value:.1f}",
            sort=point.value,
            state="strong",
            small=f"{point.low:.1f} to {point.high:.1f}" if point.low is not None else "",
        )
    )
    return (name, average), by_task, (Cell(text="–" if n is None else str(n), sort=n or ""),)


def _mean(runs: list[dict], task: str) -> Cell:
    scores = [run["tasks"][task]["score"] for run in runs if task in run["tasks"]]
    if not scores:
        return Cell(text="–", sort="")
    mean = sum(scores) / len(scores)
    return Cell(text=f"{100 * mean:.1f}", sort=mean, small=f"{len(scores)} seeds")


def drawn_points(name: str, study: StudyPoints, reference: StudyPoints | None) -> Grid:
    """Every point of one artifact: ours with interval, seeds and runs, and the paper's point of the same id."""
    reported = {p.id: p for p in reference.of(name)} if reference else {}
    rows, anchors = [], []
    for point in study.of(name):
        same = reported.get(point.id)
        first = f"{point.panel}: " if point.panel else ""
        rows.append(
            (
                Cell(text=f"{first}{point.label}{', ' + point.at if point.at else ''}", small=point.note),
                Cell(
                    text=value_text(point),
                    sort=point.value if point.value is not None else "",
                    state=point.status,
                    small=point.interval_kind,
                ),
                Cell(
                    text=" ".join(map(str, point.seeds)) or "–",
                    links=run_links(point.run_ids, study.runs.by_id),
                    small=f"no result: {' '.join(point.absent_ids)}" if point.absent_ids else "",
                ),
                Cell(
                    text=f"{same.value:g}" + (" %" if same.unit == "percent" else f" {same.unit}") if same else "–",
                    sort=same.value if same else "",
                    anchor=same.anchor if same else "",
                    small=f"{same.name} ({same.source})" if same else "",
                ),
            )
        )
        anchors.append(point.anchor)
    heads = ("Point", "Measured" if study.study != PAPER else "Reported", "Seeds, runs", "Paper, reported")
    return Grid(caption="Every point drawn.", heads=heads, rows=tuple(rows), anchors=tuple(anchors), numeric_from=9)


def comparison(study: StudyPoints, other: Mapping[str, dict]) -> Grid:
    """This study's runs beside runs of the same id elsewhere: a difference counts in both directions."""
    rows = []
    for run_id, run in ordered_runs(study):
        first, second = run["average"], (other.get(run_id) or {}).get("average")
        name = Cell(text=reader_text(run["settings"]["reader"]), links=run_links([run_id], study.runs.by_id))
        if not second:
            rows.append(
                (name, percent(first), Cell(text="–"), Cell(text="–"), Cell(text="no reference run", state="missing"))
            )
            continue
        apart = 100 * (first["score"] - second["score"])
        verdict = agreement(first, second)
        rows.append(
            (
                name,
                percent(first),
                percent(second),
                Cell(text=f"{apart:+z.2f}", sort=apart),
                Cell(text=verdict, state="bad" if verdict == DIFFERS else "good"),
            )
        )
    heads = ("Run", "Here (percent)", "Reference (percent)", "Difference (points)", "Verdict")
    return Grid(
        caption="Runs of the same id, hence of the same settings. `agrees`: each score lies in the other's"
        " interval; `identical`: they are equal.",
        heads=heads,
        rows=tuple(rows),
    )
