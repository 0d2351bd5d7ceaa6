"""`glimmer validate`: every problem of KILT files, with file and line.

Exit code 0 if there is none, 1 if there are problems (a check that ran to its end and failed), 2 if a file is
not there.
"""

from __future__ import annotations

import dataclasses
import json

from glimmer.commands.output import add_json_argument, beside, show
from glimmer.errors import CheckFailed
from glimmer.files import existing
from glimmer.kilt.validate import KINDS, Summary, check_provenance, page_ids, validate_file

HELP = "check knowledge source, task and guess files; prints every problem as file:line: text"
PURPOSE = "kilt"


def add_arguments(parser) -> None:
    """Declares the command line."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="JSON Lines, plain or gzipped")
    parser.add_argument(
        "--kind", choices=KINDS, help="what all the files are (default: told from each file's first line)"
    )
    parser.add_argument(
        "--pages",
        metavar="FILE",
        help="a knowledge source: check that the provenance of task files points to its pages",
    )
    parser.add_argument(
        "--admitted",
        type=int,
        default=0,
        metavar="N",
        help="with --pages: how many provenances may point to no page (default 0)",
    )
    add_json_argument(parser)


def run(args) -> int:
    """Prints problems as they are found, then a summary.

    As JSON: {"problems": [...], "files": [...], "provenance": {...}}.
    """
    for path in args.files:
        existing(path)
    summaries = [Summary(file=path) for path in args.files]
    separator = '{"problems": [\n'
    for summary in summaries:
        for problem in validate_file(summary.file, args.kind, summary):
            # Written piece by piece, because a broken file of millions of lines has millions of problems.
            if args.format == "json":
                print(separator + json.dumps(dataclasses.asdict(problem), ensure_ascii=False), end="")
                separator = ",\n"
            else:
                beside(str(problem), args.format)
    problems = sum(summary.problems for summary in summaries)
    rows = [dataclasses.asdict(summary) for summary in summaries]
    provenance = {}
    if args.pages and not problems:
        tasks = [summary.file for summary in summaries if summary.kind == "task"]
        provenance = check_provenance(tasks, page_ids(args.pages), args.admitted)
    if args.format == "json":
        print(separator if not problems else "\n", end="")
        print(f'],\n"files": {json.dumps(rows)},\n"provenance": {json.dumps(provenance)}}}')
    else:
        show(rows, args.format)
        if provenance:
            beside([{"file": path, **counts} for path, counts in provenance.items()], args.format)
    if problems:
        raise CheckFailed(
            f"{problems} problems in {sum(summary.problems > 0 for summary in summaries)} of {len(summaries)} files"
        )
    return 0
