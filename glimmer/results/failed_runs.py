"""Runs whose numbers went wrong: what training leaves beside results, and the report lists.

`failed/<run id>.json` is no result: it serves no point, and nothing takes it for a cache hit. A later training that
ends well removes it; until there is a result of the run, the report shows it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from glimmer.errors import InputError
from glimmer.files import read_json_object, write_json

FOLDER = "failed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FailedRun:
    """A run that was stopped: the first step of no finite number, the ids of its batch, the last step saved before it.

    `what` says what was no number, `code_version` by which code.
    """

    run: str
    step: int
    what: str
    batch: Sequence[str]
    last_saved: int | None
    code_version: str

    @property
    def text(self) -> str:
        """All of it but the batch, in words."""
        saved = "nothing was saved before" if self.last_saved is None else f"step {self.last_saved} was saved before"
        return f"{self.what} at step {self.step}; {saved}; code {self.code_version}"


def record_failure(results: str | Path, failed: FailedRun) -> Path:
    """Writes the record of a failed run beside a study's results; returns its path."""
    path = Path(results) / FOLDER / f"{failed.run}.json"
    write_json(path, dataclasses.asdict(failed))
    return path


def forget_failure(results: str | Path, run: str) -> None:
    """Removes the record of a run that has ended well since."""
    (Path(results) / FOLDER / f"{run}.json").unlink(missing_ok=True)


def failed_runs(results: str | Path, measured: Mapping[str, object]) -> list[FailedRun]:
    """The failed runs of a study's results directory that are not among the measured ones, by id.

    A record that cannot be read is one of a run that failed, all the same.
    """
    found = []
    for path in sorted((Path(results) / FOLDER).glob("*.json")):
        if path.stem in measured:
            continue
        try:
            stated = read_json_object(path)
            failed = FailedRun(**{field.name: stated[field.name] for field in dataclasses.fields(FailedRun)})
            if failed.run != path.stem or not isinstance(failed.batch, list):
                raise InputError("another run's record", where=path, expected=path.stem, found=failed.run)
        except (InputError, KeyError) as error:
            failed = FailedRun(run=path.stem, step=0, what=f"a record that cannot be read ({error})", batch=[],
                               last_saved=None, code_version="unknown")  # fmt: skip
        found.append(failed)
    return found
