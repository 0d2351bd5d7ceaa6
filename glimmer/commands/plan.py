"""`glimmer plan`: what a study will cost, in runs, operations and bytes; no timings are invented."""

from __future__ import annotations

import argparse

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show
from glimmer.compute import memory_bytes_per_token, operation_counts, training_macs
from glimmer.experiments import Run, Study, runs_for
from glimmer.experiments.settings import TASKS
from glimmer.kilt.download import PUBLISHED

HELP = "What a study will cost: runs, operations, bytes of memory (no timings)."
PURPOSE = "study"

_DEV_SIZES = {file.task: file.lines for file in PUBLISHED if "-dev" in file.name}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study and what to change in it."""
    add_study_arguments(parser)
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the total, then a row a run. FLOPs are two for a multiply-accumulate."""
    study = study_of(args)
    runs = runs_for(study)
    rows = [cost(study, one) for one in runs.values()]
    total = {
        "study": study.name,
        "runs": len(rows),
        "seeds": len(study.seeds),
        "runs_with_a_result": sum(study.result_file(id).exists() for id in runs),
        "training_flops": sum(row["training_flops"] for row in rows),
        "evaluation_flops": sum(row["evaluation_flops"] for row in rows),
        "largest_memory_bytes": max(row["memory_bytes"] for row in rows),
    }
    if args.json:
        show({"total": total, "runs": rows}, True)
    else:
        show(rows, False)
        print()
        show(total, False)
    return 0


def cost(study: Study, run: Run) -> dict:
    """An estimate for one run from its shapes: at most `steps` training steps, one pass over dev, and the store.

    Memory is bounded by the passages that dev questions can retrieve; KILT's own dev sizes stand in where the study
    takes all of them but those of selection. Dev passes for choosing a
    checkpoint are not counted, nor are the answers of the best or last parameters that are not kept.
    """
    reader, work, training = run.reader, run.workload, study.training
    an_example = training_macs(
        run.dimensions,
        work,
        frozen_memory=reader.memory == "frozen",
        distilled_passages=reader.k if reader.name == "glimmer" and reader.lambda_ > 0 else 0,
    )
    examples = sum(_dev_examples(study, task) for task in TASKS if task in reader.train_tasks)
    counts = operation_counts(run.dimensions, work)
    a_passage = study.lengths.passage * memory_bytes_per_token(run.dimensions, reader.alpha)
    trained = training.steps * training.batch_size * float(an_example) if reader.trained else 0.0
    return {
        "id": run.id,
        "seed": run.seed,
        "reader": reader.name,
        "passages": reader.k,
        "kept": reader.m,
        "macs_printed": counts["printed"],
        "macs_figure2": counts["figure2"],
        "macs_exact": counts["exact"],
        "training_flops": 2 * trained,
        "evaluation_flops": 2 * counts["exact"] * examples,
        "memory_bytes_per_passage": a_passage,
        "memory_bytes": a_passage * reader.k * examples,
    }


def _dev_examples(study: Study, task: str) -> int:
    rest = max(_DEV_SIZES[task] - study.training.dev_examples, 0)
    return min(study.evaluation.dev_examples or rest, rest)
