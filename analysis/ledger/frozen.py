"""Whether claims and endpoints were fixed before a study was measured: run files carry the digests of both."""

from __future__ import annotations

from collections import Counter
from typing import Any

from glimmer.experiments.documents import config_digest
from glimmer.results import StudyResults


def frozen(study: StudyResults, what: str = "claims") -> dict[str, Any]:
    """{"digest": of config/`what`.yaml now, "runs": how many planned runs carry each digest, "note": a sentence}.

    Runs of before digests were kept count under "none".
    """
    now = config_digest(what)
    planned = {id for point in study.planned.values() for id in point.run_ids}
    kept = Counter(run.get(what) or "none" for id, run in study.runs.by_id.items() if id in planned)
    total, same = sum(kept.values()), kept[now]
    if not total:
        note = f"No run was made under these {what} yet."
    elif same == total:
        note = f"The {what} are as they were when each of the {total} runs was made."
    else:
        note = f"The {what} changed since: {total - same} of {total} runs were made under others, or kept no digest."
    return {"digest": now, "runs": dict(kept), "note": note}
