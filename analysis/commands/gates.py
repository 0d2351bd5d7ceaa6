"""`glimmer gates`: whether a study may run its grid, by config/gates.yaml."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimmer.commands.output import add_json_argument, beside, show

HELP = "evaluate a study's gates (config/gates.yaml) on its results: pass, fail or not measured; exit 1 if one fails"
PURPOSE = "study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of which study."""
    parser.add_argument("--study", default="embedded", metavar="NAME", help="default: embedded")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Prints a row a measure (with --json, all gates with the numbers by task); 1 if a gate fails."""
    from analysis.gates.evaluated import FAIL, evaluate
    from analysis.gates.listed import load_gates

    gates = evaluate(load_gates(), args.study, args.results)
    if args.format == "json":
        show(gates, "json")
    else:
        show([_line(gate, row) for gate in gates for row in gate["measures"]], args.format)
        beside(", ".join(f"{gate['id']} {gate['verdict']}" for gate in gates), args.format)
    return int(any(gate["verdict"] == FAIL for gate in gates))


def _line(gate: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, str]:
    from analysis.gates.evaluated import numbers_text

    return {
        "gate": gate["id"],
        "what": row["is"],
        "measured": numbers_text(row["measured"]),
        "go": row["go"],
        "verdict": row["verdict"],
        "by task": "; ".join(numbers_text(by_task) for by_task in row["by_task"].values()),
    }
