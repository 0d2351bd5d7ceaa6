"""`glimmer inputs`: what a study takes from elsewhere, and whether it is what its names have stood for so far."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show
from glimmer.errors import CheckFailed, InputError

HELP = "list a study's outside files with their digests and the lock's; --relock takes what is there now"
PURPOSE = "study"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument(
        "--relock",
        action="store_true",
        help="lock the bytes that are there now, and delete results and trained readers that were made of other ones",
    )
    add_json_argument(parser)


def run(args) -> int:
    """Prints a row a file; exit code 1 where one is another than before. With --relock, the runs withdrawn."""
    from glimmer.experiments import runs_for
    from glimmer.runs.inputs import given_inputs, locked, relock

    study = study_of(args)
    runs = runs_for(study)
    inputs = given_inputs(study, runs)
    if not inputs:
        expected = "--set data=DIR, --set initial.directory=DIR or --set retriever=DIR, for a study that takes them"
        raise InputError("no outside input is given", where=study.source, expected=expected)
    if args.relock:
        withdrawn = relock(study, inputs, runs)
        show([{"withdrawn": id} for id in withdrawn], args.format)
        return 0
    lock = locked(study)
    rows = []
    for item in inputs:
        before = lock.get(item.section, {}).get(item.release, {})
        for name, digest in item.digests().items():
            state = {None: "not locked yet", digest: "as locked"}.get(before.get(name), "OTHER than locked")
            pinned = "pinned, " if name in item.pins else ""
            row = {"section": item.section, "release": item.release, "file": name, "sha256": digest}
            rows.append(row | {"state": pinned + state})
    show(rows, args.format)
    others = [row["file"] for row in rows if "OTHER" in row["state"]]
    if others:
        raise CheckFailed(f"{len(others)} files are not those that were locked: {', '.join(others[:5])}")
    return 0
