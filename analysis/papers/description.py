"""A paper as a folder: `paper.yaml` says what its points are, `tables/*.csv` how they are printed, `claims.yaml` what
it says of them.

Every file is read strictly: what is unknown, missing or not allowed is an InputError that names file, key or line, what
was expected and what was found. `glimmer audit --init` writes a commented example.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from analysis.papers.arithmetic import names_of
from glimmer.errors import InputError
from glimmer.experiments.documents import read_yaml, repository_path
from glimmer.experiments.strict import Above, AtLeast, Below, Count, Distinct, Like, NotEmpty, read

FILE, CLAIMS = "paper.yaml", "claims.yaml"
OWN = "config/papers/glimmer"
"""The folder of the paper that this repository reproduces."""

SCALES = {"percent": 100, "fraction": 1}
"""What all right answers count, by the unit of a share."""

Name = Annotated[str, Like(r"^[a-z0-9][a-z0-9-]*$")]
Text = Annotated[str, Like(r"\S")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetSizes:
    """How many examples each test set has; `called` names them in a sentence."""

    sizes: Mapping[str, Count] = dataclasses.field(default_factory=dict)
    called: Text = "the stated test sets"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unknown:
    """A length that formulas need: `unit` says what one is, `called` names it, `stated` is what the paper says."""

    unit: Text
    called: Text
    stated: Annotated[float, Above(0)] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Formula:
    """What one example costs, in arithmetic over the unknowns and the settings of a system; linear in the unknowns."""

    words: Text
    cost: Text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coefficient:
    """A coefficient of a printed formula beside that of the model which was used (`of`; {model} in it is its name).

    Both are in `unit` and in arithmetic over settings; `because` says what would explain a difference.
    """

    what: Text
    printed: Text
    own: Text
    of: Text
    unit: Text
    because: Text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Formulas:
    """Points of `measure` are `per` / cost; `in_words` says of what, such as samples a TFLOP."""

    measure: Text
    per: Annotated[float, Above(0)]
    in_words: Text
    unknown: Mapping[str, Unknown]
    costs: Mapping[str, Formula]
    coefficients: tuple[Coefficient, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SameFunction:
    """Why some configurations compute the same, and what would explain equal numbers beside unequal ones."""

    because: Text
    explained_by: Text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paper:
    """What every description has. `open_settings` ends a sentence on what the paper leaves open."""

    name: Name
    title: Text
    cite: Text
    sources: Annotated[tuple[Text, ...], NotEmpty()]
    test_sets: SetSizes = SetSizes()
    formulas: Formulas | None = None
    same_function: SameFunction = SameFunction(
        because="Both configurations are described as one function of their parameters.",
        explained_by="One run that stands for both in those, and separate runs here",
    )
    sampling: Annotated[float, Above(0), Below(1)] | None = None
    open_settings: Text = "settings that the paper leaves open are the description's choice"
    described_by: Text = "The description"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegisteredPaper(Paper):
    """A paper whose points are those of config/experiments.yaml, its sentences those of config/claims.yaml."""

    points: Literal["registry"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrintedMeasure:
    """What is measured. `share_of` names the test set of which it is a share of right answers; `mean_of` and `sum_of`
    name the measures that it is made of; `decimals` is to how many it is printed where trailing zeros are dropped. With
    `each`, {} in the measure's name and in `share_of` stands for each of these in turn."""

    unit: Text = "percent"
    says: str = ""
    share_of: str | None = None
    mean_of: Annotated[tuple[str, ...], Distinct()] = ()
    sum_of: Annotated[tuple[str, ...], Distinct()] = ()
    decimals: Annotated[int, AtLeast(0)] | None = None
    each: Annotated[tuple[str, ...], Distinct()] = ()

    def __post_init__(self):
        if bool(self.share_of) + bool(self.mean_of) + bool(self.sum_of) > 1:
            raise InputError("not one thing", expected="one of share_of, mean_of, sum_of", found="several")
        if self.share_of and self.unit not in SCALES:
            raise InputError("a share", expected="the unit " + " or ".join(SCALES), found=self.unit)


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """One configuration. `like` names a system of which it differs by its `settings` alone; `same_function_as` one that
    computes the same and was trained otherwise. A setting is a number, exact (1/3), or a word."""

    says: str = ""
    like: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    same_function_as: str | None = None

    def __post_init__(self):
        settings = {name: _setting(value, name) for name, value in self.settings.items()}
        object.__setattr__(self, "settings", settings)


def _setting(value: Any, name: str) -> Fraction | str:
    if isinstance(value, bool | int | float | str):
        try:
            return Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            return str(value)
    raise InputError(f"settings.{name} is not valid", expected="a number or a word", found=repr(value))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """What stands along x, and how a curve over it should run, where the paper gives reason to expect it."""

    label: Text
    expected: Literal["rising", "falling"] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrintedArtifact:
    """A table, a figure, or numbers of the text: where it stands, what it is, its axis."""

    source: Text
    kind: Literal["table", "figure", "stacked_bars", "text"] = "table"
    x: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Derivation:
    """A printed number that follows from others: `value` is arithmetic over the aliases of `of`."""

    point: Text
    of: Mapping[str, str]
    value: Text
    says: str = ""

    @property
    def same_as(self) -> str | None:
        """The point that this one is stated to be equal to; None where there is more to it."""
        return self.of.get(self.value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrintedPaper(Paper):
    """A paper whose points stand in `tables/`."""

    points: Literal["tables"]
    measures: Mapping[str, PrintedMeasure]
    systems: Mapping[str, System]
    artifacts: Mapping[str, PrintedArtifact]
    axes: Mapping[str, Axis] = dataclasses.field(default_factory=dict)
    derived: tuple[Derivation, ...] = ()


AnyPaper = RegisteredPaper | PrintedPaper


def folder_of(name: str | Path) -> Path:
    """The folder of a description: a path, or the name of one in config/papers. Raises InputError if there is none."""
    path = Path(name)
    places = [path] + ([repository_path("config/papers") / path] if len(path.parts) == 1 else [])
    for place in places:
        if (place / FILE).exists():
            return place
    found = f"a folder without {FILE}" if path.is_dir() else "no such folder"
    raise InputError("no description of a paper", where=path, expected=f"a folder with {FILE}", found=found)


def load_paper(folder: str | Path) -> AnyPaper:
    """Reads `paper.yaml` of a folder. Raises InputError naming file and key."""
    path = Path(folder) / FILE
    paper = read(AnyPaper, read_yaml(path), path)
    if paper.formulas:
        _check_formulas(paper.formulas, path)
    if isinstance(paper, PrintedPaper):
        paper = dataclasses.replace(paper, measures=_spelled_out(paper.measures, path))
        _check_names(paper, path)
    return paper


def _spelled_out(measures: Mapping[str, PrintedMeasure], path: Path) -> dict[str, PrintedMeasure]:
    """Measures with a line for each of `each`. Raises InputError for a name given twice, or a stray {}."""
    every: dict[str, PrintedMeasure] = {}
    for name, measure in measures.items():
        if ("{}" in name) != bool(measure.each):
            expected = "{} in the name, and `each` to say what it stands for"
            what = f"measures.{name} is not valid"
            raise InputError(what, where=path, expected=expected, found="one without the other")
        for part in measure.each or ("",):
            spelled = name.replace("{}", part)
            if spelled in every:
                raise InputError("measure given twice", where=path, expected="another name", found=spelled)
            share_of = measure.share_of and measure.share_of.replace("{}", part)
            every[spelled] = dataclasses.replace(measure, share_of=share_of, each=())
    return every


def files_of(folder: Path) -> list[Path]:
    """The files of a description, those of its tables last."""
    return [path for name in (FILE, CLAIMS) if (path := folder / name).exists()] + sorted(folder.glob("tables/*.csv"))


def stated_equal(paper: Paper) -> frozenset[frozenset[str]]:
    """Pairs of points that a description states to be one number."""
    entries = paper.derived if isinstance(paper, PrintedPaper) else ()
    return frozenset(frozenset((entry.point, entry.same_as)) for entry in entries if entry.same_as)


@functools.cache
def own_paper() -> AnyPaper:
    """The description of the paper that this repository reproduces."""
    return load_paper(repository_path(OWN))


def _check_formulas(formulas: Formulas, path: Path) -> None:
    if sum(each.stated is None for each in formulas.unknown.values()) == len(formulas.unknown):
        raise InputError("formulas.unknown is not valid", where=path, expected="one of them `stated`", found="none")
    for name, formula in formulas.costs.items():
        where = f"{path}: formulas.costs.{name}.cost"
        absent = [unknown for unknown in formulas.unknown if unknown not in names_of(formula.cost, where)]
        if absent:
            raise InputError("unknowns that the cost does not use", where=where, found=", ".join(absent))


def _check_names(paper: PrintedPaper, path: Path) -> None:
    """Every name that one part of the file uses of another is there."""

    def known(key: str, name: str | None, names: Mapping[str, Any]) -> None:
        if name is not None and name not in names:
            expected = "one of " + (", ".join(names) or "none: none is stated")
            raise InputError(f"{key} is not valid", where=path, expected=expected, found=repr(name))

    for name, measure in paper.measures.items():
        known(f"measures.{name}.share_of", measure.share_of, paper.test_sets.sizes)
        for list_name in ("mean_of", "sum_of"):
            for part in getattr(measure, list_name):
                known(f"measures.{name}.{list_name}", part, paper.measures)
                if part == name or paper.measures[part].mean_of or paper.measures[part].sum_of:
                    key = f"measures.{name}.{list_name}"
                    raise InputError(f"{key} is not valid", where=path, expected="measures not made of others",
                                     found=repr(part))  # fmt: skip
    for name, system in paper.systems.items():
        known(f"systems.{name}.like", system.like, paper.systems)
        known(f"systems.{name}.same_function_as", system.same_function_as, paper.systems)
        for key in ("like", "same_function_as"):
            other = getattr(system, key)
            if other == name or (other and getattr(paper.systems[other], key)):
                expected = f"a system without `{key}` of its own"
                raise InputError(f"systems.{name}.{key} is not valid", where=path, expected=expected, found=repr(other))
    for name, artifact in paper.artifacts.items():
        known(f"artifacts.{name}.x", artifact.x, paper.axes)
    if paper.formulas:
        known("formulas.measure", paper.formulas.measure, paper.measures)
