"""A second opinion: our scores beside those of KILT's own package, where that is installed.

The package is `kilt` from facebookresearch/KILT at commit 2664322 (with `rouge` 1.0). It needs quadratic time
in the number of gold lines and holds both files in memory, so this is for dev sets.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import io
import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimmer.evaluation.kilt_scores import Scores
from glimmer.files import existing, open_binary, read_json_lines, write_json_lines
from glimmer.kilt.hub import in_kilts_words, is_hub_form

TOLERANCE = 1e-9
_GROUPS = ("downstream", "kilt", "retrieval")


def cross_check(
    gold: str | Path, guess: str | Path, ours: Scores | Mapping[str, Mapping[str, float]]
) -> dict[str, str]:
    """Runs `kilt.eval_downstream.evaluate` on the files and compares every score with ours.

    Args:
        ours: what score_files returned, or a mapping with its groups downstream, kilt and retrieval.
    Returns {"status", "detail"}: "agrees" if all scores are within 1e-9, in both directions; "absent" if the
    package cannot be imported; else "differs", also if the package fails where we scored, or has other scores
    than we.
    """
    try:
        official = importlib.import_module("kilt.eval_downstream")
    except ImportError as error:
        return {"status": "absent", "detail": f"kilt.eval_downstream cannot be imported: {error}"}
    ours = ours.as_dict() if isinstance(ours, Scores) else ours
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        gold = _in_kilts_words(gold, Path(scratch) / "gold-of-the-hub.jsonl")
        files = [
            str(_plain(path, Path(scratch) / name)) for path, name in ((gold, "gold.jsonl"), (guess, "guess.jsonl"))
        ]
        try:
            theirs = official.evaluate(*files)
        except Exception as error:  # the official program ends in whatever error its data runs into
            return {"status": "differs", "detail": f"the official program failed: {type(error).__name__}: {error}"}
    return _compare(_flat(ours), _flat(theirs))


def is_importable() -> bool:
    """Whether KILT's package, and what its evaluators import, is there."""
    try:
        importlib.import_module("kilt.eval_downstream")
    except ImportError:
        return False
    return True


def worst(checks: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """One verdict over tasks: differs if any does, absent if KILT's package is, else agrees."""
    for status in ("differs", "absent"):
        for task, check in checks.items():
            if check["status"] == status:
                return {"status": status, "detail": f"{task}: {check['detail']}"}
    return {"status": "agrees", "detail": f"all scores of {len(checks)} tasks within {TOLERANCE:g}"}


def _compare(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, str]:
    if ours.keys() != theirs.keys():
        return {
            "status": "differs",
            "detail": "scores on one side only: " + ", ".join(sorted(ours.keys() ^ theirs.keys())),
        }
    apart = [
        f"{name} {ours[name]!r} here, {theirs[name]!r} there"
        for name in ours
        if not math.isclose(ours[name], theirs[name], rel_tol=0, abs_tol=TOLERANCE)
    ]
    if apart:
        return {"status": "differs", "detail": "; ".join(apart)}
    return {"status": "agrees", "detail": f"{len(ours)} scores within {TOLERANCE:g}"}


def _flat(scores: Mapping[str, Any]) -> dict[str, float]:
    return {f"{group}.{name}": float(value) for group in _GROUPS for name, value in scores.get(group, {}).items()}


def _in_kilts_words(gold: str | Path, copy: Path) -> Path:
    """The gold file itself, or a copy without the fillers if it is in the Hub's form, as it is scored here."""
    rows = read_json_lines(gold)
    first = next(rows, {})
    if not (isinstance(first, dict) and is_hub_form(first)):
        return Path(gold)
    write_json_lines(copy, (in_kilts_words(row) for row in (first, *rows)))
    return copy


def _plain(path: str | Path, unpacked: Path) -> Path:
    """The file itself, or a plain copy if it is gzipped: the official program reads no gzip."""
    path = existing(path)
    with open_binary(path) as source:
        if not isinstance(source, gzip.GzipFile):
            return path
        with open(unpacked, "wb") as target:
            shutil.copyfileobj(source, target)
    return unpacked
