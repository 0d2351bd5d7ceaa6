"""Table 2: GLIMMER with a trained and with a frozen memory encoder."""

from __future__ import annotations

import sys

from analysis import artifact
from analysis.table import TableArtifact

TABLE = TableArtifact(
    name="table2",
    title="Table 2: training the memory encoder",
    caption="Dev average of GLIMMER with its memory encoder trained along, or frozen as initialised.",
    first_column="Memory encoder",
)

if __name__ == "__main__":
    sys.exit(artifact.main(TABLE))
