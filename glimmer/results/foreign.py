"""Foreign readers: predictions that somebody else made of a study's dev questions, scored here.

`results/<study>/foreign/<id>.json` states what is known of such a reader and no more: a name, how many passages it
read, digests of gold and guesses, and scores. There are no settings, no seed and no training in it. The files lie apart
from runs/, so that nothing that reads runs (points, means, claims, gates, the audit's rules) can take one for a run.
Tables and figures show them behind the study's own readers, each with MARK and, once, with LEGEND.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from glimmer.errors import InputError, shortened
from glimmer.evaluation.intervals import student_interval
from glimmer.experiments.settings import SCIENCE_VERSION
from glimmer.experiments.strict import AtLeast, AtMost, Count, CountOrNone, Like, read
from glimmer.files import canonical_json
from glimmer.results.run_files import Refused, without_repeated_keys

FOLDER = "foreign"
MARK = "*"
LEGEND = f"{MARK} foreign: predictions made elsewhere, scored here on the same questions; no run of this study"
FOREIGN = "foreign"
"""What stands for `status` in a CSV file of drawn points, and begins the id there."""

_ROUNDING = 1e-6
_Fraction = Annotated[float, AtLeast(0), AtMost(1)]
_Digest = Annotated[str, Like(r"\A[0-9a-f]{64}\Z")]
_Task = Literal["nq", "triviaqa", "hotpotqa", "fever", "zsre", "trex"]
ReaderName = Annotated[str, Like(r"\A\w[\w .,:()+/-]{0,39}\Z")]
"""At most 40 letters, digits and a few signs: it stands in figures, tables and file formats of all kinds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForeignTask:
    """One task. `questions` is the digest of the ids that were scored (as of a run's dev slice), `gold` and `guesses`
    those of the whole files. `kilt` and `rprec` are None where the guesses name no page."""

    n: Count
    metric: Literal["em", "accuracy"]
    score: _Fraction
    interval: tuple[_Fraction, _Fraction]
    kilt: _Fraction | None
    rprec: _Fraction | None
    questions: _Digest
    gold: _Digest
    guesses: _Digest
    per_example: Mapping[Literal["metric", "rprec"], tuple[_Fraction, ...]]

    def __post_init__(self):
        kept = {"metric": self.score} | ({} if self.rprec is None else {"rprec": self.rprec})
        if self.per_example.keys() != kept.keys():
            raise InputError("per_example is not valid", expected=", ".join(kept), found=", ".join(self.per_example))
        for name, score in kept.items():
            values = self.per_example[name]
            if len(values) != self.n or not math.isclose(math.fsum(values) / self.n, score, abs_tol=_ROUNDING):
                found = f"{len(values)} that average {math.fsum(values) / max(1, len(values)):.6f}"
                raise InputError(f"per_example.{name} is not valid", expected=f"{self.n} that average {score:.6f}",
                                 found=found)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForeignAverage:
    """The plain mean over the tasks that a mean of this study is over."""

    score: _Fraction
    interval: tuple[_Fraction, _Fraction]
    tasks: tuple[_Task, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForeignReader:
    """A foreign reader's file. `k` passages were retrieved and `m` of them read; None: all. `replicate` says which
    replicate's questions it answered, None in a study without any. `scored_by` is the version of the scorer."""

    kind: Literal["foreign"]
    id: str
    name: ReaderName
    k: Count
    m: CountOrNone = None
    note: str = ""
    study: str
    replicate: int | None
    science_version: int
    scored_by: str
    tasks: Mapping[_Task, ForeignTask]
    average: ForeignAverage

    def __post_init__(self):
        computed = foreign_id(as_json(self))
        if self.id != computed:
            raise InputError("id is not valid", expected=f"{computed}, of what is stated", found=self.id)
        if self.science_version != SCIENCE_VERSION:
            raise InputError("another science_version", expected=SCIENCE_VERSION, found=self.science_version)
        if self.m is not None and self.m > self.k:
            raise InputError("m is not valid", expected=f"at most k = {self.k}", found=self.m)
        if not self.average.tasks or not set(self.average.tasks) <= self.tasks.keys():
            raise InputError("average.tasks is not valid", expected=f"some of {', '.join(self.tasks)}",
                             found=", ".join(self.average.tasks))  # fmt: skip
        mean = statistics.fmean(self.tasks[task].score for task in self.average.tasks)
        if not math.isclose(mean, self.average.score, abs_tol=_ROUNDING):
            raise InputError("average.score is not valid", expected=f"{mean:.6f}", found=f"{self.average.score:.6f}")


def foreign_id(stated: Mapping[str, Any]) -> str:
    """A digest of all that decides a foreign reader's numbers, and of what it is called, from its file's content."""
    decisive = {key: stated[key] for key in ("name", "k", "m", "study", "replicate", "science_version")}
    files = {
        task: [scored[key] for key in ("gold", "guesses", "questions")] for task, scored in stated["tasks"].items()
    }
    return hashlib.sha256(canonical_json(decisive | {"files": files}).encode()).hexdigest()[:12]


def read_foreign(path: Path) -> ForeignReader:
    """One file. Raises InputError for one that is not in this form, or does not agree with itself."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=without_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not readable as JSON: {error}", where=path) from None
    reader = read(ForeignReader, document, path)
    if path.stem != reader.id:
        raise InputError("a file of another name", where=path, expected=f"{reader.id}.json", found=path.name)
    if path.parent.parent.name != reader.study:
        raise InputError("of another study", where=path, expected=path.parent.parent.name, found=reader.study)
    return reader


def load_foreign(results: str | Path) -> tuple[tuple[ForeignReader, ...], tuple[Refused, ...]]:
    """(the foreign readers of a results/<study> by name and replicate, files that are left out with the reason)."""
    readers, refused = [], []
    for path in sorted((Path(results) / FOLDER).glob("*.json")):
        try:
            readers.append(read_foreign(path))
        except (InputError, OSError) as error:
            refused.append(Refused(file=path.name, reason=shortened(getattr(error, "text", str(error)))))
    readers.sort(key=lambda reader: (reader.name, reader.replicate or 0, reader.id))
    return tuple(readers), tuple(refused)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForeignRow:
    """One foreign reader as it is shown: `members` are its files, one a replicate. Percent."""

    members: tuple[ForeignReader, ...]

    @property
    def name(self) -> str:
        """Its name without the mark."""
        return self.members[0].name

    @property
    def label(self) -> str:
        """Its name as a figure or table shows it: never without the mark."""
        return f"{self.name} {MARK}"

    @property
    def k(self) -> int:
        """Passages retrieved."""
        return self.members[0].k

    @property
    def m(self) -> int:
        """Passages read."""
        return self.members[0].m or self.k

    @property
    def value(self) -> float:
        """Its mean of tasks, over its replicates."""
        return 100 * statistics.fmean(reader.average.score for reader in self.members)

    @property
    def interval(self) -> tuple[float, float]:
        """Over replicates Student's, of one file that of its questions."""
        if len(self.members) > 1:
            return student_interval([100 * reader.average.score for reader in self.members])
        low, high = self.members[0].average.interval
        return 100 * low, 100 * high

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of its mean."""
        return self.members[0].average.tasks

    @property
    def of(self) -> str:
        """Which replicates it answered, in words; empty in a study without any."""
        seeds = [str(reader.replicate) for reader in self.members if reader.replicate is not None]
        return f"replicate{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}" if seeds else ""


def foreign_rows(readers: tuple[ForeignReader, ...]) -> tuple[ForeignRow, ...]:
    """Foreign readers with their replicates together: of one name, as many passages and the same tasks."""
    groups: dict[tuple, list[ForeignReader]] = {}
    for reader in readers:
        groups.setdefault((reader.name, reader.k, reader.m, reader.average.tasks), []).append(reader)
    return tuple(ForeignRow(members=tuple(members)) for members in groups.values())


def as_json(reader: ForeignReader) -> dict[str, Any]:
    """The content of its file."""
    fields = {field.name: getattr(reader, field.name) for field in dataclasses.fields(reader)}
    tasks = {task: vars(scored) | {"per_example": dict(scored.per_example)} for task, scored in reader.tasks.items()}
    return fields | {"tasks": tasks, "average": vars(reader.average)}
