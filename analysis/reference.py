"""Our page-level retrieval scores beside public ones of the same measures: a check of chunking, evidence and index.

The public numbers stand in results/public/kilt-retrieval.csv, each with its source: KILT's own DrQA baseline and
Anserini's BM25 over pages and over passages, on KILT's dev sets. Ours can be compared with them on KILT's release
alone.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments.documents import repository_path
from glimmer.files import existing, read_json
from glimmer.kilt.download import PUBLISHED

SYSTEMS = {"drqa": "DrQA (tf-idf, bigrams)", "bm25 pages": "BM25, pages", "bm25 passages": "BM25, passages"}
PUBLIC = "results/public/kilt-retrieval.csv"


def beside_public(recall_file: str | Path) -> dict[str, Any]:
    """Scores of `glimmer recall` beside the public ones, in percent.

    Returns {"is_kilt", "differs": where the data are not KILT's release, "rows": [{"task", "measure", "ours", one a
    system, "difference"}]}. `difference` is ours less BM25 over passages, and only there on KILT's release; "ours" is
    None where it was not measured. Raises InputError for another kind of file.
    """
    document = read_json(recall_file)
    try:
        tasks, differs = document["tasks"], list(_differences(document))
        rows = [_row(task, measure, tasks[task], public, is_kilt=not differs)
                for (task, measure), public in public_scores().items() if task in tasks]  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError("not what `glimmer recall --out` writes", where=recall_file, found=repr(error)) from None
    return {"is_kilt": not differs, "differs": differs, "rows": rows}


def public_scores() -> dict[tuple[str, str], dict[str, float]]:
    """(task, measure) -> system -> percent, in the order of the file."""
    scores: dict[tuple[str, str], dict[str, float]] = {}
    with open(existing(repository_path(PUBLIC)), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scores.setdefault((row["task"], row["measure"]), {})[row["system"]] = float(row["percent"])
    return scores


def _differences(document: Mapping[str, Any]) -> list[str]:
    """Where the data are not KILT's release: numbers of pages and of dev examples tell."""
    lines = {(file.task, "dev"): file.lines for file in PUBLISHED if "-dev" in file.name}
    pages = next(file.lines for file in PUBLISHED if file.task is None)
    differs = [f"{document['pages']} of {pages} pages"] if document["pages"] != pages else []
    for task, scores in document["tasks"].items():
        published = lines.get((task, document["split"]))
        if scores["n"] != published:
            differs.append(f"{task}: {scores['n']} {document['split']} examples of {published or 'none'}")
    return differs


def _row(
    task: str, measure: str, scores: Mapping[str, float], public: Mapping[str, float], *, is_kilt: bool
) -> dict[str, Any]:
    ours = 100 * scores[measure] if measure in scores else None
    beside = {name: public.get(system) for system, name in SYSTEMS.items()}
    row = {"task": task, "measure": measure, "ours": ours, **beside}
    if is_kilt:
        row["difference"] = None if ours is None else ours - public["bm25 passages"]
    return row
