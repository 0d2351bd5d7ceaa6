"""From a number back to run files: which can be trusted, what they were computed from, and whether they changed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.audits.finding import DISCREPANCY, FAILURE, NOTE, Finding
from glimmer import experiments
from glimmer.experiments import Run
from glimmer.files import atomic_write, canonical_json, sha256_file
from glimmer.results import Runs, example_scores, flat_digests

SEAL = "SHA256SUMS"
"""Beside the run files, as sha256sum writes it: what they were when they were measured."""


def seal(directory: Path) -> Path:
    """Writes the digests of `directory`/runs/*.json; `sha256sum -c` reads the file too. Returns its path."""
    path = directory / "runs" / SEAL
    with atomic_write(path) as file:
        for run in sorted(path.parent.glob("*.json")):
            file.write(f"{sha256_file(run)}  {run.name}\n")
    return path


def sealed(directory: Path) -> dict[str, str] | None:
    """File name -> digest as sealed, or None where nothing was sealed."""
    path = directory / "runs" / SEAL
    if not path.exists():
        return None
    rows = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {row[1].strip().lstrip("*"): row[0] for row in rows if len(row) == 2}


def trace(directory: Path, points: Iterable[experiments.Point], runs: Runs) -> dict[str, Any]:
    """Point id -> run ids, and run id -> file, digest, code version and digests of what it was computed from."""
    return {
        "points": {point.id: [id for id in point.run_ids if id in runs] for point in points},
        "runs": {
            id: {
                "file": f"runs/{id}.json",
                "sha256": sha256_file(directory / "runs" / f"{id}.json"),
                **{key: run.get(key) for key in ("code_version", "seed", "versions", "device", "digests")},
            }
            for id, run in runs.by_id.items()
        },
    }


def run_files(directory: Path, planned: Mapping[str, Run], runs: Runs) -> Iterator[Finding]:
    """Run files that were refused, that are not as they were sealed, or that no point of the study asks for."""
    for refused in runs.refused:
        yield _about_file(refused.file, planned, "run-file", FAILURE, "a file that passes its checks", refused.reason)
    digests = sealed(directory)
    present = {path.name: path for path in sorted((directory / "runs").glob("*.json"))}
    if digests is None:
        if present:
            yield Finding(
                kind="unsealed",
                severity=NOTE,
                expected=f"runs/{SEAL}",
                found="none",
                explanation="The run files agree with themselves, but nothing says what they were when they were"
                " measured: a change that keeps a file consistent cannot be found.",
            )
        return
    for name, digest in digests.items():
        if name not in present:
            yield _about_file(name, planned, "changed-file", FAILURE, digest[:12], "no such file")
        elif (now := sha256_file(present[name])) != digest:
            yield _about_file(name, planned, "changed-file", FAILURE, digest[:12], now[:12])
    for name in sorted(set(present) - set(digests)):
        yield _about_file(name, planned, "unsealed", NOTE, f"a line in runs/{SEAL}", "none")


def _about_file(name: str, planned: Mapping[str, Run], kind: str, severity: str, expected: str, found: str) -> Finding:
    words = {
        "run-file": f"{name} is left out, and its points count as missing: {found}.",
        "changed-file": f"{name} is not the file that was sealed after it was measured.",
        "unsealed": f"{name} was not there when the run files were sealed.",
    }
    run = planned.get(name.removesuffix(".json"))
    return Finding(
        kind=kind,
        severity=severity,
        points=run.points if run else (),
        expected=expected,
        found=found,
        explanation=words[kind],
        about=name,
    )


def origins(planned: Mapping[str, Run], runs: Runs) -> Iterator[Finding]:
    """Run files that do not say what they come from, that come from several states of the code, or whose inputs differ
    although their settings for them are the same."""
    for id, run in runs.by_id.items():
        points = planned[id].points if id in planned else ()
        if id not in planned:
            yield Finding(
                kind="unplanned",
                severity=NOTE,
                expected="a run of the study",
                found=id,
                explanation=f"No point of the study asks for run {id}; it is not used.",
                about=id,
            )
        absent = [key for key in ("code_version", "digests", "versions", "device") if not run.get(key)]
        if absent:
            yield Finding(
                kind="untraced",
                severity=DISCREPANCY,
                points=points,
                expected="code version, digests, versions, device",
                found=f"no {', '.join(absent)}",
                explanation=f"Run {id} does not say all that it was computed from.",
                about=id,
            )
        if (run.get("kilt_package_check") or {}).get("status") in ("differs", "other guesses"):
            yield Finding(
                kind="kilt-package",
                severity=DISCREPANCY,
                points=points,
                expected="the scores of KILT's own package",
                found=run["kilt_package_check"].get("detail"),
                explanation=f"KILT's own evaluators give run {id} other scores.",
                about=id,
            )
    yield from _code_versions(runs)
    yield from _inputs(planned, runs)


def _code_versions(runs: Runs) -> Iterator[Finding]:
    versions = sorted({str(run["code_version"]) for run in runs.by_id.values() if run.get("code_version")})
    changed = [version for version in versions if version.endswith("+changes")]
    if len(versions) > 1 or changed:
        yield Finding(
            kind="code-version",
            severity=NOTE,
            expected="one commit",
            found=", ".join(versions),
            explanation="The runs were measured with more than one state of the code"
            + (", or with changes that no commit holds" if changed else "")
            + ". Equal ids mean equal settings and SCIENCE_VERSION, which says that the numbers do not depend on it.",
        )


def _inputs(planned: Mapping[str, Run], runs: Runs) -> Iterator[Finding]:
    """Digests of one input that differ between runs of one size: data, checkpoint, retrieval are the study's, not the
    run's."""
    seen: dict[tuple[str, str], dict[str, list[str]]] = {}
    for id, run in runs.by_id.items():
        initial = canonical_json([run["settings"].get("model"), run["settings"].get("initial")])
        for name, digest in flat_digests(run.get("digests") or {}):
            seen.setdefault((initial, name), {}).setdefault(digest, []).append(id)
    for (_, name), digests in seen.items():
        if len(digests) > 1:
            odd = min(digests.values(), key=len)
            yield Finding(
                kind="inputs",
                severity=DISCREPANCY,
                points=[point for id in odd if id in planned for point in planned[id].points],
                expected="one digest",
                found=f"{len(digests)} digests",
                difference=len(digests) - 1,
                tolerance=0,
                explanation=f"Runs with the same settings for it were computed from different contents of {name}; the"
                f" fewest: {', '.join(odd[:5])}.",
                about=name,
            )


def equal_answers(planned: Mapping[str, Run], runs: Runs) -> Iterator[Finding]:
    """Runs of different settings with the same score on every single example of every task (all right or all wrong
    does not count): chance is out of the question there, one run copied is not."""
    groups: dict[str, list[str]] = {}
    for id, run in runs.by_id.items():
        scores = {task: example_scores(run, task) for task in run["tasks"]}
        if all(scores.values()) and len({score for row in scores.values() for score in row}) > 1:
            groups.setdefault(canonical_json(scores), []).append(id)
    for ids in groups.values():
        for pair in itertools.pairwise(ids):
            yield Finding(
                kind="equal-answers",
                severity=NOTE,
                points=[point for id in pair if id in planned for point in planned[id].points],
                expected="different answers",
                found="the same score on every example",
                explanation=f"Runs {pair[0]} and {pair[1]} have different settings and the same score on every dev"
                " example. Too few examples, or a setting without effect at this size, would explain it.",
                about=" ".join(pair),
            )
