"""`glimmer train`: one run of a study, trained to the checkpoint that it keeps."""

from __future__ import annotations

from pathlib import Path

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.runtime import add_runtime_arguments, prepare

HELP = "train one run of a study; resumes where it was interrupted"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_run_arguments(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write the kept parameters to")


def add_run_arguments(parser) -> None:
    """Adds what training and evaluating a run both take."""
    add_study_arguments(parser)
    parser.add_argument("--run", required=True, metavar="ID", help="id of the run (glimmer runs)")
    parser.add_argument("--work", required=True, metavar="DIR", help="directory of the study's stages")
    parser.add_argument("--data", required=True, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument("--init", required=True, metavar="DIR", help="initial checkpoint, a Hugging Face T5 directory")
    add_runtime_arguments(parser)


def materials_of(args):
    """The run that the command line names, with the directories that it is told of."""
    from glimmer.runs.materials import Materials

    return Materials.of(study_of(args), args.run, work=args.work, data=args.data, initial=args.init)


def run(args) -> int:
    """Trains and prints which step is to be evaluated."""
    prepare(args)
    from glimmer.runs.train import train_run

    result = train_run(materials_of(args), Path(args.out))
    selection = result["selection"]
    kept = (
        "nothing kept"
        if selection is None
        else "kept step {step} with dev average {dev_average}".format_map(selection[selection["keep"]])
    )
    print(f"run {args.run}: {kept}; {result['stopped']}")
    return 0
