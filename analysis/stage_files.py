"""What the stages before training published about a study: one file a kind, or one for each of its replicates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glimmer.files import read_json


def stage_files(directory: Path, name: str) -> dict[str, Path]:
    """The files `name`.json of a results/<study>: under "" the study's own, or under `replicate-N` each replicate's."""
    own = directory / f"{name}.json"
    if own.exists():
        return {"": own}
    found = directory.glob(f"replicate-*/{name}.json")
    return {path.parent.name: path for path in sorted(found, key=lambda path: int(path.parent.name.split("-")[1]))}


def stage_document(directory: Path, name: str) -> Any:
    """The content of the study's own file, or of its first replicate's; None without any."""
    return next((read_json(path) for path in stage_files(directory, name).values()), None)
