"""Where every stage of a study puts its files, what decides their content, and what a stage needs of a machine."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from snakemake.cli import get_argument_parser

from glimmer.errors import GlimmerError, InputError
from glimmer.experiments import Artifact, Run, Study, artifacts_of, load_registry, load_study, runs_for
from glimmer.experiments.config import read_yaml
from glimmer.experiments.settings import SCIENCE_VERSION
from glimmer.files import existing, read_json
from glimmer.models.config import from_hugging_face, require_size

REPOSITORY = Path(__file__).resolve().parents[1]
COMMITTED = Path("results")
PAPER = "paper"
_REPORT = ("report", "pictures", "sections", "grids", "stages", "summary")
DRAWING_TARGETS = ("figures", "audit", "claims", "report")
"""Targets that show what has been measured and never measure."""

_OPTIONS = {"data": "data", "checkpoint": "initial", "retriever": "retriever", "results": "results", "work": "work"}
_KINDS = {"data": ("data", "kind", "kilt"), "checkpoint": ("initial", "kind", "checkpoint"),
          "retriever": ("retriever", "initial", "checkpoint")}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """One study on disk. `draws_only`: nothing but pictures, tables and reports of what exists will be made."""

    study: Study
    draws_only: bool

    @functools.cached_property
    def runs(self) -> Mapping[str, Run]:
        """Every run of the study by id."""
        return runs_for(self.study)

    @functools.cached_property
    def artifacts(self) -> Mapping[str, Artifact]:
        """The study's artifacts that have a module in analysis/."""
        found = artifacts_of(self.study)
        return {name: artifact for name, artifact in found.items() if self._module(name).exists()}

    @functools.cached_property
    def paper_artifacts(self) -> Mapping[str, Artifact]:
        """The paper's artifacts, in the paper's own terms, that have a module in analysis/."""
        found = load_registry().artifacts
        return {name: artifact for name, artifact in found.items() if artifact.in_paper and self._module(name).exists()}

    @property
    def work(self) -> str:
        """The study's heavy files; nothing of it is under version control."""
        return str(self.study.work_directory)

    @property
    def results(self) -> str:
        """The study's small results."""
        return str(self.study.results_directory)

    @functools.cached_property
    def data(self) -> str:
        """The folder with the knowledge source and the tasks: one made here, or the user's. Raises InputError."""
        return f"{self.work}/data" if self.makes_data else self.users_data

    @property
    def makes_data(self) -> bool:
        """Whether the study generates its data or takes a part of the user's."""
        return self.study.data["kind"] == "generated" or bool(self.study.data.get("subset"))

    @functools.cached_property
    def users_data(self) -> str:
        """The folder with the user's KILT-format files. Raises InputError."""
        return self._given("data.directory", self.study.data.get("directory"), "data=DIR")

    @functools.cached_property
    def initial(self) -> str:
        """The initial checkpoint's folder: the one pretrained here, or the user's. Raises InputError."""
        return self._initial(self.study.initial, "initial.directory", "checkpoint=DIR")

    def initial_of(self, run: str) -> str:
        """The initial checkpoint of one run, which differs where the study gives a size a checkpoint of its own."""
        size = self.runs[run].size
        if size not in self.study.sizes:
            return self.initial
        key = f"sizes.{size}.initial"
        if self.study.initial_for(size)["kind"] != "checkpoint":
            raise InputError("a size of its own needs a checkpoint", where=f"{self.study.source}: {key}.kind",
                             expected="checkpoint", found=self.study.initial_for(size)["kind"])  # fmt: skip
        return self._initial(self.study.initial_for(size), f"{key}.directory", f"{key}.directory=DIR")

    def check_places(self) -> None:
        """Raises InputError where a directory that the study needs is not given, not there, or of another size."""
        if self.study.data["kind"] == "kilt":
            _ = self.users_data
        _ = self.initial_of_retriever
        given = {self.initial_of(run): one for run, one in self.runs.items()}
        for directory, run in given.items():
            if directory != f"{self.work}/init":
                config = Path(directory) / "config.json"
                require_size(from_hugging_face(read_json(config), where=config), run.dimensions, directory)

    @property
    def initial_of_retriever(self) -> str:
        """What the retriever starts from: a published GTR, or the encoder of the initial checkpoint."""
        if self.study.retriever.get("initial") == "checkpoint":
            return self._given("retriever.directory", self.study.retriever.get("directory"), "retriever=DIR")
        return self.initial

    @property
    def files_of_data(self) -> list[str]:
        """What a stage that reads the data depends on: the folder made here, or the user's files one by one."""
        return [self.data] if self.makes_data else self.users_files

    @property
    def users_files(self) -> list[str]:
        """The user's KILT-format files, one by one."""
        return sorted(str(path) for path in Path(self.users_data).glob("*.jsonl*"))

    def settings(self, *sections: str) -> dict[str, Any]:
        """Sections of the study as a rule's `params`: when one changes, the stage is stale, whatever the clock says.

        Keys that only say where something lies are left out; SCIENCE_VERSION is in, since it stands for the code.
        """
        values = {name: {k: v for k, v in getattr(self.study, name).items() if k != "directory"} for name in sections}
        return {"science_version": SCIENCE_VERSION, **values}

    @property
    def vocabulary(self) -> list[str]:
        """The folder that brings the vocabulary along, where the study does not train one."""
        return [self.initial] if self.study.tokenizer["kind"] == "checkpoint" else []

    @property
    def vocabulary_option(self) -> list[str]:
        """How the tokenizer's command is told of it."""
        return ["--checkpoint", *self.vocabulary] if self.vocabulary else []

    @property
    def stages(self) -> list[str]:
        """What every reader needs of the stages before training."""
        names = ("passages", "tokenizer/tokenizer.json", "tokens", "retrieved", "filtered")
        return [f"{self.work}/{name}" for name in names]

    @property
    def paper_points(self) -> str:
        """What the paper reports, beside the results that are compared with it."""
        return str(self.study.results / PAPER / "points.csv")

    @property
    def committed_paper_points(self) -> str:
        """The same under version control, where `paper_points` is copied from if the results go elsewhere."""
        return str(COMMITTED / PAPER / "points.csv")

    def run_files(self, runs: Iterable[str] | None = None) -> list[str]:
        """Result files of these runs (default: of all); when only drawing, those that exist."""
        files = [str(self.study.result_file(run)) for run in (self.runs if runs is None else runs)]
        return [file for file in files if Path(file).exists()] if self.draws_only else files

    def sources(self) -> list[str]:
        """What artifacts are drawn of: the study, and the paper where the results are those under version control."""
        return [self.study.name] + ([PAPER] if self.paper_points == self.committed_paper_points else [])

    def drawn(self) -> list[str]:
        """The main file of every artifact, of every source."""
        return [
            f"{self.study.results}/{source}/"
            + (f"tables/{name}.md" if artifact.kind == "table" else f"figures/{name}.svg")
            for source in self.sources()
            for name, artifact in self._artifacts_of(source).items()
        ]

    def points_of(self, wildcards: Any) -> list[str]:
        """The results that one artifact shows: its run files, or the paper's reported points."""
        if wildcards.source == PAPER:
            return [self.paper_points]
        points = self.artifacts[wildcards.artifact].points
        ids = dict.fromkeys(run for point in points for run in point.run_ids)
        return [*self.run_files(ids), self.paper_points]

    def definition_of(self, wildcards: Any) -> str:
        """What config/ says about one artifact, as text: a changed label redraws, a changed comment does not."""
        return repr(self._artifacts_of(wildcards.source)[wildcards.artifact])

    def results_option(self, wildcards: Any) -> list[str]:
        """How analysis/ is told where the results lie."""
        return ["--results", str(self.study.results)]

    def source_option(self, wildcards: Any) -> list[str]:
        """How analysis/ is told what to draw."""
        return ["--paper"] if wildcards.source == PAPER else ["--study", wildcards.source]

    def published(self) -> list[str]:
        """What the report shows of the stages before training; when only drawing, what exists of it."""
        files = [f"{self.results}/retrieval.json", f"{self.results}/filter.json"]
        return [file for file in files if Path(file).exists()] if self.draws_only else files

    def reference_option(self) -> list[str]:
        """The committed results that a repetition elsewhere is compared with by run id, where there are some."""
        committed = COMMITTED / self.study.name
        differs = committed.resolve() != self.study.results_directory.resolve()
        return ["--reference", str(committed)] if differs and any(committed.glob("runs/*.json")) else []

    def code_of(self, wildcards: Any) -> list[str]:
        """The modules that draw one artifact: its own, and what all share, but no other artifact's."""
        return [os.path.relpath(self._module(wildcards.artifact)), *_shared_code(load_registry().artifacts)]

    def code_of_report(self) -> list[str]:
        """The modules and templates that make the report."""
        templates = (REPOSITORY / "analysis" / "templates").glob("*")
        return sorted(_shared_code(load_registry().artifacts, *_REPORT) + [os.path.relpath(path) for path in templates])

    def code_of_checks(self) -> list[str]:
        """The modules behind audit.json and claims.json; no picture depends on them."""
        analysis = REPOSITORY / "analysis"
        shared = [analysis / f"{name}.py" for name in ("audit", "claims", "points", "runs")]
        return [os.path.relpath(path) for path in (*shared, *sorted(analysis.glob("*/*.py")))]

    def checks(self, name: str) -> list[str]:
        """audit.json or claims.json of every source."""
        return [f"{self.study.results}/{source}/{name}.json" for source in self.sources()]

    def reports(self) -> list[str]:
        """The report of every source."""
        return [f"{self.study.results}/{source}/report.html" for source in self.sources()]

    def numbers(self) -> list[str]:
        """Everything that the numbers of all sources come from."""
        return [*self.run_files(), self.paper_points]

    def definitions(self, wildcards: Any) -> str:
        """What config/ says about every artifact, as `definition_of` says it of one."""
        return repr([self._artifacts_of(source) for source in self.sources()])

    def drawings(self) -> list[str]:
        """The drawn points beside the pictures; when only drawing, those that exist: the audit compares, draws none."""
        files = [str(Path(file).with_suffix(".csv")) for file in self.drawn()]
        return [file for file in files if Path(file).exists()] if self.draws_only else files

    @property
    def seal(self) -> str:
        """The digests of the run files as they were measured."""
        return f"{self.results}/runs/SHA256SUMS"

    def seals(self) -> list[str]:
        """The seal; when only drawing, if there is one."""
        return [self.seal] if not self.draws_only or Path(self.seal).exists() else []

    @property
    def shown(self) -> list[str]:
        """How analysis/ is told of all sources at once."""
        paper = ["--paper"] if PAPER in self.sources() else []
        return ["--study", self.study.name, *paper, "--results", str(self.study.results)]

    def needs(self, rule: str) -> dict[str, int]:
        """Threads, mem_mb, runtime (minutes) and gpu of a rule in this study; see workflow/resources.yaml."""
        return _needs(rule, self.study.name)

    def resources(self, rule: str) -> dict[str, int]:
        """`needs` without the threads, which are a directive of their own."""
        return {name: value for name, value in self.needs(rule).items() if name != "threads"}

    def _artifacts_of(self, source: str) -> Mapping[str, Artifact]:
        return self.paper_artifacts if source == PAPER else self.artifacts

    def _module(self, artifact: str) -> Path:
        return REPOSITORY / "analysis" / f"{artifact}.py"

    def _initial(self, section: Mapping[str, Any], key: str, option: str) -> str:
        if section["kind"] == "pretrain":
            return f"{self.work}/init"
        return self._given(key, section.get("directory"), option)

    def _given(self, key: str, directory: str | None, option: str) -> str:
        if directory is None:
            raise InputError("no directory given", where=f"{self.study.source}: {key}",
                             expected=f"--config {option}", found="nothing")  # fmt: skip
        return str(existing(directory))


def layout(config: Mapping[str, Any], arguments: Iterable[str]) -> Layout:
    """The layout that `snakemake ARGUMENTS --config study=NAME data=DIR checkpoint=DIR results=DIR work=DIR` asks for.

    What is wrong with the options ends the program: one line on stderr, exit code 2.
    """
    # The interpreter that runs snakemake is the one whose `glimmer` the rules call, activated or not.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    # Read by the C library before Python starts: huge pages where the kernel gives them on request (`madvise`).
    os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    try:
        found = Layout(study=study_of(config), draws_only=draws_only(arguments))
        if not found.draws_only:
            found.check_places()
        return found
    except GlimmerError as error:
        print(f"snakemake: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def study_of(config: Mapping[str, Any]) -> Study:
    """The study that the --config options name, with its directories. Raises InputError for one it does not take."""
    options = dict(config)
    name = options.pop("study", "embedded")
    for option in options:
        if option not in _OPTIONS and not option.endswith(".directory"):
            raise InputError("no such option", where="--config", found=option,
                             expected=f"study, {', '.join(_OPTIONS)}, or a key that ends in .directory")  # fmt: skip
    study = load_study(name)
    if study.name != name:
        raise InputError("a study is chosen by its name", where="--config", expected=study.name, found=name)
    for option in set(options) & set(_KINDS):
        section, key, kind = _KINDS[option]
        found = getattr(study, section).get(key)
        if found != kind:
            raise InputError(f"study {study.name} takes no {option}", where="--config",
                             expected=f"a study whose {section}.{key} is {kind}", found=found)  # fmt: skip
    return load_study(name, {_OPTIONS.get(option, option): str(value) for option, value in options.items()})


def draws_only(arguments: Iterable[str]) -> bool:
    """Whether a call with these arguments only shows results: then the rules that measure are not even loaded.

    Snakemake does not tell a Snakefile its targets, so its own parser reads them off the command line. A mixture counts
    as drawing only, unless `all` is in it: then a target that has to be measured is unknown, and nothing trains by
    surprise.
    """
    targets = get_argument_parser().parse_known_args(list(arguments))[0].targets or []
    return "all" not in targets and any(
        target in DRAWING_TARGETS
        or Path(target).name in ("report.html", "audit.json", "claims.json")
        or Path(target).parent.name in ("figures", "tables")
        for target in targets
    )


def _shared_code(artifacts: Iterable[str], *wanted: str) -> list[str]:
    """Modules of analysis/ that belong to no single artifact, and the `wanted` ones of those that only report."""
    left_out = {"__init__", "audit", "claims", *_REPORT, *artifacts}
    paths = (REPOSITORY / "analysis").glob("*.py")
    return sorted(os.path.relpath(path) for path in paths if path.stem not in left_out or path.stem in wanted)


@functools.cache
def _resources() -> Mapping[str, Any]:
    return read_yaml(REPOSITORY / "workflow" / "resources.yaml")


def _needs(rule: str, study: str) -> dict[str, int]:
    table = _resources()
    of_study = table["studies"].get(study, {})
    return table["default"] | table["rules"].get(rule, {}) | of_study.get("all", {}) | of_study.get(rule, {})
