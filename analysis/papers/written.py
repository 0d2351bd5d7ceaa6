"""What the audit and the ledger found on a described paper, as a page of Markdown for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_HEADINGS = {
    "failure": "What cannot be trusted",
    "discrepancy": "What should agree and does not",
    "note": "What is worth a look",
}


def page(audit: Mapping[str, Any], claims: Mapping[str, Any], command: str) -> str:
    """The findings of audit.json and the verdicts of claims.json; `command` writes it again."""
    return "\n".join([*_head(audit, command), *_findings(audit["findings"]), *_granularity(audit["granularity"]),
                      *_claims(claims["claims"])]) + "\n"  # fmt: skip


def _head(audit: Mapping[str, Any], command: str) -> Iterator[str]:
    yield f"# {audit['title']}"
    yield ""
    yield f"{audit['cite']}. Written by `{command}`; do not edit."
    yield ""
    yield "The numbers are from:"
    yield ""
    yield from (f"- {source}" for source in audit["sources"])
    yield ""
    kinds = ", ".join(f"{n} {kind}" for kind, n in audit["kinds"].items()) or "none"
    yield f"{audit['numbers']} numbers, {len(audit['findings'])} findings: {kinds}."
    yield "Each is compatible with ordinary causes (reruns, other checkpoints, a table of another version, a slip, ours"
    yield "in copying included); which one it was, numbers cannot tell."


def _findings(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for severity, heading in _HEADINGS.items():
        members = [finding for finding in findings if finding["severity"] == severity]
        if not members:
            continue
        yield from ("", f"## {heading}", "")
        yield "| kind | points | expected | found | difference | tolerance |"
        yield "|:--|:--|--:|--:|--:|--:|"
        for finding in members:
            points = "<br>".join(finding["points"][:3])
            points += f"<br>and {len(finding['points']) - 3} more" if len(finding["points"]) > 3 else ""
            numbers = (finding[key] for key in ("expected", "found", "difference", "tolerance"))
            yield _row([f"`{finding['kind']}`", points, *map(_number, numbers)])
        yield ""
        yield from (f"- `{finding['id']}`: {finding['explanation']}" for finding in members)


def _granularity(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", "## Shares that whole numbers of answers can give", "")
    yield "`chance` is the share of all spellings that some whole number of right answers rounds to: with it a number"
    yield "that was made up would pass. At 1 the test can show nothing."
    yield ""
    yield "| test set | examples | decimals | numbers | tested | impossible | chance |"
    yield "|:--|--:|--:|--:|--:|--:|--:|"
    for row in rows:
        keys = ("set", "examples", "decimals", "numbers", "tested", "impossible", "share_possible")
        yield _row([row["set"], *(_number(row[key]) for key in keys[1:])])


def _claims(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", "## What the paper says", "")
    yield "Verdicts hold however the last digits were rounded. They say nothing about the spread between training runs."
    yield ""
    yield "| verdict | sentence, in our words | where | the weakest part | effect |"
    yield "|:--|:--|:--|:--|--:|"
    for row in rows:
        sentence = row["statement"] + (f" ({row['reading']})" if row["reading"] else "")
        yield _row([row["verdict"], sentence, row["source"], row["effect_of"], f"{row['effect']:+.4g} {row['unit']}"])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value if value is not None else "")
