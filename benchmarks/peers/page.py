"""The marked tables of docs/performance.md, from the JSON of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.peers.groups import GROUPS
from benchmarks.peers.growth import Growth
from benchmarks.peers.rows import OURS, Row
from glimmer.errors import InputError
from glimmer.markup import fill_marked, markdown_table, markdown_text

NONE = "–"
_HEADS = ("What", "Ours", "Against", "Theirs", "Theirs / ours", "Checked before", "What limits it")
_AXES = {"k": "k, passages retrieved", "m": "m, passages kept", "alpha": "alpha", "beta": "beta",
         "passage": "tokens of a passage"}  # fmt: skip


def fill(text: str, document: Mapping[str, Any], where: object) -> str:
    """A page with its tables made anew. Raises InputError for a quick run, and for a page without markers."""
    if document.get("quick"):
        raise InputError("numbers that say nothing", where=where, expected="a run without --quick", found="--quick")
    blocks = {"conditions": conditions, "performance": performance, "growth": growth}
    return fill_marked(text, {name: lambda block=block: block(document) for name, block in blocks.items()}, where)


def conditions(document: Mapping[str, Any]) -> str:
    """The machine, its versions, and how busy it was."""
    machine, groups = document["machine"], list(_groups(document).values())
    on = f"; jax on {document['device']}" if document.get("device") else ""
    kept = [f"{name}={value}" for name, value in machine["settings"].items()]
    versions = ", ".join(f"{name} {value}" for name, value in document["versions"].items())
    minutes = sum(group["wall"] for group in groups) / 60
    busy = max((group["load_before"] for group in groups), default=0.0)
    lines = [
        f"Measured on {document['measured_on']}: {machine['processor']}, {machine['cores']} cores,"
        f" {machine['memory_gib']} GiB, {machine['system']}{on}; {document['threads']} threads a side.",
        f"Versions: {versions}.",
        *([f"Set there: {', '.join(kept)}."] if kept else []),
        f"{len(groups)} groups of rows in {minutes:.0f} minutes; the load average of a minute was {busy:.1f} at most"
        " when one began (the group before counts).",
    ]
    return "\n".join(f"- {markdown_text(line)}" for line in lines) + "\n"


def performance(document: Mapping[str, Any]) -> str:
    """A line a row, in the order of the groups; groups that failed or were not measured are named below."""
    groups = _groups(document)
    rows = [Row.of_json(row) for group in groups.values() for row in group["rows"]]
    table = markdown_table(_HEADS, [_cells(row) for row in rows], "lrlrrll") if rows else "No row was measured.\n"
    failed = [f"- {name} failed: {markdown_text(group['failed'])}" for name, group in groups.items() if group["failed"]]
    return table + ("\n" + "\n".join(failed) + "\n" if failed else "")


def _cells(row: Row) -> list[str]:
    medians, other = row.medians, row.best_other
    theirs = NONE if other is None else f"{_seconds(medians[other])} ({other})"
    held = row.over if row.over in medians else OURS
    ours = _seconds(medians[held]) if held in medians else NONE
    ratio = NONE if row.ratio is None else f"**{row.ratio:.2f}**"
    return [
        markdown_text(row.what).replace(r"\`", "`"),
        ours if row.over == OURS else f"{ours} ({row.over})",
        _code(row.against),
        row.missing or theirs,
        ratio,
        _code(row.checked) or NONE,
        _code(row.limits),
    ]


def _code(text: str) -> str:
    return markdown_text(text).replace(r"\`", "`")


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 0.1 else f"{1e3 * seconds:.3g} ms"


def growth(document: Mapping[str, Any]) -> str:
    """A line an axis: what the operations predict, and what seconds and bytes do."""
    axes = [Growth.of_json(axis) for group in _groups(document).values() for axis in group["growth"]]
    if not axes:
        return "No growth was measured.\n"
    heads = ("What grows", "From, to", "Operations grow", "Seconds grow", "Fit to operations", "R²", "Bytes grow",
             "R² of a line")  # fmt: skip
    return markdown_table(heads, [_grown(axis) for axis in axes], "llrrlrrr")


def _grown(axis: Growth) -> list[str]:
    points: Sequence[Any] = axis.points
    first, last = points[0], points[-1]
    seconds, line, sizes = axis.medians, axis.seconds_fit, axis.bytes_fit
    fitted = f"{1e3 * line.intercept:.1f} ms + {1e12 * line.slope:.1f} ms a GMAC" if line.slope else NONE
    return [
        _AXES[axis.axis],
        f"{first.value:.3g}, {last.value:.3g}",
        f"{last.macs / first.macs:.2f}",
        f"{seconds[-1] / seconds[0]:.2f}",
        fitted,
        f"{line.explained:.3f}",
        f"{last.bytes / first.bytes:.2f}",
        f"{sizes.explained:.3f}",
    ]


def _groups(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The measured groups in the page's order."""
    return {name: document["groups"][name] for name in GROUPS if name in document["groups"]}
