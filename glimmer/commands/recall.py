"""`glimmer recall`: how well retrieved passages find gold pages, counted as KILT counts: in distinct pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from glimmer.commands.output import add_json_argument, show
from glimmer.errors import InputError

HELP = "measure R-precision and recall of distinct pages, as KILT's retrieval evaluator has them, of what was retrieved"
PURPOSE = "kilt"
DEFAULT_KS = "1,5,20,100"


def add_arguments(parser) -> None:
    """Declares the command line."""
    parser.add_argument("--data", required=True, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--retrieved", required=True, metavar="DIR", help="what `glimmer retrieve` wrote")
    parser.add_argument("--split", default="dev", metavar="NAME", help="default: dev")
    parser.add_argument("--ks", default=DEFAULT_KS, metavar="K,K", help=f"in distinct pages (default {DEFAULT_KS})")
    parser.add_argument("--out", metavar="FILE", help="also write it to FILE, as JSON, for `glimmer reference`")
    add_json_argument(parser)


def run(args) -> int:
    """Prints a row a task; as JSON {"pages", "passages", "split", "tasks": {task: {"n", "Rprec", "recall@k", ...}}}."""
    from glimmer.experiments.settings import TASKS
    from glimmer.files import write_json
    from glimmer.kilt.passages import PassageFile
    from glimmer.retrieval.retrieved import retrieved_path

    try:
        ks = sorted({int(k) for k in args.ks.split(",")})
    except ValueError:
        raise InputError("--ks", expected="whole numbers separated by commas", found=args.ks) from None
    if ks[0] < 1:
        raise InputError("--ks", expected="numbers of at least 1", found=ks[0])
    present = [task for task in TASKS if retrieved_path(args.retrieved, task, args.split).is_file()]
    if not present:
        raise InputError("nothing was retrieved", where=args.retrieved, expected=f"TASK-{args.split}.npz", found="none")
    with PassageFile(args.passages) as corpus:
        tasks = {task: page_scores(task, args, corpus, ks) for task in present}
        document = {"pages": corpus.meta["pages"], "passages": len(corpus), "split": args.split, "tasks": tasks}
    if args.out:
        write_json(args.out, document)
    if args.format == "json":
        show(document, "json")
    else:
        show([{"task": task} | scores for task, scores in tasks.items()], args.format)
    return 0


def page_scores(task: str, args, corpus, ks: Sequence[int]) -> dict[str, Any]:
    """One task's means over all examples; fractions.

    `Rprec` and `recall@k` are KILT's, k counts distinct pages. `fewest_pages` is how many pages the passages of a
    question are of at least: recall at a larger k misses what would stand further down.
    """
    import numpy as np

    from glimmer.evaluation.kilt_scores.example import PAGE
    from glimmer.evaluation.kilt_scores.ranking import at_k, evidence_sets, r_precision
    from glimmer.kilt.formats import task_file
    from glimmer.retrieval.evidence import pages_of
    from glimmer.retrieval.retrieved import read_retrieved, retrieved_path

    file = task_file(Path(args.data), task, args.split)
    outputs = list(_outputs(file))
    retrieved = read_retrieved(retrieved_path(args.retrieved, task, args.split), rows=len(outputs))
    rows, fewest = [], retrieved.depth
    for pages, gold in zip(pages_of(retrieved.passages, corpus), outputs, strict=True):
        ranked = [page for page in dict.fromkeys(pages.tolist()) if page]
        found = at_k(ranked, evidence_sets(gold, PAGE), ks)
        recalls = [found[f"recall@{k}"] for k in ks]
        rows.append([r_precision(ranked, gold, PAGE), *recalls])
        fewest = min(fewest, len(ranked))
    names = ["Rprec", *(f"recall@{k}" for k in ks)]
    means = np.mean(rows, axis=0).tolist() if rows else [0.0] * len(names)
    counts = {"n": len(rows), "depth": retrieved.depth, "fewest_pages": fewest}
    return counts | dict(zip(names, means, strict=True))


def _outputs(file: Path) -> Iterator[list[dict[str, Any]]]:
    from glimmer.kilt.formats import read_example_rows
    from glimmer.kilt.hub import in_kilts_words

    for _, row in read_example_rows(file):
        yield in_kilts_words(row).get("output", [])
