"""What is shown of results: pictures, tables, checks, reports; for the studies at hand and for the paper itself."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from glimmer.experiments import Artifact, artifacts_of, load_registry, study_files
from workflow.layout import REPOSITORY, Layout
from workflow.options import COMMITTED

PAPER = "paper"
_REPORT = ("report", "pictures", "sections", "grids", "stages", "summary", "reproduced")
# Modules that no picture depends on.
_ALONE = ("__init__", "audit", "claims", "crate", "power", "properties", *_REPORT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is shown, source by source: a source is a study, or `paper`. `results` is where all of it lies."""

    studies: tuple[Layout, ...]
    results: Path

    @functools.cached_property
    def sources(self) -> tuple[str, ...]:
        """The studies, and the paper where the results are those under version control."""
        paper = [PAPER] if self.paper_points == self.committed_paper_points else []
        return (*self._layouts, *paper)

    @property
    def paper_points(self) -> str:
        """What the paper reports, beside the results that are compared with it."""
        return str(self.results / PAPER / "points.csv")

    @property
    def committed_paper_points(self) -> str:
        """The same under version control, where `paper_points` is copied from if the results go elsewhere."""
        return str(COMMITTED / PAPER / "points.csv")

    # Pictures and tables: one job an artifact draws it for all sources, since starting Python costs more than drawing.

    @functools.cached_property
    def artifacts(self) -> Mapping[str, Mapping[str, Artifact]]:
        """Artifact name -> source -> what that source shows in it; only artifacts that have a module in analysis/."""
        found: dict[str, dict[str, Artifact]] = {}
        for source in self.sources:
            for name, artifact in self._artifacts_of(source).items():
                if _module(name).exists():
                    found.setdefault(name, {})[source] = artifact
        return found

    def pictures(self, source: str | None = None) -> list[str]:
        """The main file of every artifact of one source, or of all."""
        return [
            self._file(one, artifact, ".md" if artifact.kind == "table" else ".svg")
            for by_source in self.artifacts.values()
            for one, artifact in by_source.items()
            if source in (None, one)
        ]

    def files_of(self, name: str) -> list[str]:
        """Every file of one artifact, of all its sources."""
        return [
            self._file(source, artifact, suffix)
            for source, artifact in self.artifacts[name].items()
            for suffix in ((".md", ".tex", ".csv") if artifact.kind == "table" else (".svg", ".pdf", ".csv"))
        ]

    def points_of(self, name: str) -> list[str]:
        """The results that one artifact shows: its run files, and the paper's reported points."""
        files = [self.paper_points]
        for source, artifact in self.artifacts[name].items():
            if source != PAPER:
                ids = dict.fromkeys(run for point in artifact.points for run in point.run_ids)
                files += self._layouts[source].run_files(ids)
        return files

    def options_of(self, name: str) -> list[str]:
        """How the module of one artifact is told what to draw."""
        return self._options(self.artifacts[name])

    def definition_of(self, name: str) -> str:
        """Digest of what config/ says about one artifact: a changed label redraws, a changed comment does not."""
        return _digest(self.artifacts[name])

    def code_of(self, name: str) -> list[str]:
        """The modules that draw one artifact: its own, and what all share, but no other artifact's."""
        return [os.path.relpath(_module(name)), *_shared_code()]

    # Checks and pages: one job a source.

    def each(self, *documents: str) -> list[str]:
        """These documents (audit.json, report.html ...) of every source."""
        return [str(self.results / source / document) for source in self.sources for document in documents]

    def numbers_of(self, wildcards: Any) -> list[str]:
        """Everything that the numbers of a source come from, run files that nobody asked for included."""
        runs = [] if wildcards.source == PAPER else self._layouts[wildcards.source].every_run_file()
        return [*runs, self.paper_points]

    def drawn_numbers_of(self, wildcards: Any) -> list[str]:
        """The drawn points beside a source's pictures; when only drawing, those that exist: the audit draws none."""
        files = [str(Path(file).with_suffix(".csv")) for file in self.pictures(wildcards.source)]
        return [file for file in files if Path(file).exists()] if self._draws_only else files

    def pictures_of(self, wildcards: Any) -> list[str]:
        """The main files of a source's artifacts."""
        return self.pictures(wildcards.source)

    def seal_of(self, wildcards: Any) -> list[str]:
        """The digests of a source's run files as they were measured; when only drawing, if there are any."""
        return [] if wildcards.source == PAPER else self._layouts[wildcards.source].seals()

    def published_of(self, wildcards: Any) -> list[str]:
        """What a source's report shows of the stages before training."""
        return [] if wildcards.source == PAPER else self._layouts[wildcards.source].published()

    def definitions_of(self, wildcards: Any) -> str:
        """Digest of what config/ says about every artifact of a source, as `definition_of` says it of one."""
        return _digest(self._artifacts_of(wildcards.source))

    def option_of(self, wildcards: Any) -> list[str]:
        """How a check is told of its source."""
        return self._options([wildcards.source])

    def report_option_of(self, wildcards: Any) -> list[str]:
        """How the report is told of its source, and of committed runs to compare with."""
        source = wildcards.source
        reference = [] if source == PAPER else self._layouts[source].reference_option()
        return ["--study", source, "--results", str(self.results), *reference]

    @property
    def option_of_all(self) -> list[str]:
        """How analysis/ is told of all sources at once."""
        return self._options(self.sources)

    @property
    def code_of_checks(self) -> list[str]:
        """The modules behind audit.json and claims.json; no picture depends on them."""
        analysis = REPOSITORY / "analysis"
        shared = [analysis / f"{name}.py" for name in ("audit", "claims", "points", "runs")]
        return [os.path.relpath(path) for path in (*shared, *sorted(analysis.glob("*/*.py")))]

    @property
    def code_of_report(self) -> list[str]:
        """The modules and templates that make the report."""
        templates = (REPOSITORY / "analysis" / "templates").glob("*")
        return sorted(_shared_code(*_REPORT) + [os.path.relpath(path) for path in templates])

    def files_of_source(self, wildcards: Any) -> list[str]:
        """Every file of every artifact of a source."""
        folder = str(self.results / wildcards.source) + os.sep
        return [file for name in self.artifacts for file in self.files_of(name) if file.startswith(folder)]

    def configuration_of(self, wildcards: Any) -> list[str]:
        """The files that describe a source: its study's, and those that is `like`."""
        if wildcards.source == PAPER:
            return []
        return [os.path.relpath(path) for path in study_files(self._layouts[wildcards.source].study.source)]

    @property
    def code_of_crate(self) -> list[str]:
        """What the research-object record is made with."""
        modules = [os.path.relpath(_module(name)) for name in ("crate", "grids", "points", "runs")]
        return [*modules, "Snakefile", "CITATION.cff"]

    @functools.cached_property
    def _layouts(self) -> Mapping[str, Layout]:
        return {layout.study.name: layout for layout in self.studies}

    def _artifacts_of(self, source: str) -> Mapping[str, Artifact]:
        if source != PAPER:
            return artifacts_of(self._layouts[source].study)
        return {name: artifact for name, artifact in load_registry().artifacts.items() if artifact.in_paper}

    @property
    def _draws_only(self) -> bool:
        return all(layout.draws_only for layout in self.studies)

    def _file(self, source: str, artifact: Artifact, suffix: str) -> str:
        folder = "tables" if artifact.kind == "table" else "figures"
        return str(self.results / source / folder / f"{artifact.name}{suffix}")

    def _options(self, sources: Iterable[str]) -> list[str]:
        studies = [source for source in sources if source != PAPER]
        named = ["--study", *studies] if studies else []
        return [*named, *(["--paper"] if PAPER in sources else []), "--results", str(self.results)]


def _digest(definition: Any) -> str:
    return hashlib.sha256(repr(definition).encode()).hexdigest()


def _module(artifact: str) -> Path:
    return REPOSITORY / "analysis" / f"{artifact}.py"


def _shared_code(*wanted: str) -> list[str]:
    """Modules of analysis/ that belong to no single artifact, and the `wanted` ones of those that stand alone."""
    left_out = {*_ALONE, *load_registry().artifacts} - set(wanted)
    paths = (REPOSITORY / "analysis").glob("*.py")
    return sorted(os.path.relpath(path) for path in paths if path.stem not in left_out)
