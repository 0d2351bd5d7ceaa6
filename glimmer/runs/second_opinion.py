"""KILT's own package on the guess files of runs that are measured already, wherever those files still are.

A result file is written once and keeps no guesses; it says whether the package was there then. What is checked later
stands beside the result files, in kilt-check.json, with the digest of the result file that it is about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimmer.evaluation.kilt_package import TOLERANCE, cross_check, worst
from glimmer.evaluation.kilt_scores import Scores, score_files
from glimmer.experiments import Run, Study
from glimmer.files import read_json, sha256_file, write_json
from glimmer.results.run_files import KILT_CHECK

NO_GUESSES, OTHER_GUESSES = "no guesses", "other guesses"


def check_runs(study: Study, runs: Mapping[str, Run]) -> dict[str, dict[str, str]]:
    """Run id -> {"status", "detail"} of every run that has a result; what was checked is written beside the results.

    "no guesses": its guess files are not in the study's work directory (any more). "other guesses": those that are
    there score otherwise than the result says, so they are not what it was made of. Else as `cross_check` has it.
    """
    results = study.results_directory
    lasting = read_json(results / KILT_CHECK) if (results / KILT_CHECK).exists() else {}
    checks: dict[str, dict[str, str]] = {}
    for id, run in runs.items():
        file = study.result_file(id)
        if not file.exists():
            continue
        checks[id] = _check(study.run_directory(id, run.seed), read_json(file))
        if checks[id]["status"] not in (NO_GUESSES, "absent"):
            lasting[id] = checks[id] | {"result_sha256": sha256_file(file)}
    if lasting:
        write_json(results / KILT_CHECK, lasting)
    return checks


def _check(aside: Path, result: Mapping[str, Any]) -> dict[str, str]:
    """The verdict over a run's tasks."""
    checks = {}
    for task, measured in result["tasks"].items():
        gold, guesses = (aside / kind / f"{task}.jsonl" for kind in ("gold", "guesses"))
        if not (gold.is_file() and guesses.is_file()):
            missing = guesses if gold.is_file() else gold
            return {"status": NO_GUESSES, "detail": f"{missing} is not there"}
        ours = score_files(gold, guesses)
        if differs := _differs(ours, measured):
            return {"status": OTHER_GUESSES, "detail": f"{task}: {differs}"}
        checks[task] = cross_check(gold, guesses, ours)
    return worst(checks)


def _differs(ours: Scores, measured: Mapping[str, Any]) -> str:
    """The first score in which guess files and result differ, in words; empty if there is none."""
    for group in ("downstream", "kilt", "retrieval"):
        for name, score in measured[group].items():
            here = getattr(ours, group).get(name, math.nan)
            if not math.isclose(here, score, rel_tol=0, abs_tol=TOLERANCE):
                return f"{name} {here!r} of the guesses, {score!r} of the result"
    return ""
