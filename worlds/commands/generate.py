"""`glimmer generate`: the generated benchmark in KILT's formats."""

from __future__ import annotations

from dataclasses import fields

from glimmer.commands.output import add_json_argument, show
from glimmer.errors import InputError

HELP = "write the generated benchmark in KILT's formats; the same seed gives the same bytes"
PURPOSE = "stages"
_COUNTS = ("pages", "namesakes", "bynames_listed", "dev_examples", "train_examples", "trex_train_examples")


def add_arguments(parser) -> None:
    """Adds --out, --seed, an option for each knob of size and ambiguity, and --set for all others."""
    from worlds.generate.knobs import BenchmarkSettings

    defaults = {field.name: field.default for field in fields(BenchmarkSettings)}
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write, new or generated before")
    parser.add_argument("--seed", required=True, type=int, metavar="N", help="decides every byte")
    for name in _COUNTS:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=defaults[name], metavar="N", help=f"default {defaults[name]}")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KNOB=VALUE", help="any knob of worlds/generate/knobs.py"
    )
    add_json_argument(parser)


def run(args) -> int:
    """Writes the benchmark and prints its summary."""
    from glimmer.experiments.strict import read
    from glimmer.experiments.study import parse_overrides
    from worlds.generate.benchmark import build_benchmark, write_benchmark
    from worlds.generate.knobs import BenchmarkSettings

    others = parse_overrides(args.set)
    if twice := sorted(set(others) & {"pages", "dev_examples"}):  # a study has keys of their own for these
        raise InputError("a knob with an option of its own", expected=f"--{twice[0].replace('_', '-')}", found=twice)
    settings = read(BenchmarkSettings, {name: getattr(args, name) for name in _COUNTS} | others, "--set")
    show(write_benchmark(build_benchmark(settings, args.seed), args.out), args.format)
    return 0
