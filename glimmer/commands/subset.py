"""`glimmer subset`: checks a study's data files against their digests and takes the part that the study asks for."""

from __future__ import annotations

from glimmer.commands.output import add_json_argument, show
from glimmer.commands.runs import add_study_arguments

HELP = "check a study's KILT-format data and write the part of it that the study uses"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument(
        "--data", required=True, metavar="DIR", help="task files and knowledge source in KILT's formats"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    add_json_argument(parser)


def run(args) -> int:
    """Writes the subset and prints its counts."""
    from glimmer.errors import InputError
    from glimmer.experiments import load_study, parse_overrides
    from glimmer.kilt.subset import check_digests, write_subset

    study = load_study(args.study, parse_overrides(args.overrides))
    if not study.data.get("subset"):
        raise InputError("the study uses all of its data", where=study.source, expected="a data.subset section")
    check_digests(args.data, study.data["sha256"])
    show(write_subset(args.data, args.out, study.tasks, **study.data["subset"]), args.json)
    return 0
