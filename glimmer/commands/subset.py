"""`glimmer subset`: checks a study's data files against their digests and takes the part that the study asks for."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show

HELP = "check a study's KILT-format data and write the part of it that the study uses"
PURPOSE = "stages"


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
    from glimmer.kilt.subset import write_subset
    from glimmer.runs.inputs import hold, outside_inputs

    study = study_of(args, "subset")
    if not getattr(study.data, "subset", None):
        raise InputError("the study uses all of its data", where=study.source, expected="a data.subset section")
    hold(study, outside_inputs(study, users_data=args.data))
    show(write_subset(args.data, args.out, study.tasks, **vars(study.data.subset)), args.format)
    return 0
