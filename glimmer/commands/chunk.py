"""`glimmer chunk`: a knowledge source's pages to passages."""

from __future__ import annotations

from glimmer.commands.output import add_json_argument, show
from glimmer.commands.runs import add_study_arguments

HELP = "cut a knowledge source into passages, after checking that the tasks' evidence points into it"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument(
        "--data", required=True, metavar="DIR", help="task files and knowledge source in KILT's formats"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    add_json_argument(parser)


def run(args) -> int:
    """Checks provenance, writes the passages and prints their counts."""
    from glimmer.experiments import load_study, parse_overrides
    from glimmer.kilt.chunking import write_passages
    from glimmer.kilt.formats import knowledge_source_file, read_pages, task_file
    from glimmer.kilt.validate import check_provenance, page_ids

    study = load_study(args.study, parse_overrides(args.overrides))
    source = knowledge_source_file(args.data)
    files = [task_file(args.data, task, split) for task in study.tasks for split in ("train", "dev")]
    admitted = study.data.get("admitted_missing_provenance", 0)
    check_provenance(files, page_ids(source), admitted=admitted, require_input=True)
    deepest = study.retriever["depth"]
    show(write_passages(read_pages(source), args.out, study.corpus["max_words"], at_least=deepest), args.json)
    return 0
