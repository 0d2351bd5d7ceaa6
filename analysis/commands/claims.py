"""`glimmer claims`: the paper's checkable sentences, on results."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from analysis.sources import add_source_arguments, sources_of
from glimmer.commands.output import add_json_argument, beside, show

HELP = "evaluate the paper's checkable sentences (config/claims.yaml) and write claims.json"
PURPOSE = "results"
EXAMPLES = ("glimmer claims --study sample",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """On which results."""
    add_source_arguments(parser)
    add_json_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Writes claims.json of each source, and prints its content (with --json, by source) or a table of it."""
    from analysis import claims
    from glimmer.files import write_json

    documents = {}
    for name in sources_of(args):
        documents[name] = claims.evaluate(name, args.results)
        write_json(args.results / name / "claims.json", documents[name])
    if args.format == "json":
        show(documents, "json")
        return
    if args.format != "table":
        show([_numbers(name, row) for name, document in documents.items() for row in document["claims"]], args.format)
    for document in documents.values():
        beside(f"Claims {document['evaluated']}; correction: {document['method']['correction']}", args.format)
        if args.format == "table":
            show([_row(row) for row in document["claims"]], args.format)
        beside(", ".join(f"{n} {verdict}" for verdict, n in document["counts"].items()), args.format)


def _numbers(study: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for a program: every number in a cell of its own."""
    low, high = row["interval"] or (None, None)
    numbers = {"effect": row["effect"], "low": low, "high": high, "unit": row["unit"], "n": row["n"]}
    words = {key: row[key] for key in ("family", "verdict", "rests_on")}
    return {"study": study, "claim": row["id"]} | words | numbers | {"reasons": "; ".join(row["reasons"])}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for a person."""
    return {
        "family": row["family"],
        "verdict": row["verdict"],
        "rests on": row["rests_on"],
        "claim": row["id"],
        "effect": None if row["effect"] is None else f"{row['effect']:+.4g} {row['unit']}",
        "interval": "{:.3g} to {:.3g}".format(*row["interval"]) if row["interval"] else None,
        "n": row["n"],
        "besides": "not as large as the paper's" if row["excludes_paper_effect"] else "; ".join(row["reasons"]) or None,
    }
