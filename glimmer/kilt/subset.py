"""A smaller data set from a KILT-format one: some examples of every task, their evidence, and some other pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from glimmer.files import atomic_directory, numbered_lines, write_json
from glimmer.kilt.formats import knowledge_source_file, read_example_rows, read_page_rows, task_file
from glimmer.kilt.hub import without_fillers
from glimmer.kilt.rows import id_text, page_id_of, without_page

SPLITS = ("train", "dev")


def write_subset(
    data: str | Path,
    out: str | Path,
    tasks: tuple[str, ...],
    *,
    train_examples: int,
    dev_examples: int,
    distractor_pages: int,
) -> dict[str, int]:
    """Writes a KILT-format directory with at most so many examples a task, all their evidence pages and some others.

    What is taken is decided by a digest of each id, so it does not depend on the order of the files. Returns counts.
    """
    wanted = {"train": train_examples, "dev": dev_examples}
    evidence: set[str] = set()
    counts: dict[str, int] = {}
    with atomic_directory(out) as temporary:
        for task in tasks:
            for split in SPLITS:
                source = task_file(data, task, split)
                ids = (id_text(row["id"]) for _, row in read_example_rows(source, require_answers=True))
                chosen = _lowest(ids, wanted[split])
                lines = []
                for number, line in numbered_lines(source):
                    row = json.loads(line)
                    if id_text(row["id"]) in chosen:
                        lines.append(line)
                        evidence.update(_pages(row, f"{source}:{number}"))
                (temporary / f"{task}-{split}-kilt.jsonl").write_bytes(b"\n".join(lines) + b"\n")
                counts[f"{task}-{split}"] = len(lines)
        source = knowledge_source_file(data)
        others = (page for page in _page_ids(source) if page not in evidence)
        kept = evidence | _lowest(others, distractor_pages)
        pages = [
            line
            for page, line in zip(_page_ids(source), (x for _, x in numbered_lines(source)), strict=True)
            if page in kept
        ]
        (temporary / "knowledge_source.jsonl").write_bytes(b"\n".join(pages) + b"\n")
        counts |= {"pages": len(pages), "evidence_pages": len(evidence)}
        write_json(temporary / "subset.json", counts)
    return counts


def _lowest(ids: Iterator[str], count: int) -> set[str]:
    """The `count` ids of lowest digest."""
    return set(sorted(ids, key=lambda one: hashlib.sha256(one.encode()).digest())[:count])


def _page_ids(source: Path) -> Iterator[str]:
    for _, row in read_page_rows(source):
        yield id_text(page_id_of(row))


def _pages(row: dict, where: str) -> Iterator[str]:
    for output in row.get("output", []):
        for item in output.get("provenance", []):
            page_id = without_fillers(item).get("wikipedia_id")
            if page_id is None:
                raise without_page(item, where)
            yield id_text(page_id)
