"""Run files as they are trusted here: read, checked against their own name and numbers, or refused with a reason."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from glimmer.errors import InputError, shortened
from glimmer.experiments.settings import SCIENCE_VERSION, TASKS, run_id
from glimmer.files import read_json, sha256_file

KILT_CHECK = "kilt-check.json"
"""Beside runs/: what KILT's own package made of guess files after the runs were measured (`glimmer crosscheck`)."""

CHANGES = "+changes"
"""Behind the commit in `code_version`: code or configuration differed from it, and nobody can look it up."""

_ROUNDING = 1e-6  # scores are means of 0/1 (or of fractions) written with full precision; this is slack, not tolerance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refused:
    """A run file that is left out, and why; its points count as missing."""

    file: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runs:
    """The run files of one results directory: those that may be used, by id, and those refused."""

    by_id: dict[str, dict]
    refused: tuple[Refused, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.by_id


def load_runs(results: str | Path, only: Collection[str] | None = None) -> Runs:
    """Reads `results`/runs/*.json, or of them only those named by the ids in `only`.

    Files that fail a check are listed in `refused`, never used and never fatal. A check by KILT's package that came
    later than the file, and is about exactly this file, takes the place of what the file says of it.
    """
    by_id, refused = {}, []
    checked = _later_checks(Path(results) / KILT_CHECK)
    for path in sorted(Path(results).glob("runs/*.json")):
        if only is not None and path.stem not in only:
            continue
        try:
            run = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=without_repeated_keys)
            problem = next(problems(run, path.stem), None)
        except (ValueError, OSError, RecursionError) as error:
            run, problem = None, f"not readable as JSON: {error}"
        except (TypeError, AttributeError, KeyError) as error:  # a value of another type than everything above expects
            run, problem = None, f"not in the form of a result file: {error}"
        if problem:
            refused.append(Refused(file=path.name, reason=shortened(problem.replace("\n", " "))))
        else:
            check = checked.get(path.stem, {})
            if check and check.get("result_sha256") == sha256_file(path):
                run["kilt_package_check"] = {key: check.get(key) for key in ("status", "detail")}
            by_id[path.stem] = run
    return Runs(by_id=by_id, refused=tuple(refused))


def _later_checks(path: Path) -> dict[str, dict[str, str]]:
    """Run id -> check. Raises InputError for a file of another form."""
    checks = read_json(path) if path.exists() else {}
    if not isinstance(checks, dict) or not all(isinstance(check, dict) for check in checks.values()):
        raise InputError("not what `glimmer crosscheck` writes", where=path, expected="a check a run", found=checks)
    return checks


def example_scores(run: Mapping[str, Any], task: str, score: str = "metric") -> list[float]:
    """The scores per example, fractions, that a run kept of a task; none where it kept none.

    `score` names which: "metric" is the task's headline metric, others are in glimmer/runs/evaluate.py.
    """
    return (run["tasks"].get(task, {}).get("per_example") or {}).get(score) or []


def answers_apart(first: Mapping[str, Any], second: Mapping[str, Any], tasks: Iterable[str]) -> tuple[int, int] | None:
    """(questions that two runs answer differently, all questions) of these tasks.

    By digests of the answers where both runs kept them, else by scores. None where one kept neither for a task, or
    they answered other numbers of questions.
    """
    apart, questions = 0, 0
    for task in tasks:
        kept = [(run["tasks"].get(task, {}).get("per_example") or {}).get("answers") for run in (first, second)]
        if not all(kept):
            kept = [example_scores(run, task) for run in (first, second)]
        if not all(kept) or len(kept[0]) != len(kept[1]):
            return None
        apart += sum(one != other for one, other in zip(*kept, strict=True))
        questions += len(kept[0])
    return (apart, questions) if questions else None


def has_anothers_parameters(run: Mapping[str, Any]) -> bool:
    """Whether a run was not trained: its curve is that of the run whose reader it gives other passages on dev."""
    return "dev_evidence" in run["settings"]["reader"]


def is_of_changed_code(run: Mapping[str, Any]) -> bool:
    """Whether the code that measured a run is in no commit."""
    return str(run.get("code_version") or "").endswith(CHANGES)


def reads_as_retrieved(run: Mapping[str, Any]) -> bool:
    """Whether a run's reader is given on dev what the retriever found, and in its order."""
    return not {"evidence", "dev_evidence"} & set(run["settings"]["reader"])


def flat_digests(digests: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, digest) of everything that a run was computed from; what lies in a group is called `group/name`."""
    for name, value in sorted(digests.items()):
        if isinstance(value, Mapping):
            yield from flat_digests(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", str(value)


def problems(run: Any, name: str) -> Iterator[str]:
    """Yields what is wrong with the content of the run file called `name`.json; nothing if all is well."""
    if not isinstance(run, dict) or not isinstance(run.get("settings"), dict):
        yield f"expected an object with settings, found {type(run).__name__}"
        return
    computed = run_id(run["settings"])
    if computed != name:
        yield f"the file is named {name} but its settings digest to {computed}"
    if run.get("id") != name:
        yield f"the file is named {name} but says id {run.get('id')!r}"
    version = run["settings"].get("science_version")
    if version != SCIENCE_VERSION:
        yield f"expected science_version {SCIENCE_VERSION}, found {version!r}"
    tasks = run.get("tasks")
    if not isinstance(tasks, dict) or not tasks:
        yield "no task scores"
        return
    for task, result in tasks.items():
        yield from _task_problems(task, result)
    wanted = run["settings"]["reader"]["train_tasks"]  # a reader is scored on the tasks that it is trained on
    for task in sorted({*wanted} ^ {*tasks}):
        yield f"{task}: no score of it" if task in wanted else f"{task}: a score, but the reader has no such task"
    yield from _average_problems(run)
    for where, value in _not_finite(run):
        yield f"{where}: expected a finite number, found {value}"


def _task_problems(task: str, result: Any) -> Iterator[str]:
    if task not in TASKS:
        yield f"unknown task {task!r}, expected one of {', '.join(TASKS)}"
        return
    if not isinstance(result, dict):
        yield f"{task}: expected an object, found {type(result).__name__}"
        return
    for where, value in _numbers(result):
        if not _is_fraction(value):
            yield f"{task}.{where}: expected a fraction in [0, 1], found {value!r}"
            return
    answers = (result.get("per_example") or {}).get("answers")  # none in files of before
    if answers is not None and len(answers) != result.get("n"):
        yield f"{task}: n is {result.get('n')!r} but digests of {len(answers)} answers are kept"
    for name, values in (result.get("per_example") or {}).items():
        if name not in ("metric", "answers") and len(values) != result.get("n"):
            yield f"{task}: n is {result.get('n')!r} but {len(values)} values of {name} are kept"
            return
    examples = (result.get("per_example") or {}).get("metric")
    if examples is None:
        return
    if len(examples) != result.get("n"):
        yield f"{task}: n is {result.get('n')!r} but {len(examples)} per-example scores are kept"
    elif examples and abs((mean := math.fsum(examples) / len(examples)) - result["score"]) > _ROUNDING:
        yield f"{task}.score is {result['score']:.6f} but its per-example scores average {mean:.6f}"


def without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads(object_pairs_hook=...)`. Raises ValueError for a key that stands twice."""
    values = dict(pairs)
    if len(values) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(f"given twice: {', '.join(sorted(key for key, count in counts.items() if count > 1))}")
    return values


def _not_finite(value: dict | list, where: str = "") -> Iterator[tuple[str, float]]:
    """Numbers that are none (JSON has no NaN and no infinity, Python reads them all the same)."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from _not_finite(item, f"{where}{key}.")
        elif isinstance(item, float) and not math.isfinite(item):
            yield f"{where}{key}", item


def _numbers(result: dict) -> Iterator[tuple[str, Any]]:
    yield "score", result.get("score")
    yield from _bounds(result)
    for name, values in (result.get("per_example") or {}).items():
        if name != "answers":
            yield from ((f"per_example.{name}[{index}]", value) for index, value in enumerate(values or ()))


def _bounds(result: dict) -> Iterator[tuple[str, Any]]:
    """The two ends of an interval, where there is one; what is not there is None."""
    interval = result.get("interval")
    if interval is not None:
        ends = interval if isinstance(interval, list) and len(interval) == 2 else [None, None]
        yield from ((f"interval[{index}]", bound) for index, bound in enumerate(ends))


def _average_problems(run: dict) -> Iterator[str]:
    average = run.get("average")
    if not isinstance(average, dict) or not _is_fraction(average.get("score")):
        yield f"average.score: expected a fraction in [0, 1], found {(average or {}).get('score')!r}"
        return
    for where, bound in _bounds(average):
        if not _is_fraction(bound):
            yield f"average.{where}: expected a fraction in [0, 1], found {bound!r}"
    left_out = (run["settings"].get("evaluation") or {}).get("not_in_mean", ())
    wanted = [task for task in run["tasks"] if task not in left_out] or list(run["tasks"])
    if average.get("n_tasks") != len(wanted):
        yield f"average.n_tasks is {average.get('n_tasks')!r} but {len(wanted)} tasks are present"
    elif sorted(average.get("tasks") or ()) != sorted(wanted):
        yield f"average.tasks are {average.get('tasks')!r}, expected {', '.join(wanted)}"
    scores = [run["tasks"][task].get("score") for task in wanted]
    if all(map(_is_fraction, scores)) and abs((mean := math.fsum(scores) / len(scores)) - average["score"]) > _ROUNDING:
        yield f"average.score is {average['score']:.6f} but the tasks average {mean:.6f}"


def _is_fraction(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
