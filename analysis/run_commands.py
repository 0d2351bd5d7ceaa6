"""The commands that make one run of a study: the workflow's, stages and all, and the two that the workflow calls."""

from __future__ import annotations

import shlex
from pathlib import Path

from glimmer.experiments import Run, Study
from glimmer.experiments.sections import CheckpointInitial, KiltData, PublishedGtr
from glimmer.experiments.stages import work_file

NOT_GIVEN = "DIR"
"""Stands in a command for a directory of yours that the study does not name."""


def commands_of(study: Study, run: Run) -> dict[str, str]:
    """What makes the result file of a run, as a shell takes it: `workflow`, `train` and `evaluate`.

    `workflow` makes it with all that it needs; `train` and `evaluate` take what stages left in the work directory.
    A run that has another's parameters is trained by the other's command.
    """
    result = study.result_file(run.id)
    work = study.run_directory(run.id, run.seed).parents[1]
    trained = study.run_directory(run.trained_id, run.seed) / "trained"
    given = [f"study={study.name}", f"results={study.results}", *_directories_to_give(study, run)]
    of_study = ["--study", study.name, *(["--replicate", run.seed] if study.replicates else [])]
    of_study += ["--set", f"results={study.results}"]
    places = ["--work", work, "--data", _data(study, work), "--init", _initial(study, run, work)]
    return {
        "workflow": _words("snakemake", result, "--cores", 1, "--config", *given),
        "train": _words("glimmer", "train", *of_study, "--run", run.trained_id, *places, "--out", trained),
        "evaluate": _words(
            "glimmer", "evaluate", *of_study, "--run", run.id, *places, "--trained", trained, "--out", result
        ),
    }


def _words(*words: object) -> str:
    return shlex.join(map(str, words))


def _data(study: Study, work: Path) -> str | Path:
    """The folder of the data: the user's whole ones, or what a stage makes."""
    if isinstance(study.data, KiltData) and study.data.subset is None:
        return study.data.directory or NOT_GIVEN
    return work_file(work, "data")


def _initial(study: Study, run: Run, work: Path) -> str | Path:
    initial = study.initial_for(run.size)
    if isinstance(initial, CheckpointInitial):
        return initial.directory or NOT_GIVEN
    return work_file(work, "initial")


def _directories_to_give(study: Study, run: Run) -> list[str]:
    """Options of the workflow for what comes from elsewhere and has no directory in the study."""
    options = {"data": study.data, "checkpoint": study.initial, "retriever": study.retriever}
    if run.size in study.sizes:
        options[f"checkpoint_{run.size.lower()}"] = study.initial_for(run.size)
    kinds = KiltData | CheckpointInitial | PublishedGtr
    return [f"{name}={NOT_GIVEN}" for name, part in options.items() if isinstance(part, kinds) and not part.directory]
