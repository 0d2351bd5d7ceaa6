"""Table 1: GLIMMER with a shared reranker, a separate one from T5, and a separate one from scratch."""

from __future__ import annotations

import sys

from analysis import artifact
from analysis.table import TableArtifact

TABLE = TableArtifact(
    name="table1",
    title="Table 1: configurations of the reranker",
    caption="Dev average of GLIMMER with the live encoder's first layers as reranker, or a separate reranker.",
    first_column="Reranker",
)

if __name__ == "__main__":
    sys.exit(artifact.main(TABLE))
