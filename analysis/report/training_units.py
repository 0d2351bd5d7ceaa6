"""Whether training happened: every reader's fine-tuning in units that need no model size, the paper's own beside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from analysis.ledger.delivered import self_of, untrained_selves
from analysis.names import TASK_NAMES, reader_text
from analysis.report.cells import NOTHING, Cell, CellTable, count, ordered_runs, run_links
from glimmer.results import StudyResults, answers_apart
from glimmer.results.run_files import has_anothers_parameters

PARTS = ("memory", "live", "decoder")
PAPER_RATE, PAPER_BATCH, PAPER_WIDTHS = 1e-4, 128, {"Large": 1024, "XXL": 4096}  # section 4.1; T5.1.1's d_model
PAPER_STEPS = 10_000  # for so many: the paper says "until convergence"
PAPER_ROWS = {
    "nq": 87_372,
    "triviaqa": 61_844,
    "hotpotqa": 88_869,
    "fever": 104_966,
    "zsre": 147_909,
    "trex": 2_284_168,
}
"""KILT's train sets (Petroni et al. 2020), before the relevance filter, of which the paper gives no counts."""


def training_units(study: StudyResults) -> CellTable | None:
    """A row for every trained reader of the study, means over its seeds; None where no run says how it was trained."""
    readers: dict[str, list[str]] = {}
    for id, run in ordered_runs(study):
        if run.get("training_units") and not has_anothers_parameters(run):
            readers.setdefault(reader_text(run["settings"]), []).append(id)
    if not readers:
        return None
    untrained = untrained_selves(study.runs.by_id)
    heads = [
        "Reader",
        *(f"Path, {part} (of its size)" for part in PARTS),
        *(f"Moved, {part} (percent)" for part in PARTS),
    ]
    heads += ["Scorer's span (nats)", "Epochs", "Answers changed by training (percent)"]
    rows = [_row(name, ids, study, untrained) for name, ids in readers.items()]
    return CellTable(
        caption="Path: the sum of learning rates over the root mean square of the weights, the farthest that training"
        " can have moved them. Moved: how far it did. Span: the sum of the scorer's rates times the model's width, the"
        " farthest a score can come from 0. Epochs: of the task seen least and most often. Answers changed: against the"
        f" same reader untrained, where that was run. The paper, for each {PAPER_STEPS:,} of its steps (it trains until"
        " convergence): its rate and batch, as Adafactor applies a rate relative to the weights, and KILT's whole train"
        " sets.",
        heads=tuple(heads),
        rows=(*rows, _papers()),
    )


def _row(
    name: str, ids: Sequence[str], study: StudyResults, untrained: Mapping[str, Mapping[int, str]]
) -> tuple[Cell, ...]:
    runs = [study.runs.by_id[id] for id in ids]
    units = [run["training_units"] for run in runs]
    return (
        Cell(name, links=run_links(ids, study.runs.by_id)),
        *(count(_mean(unit["path"].get(part) for unit in units), "{:.2g}") for part in PARTS),
        *(count(_percent(unit["moved"].get(part) for unit in units), "{:.2f}") for part in PARTS),
        count(_mean(unit["scorer_span_nats"] for unit in units), "{:.2g}"),
        _epochs([unit["epochs"] for unit in units]),
        _changed(runs, study, untrained),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _percent(shares: Iterable[float | None]) -> float | None:
    mean = _mean(shares)
    return None if mean is None else 100 * mean


def _epochs(by_seed: Sequence[Mapping[str, float]]) -> Cell:
    mean = {task: _mean(epochs.get(task) for epochs in by_seed) or 0.0 for task in by_seed[0]}
    least, most = min(mean, key=mean.__getitem__), max(mean, key=mean.__getitem__)
    if least == most:
        return Cell(f"{mean[least]:.2g}", sort=mean[least], small=TASK_NAMES.get(least, least))
    named = f"{TASK_NAMES.get(least, least)} to {TASK_NAMES.get(most, most)}"
    return Cell(f"{mean[least]:.2g} to {mean[most]:.2g}", sort=mean[least], small=named)


def _changed(runs: Sequence[dict], study: StudyResults, untrained: Mapping[str, Mapping[int, str]]) -> Cell:
    shares = []
    for run in runs:
        own = untrained.get(self_of(run["settings"]), {})
        other = own.get(run["settings"]["seed"], next(iter(own.values()), None))
        found = answers_apart(run, study.runs.by_id[other], run["tasks"]) if other else None
        shares.append(found and found[0] / found[1])
    return count(_percent(shares), "{:.1f}")


def _papers() -> tuple[Cell, ...]:
    path = PAPER_RATE * PAPER_STEPS
    epochs = [PAPER_BATCH * PAPER_STEPS / len(PAPER_ROWS) / rows for rows in PAPER_ROWS.values()]
    spans = [f"{path * width:,.0f} ({size})" for size, width in PAPER_WIDTHS.items()]
    return (
        Cell(f"The paper, {PAPER_STEPS:,} steps", state="strong"),
        *(Cell(f"{path:.2g}", sort=path) for _ in PARTS),
        *(NOTHING for _ in PARTS),
        Cell(", ".join(spans), sort=path * PAPER_WIDTHS["Large"]),
        Cell(f"{min(epochs):.2g} to {max(epochs):.2g}", sort=min(epochs), small="T-REx to TriviaQA"),
        NOTHING,
    )
