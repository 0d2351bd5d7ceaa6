"""Where the stages of one study put their files, what decides their content, and what a stage needs of a machine."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments import Run, Study, runs_for
from glimmer.experiments.sections import (
    CheckpointInitial,
    GeneratedData,
    Initial,
    KiltData,
    PretrainedInitial,
    PublishedGtr,
)
from glimmer.experiments.stages import STAGES, decides, work_file
from glimmer.experiments.strict import record
from glimmer.files import existing, read_json, require_plain
from glimmer.kilt.formats import knowledge_source_file
from glimmer.models.config import T5Config, from_hugging_face, require_size
from glimmer.models.forms import config_file
from glimmer.parts import all_parts, parts_folder, stamp_file
from glimmer.results.failed_runs import FOLDER
from glimmer.results.foreign import FOLDER as FOREIGN_FOLDER
from glimmer.results.run_files import KILT_CHECK
from glimmer.retrieval.towers import HALVES, half_directory
from glimmer.runs.inputs import Digests, check_results, files_of_data, given_inputs, hold
from workflow.missing import require_inputs
from workflow.needs import ON_DEVICES, minutes, needs, over_nodes
from workflow.options import COMMITTED, option_of_size
from worlds.recipe import Recipe

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """One study on disk. `draws_only`: only what exists will be shown, and nothing measured."""

    study: Study
    draws_only: bool
    replicate: int | None = None
    """Of which replicate it is; None: of the whole study."""

    @functools.cached_property
    def runs(self) -> Mapping[str, Run]:
        """Every run of the study by id."""
        return runs_for(self.study)

    def at(self, wildcards: Any) -> Layout:
        """The layout of the replicate that a job's wildcards name, or its run belongs to; of a study without, this."""
        if not self.study.replicates:
            return self
        named = getattr(wildcards, "replicate", None)
        return self.replicates[self.runs[wildcards.run].seed if named is None else int(named)]

    @functools.cached_property
    def replicates(self) -> Mapping[int, Layout]:
        """The layout of each replicate, by seed; empty where the study has none."""
        if not self.study.replicates:
            return {}
        return {
            seed: dataclasses.replace(self, study=self.study.replicate(seed), replicate=seed)
            for seed in self.study.seeds
        }

    @property
    def work(self) -> str:
        """The heavy files of the study, or of the replicate; nothing of it is under version control.

        Of a study with replicates it is a pattern, `replicate-{replicate}` at its end.
        """
        return str(self._work)

    @property
    def _work(self) -> Path:
        whole = self.study.work_directory
        if self.study.replicates:
            return whole / "replicate-{replicate}"
        return whole if self.replicate is None else whole / f"replicate-{self.replicate}"

    @property
    def results(self) -> str:
        """The study's small results."""
        return str(self.study.results_directory)

    @property
    def published_results(self) -> str:
        """Where what stages publish lies among results: a pattern where there are replicates."""
        return self.results + ("/replicate-{replicate}" if self.study.replicates else "")

    @property
    def published_places(self) -> list[str]:
        """Where what stages publish lies: of each replicate, or of the study that has none."""
        return [f"{self.results}/replicate-{seed}" for seed in self.replicates] or [self.results]

    @property
    def published_checkpoints(self) -> list[str]:
        """The pretrained checkpoint of each of these places; none where the study pretrains none."""
        pretrains = isinstance(self.study.initial, PretrainedInitial)
        return [f"{place}/init" for place in self.published_places] if pretrains else []

    @property
    def place_among_results(self) -> str:
        """The folder below the results that is this replicate's own, with a slash; nothing of a whole study."""
        return "" if self.replicate is None else f"replicate-{self.replicate}/"

    @property
    def option(self) -> list[str]:
        """How a stage's command is told of the replicate."""
        return [] if self.replicate is None else ["--replicate", str(self.replicate)]

    @functools.cached_property
    def data(self) -> str:
        """The folder with the knowledge source and the tasks: one made here, or the user's. Raises InputError."""
        return self.path("data") if self.makes_data else self.users_data

    @property
    def makes_data(self) -> bool:
        """Whether the study generates its data or takes a part of the user's."""
        return isinstance(self.study.data, GeneratedData) or self.takes_subset

    @property
    def takes_subset(self) -> bool:
        """Whether the study uses a part of the user's data."""
        return isinstance(self.study.data, KiltData) and self.study.data.subset is not None

    @functools.cached_property
    def users_data(self) -> str:
        """The folder with the user's KILT-format files. Raises InputError."""
        return self._given("data.directory", self.study.data, "data=DIR")

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
        if isinstance(self.study.initial_for(size), PretrainedInitial):
            raise InputError("a size of its own needs a checkpoint", where=f"{self.study.source}: {key}.kind",
                             expected="checkpoint", found="pretrain")  # fmt: skip
        return self._initial(self.study.initial_for(size), f"{key}.directory", f"{option_of_size(size)}=DIR")

    def check_inputs(self) -> None:
        """Raises InputError where what the study needs from outside is not given or not there (all in one line),
        of another size, or not the bytes that its name has stood for so far; and where a result that stands was made
        of other bytes."""
        require_inputs(self.study, self.runs.values())
        if isinstance(self.study.data, KiltData) and not self.makes_data and self.parts("chunk") > 1:
            require_plain(knowledge_source_file(self.data))
        if isinstance(self.study.initial, PretrainedInitial):
            Recipe.from_section(record(self.study.initial), where=self.study.source)
        for directory, run in self._given_checkpoints.items():
            require_size(_dimensions(directory), run.dimensions, directory)
        if self.inputs:
            check_results(self.study, self.runs)

    @functools.cached_property
    def inputs(self) -> Digests:
        """Digests of all outside inputs of the study, held to its pins and its lock; none when only drawing."""
        return {} if self.draws_only else hold(self.study, given_inputs(self.study, self.runs))

    @property
    def _given_checkpoints(self) -> dict[str, Run]:
        """Directories of the user's checkpoints, each with a run that starts from it."""
        directories = {self.initial_of(id): run for id, run in self.runs.items()}
        return {directory: run for directory, run in directories.items() if directory != self.path("initial")}

    @property
    def initial_of_retriever(self) -> str:
        """What the retriever starts from: a published GTR, or the encoder of the initial checkpoint."""
        if isinstance(self.study.retriever, PublishedGtr):
            return self._given("retriever.directory", self.study.retriever, "retriever=DIR")
        return self.initial

    @property
    def data_of_retriever(self) -> str:
        """The questions that the retriever learns from: of a world of its own, or the study's."""
        return self.path("retriever_data") if self.study.retriever_has_world else self.data

    @property
    def files_of_retriever_data(self) -> list[str]:
        """What training the retriever depends on of its data."""
        return [self.data_of_retriever] if self.study.retriever_has_world else self.files_of_data

    @property
    def passages_of_retriever(self) -> str:
        """The passages that answer `data_of_retriever`."""
        return self.path("retriever_passages" if self.study.retriever_has_world else "passages")

    @property
    def embedded(self) -> list[str]:
        """The file that is written last of each tower's embeddings."""
        place = self.path("embeddings")
        places = [half_directory(place, half) for half in HALVES] if self.study.cross_fits_retriever else [Path(place)]
        return [str(directory / "meta.json") for directory in places]

    @property
    def tower_options(self) -> list[str]:
        """How retrieval is told of the tower and its embeddings, where there is one."""
        if self.study.retriever.kind != "gtr":
            return []
        return ["--gtr", self.path("gtr"), "--embeddings", self.path("embeddings")]

    def trained(self, run: str) -> str:
        """What training leaves of a run's parameters."""
        return f"{self.work}/runs/{self.runs[run].trained_id}/trained"

    def remembered(self, run: str) -> list[str]:
        """What says that each part of a run's memory is made; empty where evaluation makes it all, or reads none."""
        of = self.parts("remember")
        if of == 1 or not self.runs[run].reads_memory:
            return []
        return [f"{self.work}/runs/{run}/memory.parts/{part.name}" for part in all_parts(of)]

    @functools.cached_property
    def files_of_data(self) -> list[str]:
        """What a stage that reads the data depends on: the folder made here, or the user's files one by one."""
        return [self.data] if self.makes_data else self.users_files

    @functools.cached_property
    def users_files(self) -> list[str]:
        """The user's KILT-format files that the study reads, one by one, under whichever name they have."""
        return [str(path) for path in files_of_data(self.study, self.users_data)]

    def path(self, name: str) -> str:
        """Where what a stage leaves lies, by its name in glimmer/experiments/stages.py."""
        return str(work_file(self._work, name))

    def parts(self, stage: str) -> int:
        """How many jobs a stage over the knowledge source, or a run's memory, is split into."""
        return getattr(self.study.parts, stage)

    def stamp(self, name: str, stage: str) -> str:
        """What each part of a stage that leaves `name` ends with: a pattern in {part}, the part's number.

        The part's data lie beside it, out of Snakemake's reach: they go while the parts are put together, and that may
        be interrupted.
        """
        return str(parts_folder(self.path(name)) / f"{{part}}-of-{self.parts(stage)}.json")

    def stamps(self, name: str, stage: str) -> list[str]:
        """`stamp` of every part."""
        return [str(stamp_file(self.path(name), part)) for part in all_parts(self.parts(stage))]

    def decides(self, stage: str) -> dict[str, Any]:
        """What decides a stage's output, as its rule's parameter: the study's part, and bytes of outside inputs.

        When it changes the stage is stale, whatever the clock says.
        """
        return decides(self.study, stage) | {"inputs": self.inputs_of(stage)}

    def inputs_of(self, stage: str) -> dict[str, Any]:
        """Digests of the outside inputs that a stage reads."""
        sections = (*STAGES[stage].reads, *STAGES[stage].checks)
        return {section: self.inputs[section] for section in sections if section in self.inputs}

    @staticmethod
    def generated_sizes(data: GeneratedData) -> list[str]:
        """What the command that generates data is told: seed, sizes and the other knobs that the study names."""
        given = {"--seed": data.seed, "--pages": data.pages, "--dev-examples": data.dev_examples}
        sizes = [text for option, value in given.items() if value is not None for text in (option, str(value))]
        knobs = dict(data.world) | ({"train_examples_of": dict(data.train_examples)} if data.train_examples else {})
        return sizes + [text for knob, value in knobs.items() for text in ("--set", f"{knob}={json.dumps(value)}")]

    def rule_files(self) -> list[str]:
        """The rules, a file a stage; last those that show what was measured.

        A call that only shows does not even load the others, so it cannot trigger them.
        """
        files = sorted((REPOSITORY / "workflow" / "rules").glob("*.smk"), key=lambda file: file.stem == "analysis")
        return [str(path) for path in (files[-1:] if self.draws_only else files)]

    @functools.cached_property
    def stages(self) -> list[str]:
        """What every reader needs of the stages before training."""
        return [self.path(name) for name in ("passages", "tokenizer", "tokens", "retrieved", "filtered")]

    def run_files(self, runs: Iterable[str] | None = None) -> list[str]:
        """Result files of these runs (default: of all); when only drawing, those that exist."""
        files = [str(self.study.result_file(run)) for run in (self.runs if runs is None else runs)]
        return [file for file in files if Path(file).exists()] if self.draws_only else files

    def every_run_file(self) -> list[str]:
        """`run_files`, and what else lies among them: the checks look at every file there."""
        found = (str(path) for path in self.study.results_directory.glob("runs/*.json"))
        return sorted({*self.run_files(), *found})

    def foreign(self) -> list[str]:
        """Files of foreign readers: of no rule, since `glimmer import` writes them."""
        return sorted(str(path) for path in self.study.results_directory.glob(f"{FOREIGN_FOLDER}/*.json"))

    def published(self) -> list[str]:
        """What the report shows of the stages before training, of each replicate; when only drawing, what exists."""
        names = ["retrieval", "filter", "lengths", "priors"] + (
            ["reading"] if isinstance(self.study.initial, PretrainedInitial) else []
        )
        files = [f"{place}/{name}.json" for place in self.published_places for name in names]
        files = [file for file in files if Path(file).exists()] if self.draws_only else files
        if self.draws_only:  # a call that measures comes to the report only when no run has failed
            files += sorted(str(path) for path in self.study.results_directory.glob(f"{FOLDER}/*.json"))
        later = f"{self.results}/{KILT_CHECK}"  # of no rule: `glimmer crosscheck` writes it where KILT's package is
        return files + self.foreign() + ([later] if Path(later).exists() else [])

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

    @functools.cached_property
    def _minutes(self) -> Mapping[tuple[str, str], int]:
        return minutes(self.study, self.runs.values())

    def resources(self, rule: str) -> dict[str, Any]:
        """`needs` without the threads, which are a directive of their own, over as many nodes as the study's devices
        take, and how a command starts there; and where results go. Where the study has a machine, the runtime is a
        function of the wildcards: the plan's for that job, and the stated one where the plan has none, as for `train`
        of a reader that is not trained.

        A command is told of the results for the lock of outside inputs that lies there. Among a rule's `params`,
        another place for results would make every stage stale, and so would another number of nodes.
        """
        needed = {name: value for name, value in self.needs(rule).items() if name != "threads"}
        if any(stage == rule for stage, _ in self._minutes):
            needed["runtime"] = lambda wildcards: self._minutes.get(
                (rule, getattr(wildcards, "run", "")), self.needs(rule)["runtime"]
            )
        over = over_nodes(self.study, rule)
        started = over.command() if rule in ON_DEVICES else {}
        return needed | over.resources() | started | {"results": str(self.study.results)}

    @property
    def nodes(self) -> int:
        """Over how many nodes the widest job of the study lies. Raises InputError as `over_nodes` does."""
        return max(over_nodes(self.study, rule).nodes for rule in ON_DEVICES)

    def _initial(self, section: Initial, key: str, option: str) -> str:
        return self.path("initial") if isinstance(section, PretrainedInitial) else self._given(key, section, option)

    def _given(self, key: str, section: KiltData | CheckpointInitial | PublishedGtr, option: str) -> str:
        if section.directory is None:
            raise InputError("no directory given", where=f"{self.study.source}: {key}",
                             expected=f"--config {option}", found="nothing")  # fmt: skip
        return str(existing(section.directory))


def _dimensions(checkpoint: str) -> T5Config:
    """What a checkpoint says of its size: config.json, else (T5X's form) its arrays."""
    described = config_file(checkpoint)
    if described.exists():
        return from_hugging_face(read_json(described), where=described)
    from glimmer.models.checkpoint import read_config  # it needs jax, which nothing else here does

    return read_config(checkpoint)
