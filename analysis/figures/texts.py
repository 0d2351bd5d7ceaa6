"""Titles, captions and labels of the paper's artifacts in our words, where the registry's do not say the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from glimmer.experiments import Artifact, Panel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """What an artifact says beside its numbers. `panels`: name -> (heading, label of the x axis)."""

    title: str
    caption: str = ""
    panels: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    first_column: str = "Series"

    def panel(self, panel: Panel) -> tuple[str, str]:
        """(heading, label of the x axis) of one panel."""
        return self.panels.get(panel.name) or (f"{panel.title}, ", panel.x_label or "")


@dataclasses.dataclass(frozen=True)
class DrawnArtifact:
    """A figure or table as the registry has it; what draws or writes it stands in the classes below this one."""

    entry: Artifact

    @property
    def name(self) -> str:
        """As files and links call it."""
        return self.entry.name

    @property
    def text(self) -> Text:
        """Ours where there is one, else the registry's own."""
        return TEXTS.get(self.name) or Text(title=self.entry.title)


TEXTS = {
    "figure2": Text(
        title="Figure 2: quality and speed of the three readers",
        caption="Dev average and speed (samples per TFLOP, from operation counts) of FiD, LUMEN and GLIMMER.",
        panels={"performance": ("Quality, ", ""), "speed": ("Speed, ", "")},
    ),
    "figure3": Text(
        title="Figure 3: passages retrieved and passages kept",
        caption="Dev average of GLIMMER over the number of passages retrieved and over the number kept after"
        " reranking.",
        panels={
            "retrieved": ("Retrieved, ", "passages retrieved (k)"),
            "selected": ("Kept, ", "passages kept after reranking (m)"),
        },
    ),
    "figure4": Text(
        title="Figure 4: rerank proportion",
        caption="Dev average of GLIMMER over the rerank proportion beta, the share of live layers that score passages.",
        panels={"beta": ("", "rerank proportion β")},
    ),
    "figure5": Text(
        title="Figure 5: passages kept, by rerank layers",
        caption="Dev average of GLIMMER over passages kept out of the largest number retrieved, for two rerank depths.",
        panels={"selected": ("", "passages kept after reranking (m)")},
    ),
    "figure6": Text(
        title="Figure 6: multi-task training",
        caption="Exact match on Natural Questions of readers trained on it alone, and what training on all tasks adds.",
    ),
    "figure7": Text(
        title="Figure 7: live proportion",
        caption="Exact match on Natural Questions of LUMEN over the live proportion alpha, by what it was trained on.",
        panels={"alpha": ("", "live proportion α")},
    ),
    "table1": Text(
        title="Table 1: configurations of the reranker",
        caption="Dev average of GLIMMER with the live encoder's first layers as reranker, or a separate reranker.",
        first_column="Reranker",
    ),
    "table2": Text(
        title="Table 2: training the memory encoder",
        caption="Dev average of GLIMMER with its memory encoder trained along, or frozen as initialised.",
        first_column="Memory encoder",
    ),
    "table3": Text(
        title="Table 3: other ablations",
        caption="Dev average of GLIMMER with one change: question encoder, distillation weight λ or temperature τ,"
        " scorer.",
        first_column="Model",
    ),
}
