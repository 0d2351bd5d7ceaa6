"""`glimmer audit`: what does not add up in results."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.sources import add_source_arguments, described_by, sources_of
from glimmer.commands.output import add_json_argument, beside, show
from glimmer.errors import InputError
from glimmer.results import PAPER

HELP = "audit results and write audit.json; exit code 1 where a run file cannot be trusted, however much else is found"
PURPOSE = "results"
EXAMPLES = ("glimmer audit --study sample --paper",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which results, and what to do with the record of them."""
    add_source_arguments(parser, described=True)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--record", action="store_true", help="write and exit 0 even where run files cannot be trusted")
    mode.add_argument("--check", action="store_true", help="show what is recorded, and compare the files with it")
    mode.add_argument("--seal", action="store_true", help="record the digests of the run files as they are now")
    mode.add_argument("--init", type=Path, metavar="DIR", help="write a commented description of a paper to fill in")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Writes audit.json of each source, or with --check reads it, and prints its content (with --json, by source).

    Of a described paper it writes `results`/papers/<name>/ instead, with claims.json and a page to read.
    """
    if args.init:
        return _init(args.init)
    if args.seal:
        return _seal(args)
    sources, papers = _asked(args)
    documents = {name: _document(name, args) for name in sources}
    documents |= {name: _of_paper(name, folder, args) for name, folder in papers.items()}
    if args.format == "json":
        show(documents, "json")
    elif args.format != "table":
        rows = [{"study": name} | _row(finding) for name, doc in documents.items() for finding in doc["findings"]]
        show(rows, args.format)
    changed = []
    for name, document in documents.items():
        _show(document, args.format)
        changed += _changed_since(document, papers.get(name, args.results / name))
    for line in changed:
        print(f"glimmer audit: {line}", file=sys.stderr)
    failed = changed or any(document["integrity"] == "failed" for document in documents.values())
    return int(bool(failed) and not args.record)


def _init(folder: Path) -> int:
    from analysis.papers.template import write_template

    for path in write_template(folder):
        print(path)
    print(f"Fill them in, then: glimmer audit --paper {folder}")
    return 0


def _asked(args: argparse.Namespace) -> tuple[list[str], dict[str, Path]]:
    """(the studies and `paper`, name of each described paper -> its folder). Raises InputError for two of one name."""
    from analysis.papers.description import OWN, RegisteredPaper, folder_of, load_paper
    from glimmer.experiments.documents import repository_path

    sources, papers = sources_of(args), {}
    for folder in map(folder_of, described_by(args)):
        paper = load_paper(folder)
        if isinstance(paper, RegisteredPaper):
            if not folder.samefile(repository_path(OWN)):
                found = f"points: {paper.points}"
                raise InputError("the registry is of one paper", where=folder, expected="points: tables", found=found)
            sources.append(PAPER)
        elif paper.name in papers:
            expected = f"another than that of {papers[paper.name]}"
            raise InputError("two papers of one name", where=folder, expected=expected, found=paper.name)
        else:
            papers[paper.name] = folder
    return sources, papers


def _of_paper(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """audit.json of a described paper, written with what stands beside it, or read with --check."""
    from analysis.audit import audit_description
    from analysis.papers.written import page
    from glimmer.files import atomic_write, read_json, write_json

    directory = args.results / "papers" / name
    if args.check:
        return read_json(directory / "audit.json")
    document, claims = audit_description(folder)
    write_json(directory / "audit.json", document)
    write_json(directory / "claims.json", claims)
    with atomic_write(directory / "findings.md") as file:
        file.write(page(document, claims, f"glimmer audit --paper {name}"))
    return document


def _seal(args: argparse.Namespace) -> int:
    from analysis.audits.record import seal

    for name in [*sources_of(args), *(PAPER for _ in described_by(args))]:
        if name == PAPER:
            raise InputError("the paper has no run files to seal", where="--seal", expected="--study NAME")
        print(f"sealed {seal(args.results / name)}")
    return 0


def _document(name: str, args: argparse.Namespace) -> dict[str, Any]:
    from glimmer.files import read_json, write_json

    path = args.results / name / "audit.json"
    if args.check:
        return read_json(path)
    from analysis.audit import audit

    document = audit(name, args.results)
    write_json(path, document)
    return document


def _changed_since(document: Mapping[str, Any], directory: Path) -> list[str]:
    """What is not as it was when the audit was written: a line for each file whose digest differs, or that is gone.

    `directory` is where the files lie: results of a source, or the folder that describes a paper.
    """
    from glimmer.files import sha256_file

    trace = document["trace"]
    files = trace.get("files", {}) | trace.get("description", {})
    files |= {run["file"]: run["sha256"] for run in trace.get("runs", {}).values()}
    paths = {directory / name: digest for name, digest in files.items()}
    changed = [path for path, digest in paths.items() if not path.exists() or sha256_file(path) != digest]
    return [f"{path}: changed since the audit was written" for path in changed]


def _show(document: Mapping[str, Any], form: str) -> None:
    """The findings as a table for the terminal; in another format what is said of them."""
    findings, name = document["findings"], document["study"]
    integrity = "" if name == PAPER or "description" in document["trace"] else f", run files {document['integrity']}"
    beside(f"Audit of {name}: {document['numbers']} numbers, {len(findings)} findings{integrity}", form)
    if form == "table":
        show([_row(finding) | _in_short(finding) for finding in findings], form)
    if findings:
        beside(", ".join(f"{n} {kind}" for kind, n in Counter(finding["kind"] for finding in findings).items()), form)


_NUMBERS = ("expected", "found", "difference", "tolerance")


def _row(finding: Mapping[str, Any]) -> dict[str, Any]:
    points = finding["points"]
    where = "; ".join(points)
    if finding["severity"] == "failure" or not where:  # a file or a line that cannot be trusted is called by its name
        where = finding["explanation"]
    values = {key: finding[key] for key in _NUMBERS}
    return {"severity": finding["severity"], "kind": finding["kind"], **values, "where": where}


def _in_short(finding: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row is cut for the terminal."""
    values, points = {key: _short(finding[key]) for key in _NUMBERS}, finding["points"]
    if finding["severity"] == "failure" or len(points) <= 2:
        return values
    return values | {"where": f"{'; '.join(points[:2])} and {len(points) - 2} more"}


def _short(value: Any) -> Any:
    return f"{value[:21]}..." if isinstance(value, str) and len(value) > 24 else value
