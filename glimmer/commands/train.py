"""`glimmer train`: one run of a study, trained to the checkpoint that it keeps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from glimmer import preemption, processes
from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show
from glimmer.commands.runtime import add_runtime_arguments, prepare, pretend_devices
from glimmer.errors import InputError
from glimmer.experiments import run_of
from glimmer.processes import Place

HELP = "train one run of a study; resumes where it was interrupted"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_run_arguments(parser, required=False)
    parser.add_argument("--out", metavar="DIR", help="directory to write the kept parameters to")
    parser.add_argument(
        "--compile-only",
        action="store_true",
        help="train nothing: compile the training step for the study's mesh (--set devices.fsdp=8) and print the bytes"
        " that a device needs, as the compiler counts them; reads no data and no checkpoint",
    )
    parser.add_argument(
        "--virtual-devices", type=int, metavar="N", help="with --compile-only: for N devices that need not be there"
    )
    parser.add_argument("--metrics", metavar="FILE", help="CSV file that gets a row a step while training runs")
    parser.add_argument("--profile", metavar="DIR", help="directory for a JAX profiler trace of a few steps")
    add_process_arguments(parser, "train this run")
    add_json_argument(parser)


def add_process_arguments(parser: argparse.ArgumentParser, work: str) -> None:
    """Adds what says which process this is of several that do the `work` together, on the devices of all of them."""
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="of several processes: where process 0 listens")
    parser.add_argument(
        "--processes",
        metavar="N",
        help=f"how many processes {work} together, each started by this command; `slurm`: the tasks of this"
        " step, as SLURM's variables say",
    )
    parser.add_argument("--process", type=int, metavar="I", help="which of them this is, from 0")


def place_of(args: argparse.Namespace) -> Place | None:
    """Which of several processes this is, as its command line says; None for one that is alone."""
    return Place.stated(args.coordinator, args.processes, args.process)


def add_run_arguments(parser, required: bool = True) -> None:
    """Adds what training and evaluating a run both take; its directories may be left out where not `required`."""
    add_study_arguments(parser)
    parser.add_argument("--run", required=True, metavar="ID", help="id of the run (glimmer runs)")
    parser.add_argument("--work", required=required, metavar="DIR", help="directory of the study's stages")
    parser.add_argument("--data", required=required, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument(
        "--init", required=required, metavar="DIR", help="initial checkpoint, a Hugging Face T5 directory"
    )
    add_runtime_arguments(parser)


def materials_of(args):
    """The run that the command line names, with the directories that it is told of."""
    from glimmer.runs.materials import Materials

    return Materials.of(study_of(args), args.run, work=args.work, data=args.data, initial=args.init)


def run(args) -> int:
    """Trains and prints which step is to be evaluated; with --compile-only, prints what a step would need."""
    place = place_of(args)
    if args.compile_only:
        if place is not None:
            raise InputError("one process compiles", where="--compile-only", expected="--virtual-devices N for those"
                             " of other hosts", found=place)  # fmt: skip
        return _compile_only(args)
    missing = [f"--{name}" for name in ("work", "data", "init", "out") if getattr(args, name) is None]
    if missing or args.virtual_devices is not None:
        given = "--virtual-devices without --compile-only" if not missing else f"no {', '.join(missing)}"
        raise InputError("not enough to train on", where="glimmer train", found=given,
                         expected="--work, --data, --init and --out, or --compile-only")  # fmt: skip
    prepare(args)
    with processes.joined(place), preemption.heeded(study_of(args).preemption.grace_seconds):
        from glimmer.runs.train import train_run

        watched = {name: path and Path(path) for name, path in (("metrics", args.metrics), ("profile", args.profile))}
        result = train_run(processes.after_the_first(lambda: materials_of(args)), Path(args.out), **watched)
        reports = processes.is_first()
    if reports:
        _report(args.run, result)
    return 0


def _report(run: str, result: dict[str, Any]) -> None:
    selection = result["selection"]
    kept = (
        "nothing kept"
        if selection is None
        else "kept step {step} with dev average {dev_average}".format_map(selection[selection["keep"]])
    )
    print(f"run {run}: {kept}; {result['stopped']}")


def _compile_only(args) -> int:
    study, devices = study_of(args), args.virtual_devices
    run = run_of(study, args.run)
    if devices is not None:
        if devices < 1:
            raise InputError("no number of devices", where="--virtual-devices", expected="1 or more", found=devices)
        pretend_devices(devices)
    prepare(args)
    from glimmer.runs.compiled import compiled_memory

    show(compiled_memory(study, run), args.format)
    return 0
