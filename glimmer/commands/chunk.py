"""`glimmer chunk`: a knowledge source's pages to passages."""

from __future__ import annotations

from glimmer.commands.arguments import add_parts_arguments, add_study_arguments, study_of
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
    add_parts_arguments(parser)
    add_json_argument(parser)


def run(args) -> int:
    """Checks provenance, writes the passages and prints their counts; of a part, without the check."""
    from glimmer.experiments.stages import decides
    from glimmer.kilt.chunking import gather_passages, write_passages, write_passages_part
    from glimmer.kilt.formats import knowledge_source_file, read_pages, task_file
    from glimmer.kilt.validate import check_provenance, page_ids
    from glimmer.runs.inputs import hold, outside_inputs, remembered_sha256

    study = study_of(args, "chunk")
    hold(study, outside_inputs(study, data=args.data))
    source, max_words, deepest = knowledge_source_file(args.data), study.corpus.max_words, study.retriever.depth

    def check_evidence(pages) -> None:
        files = [task_file(args.data, task, split) for task in study.tasks for split in ("train", "dev")]
        admitted = getattr(study.data, "admitted_missing_provenance", 0)  # generated data miss none
        check_provenance(files, pages, admitted=admitted, require_input=True, require_answers=True)

    if not (args.part or args.gather):
        check_evidence(page_ids(source))
        show(write_passages(read_pages(source), args.out, max_words, at_least=deepest), args.format)
        return 0
    made_of = {"chunk": decides(study, "chunk"), "knowledge_source": remembered_sha256(source)}
    if args.part:
        counts = write_passages_part(read_pages(source, args.part), args.out, args.part, made_of, max_words)
    else:
        counts = gather_passages(args.out, args.gather, made_of, at_least=deepest, check_pages=check_evidence)
    show(counts, args.format)
    return 0
