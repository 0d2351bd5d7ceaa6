"""A smaller data set from a KILT-format one: some examples of every task, their evidence, and some other pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from glimmer.errors import InputError
from glimmer.files import atomic_directory, numbered_lines, write_json
from glimmer.kilt.formats import id_text, knowledge_source_file, read_objects, task_file

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
                chosen = _lowest(((id_text(row["id"]) for _, row in read_objects(source))), wanted[split])
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
    for _, row in read_objects(source):
        yield id_text(row.get("wikipedia_id", row.get("_id")))


def _pages(row: dict, where: str) -> Iterator[str]:
    for output in row.get("output", []):
        for item in output.get("provenance") or []:
            if item.get("wikipedia_id") is None:
                raise InputError(
                    "provenance without a page", where=where, expected="`wikipedia_id`", found=sorted(item)
                )
            yield id_text(item["wikipedia_id"])
