"""`glimmer plan`: what a study will cost, in runs, operations and bytes; in hours where runs were measured."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from glimmer.commands.arguments import add_study_arguments, other_study, study_of
from glimmer.commands.output import add_json_argument, beside, show
from glimmer.compute import operation_counts
from glimmer.errors import InputError
from glimmer.experiments import Run, Study, hours, runs_for
from glimmer.results import load_runs
from glimmer.runs import bill, foretold
from glimmer.runs.grid_parts import costs_of_parts

HELP = "foretell what a study will cost: runs, operations, bytes of memory; hours, from measured runs or of a device"
PURPOSE = "study"
EXAMPLES = ("glimmer plan --study embedded", "glimmer plan --study kilt --device H100 --jobs 8 --price 2.5")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study, what to change in it, and whether hours are asked for, or how far predicted ones are off."""
    add_study_arguments(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--hours", action="store_true", help="seconds of each run, and hours of all, from measured runs")
    what.add_argument(
        "--check",
        nargs="?",
        const="reader",
        choices=("reader", "seed"),
        help="predict each finished run without those of readers like it (default), or of its seed, and compare",
    )
    what.add_argument(
        "--device",
        metavar="NAME",
        help="a row a stage for accelerators of this kind (H100, A100, v5p), from shapes alone; --json has the jobs."
        f" {foretold.MEASURED}: for this machine, by jobs that it has done",
    )
    parser.add_argument(
        "--compare",
        nargs="?",
        const="default",
        choices=("job", "reader", "replicate", "study", "default"),
        help="a row a stage: what other jobs foretell of each measured one, and what it took. Left out are the job,"
        " runs of readers like it, its replicate, or all of the study (default: replicate, or reader without them)."
        " With --device, what shapes foretell",
    )
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="STUDY",
        help="with --compare, and --device measured: another study whose measured jobs tell too; may be repeated",
    )
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="with the same: seconds of which (default: wall)"
    )
    parser.add_argument("--devices", type=int, default=8, help="with --device: how many a job has (default: 8, a node)")
    parser.add_argument(
        "--jobs", type=int, default=1, help="with --device: jobs at a time, as many as there are nodes for (default: 1)"
    )
    parser.add_argument(
        "--share",
        type=float,
        default=bill.SHARE_OF_PEAK,
        help=f"with --device: of its peak, that jobs reach (default: {bill.SHARE_OF_PEAK})",
    )
    parser.add_argument("--price", type=float, help="with --device: of an hour of one, in any currency")
    parser.add_argument(
        "--passages",
        type=int,
        help="with --device: that `glimmer chunk` makes of all pages (default, a guess: of KILT"
        f" {bill.KILT_PASSAGES:,}, of a generated page {bill.GENERATED_PASSAGES})",
    )
    parser.add_argument(
        "--from",
        action="append",
        type=Path,
        dest="measured",
        metavar="DIR",
        help="results of runs that this machine has done; may be repeated (default: those of the study)",
    )
    parser.add_argument("--cores", type=int, default=1, help="runs side by side, a thread each (default: 1)")
    parser.add_argument(
        "--start-up",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="of each run, to start, read and write: no result file has it (default: 20)",
    )
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Prints a row a run, then the total. FLOPs are two for a multiply-accumulate."""
    study = study_of(args)
    if args.compare:
        return _compared(study, args)
    if args.device:
        return _billed(study, args)
    if args.check:
        rows, total = _checked(study, _measured(args, study), args.check)
    elif args.hours:
        rows, total = _hours(study, _measured(args, study), args.cores, args.start_up)
    else:
        rows, total = _costs(study)
    if args.format == "json":
        show({"total": total, "runs": rows}, "json")
    else:
        show(rows, args.format)
        beside("", args.format)
        beside(total, args.format)
    return 0


def _billed(study: Study, args: argparse.Namespace) -> int:
    """A row a stage, then the total and what it stands on, then a row a part of the grid that may be asked for."""
    machine = _machine(study, args)
    passages = bill.passages_of(study, args.passages)
    jobs = bill.jobs_of(study, passages)
    rows = bill.by_stage(jobs, machine)
    stores = bill.largest_stores(study, passages)
    stated = {_OF_MACHINE.get(key, key): value for key, value in vars(machine).items() if key != "rates"}
    total = {"study": study.name, **bill.total(rows), **stores, "passages": passages, **stated}
    parts = costs_of_parts(study, machine, passages)
    if args.format == "json":
        each = [vars(job) | {"seconds": machine.seconds(job)} for job in jobs]
        show({"total": total, "parts": parts, "stages": rows, "jobs": each}, "json")
        return 0
    show(rows, args.format)
    for more in ("", total, "", parts):
        beside(more, args.format)
    return 0


_OF_MACHINE = {"devices": "devices_a_job", "jobs": "jobs_at_a_time", "price": "price_of_a_device_hour"}
"""What a machine has -> how the total calls it: `jobs` and `price` there are the study's."""


def _machine(study: Study, args: argparse.Namespace) -> bill.Times:
    """The one that is stated. Raises InputError for one without a peak that has done no job of the studies."""
    if args.device != foretold.MEASURED:
        return bill.Machine(
            device=args.device, devices=args.devices, jobs=args.jobs, share=args.share, price=args.price
        )
    rates = foretold.rates(_timed(study, args))
    if not rates:
        raise InputError("no measured job", where=study.work_directory, expected="benchmarks/, or run files in results")
    return foretold.MeasuredMachine(rates=rates, jobs=args.jobs)


def _timed(study: Study, args: argparse.Namespace) -> list[foretold.Timed]:
    """What was measured of the study, and of those beside it."""
    others = [foretold.timed_jobs(other_study(args, name), clock=args.clock) for name in args.by]
    return [*foretold.timed_jobs(study, args.passages, args.clock), *(one for group in others for one in group)]


def _compared(study: Study, args: argparse.Namespace) -> int:
    """A row a stage, then the line of the whole."""
    if args.hours or args.check:
        raise InputError("--compare goes with --device alone", where="--hours, --check", found="both")
    timed = _timed(study, args)
    if args.device in (None, foretold.MEASURED):
        by_default = "replicate" if study.replicates else "reader"
        left_out = by_default if args.compare == "default" else args.compare
        foretell, by = foretold.from_others(timed, left_out), {"left_out": f"the same {left_out}"}
    else:
        machine = _machine(study, args)
        foretell, by = (lambda one: machine.seconds(one.job) + args.start_up), {"device": args.device}
    rows = foretold.compare(study, timed, foretell, args.passages)
    total = {"study": study.name, **by, "clock": args.clock, **foretold.whole(rows)}
    if args.format == "json":
        show({"total": total, "stages": rows}, "json")
        return 0
    show([{key: value for key, value in row.items() if key != "pairs"} for row in rows], args.format)
    beside("", args.format)
    beside(total, args.format)
    return 0


Printed = tuple[list[dict[str, Any]], dict[str, Any]]
"""Rows and total."""


def _costs(study: Study) -> Printed:
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
    return rows, total


def cost(study: Study, run: Run) -> dict:
    """An estimate for one run from its shapes: at most `steps` training steps, one pass over dev, and the store.

    Memory is bounded by the passages that dev questions can retrieve; KILT's own dev sizes stand in where the study
    takes all of them but those of selection. The answers of the best or last parameters that are not kept are not
    counted.
    """
    most = bill.most_questions(study)
    examples = sum(most[task] for task in run.reader.train_tasks)
    counts = operation_counts(run.dimensions, run.workload)
    macs = hours.operations(run.settings, most)
    a_passage = bill.memory_bytes_per_passage(study, run)
    return {
        **_named(run),
        "macs_printed": counts["printed"],
        "macs_figure2": counts["figure2"],
        "macs_exact": counts["exact"],
        "training_flops": 2 * macs["train"],
        "evaluation_flops": 2 * macs["evaluate"],
        "memory_bytes_per_passage": a_passage,
        "memory_bytes": a_passage * run.reader.k * examples,
    }


def _named(run: Run) -> dict[str, Any]:
    return {"id": run.id, "seed": run.seed, "reader": run.reader.name, "passages": run.reader.k, "kept": run.reader.m}


def _measured(args: argparse.Namespace, study: Study) -> list[hours.Finished]:
    """The finished runs to measure rates by. Raises InputError where there is none."""
    directories = args.measured or [study.results_directory]
    found = [hours.Finished.of(run) for where in directories for run in load_runs(where).by_id.values()]
    if not found:
        raise InputError(
            "no finished run", where=", ".join(map(str, directories)), expected="runs/<id>.json, one or more"
        )
    return found


def _hours(study: Study, finished: Sequence[hours.Finished], cores: int, start_up: float) -> Printed:
    if cores < 1 or start_up < 0:
        raise InputError(
            "not allowed", where="--cores, --start-up", expected="1 and 0, or more", found=f"{cores}, {start_up}"
        )
    measured, most, runs = hours.rates(finished), bill.most_questions(study), runs_for(study)
    rows = []
    for run in runs.values():
        asked = hours.questions(run.settings, finished, most)
        parts = hours.predicted(measured, hours.operations(run.settings, asked))
        again = study.evaluation.both and run.reader.is_trained_by_its_run
        parts["other"] = parts["memory"] + parts["evaluate"] if again else 0.0
        seconds = {f"{part}_seconds": value for part, value in parts.items()}
        rows.append(_named(run) | seconds | {"seconds": sum(parts.values()) + start_up})
    left = [row["seconds"] for row in rows if not study.result_file(row["id"]).exists()]
    total = {
        "study": study.name,
        "runs": len(rows),
        "runs_left": len(left),
        "cores": cores,
        "hours": hours.side_by_side((row["seconds"] for row in rows), cores) / 3600,
        "hours_left": hours.side_by_side(left, cores) / 3600,
        "measured_runs": len(finished),
        "fixed_seconds": {part: rate.fixed for part, rate in measured.items()},
        "seconds_per_tera_macs": {part: rate.per_tera for part, rate in measured.items()},
    }
    return rows, total


def _checked(study: Study, finished: Sequence[hours.Finished], left_out: hours.LeftOut) -> Printed:
    done = load_runs(study.results_directory, only=runs_for(study)).by_id.values()
    rows = hours.check([hours.Finished.of(run) for run in done], finished, left_out, bill.most_questions(study))
    if not rows:
        raise InputError("no finished run to compare with", where=study.results_directory, found="none")
    errors = [abs(row["error_percent"]) for row in rows]
    foreseen, outcome = (sum(row[key] for row in rows) for key in ("predicted_seconds", "seconds"))
    total = {
        "study": study.name,
        "runs": len(rows),
        "left_out": f"the same {left_out}",
        "predicted_hours": foreseen / 3600,
        "hours": outcome / 3600,
        "error_percent": hours.error_percent(foreseen, outcome),
        "median_error_percent": median(errors),
        "largest_error_percent": max(errors),
        "runs_within_25_percent": sum(error <= 25 for error in errors),
    }
    return rows, total
