"""Tables of studies as Markdown, printed or put between a document's markers.

    python -m analysis.summary --study sample embedded --into README.md

replaces what stands between `<!-- numbers: begin -->` and `<!-- numbers: end -->`, and so for each of `BLOCKS` that
the document has, so that no number there is typed by hand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analysis import power, properties
from analysis.grids import Cell
from analysis.points import PAPER, load_points
from analysis.sections import readers
from glimmer.errors import GlimmerError, InputError
from glimmer.experiments import load_study
from glimmer.files import atomic_write, existing, read_json


def summary(name: str, results: str | Path = "results") -> str:
    """A study's title and description, and its readers beside their baselines; says so where nothing was measured."""
    study = load_study(name)
    grid = readers(load_points(name, results))
    lines = [f"### {study.title}", "", study.description.strip(), ""]
    if grid is None:
        return "\n".join([*lines, "No result yet.", ""])
    lines += [_row(grid.heads), _row([":--"] + ["--:"] * (len(grid.heads) - 1))]
    lines += [_row([_text(cell) for cell in row]) for row in grid.rows]
    return "\n".join([*lines, "", f"{grid.caption} Report: `results/{name}/report.html`.", ""])


def _text(cell: Cell) -> str:
    return f"{cell.text} <sub>{cell.small}</sub>" if cell.small else cell.text


def _row(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def claims_table(name: str, results: str | Path = "results") -> str:
    """A study's claims and how many have which verdict, from its claims.json."""
    document = read_json(existing(Path(results) / name / "claims.json"))
    heads = ["claim", "verdict", "effect", "95 % interval", "the paper's, carried over", "seeds"]
    lines = [_row(heads), _row(["---"] * len(heads)), *(_row(_claim(row)) for row in document["claims"])]
    counts = ", ".join(f"{n} {verdict}" for verdict, n in document["counts"].items())
    excluded, scale = document["undecided_without_paper_effect"], document["method"]["scale"]
    lines += [
        "",
        f"{len(document['claims'])} claims: {counts}; {excluded} of the undecided exclude the paper's effect.",
    ]
    if "here" in scale:
        low, high = scale["interval"]
        lines.append(
            f"A point of the paper counts {scale['factor']:.2f} here: {scale['of']}, {scale['here']:.2f} points"
            f" ({low:.2f} to {high:.2f}), the paper's {scale['paper']:.2f}."
        )
    return "\n".join([*lines, ""])


def _claim(row: Mapping[str, Any]) -> list[str]:
    bounds = row["interval"]
    of = next((one for one in row["requirements"] if one["requirement"] == row.get("effect_of")), {})
    return [
        row["statement"],
        f"{row['verdict']}, not as large" if row["excludes_paper_effect"] else row["verdict"],
        "" if row["effect"] is None else f"{row['effect']:+z.2f} {row['unit']}",
        f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else "",
        f"{of['carried_over']:.2f}" if "carried_over" in of else "",
        str(len(row["seeds"])) if "seeds" in row else "",
    ]


def power_table(name: str, results: str | Path = "results") -> str:
    """What a study's main comparisons can resolve; see analysis/power.py."""
    return power.show(power.rows(load_points(name, results), load_points(PAPER, results))) + "\n"


def properties_table(name: str, results: str | Path = "results") -> str:
    """What a study's effects rest on; see analysis/properties.py."""
    rows = properties.properties(load_points(name, results), results)
    heads = ("property, percent", "measured", "where")
    return "\n".join([_row(heads), _row(["---"] * len(heads)), *map(_row, rows), ""])


BLOCKS: Mapping[str, Callable[[str, str | Path], str]] = {
    "numbers": summary,
    "claims": claims_table,
    "power": power_table,
    "properties": properties_table,
}


def fill(document: str, names: list[str], results: str | Path, where: object) -> str:
    """`document` with each of its marked blocks made anew of these studies. Raises InputError if it has none."""
    found = [block for block in BLOCKS if all(mark in document for mark in _marks(block))]
    if not found:
        expected = " or ".join(" and ".join(_marks(block)) for block in BLOCKS)
        raise InputError("no markers", where=where, expected=expected)
    for block in found:
        begin, end = _marks(block)
        before, rest = document.split(begin, 1)
        made = "\n".join(BLOCKS[block](name, results) for name in names)
        document = f"{before}{begin}\n{made}{end}{rest.split(end, 1)[1]}"
    return document


def _marks(block: str) -> tuple[str, str]:
    return f"<!-- {block}: begin -->", f"<!-- {block}: end -->"


def main(argv: list[str] | None = None) -> int:
    """The command line; 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--results", default="results", metavar="DIR")
    parser.add_argument("--into", metavar="FILE", help="document whose marked blocks are replaced (default: print)")
    args = parser.parse_args(argv)
    try:
        if args.into is None:
            print("\n".join(summary(name, args.results) for name in args.study))
            return 0
        text = existing(args.into).read_text(encoding="utf-8")
        with atomic_write(args.into) as file:
            file.write(fill(text, args.study, args.results, args.into))
    except GlimmerError as error:
        print(f"summary: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
