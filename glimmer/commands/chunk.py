"""`glimmer chunk`: a knowledge source's pages to passages."""

from __future__ import annotations

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, show

HELP = "cut a knowledge source into passages, after checking that the tasks' evidence points into it"
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
    """Checks provenance, writes the passages and prints their counts."""
    from glimmer.kilt.chunking import write_passages
    from glimmer.kilt.formats import knowledge_source_file, read_pages, task_file
    from glimmer.kilt.validate import check_provenance, page_ids
    from glimmer.runs.inputs import hold, outside_inputs

    study = study_of(args, "chunk")
    hold(study, outside_inputs(study, data=args.data))
    source = knowledge_source_file(args.data)
    files = [task_file(args.data, task, split) for task in study.tasks for split in ("train", "dev")]
    admitted = getattr(study.data, "admitted_missing_provenance", 0)  # generated data miss none
    check_provenance(files, page_ids(source), admitted=admitted, require_input=True, require_answers=True)
    deepest = study.retriever.depth
    show(write_passages(read_pages(source), args.out, study.corpus.max_words, at_least=deepest), args.format)
    return 0
