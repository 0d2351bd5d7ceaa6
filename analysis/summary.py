"""Tables of studies as Markdown, printed or put between a document's markers.

    glimmer summary --study sample embedded --into README.md

replaces what stands between `<!-- numbers: begin -->` and `<!-- numbers: end -->`, and so for each of `BLOCKS` that
the document has, so that no number there is typed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis import power, properties
from analysis.figures.table import markdown
from analysis.report.cells import Cell
from analysis.report.reader_tables import readers
from glimmer.errors import InputError
from glimmer.experiments import load_study
from glimmer.files import existing, read_json
from glimmer.results import PAPER, load_results


def summary(name: str, results: str | Path = "results") -> str:
    """A study's title and description, and its readers beside their baselines; says so where nothing was measured."""
    study = load_study(name)
    table = readers(load_results(name, results))
    head = f"### {study.title}\n\n{study.description.strip()}\n\n"
    if table is None:
        return f"{head}No result yet.\n"
    rows = markdown(table.heads, [[_text(cell) for cell in row] for row in table.rows])
    return f"{head}{rows}\n{table.caption} Report: `results/{name}/report.html`.\n"


def _text(cell: Cell) -> str:
    return f"{cell.text} <sub>{cell.small}</sub>" if cell.small else cell.text


def claims_table(name: str, results: str | Path = "results") -> str:
    """A study's claims and how many have which verdict, from its claims.json."""
    document = read_json(existing(Path(results) / name / "claims.json"))
    heads = ["claim", "verdict", "effect", "95 % interval", "the paper's, carried over", "seeds"]
    counts = ", ".join(f"{n} {verdict}" for verdict, n in document["counts"].items())
    excluded, scale = document["undecided_without_paper_effect"], document["method"]["scale"]
    text = markdown(heads, [_claim(row) for row in document["claims"]], left=2)
    text += f"\n{len(document['claims'])} claims: {counts}; {excluded} of the undecided exclude the paper's effect.\n"
    if "here" in scale:
        low, high = scale["interval"]
        text += (
            f"A point of the paper counts {scale['factor']:.2f} here: {scale['of']}, {scale['here']:.2f} points"
            f" ({low:.2f} to {high:.2f}), the paper's {scale['paper']:.2f}.\n"
        )
    return text


def _claim(row: Mapping[str, Any]) -> list[str]:
    requirements = {part["requirement"]: part for part in row["requirements"]}
    carried_over = requirements.get(row.get("effect_of"), {}).get("carried_over")
    return [
        row["statement"],
        f"{row['verdict']}, not as large" if row["excludes_paper_effect"] else row["verdict"],
        "" if row["effect"] is None else f"{row['effect']:+z.2f} {row['unit']}",
        "{:.2f} to {:.2f}".format(*row["interval"]) if row["interval"] else "",
        "" if carried_over is None else f"{carried_over:.2f}",
        str(len(row["seeds"])) if "seeds" in row else "",
    ]


def power_table(name: str, results: str | Path = "results") -> str:
    """What a study's main comparisons can resolve; see analysis/power.py."""
    return power.show(power.rows(load_results(name, results), load_results(PAPER, results)))


def properties_table(name: str, results: str | Path = "results") -> str:
    """What a study's effects rest on; see analysis/properties.py."""
    rows = properties.properties(load_results(name, results), results)
    return markdown(["property, percent", "measured", "where"], rows, left=3)


BLOCKS: Mapping[str, Callable[[str, str | Path], str]] = {
    "numbers": summary,
    "claims": claims_table,
    "power": power_table,
    "properties": properties_table,
}


def block(name: str, studies: Sequence[str], results: str | Path) -> str:
    """One of `BLOCKS` of these studies."""
    return "\n".join(BLOCKS[name](study, results) for study in studies)


def fill(document: str, studies: Sequence[str], results: str | Path, where: object) -> str:
    """`document` with each of its marked blocks made anew of these studies. Raises InputError if it has none."""
    present = [name for name in BLOCKS if all(mark in document for mark in _marks(name))]
    if not present:
        expected = " or ".join(" and ".join(_marks(name)) for name in BLOCKS)
        raise InputError("no markers", where=where, expected=expected)
    for name in present:
        begin, end = _marks(name)
        before, rest = document.split(begin, 1)
        document = f"{before}{begin}\n{block(name, studies, results)}{end}{rest.split(end, 1)[1]}"
    return document


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
