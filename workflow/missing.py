"""What a study needs from elsewhere and does not find: all of it at once, and the one command that brings it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from glimmer.errors import InputError
from glimmer.experiments import Run, Study
from glimmer.experiments.sections import CheckpointInitial, KiltData, PublishedGtr
from glimmer.kilt.download import RELEASE
from glimmer.kilt.formats import knowledge_source_file, task_file
from glimmer.models.forms import config_file, is_t5x, tokenizer_file, weight_files
from glimmer.models.published import model_name
from workflow.options import option_of_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Missing:
    """An input that is not given, or not whole: its option, in words what is not there, and the names that bring it."""

    option: str
    found: str
    names: tuple[str, ...]


def require_inputs(study: Study, runs: Iterable[Run]) -> None:
    """Raises InputError that names everything that is missing."""
    missing = list(missing_inputs(study, runs))
    if not missing:
        return
    found = ", ".join(item.found for item in missing)
    names = [name for item in missing for name in item.names]
    if names and all(item.names for item in missing):
        out = getattr(study.data, "directory", None) or "DIR"
        found += f"; to bring it: glimmer fetch {' '.join(dict.fromkeys(names))} --out {out}"
    options = " ".join(f"{option}=DIR" for option in dict.fromkeys(item.option for item in missing))
    raise InputError("not everything that the study needs is there", where=study.source, expected=f"--config {options}",
                     found=found)  # fmt: skip


def missing_inputs(study: Study, runs: Iterable[Run]) -> Iterator[Missing]:
    """Everything from elsewhere that is not given, or not there, in the order of the stages."""
    if isinstance(study.data, KiltData):
        yield from _missing_data(study, study.data)
    sizes = sorted({"", *(run.size for run in runs if run.size in study.sizes)})  # "" has the vocabulary
    sections = {option_of_size(size) if size else "checkpoint": study.initial_for(size) for size in sizes}
    for option, section in (sections | {"retriever": study.retriever}).items():
        if not isinstance(section, CheckpointInitial | PublishedGtr):
            continue
        names = (section.release,) if model_name(section.release) else ()
        if section.directory is None:
            yield Missing(option=option, found=f"nothing for {option}", names=names)
            continue
        lacks = _lacks_of_retriever if option == "retriever" else _lacks_of_checkpoint
        for found in lacks(study, option, Path(section.directory)):
            yield Missing(option=option, found=found, names=names)


def _lacks_of_checkpoint(study: Study, option: str, folder: Path) -> Iterator[str]:
    """In words, what a checkpoint lacks of dimensions, weights and, where a study takes it from there, a vocabulary."""
    if not folder.exists():
        yield f"no {folder}"
        return
    if not (config_file(folder).is_file() or is_t5x(folder)):  # T5X's arrays say their dimensions
        yield f"no {config_file(folder)}"
    takes_vocabulary = option == "checkpoint" and study.tokenizer.kind == "checkpoint"
    for find in (weight_files, tokenizer_file) if takes_vocabulary else (weight_files,):
        try:
            find(folder)
        except InputError as error:
            yield f"{error.where}: {error.what}"


def _lacks_of_retriever(study: Study, option: str, folder: Path) -> Iterator[str]:
    """In words, what a sentence-transformers folder, or one of T5X, lacks."""
    if not folder.exists():
        yield f"no {folder}"
    elif folder.is_dir() and not ((folder / "modules.json").is_file() or is_t5x(folder)):
        yield f"no {folder / 'modules.json'}"


def _missing_data(study: Study, section: KiltData) -> Iterator[Missing]:
    is_published = section.release == RELEASE
    if section.directory is None:
        names = ("knowledge_source", *study.tasks) if is_published else ()
        yield Missing(option="data", found="nothing for data", names=names)
        return
    wanted = [(knowledge_source_file, (section.directory,), "knowledge_source")]
    wanted += [
        (task_file, (section.directory, task, split), task) for task in study.tasks for split in ("train", "dev")
    ]
    for find, arguments, name in wanted:
        try:
            find(*arguments)
        except InputError as error:
            found = f"no {Path(section.directory) / str(error.expected).split(' or ')[0]}"
            yield Missing(option="data", found=found, names=(name,) if is_published else ())
