"""The commented description that `glimmer audit --init` writes: the folder config/papers/template, copied."""

from __future__ import annotations

from pathlib import Path

from glimmer.errors import InputError
from glimmer.experiments.documents import repository_path
from glimmer.files import atomic_write

TEMPLATE = "config/papers/template"


def write_template(folder: Path) -> list[Path]:
    """Writes the template's files below `folder` and returns their paths.

    Raises InputError where one of them is there already: nothing is written over.
    """
    source = repository_path(TEMPLATE)
    files = {folder / path.relative_to(source): path for path in sorted(source.rglob("*")) if path.is_file()}
    for target in files:
        if target.exists():
            raise InputError("already there", where=target, expected="a new folder", found="a file")
    for target, path in files.items():
        with atomic_write(target) as file:
            file.write(path.read_text(encoding="utf-8"))
    return list(files)
