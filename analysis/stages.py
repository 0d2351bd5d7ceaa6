"""What the report says about the stages behind the scores: retrieval, relevance filter, costs, environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analysis.artifact import speed_text
from analysis.grids import TASK_NAMES, Cell, Grid, count, ordered_runs, percent, reader_text, run_links
from analysis.points import StudyPoints
from glimmer.experiments import TASKS


def retrieval(metrics: Mapping[str, Any]) -> Grid | None:
    """Page-level retrieval per task and split, in percent; keys are taken as they come, depth by depth."""
    flat = {path: values for path, values in _leaves(metrics) if "Rprec" in values}
    if not flat:
        return None
    ks = sorted({int(key.split("@")[1]) for values in flat.values() for key in values if key.startswith("recall@")})
    heads = (
        "Task",
        "Split",
        "Examples",
        "R-precision (percent)",
        *(f"Recall@{k} (percent)" for k in ks),
        *(f"Evidence in first {k} (percent)" for k in ks),
    )
    rows = []
    for path, values in flat.items():
        keys = ["Rprec", *(f"recall@{k}" for k in ks), *(f"evidence@{k}" for k in ks)]
        task, split = next((p for p in path if p in TASKS), path[0]), next((p for p in path if p not in TASKS), "")
        rows.append(
            (
                Cell(text=TASK_NAMES.get(task, task)),
                Cell(text=split),
                Cell(text=str(values.get("n", "–"))),
                *(percent({"score": values.get(key)}) for key in keys),
            )
        )
    return Grid(
        caption="R-precision and recall of pages among the first k passages; evidence is a passage that"
        " supports a gold answer.",
        heads=heads,
        rows=tuple(rows),
        numeric_from=2,
    )


def evidence_ranks(metrics: Mapping[str, Any]) -> list[dict]:
    """Per task how many dev examples have their first supporting passage at which rank, as bars for the template."""
    found, leaves = [], list(_leaves(metrics))
    dev = [(path, values) for path, values in leaves if "dev" in path]
    for path, values in dev or leaves:
        ranks = values.get("evidence_rank")
        if isinstance(ranks, dict) and ranks.get("counts") is not None:
            bins = _binned(ranks["counts"]) + [("none", ranks.get("none", 0))]
            total = sum(n for _, n in bins) or 1
            title = " ".join(TASK_NAMES.get(part, part) for part in path)
            bars = [{"name": name, "count": n, "percent": 100 * n / total} for name, n in bins]
            found.append({"title": title, "bars": bars, "total": total})
    return found


def _binned(counts: list[int]) -> list[tuple[str, int]]:
    edges = (1, 2, 3, 6, 11, 21, 41, 101, len(counts) + 1)
    bins = []
    for low, high in zip(edges, edges[1:], strict=False):
        last = min(high - 1, len(counts))
        if low <= len(counts) and last >= low:
            bins.append((str(low) if last == low else f"{low}–{last}", sum(counts[low - 1 : last])))
    return bins


def _leaves(value: Mapping, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Mapping]]:
    """Dicts that hold numbers, with the keys that lead there (task and split, in whichever order)."""
    if any(isinstance(item, int | float) for item in value.values()):
        yield path, value
        return
    for key, item in sorted(value.items(), key=lambda pair: TASKS.index(pair[0]) if pair[0] in TASKS else len(TASKS)):
        if isinstance(item, Mapping):
            yield from _leaves(item, (*path, key))


def filter_counts(counts: Mapping[str, Mapping]) -> Grid:
    """Training examples before and after the relevance filter, by task."""
    swept = sorted({t for one in counts.values() for t in one.get("after_by_threshold", {})}, key=float)
    heads = ("Task", "Before", "After", "Kept (percent)", "Threshold (ours)", *(f"Kept at {t}" for t in swept))
    rows = []
    for (task, *_), one in _leaves(counts):
        share = 100 * one["after"] / one["before"] if one.get("before") else None
        others = (Cell(text=str(one.get("after_by_threshold", {}).get(t, "–"))) for t in swept)
        rows.append(
            (
                Cell(text=TASK_NAMES.get(task, task)),
                Cell(text=str(one["before"])),
                Cell(text=str(one["after"])),
                Cell(text="–" if share is None else f"{share:.1f}"),
                Cell(text=f"{one.get('threshold', '–')}"),
                *others,
            )
        )
    return Grid(
        caption="Training examples that stay because what was retrieved supports their answer. The published"
        " threshold is not known; this one is ours.",
        heads=heads,
        rows=tuple(rows),
    )


def answered_in_view(study: StudyPoints, metrics: Mapping[str, Mapping]) -> Grid | None:
    """Scores of readers that read all they retrieve, over the share of questions with evidence among that; by task.

    Of the tasks that ask for an entity or a word of one page. None where no reader of the study reads as many passages
    as the retriever was measured at.
    """
    evidence = {task: one.get("dev", {}) for task, one in metrics.items() if task in _OPEN_TASKS}
    planned = {run_id for point in study.points for run_id in point.run_ids}
    shares: dict[tuple[str, int, str], dict[str, list[float]]] = {}
    for run_id, run in ordered_runs(study):
        reader = run["settings"]["reader"]
        if run_id not in planned or reader["name"] == "glimmer" or len(reader["train_tasks"]) == 1:
            continue
        for task, found in evidence.items():
            in_view, score = found.get(f"evidence@{reader['k']}"), run["tasks"].get(task)
            if in_view and score:
                of_reader = shares.setdefault((reader["name"], reader["k"], reader_text(reader)), {})
                of_reader.setdefault(task, []).append(100 * score["score"] / in_view)
    if not shares:
        return None
    tasks = [task for task in TASKS if task in evidence]
    rows = []
    for (_, _, reader), found in sorted(shares.items()):
        means = [sum(found[task]) / len(found[task]) if task in found else None for task in tasks]
        rows.append((Cell(text=reader), *(count(mean, "{:.0f}") for mean in means)))
    return Grid(
        caption="Score over the share of questions with evidence among the k passages, in percent (mean of seeds)."
        " What is answered without evidence counts too. It falls with k where further passages mislead the reader, or"
        " where what is found late is harder to read.",
        heads=("Reader", *(TASK_NAMES[task] for task in tasks)),
        rows=tuple(rows),
    )


_OPEN_TASKS = ("nq", "triviaqa", "zsre", "trex")


def reading(examination: Mapping[str, Any]) -> Grid:
    """Exact match of the pretrained checkpoint on exercises whose evidence is all in view, before fine-tuning."""
    found: dict[tuple[str, int], dict[str, Mapping]] = {}
    for row in examination["exact_match"]:
        found.setdefault((row["alpha"], row["passages"]), {})[row["task"]] = row
    tasks = list(dict.fromkeys(task for of in found.values() for task in of))
    rows = [
        (
            Cell(text=alpha),
            Cell(text=str(passages)),
            *(count(100 * of[task]["exact_match"] if task in of else None, "{:.0f}") for task in tasks),
        )
        for (alpha, passages), of in found.items()
    ]
    examples = max(row["examples"] for row in examination["exact_match"])
    return Grid(
        caption=f"Percent answered exactly, {examples} exercises a task from worlds that it was not trained on.",
        heads=("α", "Passages", *(TASK_NAMES.get(task, task) for task in tasks)),
        rows=tuple(rows),
        numeric_from=1,
    )


def costs(study: StudyPoints) -> Grid:
    """Measured seconds, counted operations and stored bytes of every run."""
    heads = (
        "Run",
        "Train (s)",
        "Memory (s)",
        "Evaluate (s)",
        "Figure 2 count (million MACs an example)",
        "Printed formula (million MACs)",
        "Exact count (million MACs)",
        "Samples per TFLOP (Figure 2 count)",
        "Memory (bytes a passage)",
    )
    rows = []
    for run_id, run in ordered_runs(study):
        seconds, macs = run.get("wall_seconds") or {}, run.get("operation_counts") or {}
        speed = 1e12 / macs["figure2"] if macs.get("figure2") else None
        rows.append(
            (
                Cell(text=reader_text(run["settings"]["reader"]), links=run_links([run_id], study.runs.by_id)),
                *(count(seconds.get(key), "{:.1f}") for key in ("train", "memory", "evaluate")),
                *(
                    count(None if macs.get(key) is None else macs[key] / 1e6, "{:,.1f}")
                    for key in ("figure2", "printed", "exact")
                ),
                Cell(text=speed_text(speed) if speed else "–", sort=speed or ""),
                count(run.get("memory_bytes_per_passage"), "{:,.0f}"),
            )
        )
    return Grid(
        caption="Seconds are measured on the machine named under the environment; operations are counted.",
        heads=heads,
        rows=tuple(rows),
    )


def environment(study: StudyPoints) -> Grid:
    """Distinct environments of the runs: code version, library versions, device; more than one is worth a look."""
    kinds: dict[str, list[str]] = {}
    for run_id, run in study.runs.by_id.items():
        device = {f"device {key}": value for key, value in (run.get("device") or {}).items()}
        parts = {"code": run.get("code_version"), **(run.get("versions") or {}), **device}
        kinds.setdefault(", ".join(f"{key} {value}" for key, value in parts.items()), []).append(run_id)
    rows = tuple((Cell(text=kind), Cell(text=str(len(run_ids)))) for kind, run_ids in kinds.items())
    return Grid(caption="What the runs ran on.", heads=("Environment", "Runs"), rows=rows)


def kilt_check(study: StudyPoints) -> dict[str, int]:
    """How many runs agree with KILT's own package, differ from it, or were not checked."""
    counts: dict[str, int] = {}
    for run in study.runs.by_id.values():
        status = (run.get("kilt_package_check") or {}).get("status", "absent")
        counts[status] = counts.get(status, 0) + 1
    return counts
