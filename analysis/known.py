"""Everything that is known of one run, point, claim or foreign reader, found by its id or by the beginning of it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis import claims
from analysis.ledger.sentences import Claim, load_claims
from analysis.names import reader_text
from analysis.run_commands import commands_of
from glimmer import experiments
from glimmer.errors import InputError
from glimmer.experiments import Point, Run, Study
from glimmer.files import read_json_object
from glimmer.results import PAPER, PointResult, Runs, StudyResults, load_reference, load_results, load_runs
from glimmer.results.failed_runs import failed_runs
from glimmer.results.foreign import FOREIGN, LEGEND, ForeignReader, load_foreign
from glimmer.results.points import measured

RUN, POINT, CLAIM = "run", "point", "claim"
_NEAREST = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """Studies, and what has an id in them. `results` is the directory that has a folder a study."""

    studies: Mapping[str, Study]
    results: Path
    named: bool
    """Whether the studies were named; else they are all, and points and claims are shown of those with results."""

    @classmethod
    def of(cls, names: Sequence[str], results: Path) -> Known:
        """These studies, or all of config/ where none is named. Raises InputError for an unknown one."""
        studies = {
            name: experiments.load_study(name, {"results": results}) for name in names or experiments.study_names()
        }
        return cls(studies=studies, results=results, named=bool(names))

    def document(self, id: str) -> dict[str, Any]:
        """What is known of a run, point, claim or foreign reader: `kind`, `id`, what it is, and what each study, or
        `paper`, has of it.

        Scores are percent, differences percentage points. Raises InputError for an id that begins no id, or several.
        """
        runs = {name: experiments.runs_for(study) for name, study in self.studies.items()}
        points = {
            name: {point.id: point for point in experiments.points(study)} for name, study in self.studies.items()
        }
        sentences = {claim.id: claim for claim in load_claims()}
        kinds = dict.fromkeys((id for planned in points.values() for id in planned), POINT)
        kinds |= dict.fromkeys(sentences, CLAIM) | dict.fromkeys(
            (id for planned in runs.values() for id in planned), RUN
        )
        foreign = {name: self._foreign(name) for name in self.studies}
        kinds |= dict.fromkeys((id for readers in foreign.values() for id in readers), FOREIGN)
        id = meant(id, kinds)
        if kinds[id] == FOREIGN:
            return of_foreign(id, {name: readers[id] for name, readers in foreign.items() if id in readers})
        if kinds[id] == RUN:
            about = {name: of_run(self.studies[name], planned[id]) for name, planned in runs.items() if id in planned}
            return {"kind": RUN, "id": id, "studies": about}
        if kinds[id] == POINT:
            return self._of_point(id, {name: planned[id] for name, planned in points.items() if id in planned})
        return self._of_claim(sentences[id])

    def _foreign(self, name: str) -> dict[str, list[ForeignReader]]:
        """A study's foreign readers by their ids, and together by `foreign/<name>`, as figures call them."""
        by_id: dict[str, list[ForeignReader]] = {}
        for reader in load_foreign(self.results / name)[0]:
            by_id[reader.id] = [reader]
            by_id.setdefault(f"{FOREIGN}/{reader.name}", []).append(reader)
        return by_id

    def _shown(self, names: Iterable[str]) -> list[str]:
        """Of these studies the named ones; where none was named those with a result, or all if none has one."""
        names = list(names)
        with_results = [name for name in names if any(self.results.glob(f"{name}/runs/*.json"))]
        return names if self.named else with_results or names

    def _of_point(self, id: str, points: Mapping[str, Point]) -> dict[str, Any]:
        point = next(iter(points.values()))
        reference = load_reference(self.results)
        reported = {result.id: result for result in reference.points}.get(id) if reference else None
        number = reported.value if reported else None
        return {
            "kind": POINT,
            "id": id,
            "artifact": point.artifact,
            "panel": point.panel,
            "series": point.series,
            "measure": point.measure.name,
            "unit": point.measure.unit,
            "paper": {"value": number, "source": reported.source if reported else "not in the paper"},
            "studies": {name: self._measured(name, points[name], number) for name in self._shown(points)},
        }

    def _measured(self, name: str, point: Point, paper: float | None) -> dict[str, Any]:
        results = load_results(name, self.results, point.artifact)
        result = next(result for result in results.of(point.artifact) if result.id == point.id)
        return of_point(results, result, paper)

    def _of_claim(self, claim: Claim) -> dict[str, Any]:
        has_paper = (self.results / PAPER / "points.csv").exists()
        rows = {
            name: recorded_claim(self.results / name, claim.id) or self._evaluated(name, claim.id)
            for name in [*self._shown(self.studies), *([PAPER] if has_paper else [])]
        }
        return {
            "kind": CLAIM,
            "id": claim.id,
            "statement": claim.statement,
            "source": claim.source,
            "reading": claim.reading,
            "family": claim.family,
            "rests_on": claim.rests_on.basis,
            "because": claim.rests_on.because,
            "points": list(claim.point_ids),
            "expression": claim.expression,
            "studies": {name: {key: row[key] for key in _OF_A_VERDICT if key in row} for name, row in rows.items()},
        }

    def _evaluated(self, name: str, id: str) -> Mapping[str, Any]:
        return next(row for row in claims.evaluate(name, self.results)["claims"] if row["id"] == id)


_OF_A_VERDICT = (
    "verdict", "effect", "unit", "interval", "effect_of", "n", "seeds", "p", "p_holm", "tolerance", "share",
    "excludes_paper_effect", "reasons", "note", "requirements",
)  # fmt: skip


def meant(id: str, ids: Iterable[str]) -> str:
    """The one of `ids` that is `id`, or begins with it. Raises InputError, which names the nearest, else."""
    ids = list(ids)
    begun = [each for each in ids if each.startswith(id)] if id else []
    if id in ids or len(begun) == 1:
        return id if id in ids else begun[0]
    if begun:
        raise InputError(f"begins {len(begun)} ids, such as {', '.join(begun[:_NEAREST])}", where=id)
    raise InputError(
        f"no run, point, claim or foreign reader; the nearest are {', '.join(_nearest(id, ids))}", where=id or "''"
    )


def _nearest(id: str, ids: Sequence[str]) -> list[str]:
    """Those that hold what was typed, whatever its case, then those spelled most alike; at most five."""
    lower = {each.lower(): each for each in ids}
    holding = [each for each in lower if id and id.lower() in each]
    alike = difflib.get_close_matches(id.lower(), list(lower), n=_NEAREST, cutoff=0.0)
    return [lower[each] for each in dict.fromkeys([*holding, *alike])][:_NEAREST]


def recorded_claim(directory: Path, id: str) -> Mapping[str, Any] | None:
    """A claim's row in claims.json of a study's results: evaluating all anew takes many seconds.

    None where there is no such file, or it is not of the claims and of as many runs as there are now.
    Raises InputError for a file that is no JSON object.
    """
    path = directory / "claims.json"
    document = read_json_object(path) if path.exists() else {}
    try:
        of_claims, of_runs = document["frozen"]["digest"], sum(document["frozen"]["runs"].values())
        rows = {row["id"]: row for row in document["claims"]}
    except (KeyError, TypeError, AttributeError):
        return None
    is_current = of_claims == experiments.config_digest("claims") and of_runs == sum(
        1 for _ in directory.glob("runs/*.json")
    )
    return rows.get(id) if is_current else None


def of_run(study: Study, run: Run) -> dict[str, Any]:
    """What a study knows of one of its runs: its settings, what was measured, the points it serves, what makes it.

    `differs` is what its reader has otherwise than a plain one of that name in this study.
    """
    reader = run.settings["reader"]
    defaults = vars(study.distillation)
    differs = run.reader.differences(study.tasks).items()
    return {
        "title": reader_text(run.settings),
        "seed": run.seed,
        "size": run.size,
        "reader": {key: reader[key] for key in ("name", "alpha", "beta", "k", "m")},
        "differs": {key: value for key, value in differs if key not in defaults or defaults[key] != value},
        "parameters_of": run.trained_id,
        **_outcome(study, run, load_runs(study.results_directory, only=[run.id])),
        "points": list(run.points),
        "commands": commands_of(study, run),
    }


def _outcome(study: Study, run: Run, runs: Runs) -> dict[str, Any]:
    """What the run's file says of it; without one that can be trusted, `status` alone."""
    if runs.refused:
        return {"status": f"left out: {runs.refused[0].reason}"}
    if run.id not in runs:
        failed = [each for each in failed_runs(study.results_directory, runs.by_id) if each.run == run.id]
        return {"status": f"failed: {failed[0].text}" if failed else "not measured"}
    try:
        return {"status": "measured", **_measurements(runs.by_id[run.id])}
    except (TypeError, AttributeError, KeyError, ValueError) as error:  # what no check of run files looks at
        return {"status": f"left out: not in the form of a result file: {error}"}


def _measurements(file: Mapping[str, Any]) -> dict[str, Any]:
    seconds = file.get("wall_seconds") or {}
    last = dict((file.get("learning_curve") or [{}])[-1])
    if "dev_average" in last:
        last["dev_average_percent"] = 100 * last.pop("dev_average")
    return {
        "average": _percent(file["average"]) | {"tasks": file["average"]["tasks"]},
        "tasks": {
            task: _percent(file["tasks"][task]) | {key: file["tasks"][task].get(key) for key in ("metric", "n")}
            for task in experiments.TASKS
            if task in file["tasks"]
        },
        "curve_ends": last,
        "kept_step": file.get("kept_step"),
        "stopped": file.get("stopped"),
        "machine": file.get("device"),
        "seconds": seconds | {"total": sum(seconds.values())},
        "code_version": file.get("code_version"),
        "versions": file.get("versions"),
    }


def _percent(scored: Mapping[str, Any]) -> dict[str, float | None]:
    low, high = scored.get("interval") or (None, None)
    return {
        "percent": 100 * scored["score"],
        "low": None if low is None else 100 * low,
        "high": None if high is None else 100 * high,
    }


def of_foreign(id: str, studies: Mapping[str, Sequence[ForeignReader]]) -> dict[str, Any]:
    """What is known of a foreign reader: what it is called and read, and its scores; there are no settings to show."""
    first = next(iter(studies.values()))[0]
    return {
        "kind": FOREIGN,
        "id": id,
        "name": first.name,
        "what": LEGEND,
        "studies": {name: _foreign_files(readers) for name, readers in studies.items()},
    }


def _foreign_files(readers: Sequence[ForeignReader]) -> dict[str, Any]:
    files = [_foreign_file(reader) for reader in readers]
    return files[0] if len(files) == 1 else {"files": files}


def _foreign_file(reader: ForeignReader) -> dict[str, Any]:
    tasks = {
        task: _percent(vars(scored))
        | {"metric": scored.metric, "n": scored.n}
        | {f"{key}_percent": None if value is None else 100 * value
           for key, value in (("kilt", scored.kilt), ("rprec", scored.rprec))}
        for task, scored in reader.tasks.items()
    }  # fmt: skip
    return {
        "status": FOREIGN,
        "file": f"{FOREIGN}/{reader.id}.json",
        "replicate": reader.replicate,
        "k": reader.k,
        "m": reader.m,
        "note": reader.note or None,
        "average": _percent(vars(reader.average)) | {"tasks": list(reader.average.tasks)},
        "tasks": tasks,
        "scored_by": reader.scored_by,
    }


def of_point(results: StudyResults, result: PointResult, paper: float | None) -> dict[str, Any]:
    """What a study has for a point, in the unit of its measure; `difference` is its value less the paper's number.

    `runs` has what each measured; a point of two readers is the difference of theirs.
    """
    value = result.value
    return {
        "label": result.name,
        "status": result.status,
        "value": value,
        "low": result.low,
        "high": result.high,
        "interval_kind": result.interval_kind or None,
        "n_tasks": result.n_tasks,
        "seeds": list(result.seeds),
        "difference": None if value is None or paper is None else value - paper,
        "runs": {id: measured(results.runs.by_id.get(id), result.point.measure) for id in result.point.run_ids},
        "absent": list(result.absent_ids),
        "note": result.point.rounding,
    }
