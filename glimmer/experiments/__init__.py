"""The registry: studies, artifacts, points, runs and their ids. Pure data, no jax."""

from glimmer.experiments.documents import config_digest
from glimmer.experiments.entries import load_registry
from glimmer.experiments.grid import Run, artifacts_of, points, run_of, runs_for
from glimmer.experiments.registry import Artifact, Panel, Point, Series
from glimmer.experiments.reported import PaperValue, paper_values
from glimmer.experiments.settings import (
    TASKS,
    LayerSplit,
    ReaderSettings,
    run_id,
    split_layers,
)
from glimmer.experiments.study import Study, load_study, parse_overrides, study_files, study_names

__all__ = [
    "TASKS",
    "Artifact",
    "LayerSplit",
    "Panel",
    "PaperValue",
    "Point",
    "ReaderSettings",
    "Run",
    "Series",
    "Study",
    "artifacts_of",
    "config_digest",
    "load_registry",
    "load_study",
    "paper_values",
    "parse_overrides",
    "points",
    "run_id",
    "run_of",
    "runs_for",
    "split_layers",
    "study_files",
    "study_names",
]
