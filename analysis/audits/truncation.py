"""How much do a study's lengths cut of what its readers should read and say?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.audits.finding import NOTE, Finding
from analysis.stage_files import stage_files
from glimmer.files import read_json

TOLERATED = 0.05
"""The share that may be cut without a finding: ours, about what no reader of a table would notice."""

_WHAT = {
    "share_cut": "do not fit and are cut",
    "share_own_words_cut": "lose words of their own, not only the template's",
    "share_lost": "are cut off wholly: no passage still holds any of them",
    "share_tokens_lost": "of the tokens are cut off",
}


def cuts(directory: Path) -> Iterator[Finding]:
    """Every share of lengths.json above what is tolerated; nothing where a study has none."""
    for replicate, path in stage_files(directory, "lengths").items():
        counted, of = read_json(path), f" of {replicate}" if replicate else ""
        yield from _above(f"passages{of}", counted["passages"])
        for task, splits in counted["tasks"].items():
            for split, kinds in splits.items():
                for kind, counts in kinds.items():
                    yield from _above(f"{task} {split} {kind}{of}", counts)


def _above(about: str, counts: Mapping[str, Any]) -> Iterator[Finding]:
    needed = counts.get("needed")
    remedy = f" {needed['p95']} tokens would hold 95 percent of them, {needed['p99']} 99 percent." if needed else ""
    for key, what in _WHAT.items():
        share = counts.get(key, 0.0)
        if share > TOLERATED:
            yield Finding(
                kind="cut",
                severity=NOTE,
                expected=0.0,
                found=share,
                difference=share,
                tolerance=TOLERATED,
                explanation=f"Of {counts['n']:,} {about}, {100 * share:.1f} percent {what}.{remedy}",
                about=f"{about} {key}",
            )
