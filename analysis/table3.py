"""Table 3: other ablations of GLIMMER."""

from __future__ import annotations

import sys

from analysis import artifact
from analysis.table import TableArtifact

TABLE = TableArtifact(
    name="table3",
    title="Table 3: other ablations",
    caption="Dev average of GLIMMER with one change: question encoder, distillation weight λ or temperature τ, scorer.",
    first_column="Model",
)

if __name__ == "__main__":
    sys.exit(artifact.main(TABLE))
