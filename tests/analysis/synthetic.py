"""Plausible run files for a study that was never trained: what tests of analysis/ draw and report."""

from __future__ import annotations

import csv
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from glimmer import experiments
from glimmer.files import write_json

METRICS = {"nq": "em", "triviaqa": "em", "hotpotqa": "em", "fever": "accuracy", "zsre": "accuracy", "trex": "accuracy"}


def write_study(
    results: Path,
    study: str,
    keep: Callable[[experiments.Run], bool] = lambda run: True,
    n: int = 40,
    quality: Callable[[experiments.ReaderSettings], float] | None = None,
) -> Path:
    """Writes run files for those runs of a study that `keep` admits, with `n` dev examples a task.

    `quality` says how likely a reader is to be right; by default it rises with passages, as in the paper.
    """
    loaded = experiments.load_study(study)
    for run in experiments.runs_for(loaded).values():
        if keep(run):
            write_json(results / study / "runs" / f"{run.id}.json", run_file(run, study, loaded.tasks, n, quality))
    return results / study


def run_file(
    run: experiments.Run,
    study: str,
    tasks: tuple[str, ...],
    n: int = 40,
    quality: Callable[[experiments.ReaderSettings], float] | None = None,
) -> dict:
    """A result file with invented scores that rise with passages and fall with a shorter live encoder."""
    rng = np.random.default_rng(int(run.id, 16) % 2**32)
    answered = run.reader.train_tasks if len(run.reader.train_tasks) == 1 else tasks
    right = (quality or _quality)(run.reader)
    scores = {task: _task(rng, right + 0.03 * i, METRICS[task], n) for i, task in enumerate(answered)}
    left_out = (run.settings.get("evaluation") or {}).get("not_in_mean", ())
    averaged = [task for task in scores if task not in left_out] or list(scores)
    average = float(np.mean([scores[task]["score"] for task in averaged]))
    macs = 4.0e7 * (1 + run.reader.k * float(run.reader.alpha))
    return {
        "id": run.id,
        "study": study,
        "settings": run.settings,
        "code_version": "0.1.0+g0123abc",
        "seed": run.seed,
        "versions": {"python": "3.11.2", "jax": "0.10.2", "flax": "0.12.8", "optax": "0.2.8"},
        "device": {"kind": "cpu", "count": 1, "platform": "cpu"},
        "digests": {"data": {"nq-dev-kilt.jsonl": "ab" * 32}, "initial_checkpoint": "cd" * 32, "retrieved": "ef" * 32},
        "measured_on": "2026-01-02",
        "wall_seconds": {"train": 31.4, "evaluate": 8.2, "memory": 2.5},
        "operation_counts": {"printed": 0.8 * macs, "figure2": macs, "exact": 1.1 * macs},
        "memory_bytes_per_passage": 7168,
        "learning_curve": _learning_curve(rng, average),
        "kept_step": 150,
        "stopped": "all steps done",
        "tasks": scores,
        "shown": {task: [_shown(task, run.reader)] for task in scores},
        "average": {
            "score": average,
            "interval": [max(0.0, average - 0.03), min(1.0, average + 0.03)],
            "tasks": averaged,
            "n_tasks": len(averaged),
        },
        "kilt_package_check": {"status": "absent", "detail": "kilt is not importable here"},
    }


def _shown(task: str, reader: experiments.ReaderSettings) -> dict:
    passages = [
        {"title": f"Page {rank}", "rank": rank, "kept": rank <= reader.m, "holds_answer": rank == 2}
        | ({"words": "a few words"} if rank <= reader.m else {})
        for rank in range(1, reader.k + 1)
    ]
    return {"id": f"{task}-1", "question": f"a question of {task}", "accepted": ["one", "1"], "answer": "One",
            "passages": passages}  # fmt: skip


def _quality(reader: experiments.ReaderSettings) -> float:
    if not reader.trained:
        return 0.03
    read = 0.2 + 0.3 * (1 - math.exp(-reader.k / 12)) + 0.08 * (1 - math.exp(-reader.m / 3)) * (reader.k > 0)
    cuts = 0.12 * math.exp(-float(reader.alpha) * 6) + 0.05 * (len(reader.train_tasks) == 1)
    cuts += 0.15 * math.exp(-14 * float(reader.beta)) if reader.beta is not None else 0.0
    return read - cuts - 0.02 * (reader.memory == "frozen") - 0.03 * (reader.reranker == "scratch")


def _task(rng: np.random.Generator, quality: float, metric: str, n: int) -> dict:
    # How hard a question is, all runs agree on but for a little: seeds of one reader answer much alike.
    hardness = np.random.default_rng(n).random(n) + rng.normal(0, 0.03, n)
    right = (hardness < min(max(quality, 0.01), 0.99)).astype(float)
    low, high = np.quantile(right[rng.integers(0, n, (200, n))].mean(axis=1), [0.025, 0.975])
    score = float(right.mean())
    return {
        "n": n,
        "metric": metric,
        "score": score,
        "interval": [float(low), float(high)],
        "downstream": dict.fromkeys(("accuracy", "em", "f1", "rougel"), score),
        "kilt": {"KILT-em": score / 2},
        "retrieval": {"Rprec": 0.5, "recall@5": 0.6},
        "per_example": {"metric": right.tolist(), "rprec": right.tolist()}
        | {name: _a_little_less(right[::-1]) for name in ("retriever_rprec", "retriever_answer_at_m")}
        | {"answer_at_m": right.tolist()},
    }


def _learning_curve(rng: np.random.Generator, average: float) -> list[dict]:
    rows = []
    for step in range(0, 151, 10):
        loss = float(3 * math.exp(-step / 50) + 0.5 + 0.05 * rng.normal())
        rows.append({"step": step, "loss": loss, "lm_loss": 0.9 * loss, "distill_loss": 0.1 * loss})
        if step and step % 50 == 0:
            rows[-1]["dev_average"] = average * (1 - math.exp(-step / 40))
    return rows


def write_paper(results: Path) -> Path:
    """An invented `paper/points.csv` with a value for every point of the registry; returns its path."""
    path = results / "paper" / "points.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["point", "percent", "samples_per_tflop", "source"])
        for point in experiments.load_registry().points():
            value = 50 + zlib.crc32(point.id.encode()) % 2500 / 100
            speed = point.measure.kind == "speed"
            writer.writerow(
                [point.id, "" if speed else f"{value:.2f}", f"{value / 500:.4f}" if speed else "", "vector"]
            )
    return path


def write_stages(results: Path, study: str) -> None:
    """Invented retrieval.json, filter.json, lengths.json, priors.json and reading.json, as published."""
    tasks = experiments.load_study(study).tasks
    counts = [30, 12, 8, 5, 3, 2]
    one = {
        "n": 100,
        "n_with_evidence": 100,
        "Rprec": 0.31,
        "recall@1": 0.3,
        "recall@5": 0.55,
        "success@1": 0.3,
        "success@5": 0.58,
        "evidence@1": 0.3,
        "evidence@5": 0.58,
        "complete@1": 0.2,
        "complete@5": 0.48,
        "with_evidence": {"evidence@1": 0.3, "evidence@5": 0.58, "complete@1": 0.2, "complete@5": 0.48},
        "evidence_rank": {"counts": counts, "none": 100 - sum(counts)},
    }
    write_json(results / study / "retrieval.json", {task: {"train": one, "dev": one} for task in tasks})
    kept = {"before": 500, "after": 420, "threshold": 0.25, "mode": "labels", "k": None, "depth": 40}
    kept |= {"after_by_threshold": {"0": 500, "0.25": 420}, "after_by_mode": {"labels": 420, "retrieved": 390}}
    write_json(results / study / "filter.json", dict.fromkeys(tasks, kept))
    write_json(results / study / "lengths.json", lengths_file(tasks))
    floors = {
        "n": 40,
        "metric": "em",
        "majority": 0.1,
        "majority_answer": "yes",
        "relation": None,
        "seen_in_train": 0.2,
    }
    write_json(results / study / "priors.json", dict.fromkeys(tasks, floors))
    examined = [
        {"alpha": alpha, "passages": 5, "task": task, "examples": 32, "exact_match": 0.75}
        for alpha in ("1", "1/8")
        for task in tasks
    ]
    write_json(results / study / "reading.json", {"exact_match": examined})


def lengths_file(tasks: tuple[str, ...]) -> dict:
    """A lengths.json of which nothing is cut."""
    holds = {"n": 100, "cut": 0, "share_cut": 0.0, "needed": {"p95": 5, "p99": 6, "longest": 7}}
    of_split = {
        "questions": holds | {"own_words_cut": 0, "share_own_words_cut": 0.0},
        "answers": holds,
        "evidence": {"n": 100, "cut": 0, "share_cut": 0.0, "lost": 0, "share_lost": 0.0},
    }
    return {
        "lengths": {"question": 18, "passage": 24, "target": 8},
        "passages": holds | {"tokens": 900, "tokens_lost": 0, "share_tokens_lost": 0.0},
        "tasks": {task: {"train": of_split, "dev": of_split} for task in tasks},
    }


def _a_little_less(right: np.ndarray) -> list[float]:
    """The retriever's order is worse than the reader's by one question, where that has any right."""
    less = right.copy()
    less[np.flatnonzero(less)[:1]] = 0
    return less.tolist()
