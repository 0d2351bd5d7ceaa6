"""A study's grid: its artifacts and points at its own scale, and the deduplicated runs that yield them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from glimmer.compute import Dimensions, Workload
from glimmer.errors import InputError
from glimmer.experiments.registry import Artifact, Panel, Point, Registry, Series, Term, fill_in, load_registry
from glimmer.experiments.settings import ReaderSettings, run_id
from glimmer.experiments.study import Study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One trained and evaluated reader. `settings` is what `id` digests, `points` the ids of the points it serves."""

    id: str
    seed: int
    size: str
    reader: ReaderSettings
    settings: dict[str, Any]
    dimensions: Dimensions
    workload: Workload
    points: tuple[str, ...]


def artifacts_of(study: Study, registry: Registry | None = None) -> dict[str, Artifact]:
    """The study's artifacts, then the baselines it asks for, every point at its scale and with its run ids.

    Raises InputError where the study cannot hold one: an unknown artifact, a measured task it lacks, a scale that
    loses the order of the paper's values, or a retriever that goes less deep than the largest k.
    """
    registry = registry or load_registry()
    chosen = [registry.artifact(name) for name in study.artifacts]
    if study.baselines:
        baselines = registry.artifact("baselines")
        panels = tuple(panel for panel in baselines.panels if panel.name in study.baselines)
        chosen.append(dataclasses.replace(baselines, panels=panels))
    _check_scale(study, chosen)
    found = {artifact.name: _at_scale(study, artifact) for artifact in chosen}
    deepest = max(point.reader.k for artifact in found.values() for point in artifact.points)
    if deepest > study.retriever["depth"]:
        raise InputError(
            "retriever.depth is too small",
            where=study.source,
            expected=f"at least k = {deepest}",
            found=study.retriever["depth"],
        )
    return found


def points(study: Study, registry: Registry | None = None) -> tuple[Point, ...]:
    """Every point of the study, in the order of its artifacts."""
    return tuple(point for artifact in artifacts_of(study, registry).values() for point in artifact.points)


def runs_for(study: Study, registry: Registry | None = None) -> dict[str, Run]:
    """Every run of the study by id, seed by seed: points that rest on equal settings share one."""
    found: dict[str, Run] = {}
    all_points = points(study, registry)
    for seed in study.seeds:
        for point in all_points:
            for term in point.terms:
                found_before = found.get(term.run_ids[seed])
                run = found_before or _run(study, term.reader, seed, point.size)
                if point.id not in run.points:
                    run = dataclasses.replace(run, points=(*run.points, point.id))
                found[run.id] = run
    return found


def _run(study: Study, reader: ReaderSettings, seed: int, size: str) -> Run:
    settings = study.run_settings(reader, seed, size)
    return Run(
        id=run_id(settings),
        seed=seed,
        size=size,
        reader=reader,
        settings=settings,
        points=(),
        dimensions=study.dimensions(size),
        workload=study.workload(reader),
    )


def _at_scale(study: Study, artifact: Artifact) -> Artifact:
    return dataclasses.replace(artifact, panels=tuple(_panel(study, panel) for panel in artifact.panels))


def _panel(study: Study, panel: Panel) -> Panel:
    if panel.measure.task is not None and panel.measure.task not in study.tasks:
        raise InputError(
            "artifact needs a task that the study lacks",
            where=study.source,
            expected=panel.measure.task,
            found=", ".join(study.tasks),
        )
    series = []
    for one in panel.series:
        members = tuple(_point(study, point) for point in one.points)
        label = fill_in(one.template, members[0].reader, study.dimensions(members[0].size))
        members = tuple(dataclasses.replace(member, label=label) for member in members)
        series.append(Series(name=one.name, label=label, template=one.template, level=one.level, points=members))
    about = next((one for one in series if not one.level), series[0]).points[0]
    title = fill_in(panel.template, about.reader, study.dimensions(about.size))
    return dataclasses.replace(panel, title=title, series=tuple(series))


def _point(study: Study, point: Point) -> Point:
    terms = tuple(_term(study, term, point.size) for term in point.terms)
    reader, x = terms[0].reader, point.paper_x
    if x is not None:
        own_axis = point.x_name in ("alpha", "beta") and not point.level
        x = getattr(reader, point.x_name) if own_axis else study.scale.x(point.x_name, x)
    rounding = _rounding(point.reader, reader, study.dimensions(point.size).encoder_layers)
    return dataclasses.replace(point, terms=terms, x=x, rounding=rounding)


def _term(study: Study, term: Term, size: str) -> Term:
    reader = study.scale.reader(term.reader)
    tasks = tuple(task for task in reader.train_tasks if task in study.tasks)
    if not tasks:
        raise InputError(
            "no task left to train on",
            where=study.source,
            expected=", ".join(reader.train_tasks),
            found=", ".join(study.tasks),
        )
    changes = study.distillation if reader.name == "glimmer" else {}
    reader = reader.change(train_tasks=tasks, **changes).resolved(study.dimensions(size).encoder_layers)
    ids = {seed: run_id(study.run_settings(reader, seed, size)) for seed in study.seeds}
    return dataclasses.replace(term, reader=reader, run_ids=ids)


def _rounding(paper: ReaderSettings, own: ReaderSettings, layers: int) -> str | None:
    """In words, where the reader's proportions are not the paper's; None where they are (or say nothing, at k = 0)."""
    if own.k == 0:
        return None
    split, notes = own.split(layers), []
    if own.alpha != paper.alpha:
        notes.append(f"α = {own.alpha} for {paper.alpha} ({split.live_layers} of {layers} layers live)")
    if own.beta is not None and own.beta != paper.beta:
        layers_said = f"{split.rerank_layers} of {split.live_layers} live layers rerank"
        notes.append(f"β = {own.beta} for {paper.beta} ({layers_said})")
    return "; ".join(notes) or None


def _check_scale(study: Study, artifacts: Iterable[Artifact]) -> None:
    readers = [term.reader for artifact in artifacts for point in artifact.points for term in point.terms]
    used: dict[str, list[int | Fraction]] = {
        "passages": [value for reader in readers for value in (reader.k, reader.m)],
        "alpha": [reader.alpha for reader in readers],
        "beta": [reader.beta for reader in readers if reader.beta is not None],
    }
    for kind, values in used.items():
        study.scale.check_order(kind, values, study.source)
