"""What is shown of results: pictures, tables, checks, reports; for the studies at hand and for the paper itself."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from analysis.figures import BASELINES
from glimmer.experiments import Artifact, artifacts_of, load_registry, study_files
from glimmer.results import PAPER
from workflow.layout import REPOSITORY, Layout
from workflow.options import COMMITTED

# Modules and templates behind each kind of result, as patterns: none of them makes another kind stale.
_RESULTS = ("glimmer/results/*.py",)
FIGURE_CODE = (
    *_RESULTS,
    "analysis/names.py",
    "analysis/differences.py",
    "analysis/ledger/bootstrap.py",
    "analysis/ledger/chance.py",
    "analysis/figures/*.py",
)
CHECK_CODE = (
    *_RESULTS,
    "analysis/audit.py",
    "analysis/claims.py",
    "analysis/splits.py",
    "analysis/audits/*.py",
    "analysis/ledger/*.py",
    "analysis/papers/*.py",
)
DESCRIPTIONS = Path("config/papers")
REPORT_CODE = (
    *FIGURE_CODE,
    "analysis/reproduced.py",
    "analysis/splits.py",
    "analysis/ledger/*.py",
    "analysis/audits/finding.py",
    "analysis/report/*.py",
    "analysis/report/templates/*",
    "CITATION.cff",
    "pyproject.toml",
)
CRATE_CODE = (*_RESULTS, "analysis/names.py", "analysis/crate.py", "Snakefile", "CITATION.cff")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One source of what is shown: a study with its layout, or the paper, which has none."""

    name: str
    results: Path
    draws_only: bool
    layout: Layout | None = None

    @functools.cached_property
    def artifacts(self) -> Mapping[str, Artifact]:
        """What it shows, by name, baselines included."""
        if self.layout:
            return artifacts_of(self.layout.study)
        return {name: artifact for name, artifact in load_registry().artifacts.items() if artifact.in_paper}

    def files(self, name: str) -> list[str]:
        """Every file of one of its figures or tables, the main one first."""
        is_table = self.artifacts[name].kind == "table"
        suffixes = (".md", ".tex", ".csv") if is_table else (".svg", ".pdf", ".csv")
        return [str(self.results / self.name / ("tables" if is_table else "figures") / f"{name}{s}") for s in suffixes]

    @property
    def drawn(self) -> list[str]:
        """Every file of its figures and tables."""
        return [file for name in self.artifacts if name != BASELINES for file in self.files(name)]

    @property
    def pictures(self) -> list[str]:
        """The main files of its figures and tables."""
        return [file for file in self.drawn if file.endswith((".svg", ".md"))]

    @property
    def drawn_points(self) -> list[str]:
        """The points beside its pictures; when only drawing, those that exist: the audit draws none."""
        files = [file for file in self.drawn if file.endswith(".csv")]
        return [file for file in files if Path(file).exists()] if self.draws_only else files

    @property
    def configuration(self) -> list[str]:
        """The files that describe it: its study's, and those that is `like`."""
        return [os.path.relpath(path) for path in study_files(self.layout.study.source)] if self.layout else []

    @property
    def definition(self) -> str:
        """Digest of what config/ says about its artifacts: a changed label counts, a changed comment does not."""
        return _digest(self.artifacts)

    @property
    def options(self) -> list[str]:
        """How a command is told of it."""
        return _options([self])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is shown of `studies`, and of the paper where `results` is what lies under version control."""

    studies: tuple[Layout, ...]
    results: Path

    @functools.cached_property
    def sources(self) -> Mapping[str, Source]:
        """The sources by name."""
        common = {"results": self.results, "draws_only": all(study.draws_only for study in self.studies)}
        sources = {study.study.name: Source(name=study.study.name, layout=study, **common) for study in self.studies}
        is_committed = paper_points(self.results) == paper_points(COMMITTED)
        return sources | ({PAPER: Source(name=PAPER, **common)} if is_committed else {})

    def of(self, attribute: str) -> Callable[[Any], Any]:
        """An input function of Snakemake: this attribute of the source that the wildcards name."""
        return lambda wildcards: getattr(self.sources[wildcards.source], attribute)

    def of_study(self, method: str) -> Callable[[Any], list[str]]:
        """The same of the source's layout, by a method's name; nothing for the paper, which has none."""
        layouts = {name: source.layout for name, source in self.sources.items() if source.layout}
        return lambda wildcards: getattr(layouts[wildcards.source], method)() if wildcards.source in layouts else []

    def each(self, *documents: str) -> list[str]:
        """These documents (audit.json, report.html ...) of every source."""
        return [str(self.results / source / document) for source in self.sources for document in documents]

    @property
    def described(self) -> list[str]:
        """The page of every other paper that a folder describes by its tables, where the paper's own numbers are."""
        names = [path.parent.name for path in sorted(DESCRIPTIONS.glob("*/tables")) if path.parent.name != "template"]
        return [str(self.results / "papers" / name / "findings.md") for name in names if PAPER in self.sources]

    @property
    def pictures(self) -> list[str]:
        """The main file of every figure and table of every source."""
        return [file for source in self.sources.values() for file in source.pictures]

    @property
    def options(self) -> list[str]:
        """How a command is told of all sources at once."""
        return _options(self.sources.values())

    @functools.cached_property
    def artifacts(self) -> list[ArtifactJob]:
        """Every figure and table of any source, with the sources that have it."""
        names = dict.fromkeys(name for source in self.sources.values() for name in source.artifacts)
        by_name = {name: [s for s in self.sources.values() if name in s.artifacts] for name in names}
        return [ArtifactJob(name=name, sources=tuple(having)) for name, having in by_name.items() if name != BASELINES]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArtifactJob:
    """The job that draws one figure or table, for all its sources: starting Python costs more than drawing."""

    name: str
    sources: tuple[Source, ...]

    @property
    def files(self) -> list[str]:
        """Every file of it."""
        return [file for source in self.sources for file in source.files(self.name)]

    @property
    def points(self) -> list[str]:
        """The results that it shows: its run files, and the paper's reported points."""
        files = [paper_points(self.sources[0].results)]
        for source in self.sources:
            run_ids = dict.fromkeys(id for point in source.artifacts[self.name].points for id in point.run_ids)
            files += [*source.layout.run_files(run_ids), *source.layout.foreign()] if source.layout else []
        return files

    @property
    def options(self) -> list[str]:
        """How the command is told what to draw."""
        return [self.name, *_options(self.sources)]

    @property
    def definition(self) -> str:
        """Digest of what config/ says about it."""
        return _digest({source.name: source.artifacts[self.name] for source in self.sources})

    @property
    def code(self) -> list[str]:
        """The modules that draw it: those that all share, and its own, but no other artifact's."""
        others = {f"analysis/figures/{name}.py" for name in load_registry().artifacts if name != self.name}
        return [path for path in code(*FIGURE_CODE) if path not in others]


def code(*patterns: str) -> list[str]:
    """The files of this repository that match, from where Snakemake runs."""
    return sorted({os.path.relpath(path) for pattern in patterns for path in REPOSITORY.glob(pattern)})


def description(name: str) -> list[str]:
    """The files that describe a paper."""
    return [str(path) for path in sorted((DESCRIPTIONS / name).rglob("*")) if path.suffix in (".yaml", ".csv")]


def paper_points(results: Path) -> str:
    """What the paper reports, beside the results that are compared with it."""
    return str(results / PAPER / "points.csv")


def _options(sources: Iterable[Source]) -> list[str]:
    sources = list(sources)
    named = [option for source in sources for option in (["--study", source.name] if source.layout else ["--paper"])]
    return [*named, "--results", str(sources[0].results)]


def _digest(definition: Any) -> str:
    return hashlib.sha256(repr(definition).encode()).hexdigest()
