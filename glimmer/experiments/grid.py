"""A study's grid: its artifacts and points at its own scale, and the deduplicated runs that yield them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from glimmer.compute import Dimensions, Workload
from glimmer.errors import InputError, did_you_mean
from glimmer.experiments.entries import build_artifacts, load_registry
from glimmer.experiments.registry import Artifact, Panel, Point, Term
from glimmer.experiments.settings import ReaderSettings, run_id
from glimmer.experiments.study import Study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One trained and evaluated reader. `settings` is what `id` digests, `points` the ids of the points it serves.

    `trained_id` is the run whose parameters it has: its own id, but where it is given other passages on dev.
    """

    id: str
    trained_id: str
    seed: int
    size: str
    reader: ReaderSettings
    settings: dict[str, Any]
    dimensions: Dimensions
    workload: Workload
    points: tuple[str, ...]

    @property
    def reads_memory(self) -> bool:
        """Whether it answers from precomputed memory of its passages."""
        return self.reader.alpha < 1 and self.reader.k > 0

    @property
    def lot(self) -> int:
        """The seed of whatever is drawn by lot in training and answering: `seed`, or another one for a twin of it."""
        return (self.seed + self.reader.draw * _BETWEEN_TWINS) % 2**32


_BETWEEN_TWINS = 2_654_435_761
"""An odd number near 2**32 / 1.618: twins' lots are those of no study's few small seeds."""


def artifacts_of(study: Study) -> dict[str, Artifact]:
    """The study's artifacts, then the baselines it asks for, every point at its scale and with its run ids.

    Raises InputError where the study cannot hold one: an unknown artifact, a measured task it lacks, a scale that
    loses the order of the paper's values, two points that become one run, or a retriever that goes less deep than the
    largest k.
    """
    names = [*study.artifacts, *(["baselines"] if study.baselines else [])]
    published = load_registry()
    _check_tasks(study, [published.artifact(name) for name in names])
    _check_scale(study, published.points(*names))
    artifacts = build_artifacts(names, _AtScale(study))
    artifacts |= {name: _at_seeds(artifacts[name], seeds) for name, seeds in _fewer_seeds(study, artifacts).items()}
    if study.baselines:
        panels = tuple(panel for panel in artifacts["baselines"].panels if panel.name in study.baselines)
        artifacts["baselines"] = dataclasses.replace(artifacts["baselines"], panels=panels)
    deepest = max(point.reader.k for artifact in artifacts.values() for point in artifact.points)
    if deepest > study.retriever.depth:
        raise InputError(
            "retriever.depth is too small",
            where=study.source,
            expected=f"at least k = {deepest}",
            found=study.retriever.depth,
        )
    return artifacts


def points(study: Study) -> tuple[Point, ...]:
    """Every point of the study, in the order of its artifacts."""
    return tuple(point for artifact in artifacts_of(study).values() for point in artifact.points)


def runs_for(study: Study) -> dict[str, Run]:
    """Every run of the study by id, seed by seed: points that rest on equal settings share one."""
    runs: dict[str, Run] = {}
    all_points = points(study)
    for seed in study.seeds:
        for point in all_points:
            for term in point.terms:
                if (id := term.run_ids.get(seed)) is None:
                    continue
                run = runs.get(id) or _run(study, term.reader, seed, point.size)
                if run.trained_id != id and run.trained_id not in runs:
                    runs[run.trained_id] = _run(study, run.reader.as_trained, run.seed, point.size)
                if point.id not in run.points:
                    run = dataclasses.replace(run, points=(*run.points, point.id))
                runs[id] = run
    return runs


def run_of(study: Study, run_id: str) -> Run:
    """The run of this id. Raises InputError if the study has none."""
    runs = runs_for(study)
    if run_id not in runs:
        near = did_you_mean(run_id, runs)
        expected = f"one of {len(runs)} ids (`glimmer runs` lists them)"
        raise InputError(f"no such run{near}", where=study.source, expected=expected, found=run_id)
    return runs[run_id]


def _run(study: Study, reader: ReaderSettings, seed: int, size: str) -> Run:
    settings = study.run_settings(reader, seed, size)
    return Run(
        id=run_id(settings),
        trained_id=run_id(study.run_settings(reader.as_trained, seed, size)),
        seed=seed,
        size=size,
        reader=reader,
        settings=settings,
        points=(),
        dimensions=study.dimensions(size),
        workload=study.workload(reader),
    )


@dataclasses.dataclass(frozen=True)
class _AtScale:
    """An entry as one study has it: at its scale, on its tasks, with what the entry leaves open filled in."""

    study: Study

    def dimensions(self, size: str) -> Dimensions:
        return self.study.dimensions(size)

    def reader(self, paper: ReaderSettings, stated: frozenset[str], size: str) -> ReaderSettings:
        reader = self.study.scale.reader(paper)
        tasks = tuple(task for task in reader.train_tasks if task in self.study.tasks)
        if not tasks:
            raise InputError(
                "no task left to train on",
                where=self.study.source,
                expected=", ".join(reader.train_tasks),
                found=", ".join(self.study.tasks),
            )
        open_to_study = vars(self.study.distillation) if reader.name == "glimmer" else {}
        filled_in = {key: value for key, value in open_to_study.items() if key not in stated}
        return reader.change(train_tasks=tasks, **filled_in).resolved(self.dimensions(size).encoder_layers)

    def x(self, name: str, value: int | Fraction, own: Fraction | None) -> int | Fraction:
        return self.study.scale.x(name, value) if own is None else own

    def rounding(self, paper: ReaderSettings, reader: ReaderSettings, size: str) -> str | None:
        if reader.k == 0:
            return None  # a closed book has no proportions to speak of
        layers, notes = self.dimensions(size).encoder_layers, []
        split = reader.split(layers)
        if reader.alpha != paper.alpha:
            notes.append(f"α = {reader.alpha} for {paper.alpha} ({split.live_layers} of {layers} layers live)")
        if reader.beta is not None and reader.beta != paper.beta:
            rerank = f"{split.rerank_layers} of {split.live_layers} live layers rerank"
            notes.append(f"β = {reader.beta} for {paper.beta} ({rerank})")
        return "; ".join(notes) or None

    def run_ids(self, reader: ReaderSettings, size: str) -> Mapping[int, str]:
        """Seed -> run. A reader that no seed changes is one run, which stands at every seed."""
        seeds = self.study.seeds
        own = {seed: seed if reader.is_drawn or self.study.replicates else seeds[0] for seed in seeds}
        return {seed: run_id(self.study.run_settings(reader, own[seed], size)) for seed in seeds}


def _fewer_seeds(study: Study, artifacts: Mapping[str, Artifact]) -> dict[str, tuple[int, ...]]:
    unknown = sorted(set(study.fewer_seeds) - set(artifacts))
    if unknown:
        raise InputError("no artifacts of the study", where=f"{study.source}: fewer_seeds",
                         expected=", ".join(artifacts), found=", ".join(unknown))  # fmt: skip
    return {name: study.seeds[:count] for name, count in study.fewer_seeds.items()}


def _at_seeds(artifact: Artifact, seeds: tuple[int, ...]) -> Artifact:
    """The artifact with every point's runs at these seeds alone."""

    def kept(term: Term) -> Term:
        return dataclasses.replace(term, run_ids={seed: id for seed, id in term.run_ids.items() if seed in seeds})

    def at(point: Point) -> Point:
        return dataclasses.replace(point, terms=tuple(map(kept, point.terms)))

    def of(panel: Panel) -> Panel:
        series = (dataclasses.replace(each, points=tuple(map(at, each.points))) for each in panel.series)
        return dataclasses.replace(panel, series=tuple(series))

    return dataclasses.replace(artifact, panels=tuple(map(of, artifact.panels)))


def _check_tasks(study: Study, artifacts: Iterable[Artifact]) -> None:
    for artifact in artifacts:
        for measure in dict.fromkeys(point.measure for point in artifact.points):
            if measure.task is not None and measure.task not in study.tasks:
                raise InputError(
                    "artifact needs a task that the study lacks",
                    where=f"{study.source}: {artifact.name}",
                    expected=measure.task,
                    found=", ".join(study.tasks),
                )


def _check_scale(study: Study, published: Iterable[Point]) -> None:
    readers = [term.reader for point in published for term in point.terms]
    used: dict[str, list[int | Fraction]] = {
        "passages": [value for reader in readers for value in (reader.k, reader.m)],
        "alpha": [reader.alpha for reader in readers],
        "beta": [reader.beta for reader in readers if reader.beta is not None],
    }
    for kind, values in used.items():
        study.scale.check_order(kind, values, study.source)
