"""Figures and tables: one module a kind of artifact (`bars`, `lines` ...), and one for an artifact with its own look.

An artifact is an entry of config/experiments.yaml. It is drawn by `analysis.figures.<its name>` where there is such a
module, else by the one of its kind.
"""

from __future__ import annotations

from analysis.figures.artifact import DrawnArtifact, FigureArtifact
from analysis.figures.table import TableArtifact
from glimmer.experiments import load_registry

BASELINES = "baselines"
"""The one artifact of the registry that is no picture: reports show it beside the readers."""


def drawn(name: str) -> DrawnArtifact:
    """The figure or table of this name. Raises InputError if the registry has none."""
    entry = load_registry().artifact(name)
    return TableArtifact(entry) if entry.kind == "table" else FigureArtifact(entry)


def everything() -> list[DrawnArtifact]:
    """Every figure and table, in the registry's order."""
    return [drawn(name) for name in load_registry().artifacts if name != BASELINES]
