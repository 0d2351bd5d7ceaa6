"""Where the stages of one study put their files, what decides their content, and what a stage needs of a machine."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments import Run, Study, runs_for
from glimmer.experiments.settings import SCIENCE_VERSION
from glimmer.files import existing, read_json
from glimmer.models.config import from_hugging_face, require_size
from workflow.needs import needs
from workflow.options import COMMITTED

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """One study on disk. `draws_only`: only what exists will be shown, and nothing measured."""

    study: Study
    draws_only: bool

    @functools.cached_property
    def runs(self) -> Mapping[str, Run]:
        """Every run of the study by id."""
        return runs_for(self.study)

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
    def generated_sizes(self) -> list[str]:
        """What the command that generates the data is told of its size."""
        given = {name: self.study.data[name] for name in ("seed", "pages", "dev_examples") if name in self.study.data}
        return [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]

    @property
    def stages(self) -> list[str]:
        """What every reader needs of the stages before training."""
        names = ("passages", "tokenizer/tokenizer.json", "tokens", "retrieved", "filtered")
        return [f"{self.work}/{name}" for name in names]

    def run_files(self, runs: Iterable[str] | None = None) -> list[str]:
        """Result files of these runs (default: of all); when only drawing, those that exist."""
        files = [str(self.study.result_file(run)) for run in (self.runs if runs is None else runs)]
        return [file for file in files if Path(file).exists()] if self.draws_only else files

    def every_run_file(self) -> list[str]:
        """`run_files`, and what else lies among them: the checks look at every file there."""
        found = (str(path) for path in self.study.results_directory.glob("runs/*.json"))
        return sorted({*self.run_files(), *found})

    def published(self) -> list[str]:
        """What the report shows of the stages before training; when only drawing, what exists of it."""
        names = ["retrieval", "filter"] + (["reading"] if self.study.initial["kind"] == "pretrain" else [])
        files = [f"{self.results}/{name}.json" for name in names]
        return [file for file in files if Path(file).exists()] if self.draws_only else files

    def reference_option(self) -> list[str]:
        """The committed results that a repetition elsewhere is compared with by run id, where there are some."""
        committed = COMMITTED / self.study.name
        differs = committed.resolve() != self.study.results_directory.resolve()
        return ["--reference", str(committed)] if differs and any(committed.glob("runs/*.json")) else []

    @property
    def seal(self) -> str:
        """The digests of the run files as they were measured."""
        return f"{self.results}/runs/SHA256SUMS"

    def seals(self) -> list[str]:
        """The seal; when only drawing, if there is one."""
        return [self.seal] if not self.draws_only or Path(self.seal).exists() else []

    def needs(self, rule: str) -> dict[str, int]:
        """Threads, mem_mb, runtime (minutes) and gpu of a rule in this study; see workflow/resources.yaml."""
        return needs(rule, self.study.name)

    def resources(self, rule: str) -> dict[str, int]:
        """`needs` without the threads, which are a directive of their own."""
        return {name: value for name, value in self.needs(rule).items() if name != "threads"}

    def _initial(self, section: Mapping[str, Any], key: str, option: str) -> str:
        if section["kind"] == "pretrain":
            return f"{self.work}/init"
        return self._given(key, section.get("directory"), option)

    def _given(self, key: str, directory: str | None, option: str) -> str:
        if directory is None:
            raise InputError("no directory given", where=f"{self.study.source}: {key}",
                             expected=f"--config {option}", found="nothing")  # fmt: skip
        return str(existing(directory))
