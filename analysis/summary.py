"""Tables of studies as Markdown, printed or put between a document's markers.

    glimmer summary --study sample embedded --into README.md

replaces what stands between `<!-- numbers: begin -->` and `<!-- numbers: end -->`, and so for each of `BLOCKS` that
the document has, so that no number there is typed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from analysis import power
from analysis.figures.table import interval_text, markdown
from analysis.gates.evaluated import evaluate, numbers_text
from analysis.gates.listed import load_gates
from analysis.ledger.verdicts import MISSING
from analysis.names import READER_NAMES
from analysis.report.cells import Cell
from analysis.report.ledger_tables import draws_text, factors, families
from analysis.report.pipeline import priors
from analysis.report.reader_tables import readers
from glimmer.experiments import load_study
from glimmer.files import existing, read_json
from glimmer.markup import fill_marked
from glimmer.results import PAPER, PointResult, load_reference, load_results


def summary(name: str, results: str | Path = "results") -> str:
    """A study's title and description, and its readers beside their baselines; says so where nothing was measured."""
    study = load_study(name)
    shown = readers(load_results(name, results))
    table = shown and shown.table
    head = f"### {study.title}\n\n{study.description.strip()}\n\n"
    if table is None:
        return f"{head}No result yet.\n"
    rows = markdown(table.heads, [[_text(cell) for cell in row] for row in table.rows])
    return f"{head}{rows}\n{table.caption} Report: `results/{name}/report.html`.\n"


def _text(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.state == "strong" else cell.text
    return f"{text} <sub>{cell.small}</sub>" if cell.small else text


def claims_table(name: str, results: str | Path = "results") -> str:
    """A study's claims by family, from its claims.json: verdicts, what they rest on, effects, shares of the gap.

    Claims whose points are missing are counted and not listed.
    """
    document = read_json(existing(Path(results) / name / "claims.json"))
    heads = ["claim", "whose", "verdict", "rests on", "effect", "95 % interval"]
    heads += ["share of the gap (the paper's)", "not tested because"]
    text = f"{draws_text(document)}\n\n" if draws_text(document) else ""
    for family in families(document["claims"]):
        counts = ", ".join(f"{n} {verdict}" for verdict, n in family["tally"].items())
        known = [row for row in family["claims"] if row["verdict"] != MISSING]
        bases = f"; {family['bases']}" if family["bases"] else ""
        text += f"**{family['title']}:** {counts}{bases}.\n\n"
        text += markdown(heads, [_claim(row) for row in known], left=4) + "\n" if known else ""
    return text + f"{document['frozen']['note']}\n"


def _claim(row: Mapping[str, Any]) -> list[str]:
    share = row["share"]
    papers = "" if not share or share["paper"] is None else f" ({share['paper']:.2f})"
    return [
        row["statement"],
        row["sentence"],
        f"{row['verdict']}, not as large" if row["excludes_paper_effect"] else row["verdict"],
        row["rests_on"],
        "" if row["effect"] is None else f"{row['effect']:+z.2f} {row['unit']}",
        "{:.2f} to {:.2f}".format(*row["interval"]) if row["interval"] else "",
        f"{share['value']:z.2f}{papers}" if share else "",
        "; ".join(row["reasons"]),
    ]


def endpoints_table(name: str, results: str | Path = "results") -> str:
    """A study's own endpoints, from its claims.json: verdicts, effects and intervals."""
    document = read_json(existing(Path(results) / name / "claims.json")).get("own_endpoints")
    if not document:
        return "The study has no endpoints.\n"
    rows = []
    for endpoint in document["endpoints"]:
        effects = [f"{part['requirement']}: {_effect(part)}" for part in endpoint["requirements"]]
        rows.append([endpoint["statement"], endpoint["verdict"], "<br>".join(effects) or endpoint["note"]])
    table = markdown(["endpoint", "verdict", "effect and 95 % interval, points"], rows, left=3)
    return f"{table}\n{document['frozen']['note']}\n"


def _effect(part: Mapping[str, Any]) -> str:
    return f"{part['effect']:+z.1f} ({part['interval'][0]:z.1f} to {part['interval'][1]:z.1f})"


def floors_table(name: str, results: str | Path = "results") -> str:
    """What the most frequent answers of training score, from a study's priors.json."""
    table = priors(read_json(existing(Path(results) / name / "priors.json")))
    return markdown(list(table.heads), [[cell.text for cell in row] for row in table.rows]) + f"\n{table.caption}\n"


def factors_table(name: str, results: str | Path = "results") -> str:
    """How a study's verdicts would be counted if a point of the paper counted otherwise."""
    table = factors(read_json(existing(Path(results) / name / "claims.json")))
    if table is None:
        return "The study has not measured what a point of the paper counts in it.\n"
    return markdown(list(table.heads), [[cell.text for cell in row] for row in table.rows], left=2)


def power_table(name: str, results: str | Path = "results") -> str:
    """What a study's main comparisons can resolve; see analysis/power.py."""
    return power.show(power.rows(load_results(name, results), load_results(PAPER, results)))


def gates_table(name: str, results: str | Path = "results") -> str:
    """Every measure of every gate on a study's results, by replicate where they are so; see config/gates.yaml."""
    rows = [
        [gate["id"], row["is"], numbers_text(row["measured"]), row["go"], row["verdict"]]
        for gate in evaluate(load_gates(), name, Path(results))
        for row in gate["measures"]
    ]
    return markdown(["gate", "what", "measured", "go", "verdict"], rows, left=2)


def beside_paper(studies: Sequence[str], results: str | Path = "results") -> str:
    """The three readers, a row each: what the paper reports, then each study's means, percent with 95 % intervals."""
    sources = {PAPER: load_reference(results)} | {name: load_results(name, results) for name in studies}
    levels = {name: source.of("figure2", "performance") for name, source in sources.items()}
    heads = ["Reader", "The paper, KILT", *(load_study(name).title for name in studies)]
    rows = [
        [READER_NAMES[reader], *(_level(of_source, reader) for of_source in levels.values())] for reader in READER_NAMES
    ]
    return markdown(heads, rows, left=1)


def _level(levels: Sequence[PointResult], reader: str) -> str:
    found = next((result for result in levels if result.point.reader.name == reader), None)
    if found is None or found.value is None:
        return "missing"
    interval = "" if found.low is None else f" <sub>{interval_text(found)}</sub>"
    return f"{found.value:.1f}{interval}"


OVER_ALL: Mapping[str, Callable[[Sequence[str], str | Path], str]] = {"readers": beside_paper}
"""Blocks that are one table over all studies named."""
OF_EACH: Mapping[str, Callable[[str, str | Path], str]] = {
    "numbers": summary,
    "claims": claims_table,
    "endpoints": endpoints_table,
    "floors": floors_table,
    "factors": factors_table,
    "power": power_table,
    "gates": gates_table,
}
"""Blocks that are a table of each study, one after the other."""
BLOCKS = (*OVER_ALL, *OF_EACH)


def block(name: str, studies: Sequence[str], results: str | Path) -> str:
    """One of `BLOCKS` of these studies."""
    if name in OVER_ALL:
        return OVER_ALL[name](studies, results)
    return "\n".join(OF_EACH[name](study, results) for study in studies)


def fill(document: str, studies: Sequence[str], results: str | Path, where: object) -> str:
    """`document` with each of its marked blocks made anew of these studies. Raises InputError if it has none."""
    return fill_marked(document, {name: partial(block, name, studies, results) for name in BLOCKS}, where)
