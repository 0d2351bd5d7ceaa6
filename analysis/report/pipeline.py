"""What the report says about what is behind the scores: retrieval, relevance filter, costs, environment."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.figures.artifact import speed_text
from analysis.names import TASK_NAMES, reader_text
from analysis.report.cells import NOTHING, Cell, CellTable, count, ordered_runs, percent, settings_of
from analysis.splits import EvidenceGap, evidence_gaps, evidence_share, questions_with_evidence
from glimmer.experiments import TASKS
from glimmer.results import StudyResults
from glimmer.results.points import speed
from glimmer.results.run_files import reads_as_retrieved


def retrieval(metrics: Mapping[str, Any]) -> CellTable | None:
    """Page-level retrieval per task and split, in percent; keys are taken as they come, depth by depth.

    `evidence` has what readers see of it.
    """
    flat = {path: values for path, values in _leaves(metrics) if "Rprec" in values}
    if not flat:
        return None
    ks = sorted({int(key.split("@")[1]) for values in flat.values() for key in values if key.startswith("recall@")})
    heads = ["Task", "Split", "Examples", "R-precision (percent)", *(f"Recall@{k} (percent)" for k in ks)]
    keys = ["Rprec", *(f"recall@{k}" for k in ks)]
    rows = []
    for path, values in flat.items():
        task, split = next((p for p in path if p in TASKS), path[0]), next((p for p in path if p not in TASKS), "")
        names = (TASK_NAMES.get(task, task), split, str(values.get("n", "–")))
        rows.append((*map(Cell, names), *(percent({"score": values.get(key)}) for key in keys)))
    return CellTable(
        caption="R-precision and recall of pages among the first k passages.",
        heads=tuple(heads),
        rows=tuple(rows),
        numeric_from=2,
    )


def evidence(metrics: Mapping[str, Any]) -> CellTable | None:
    """What readers see of the evidence in training and in dev, side by side, at every depth that was measured."""
    splits = {task: [metrics.get(task, {}).get(split, {}) for split in ("train", "dev")] for task in TASKS}
    ks = sorted(
        {int(key.split("@")[1]) for pair in splits.values() for one in pair for key in one if "evidence@" in key}
    )
    rows = []
    for task, pair in splits.items():
        numbers = " / ".join(str(questions_with_evidence(values) or "–") for values in pair)
        for k in ks if any(pair) else ():
            gap = next((gap for gap in evidence_gaps({task: metrics[task]}, k)), None)
            shares = [evidence_share(values, k) for values in pair]
            whole = [values.get("with_evidence", {}).get(f"complete@{k}") for values in pair]
            whole = [None if share is None else 100 * share for share in whole]
            rows.append(
                (
                    *(Cell(TASK_NAMES[task]), Cell(str(k), sort=k), Cell(numbers)),
                    *(count(share, "{:.1f}") for share in shares),
                    NOTHING if gap is None else _difference(gap),
                    *(count(share, "{:.1f}") for share in whole),
                    NOTHING if None in whole else count(whole[0] - whole[1], "{:+z.1f}"),
                )
            )
    if not rows:
        return None
    some, all_parts = "Some evidence (percent)", "All parts of it (percent)"
    return CellTable(
        caption="Percent of the questions with trusted evidence (a label of confidence 0.5 or more) that have some of"
        " it, and of those with any evidence that have all parts of one set, among the first k passages. Readers are"
        " trained on what train questions retrieve, and tested on what dev questions do."
        " The small print is the difference's standard error, of two independent samples.",
        heads=(
            *("Task", "k", "Questions with trusted evidence, train / dev"),
            *(f"{some}: {column}" for column in ("train", "dev", "train − dev")),
            *(f"{all_parts}: {column}" for column in ("train", "dev", "train − dev")),
        ),
        rows=tuple(rows),
    )


def _difference(gap: EvidenceGap) -> Cell:
    return Cell(f"{gap.difference:+z.1f}", sort=gap.difference, small=f"± {gap.standard_error:.1f}")


def evidence_ranks(metrics: Mapping[str, Any]) -> list[dict]:
    """Per task how many dev examples have their first supporting passage at which rank, as bars for the template."""
    charts, leaves = [], list(_leaves(metrics))
    dev = [(path, values) for path, values in leaves if "dev" in path]
    for path, values in dev or leaves:
        ranks = values.get("evidence_rank")
        if isinstance(ranks, dict) and ranks.get("counts") is not None:
            bins = _binned(ranks["counts"]) + [("none", ranks.get("none", 0))]
            total = sum(n for _, n in bins) or 1
            bars = [{"name": name, "count": n, "percent": 100 * n / total} for name, n in bins]
            charts.append(
                {"title": " ".join(TASK_NAMES.get(part, part) for part in path), "bars": bars, "total": total}
            )
    return charts


def _binned(counts: list[int]) -> list[tuple[str, int]]:
    edges = (1, 2, 3, 6, 11, 21, 41, 101, len(counts) + 1)
    bins = []
    for low, high in itertools.pairwise(edges):
        last = min(high - 1, len(counts))
        if low <= last:
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


def filter_counts(counts: Mapping[str, Mapping]) -> CellTable:
    """Training examples before and after the relevance filter, by task, and what other settings would keep."""
    swept = sorted({t for kept in counts.values() for t in kept.get("after_by_threshold", {})}, key=float)
    modes = list(dict.fromkeys(mode for kept in counts.values() for mode in kept.get("after_by_mode", {})))
    rows = []
    for (task, *_), kept in _leaves(counts):
        share = f"{100 * kept['after'] / kept['before']:.1f}" if kept.get("before") else "–"
        settings = [kept.get(key, "–") for key in ("threshold", "mode")] + [_passages_asked(kept)]
        others = [kept.get("after_by_threshold", {}).get(t, "–") for t in swept]
        others += [kept.get("after_by_mode", {}).get(mode, "–") for mode in modes]
        texts = (TASK_NAMES.get(task, task), kept["before"], kept["after"], share, *settings, *others)
        rows.append(tuple(Cell(str(text)) for text in texts))
    return CellTable(
        caption="Training examples that stay: those with an evidence set of which every part has the threshold's"
        " confidence. In the mode labels some passage of the corpus has to support a part, in the mode retrieved one of"
        " the first k. The published threshold is not known; this one is ours.",
        heads=(
            *("Task", "Before", "After", "Kept (percent)", "Threshold (ours)", "Mode", "k"),
            *(f"Kept at {t}" for t in swept),
            *(f"Kept by {mode}" for mode in modes),
        ),
        rows=tuple(rows),
    )


def _passages_asked(kept: Mapping[str, Any]) -> str:
    """Among how many retrieved passages the evidence had to be."""
    return "not asked" if kept.get("mode") == "labels" else str(kept.get("k") or "–")


def lengths(counted: Mapping[str, Any]) -> CellTable:
    """What the lengths in tokens cut of passages, and by task and split of questions, evidence and answers."""
    limits = counted["lengths"]
    rows = [_cut_row("", "", "passages", limits["passage"], counted["passages"])]
    for task, splits in counted["tasks"].items():
        for split, of_split in splits.items():
            for what, key in (("questions", "question"), ("evidence", "passage"), ("answers", "target")):
                rows.append(_cut_row(TASK_NAMES.get(task, task), split, what, limits[key], of_split[what]))
    heads = (
        "Task",
        "Split",
        "What",
        "Tokens",
        "Of",
        "Cut",
        "Cut (percent)",
        "Gravely cut",
        "95 % fit",
        "99 % fit",
        "All fit",
    )
    return CellTable(
        caption="What does not fit. Evidence: spans of which some characters lie in the tail that a passage loses."
        " Gravely: questions that lose words of their own and not only the template's; evidence of which nothing is"
        f" left. Of the passages' tokens {100 * counted['passages']['share_tokens_lost']:.1f} percent are lost. The"
        " last columns: the tokens that would hold so many.",
        heads=heads,
        rows=tuple(rows),
        numeric_from=3,
    )


def _cut_row(task: str, split: str, what: str, limit: int, of: Mapping[str, Any]) -> tuple[Cell, ...]:
    needed = of.get("needed", {})
    counts = (limit, of["n"], of["cut"], 100 * of["share_cut"], of.get("own_words_cut", of.get("lost")))
    patterns = ("{}", "{:,}", "{:,}", "{:.1f}", "{:,}")
    return (
        *map(Cell, (task, split, what)),
        *(count(value, pattern) for value, pattern in zip(counts, patterns, strict=True)),
        *(count(needed.get(key), "{}") for key in ("p95", "p99", "longest")),
    )


def answered_in_view(study: StudyResults, metrics: Mapping[str, Mapping]) -> CellTable | None:
    """Scores of readers that read all that is retrieved, over the share of questions with evidence among that; by task.

    Of the tasks that ask for an entity or a word of one page. None where no reader of the study reads as many passages
    as the retriever was measured at.
    """
    evidence = {task: splits.get("dev", {}) for task, splits in metrics.items() if task in _OPEN_TASKS}
    planned = {run_id for point in study.planned.values() for run_id in point.run_ids}
    shares: dict[tuple[str, int, str], dict[str, list[float]]] = {}
    for run_id, run in ordered_runs(study):
        reader = run["settings"]["reader"]
        if run_id not in planned or reader["name"] == "glimmer" or len(reader["train_tasks"]) == 1:
            continue
        if not reads_as_retrieved(run):
            continue
        for task, measured in evidence.items():
            in_view, score = measured.get(f"evidence@{reader['k']}"), run["tasks"].get(task)
            if in_view and score:
                by_task = shares.setdefault((reader["name"], reader["k"], reader_text(run["settings"])), {})
                by_task.setdefault(task, []).append(100 * score["score"] / in_view)
    if not shares:
        return None
    tasks = [task for task in TASKS if task in evidence]
    rows = []
    for (_, _, reader), by_task in sorted(shares.items()):
        means = [sum(by_task[task]) / len(by_task[task]) if task in by_task else None for task in tasks]
        rows.append((Cell(reader), *(count(mean, "{:.0f}") for mean in means)))
    return CellTable(
        caption="Score over the share of questions with evidence among the k passages, in percent (mean of seeds)."
        " What is answered without evidence counts too. It falls with k where further passages mislead the reader, or"
        " where what is found late is harder to read.",
        heads=("Reader", *(TASK_NAMES[task] for task in tasks)),
        rows=tuple(rows),
    )


_OPEN_TASKS = ("nq", "triviaqa", "zsre", "trex")


def reading(examination: Mapping[str, Any]) -> CellTable:
    """Exact match of the pretrained checkpoint on exercises whose evidence is all in view, before fine-tuning."""
    splits: dict[tuple[str, int], dict[str, float]] = {}
    for row in examination["exact_match"]:
        splits.setdefault((row["alpha"], row["passages"]), {})[row["task"]] = 100 * row["exact_match"]
    tasks = list(dict.fromkeys(task for by_task in splits.values() for task in by_task))
    examples = max(row["examples"] for row in examination["exact_match"])
    return CellTable(
        caption=f"Percent answered exactly, {examples} exercises a task from worlds that it was not trained on.",
        heads=("α", "Passages", *(TASK_NAMES.get(task, task) for task in tasks)),
        rows=tuple(
            (Cell(alpha), Cell(str(passages)), *(count(by_task.get(task), "{:.0f}") for task in tasks))
            for (alpha, passages), by_task in splits.items()
        ),
    )


def priors(scored: Mapping[str, Mapping[str, Any]]) -> CellTable:
    """What the most frequent answers of training score, and how many dev answers training has; by task."""
    rows = []
    for task in (task for task in TASKS if task in scored):
        found = scored[task]
        shares = (found["majority"], found["relation"], found["seen_in_train"])
        rows.append(
            (
                Cell(TASK_NAMES.get(task, task)),
                count(found["n"], "{:,}"),
                *(NOTHING if share is None else count(100 * share, "{:.1f}") for share in shares),
                Cell(found["majority_answer"]),
            )
        )
    return CellTable(
        caption="Percent, by each task's headline metric, of the questions that readers are scored on; no reader is"
        " asked. Training is the whole train file.",
        heads=(
            "Task",
            "Questions",
            "Most frequent answer for all",
            "Most frequent answer of the relation",
            "An answer that training has",
            "The most frequent answer",
        ),
        rows=tuple(rows),
    )


def costs(study: StudyResults) -> CellTable:
    """Measured seconds and memory, counted operations and stored bytes of every setting, mean of its runs."""
    heads = (
        "Setting",
        "Runs",
        "Train (s)",
        "Memory (s)",
        "Evaluate (s)",
        "Most memory, train / evaluate (GB)",
        "Figure 2 count (million MACs an example)",
        "Printed formula (million MACs)",
        "Exact count (million MACs)",
        "Samples per TFLOP (Figure 2 count)",
        "Memory (bytes a passage)",
    )
    rows = []
    for run_ids in settings_of(study):
        runs = [study.runs.by_id[run_id] for run_id in run_ids]
        first = runs[0]
        macs = first.get("operation_counts") or {}
        millions = [None if macs.get(key) is None else macs[key] / 1e6 for key in ("figure2", "printed", "exact")]
        samples = speed(first)
        rows.append(
            (
                Cell(reader_text(first["settings"]), links=((f"setting-{run_ids[0]}", "runs"),)),
                Cell(str(len(runs)), sort=len(runs)),
                *(_seconds(runs, key) for key in ("train", "memory", "evaluate")),
                _most_memory(_peaks(runs)),
                *(count(value, "{:,.1f}") for value in millions),
                Cell(speed_text(samples), sort=samples) if samples else NOTHING,
                count(first.get("memory_bytes_per_passage"), "{:,.0f}"),
            )
        )
    caption = (
        "Seconds are measured on the machines named under the environment, means with least and most in small print;"
        " operations are counted."
    )
    return CellTable(caption=caption, heads=heads, rows=tuple(rows))


def _seconds(runs: Sequence[Mapping[str, Any]], part: str) -> Cell:
    found = [seconds for run in runs if (seconds := (run.get("wall_seconds") or {}).get(part)) is not None]
    if not found:
        return NOTHING
    mean = sum(found) / len(found)
    ends = [f"{end:.0f}" for end in (min(found), max(found))]
    small = " to ".join(ends) if len(set(ends)) > 1 else ""
    return Cell(f"{mean:.0f}" if mean >= 10 else f"{mean:.1f}", sort=mean, small=small)


def _peaks(runs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The most memory that any of these runs needed, by part."""
    peaks: dict[str, int] = {}
    for run in runs:
        for part, peak in (run.get("peak_memory_bytes") or {}).items():
            peaks[part] = max(peak, peaks.get(part, 0))
    return peaks


def _most_memory(peaks: Mapping[str, int]) -> Cell:
    shown = [f"{peaks[part] / 1e9:.1f}" for part in ("train", "evaluate") if part in peaks]
    return Cell(" / ".join(shown), sort=max(peaks.values())) if shown else NOTHING


def environment(study: StudyResults) -> CellTable:
    """Distinct environments of the runs: code version, library versions, device; more than one is worth a look."""
    kinds: dict[str, list[str]] = {}
    for run_id, run in study.runs.by_id.items():
        device = {f"device {key}": value for key, value in (run.get("device") or {}).items()}
        image = {"container": run["container"]} if run.get("container") else {}
        parts = {"code": run.get("code_version"), **image, **(run.get("versions") or {}), **device}
        kinds.setdefault(", ".join(f"{key} {value}" for key, value in parts.items()), []).append(run_id)
    rows = tuple((Cell(kind), Cell(str(len(run_ids)))) for kind, run_ids in kinds.items())
    return CellTable(caption="What the runs ran on.", heads=("Environment", "Runs"), rows=rows)


def kilt_check(study: StudyResults) -> dict[str, int]:
    """How many runs agree with KILT's own package, differ from it, or were not checked."""
    checks = [run.get("kilt_package_check") or {} for run in study.runs.by_id.values()]
    return dict(Counter(check.get("status", "absent") for check in checks))
