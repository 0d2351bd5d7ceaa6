"""What the page opens with: the result in one sentence, quality against cost, and every claim as one mark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import blended_transform_factory

from analysis.differences import Difference, difference, pairing
from analysis.figures import style
from analysis.figures.artifact import value_text
from analysis.figures.marks import link
from analysis.ledger.sentences import MEASURED, PRIMARY
from analysis.ledger.verdicts import (
    AGAINST,
    CONTRADICTED,
    IN_DIRECTION,
    MISSING,
    NO_DIFFERENCE,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
)
from analysis.names import READER_NAMES
from analysis.report.ledger_tables import listed
from analysis.report.pictures import inline
from glimmer.results import PointResult, StudyResults

BASE = "lumen"
"""The reader that the others are set beside: the paper's own comparison."""
_COLUMN = 0.63
"""Where the names begin, as a share of a picture's width."""
STATES = {
    "shown": ("✓", "supported by measuring"),
    "built-in": ("=", "supported, but by construction or by k alone"),
    "against": ("✗", "contradicted, or against it"),
    "built-against": ("≠", "contradicted, but by construction or by k alone"),
    "excluded": ("≈", "undecided, and a difference of the paper's size excluded"),
    "weak": ("?", "undecided: too few data to say"),
    "not-tested": ("–", "not tested: the treatment was not delivered"),
    "missing": ("", "missing: not part of the study, or not measured yet"),
}
"""State of a claim -> its mark and what it means. A mark is read without its colour."""


def differences(study: StudyResults) -> list[Difference]:
    """Each reader of Figure 2 that has a result less LUMEN's; LUMEN itself first. Empty without LUMEN's."""
    readers = _measured(study)
    base = next((result for result in readers if result.point.reader.name == BASE), None)
    return [] if base is None else _from(base, readers, study)


def _measured(study: StudyResults) -> list[PointResult]:
    return [result for result in study.of("figure2", "performance") if result.value is not None]


def _from(base: PointResult, readers: Sequence[PointResult], study: StudyResults) -> list[Difference]:
    bootstrap = pairing(study)
    others = [result for result in readers if result is not base]
    return [Difference(result=base, value=0.0), *(difference(result, base, bootstrap) for result in others)]


def sentence(study: StudyResults, reference: StudyResults | None) -> str:
    """Who answers most and by how much, with what may be chance said so; then the paper's. Empty without a result."""
    text = _ranked(study)
    papers = _ranked(reference) if reference and text else ""
    return f"{text} In the paper {papers}" if papers else text


def _ranked(study: StudyResults) -> str:
    """`FiD answers most: 48.7 percent (mean of 5 tasks); LUMEN is 5.1 points below (2.9 to 7.3) ...`"""
    readers = sorted(_measured(study), key=lambda result: -result.value)
    if not readers:
        return ""
    best, *others = _from(readers[0], readers, study)
    text = f"{_name(best)} answers most: {best.result.value:.1f} percent (mean of {best.result.n_tasks} tasks)"
    if not others:
        return f"{text}."
    text += f"; {listed([f'{_name(one)} is {one.text}' for one in others])}."
    unclear = [_name(one) for one in others if not one.is_clear]
    return f"{text} What sets {listed(unclear)} apart from it may be chance." if unclear else text


def _name(one: Difference) -> str:
    return READER_NAMES[one.result.point.reader.name]


def quality_and_cost(study: StudyResults, reference: StudyResults | None) -> list[str]:
    """Inline SVG: points above LUMEN against cost relative to LUMEN's, ours filled and the paper's hollow (its LUMEN
    would stand on ours).

    Cost is operations (counted, as the paper counts them), then seconds (measured; the paper has none).
    """
    ours = differences(study)
    papers = differences(reference) if reference else []
    pictures = [_plane("operations", ours, papers, _operations(study), _operations(reference) if reference else {})]
    seconds = _seconds(study)
    if len(seconds) > 1:
        pictures.append(_plane("seconds", ours, [], seconds, {}))
    return [picture for picture in pictures if picture]


def _operations(study: StudyResults) -> dict[str, float]:
    """Reader -> operations an example relative to LUMEN's, from samples a TFLOP."""
    rates = {r.point.reader.name: r.value for r in study.of("figure2", "speed") if r.value}
    return {name: rates[BASE] / rate for name, rate in rates.items()} if BASE in rates else {}


def _seconds(study: StudyResults) -> dict[str, float]:
    """Reader -> measured seconds an answer relative to LUMEN's, mean over seeds."""
    found: dict[str, float] = {}
    for result in study.of("figure2", "performance"):
        runs = [study.runs.by_id[run_id] for run_id in result.point.run_ids if run_id in study.runs]
        taken = [(run.get("wall_seconds") or {}).get("evaluate") for run in runs]
        if runs and all(taken):
            answered = [sum(task["n"] for task in run["tasks"].values()) for run in runs]
            found[result.point.reader.name] = sum(taken) / sum(answered)
    return {name: one / found[BASE] for name, one in found.items()} if BASE in found else {}


_COSTS = {
    "operations": "operations an example, LUMEN's = 1",
    "seconds": "seconds an answer, LUMEN's = 1 (measured)",
}


def _plane(
    cost: str,
    ours: Sequence[Difference],
    papers: Sequence[Difference],
    our_costs: Mapping[str, float],
    paper_costs: Mapping[str, float],
) -> str:
    if not ours:
        return ""
    drawn = [(one, our_costs, False) for one in ours if one.result.point.reader.name in our_costs]
    drawn += [(one, paper_costs, True) for one in papers[1:] if one.result.point.reader.name in paper_costs]
    if len(drawn) < 2:
        return ""
    picture = style.new_figure(3.9, 3.0)
    axes = picture.add_axes((0.15, 0.17, 0.83, 0.71))
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    places = [(one, costs[one.result.point.reader.name], hollow) for one, costs, hollow in drawn]
    _relative_axis(axes, [x for _, x, _ in places])
    low, high = _value_axis(axes, [one for one, _, _ in places])
    for one, x, hollow in places:
        _reader(axes, one, x, hollow, low, high)
    _labels(axes, places, low, high)
    axes.set_xlabel(_COSTS[cost])
    axes.set_ylabel("points above LUMEN")
    title = "Quality against operations" if cost == "operations" else "Quality against time"
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", pad=8)
    words = "; ".join(
        f"{_name(one)}{' (the paper)' if hollow else ''}: {one.value:+z.1f} points at"
        f" {costs[one.result.point.reader.name]:.2f} times LUMEN's {cost}"
        for one, costs, hollow in drawn
    )
    svg = style.svg_text(picture, title=title, description=f"{words}.", id_prefix=f"opening-{cost}-")
    return inline(svg, {link(one.result): one.result for one, _, _ in drawn})


def _value_axis(axes: Axes, found: Sequence[Difference]) -> tuple[float, float]:
    """Limits that the values fill: an interval that is much wider than all of them goes on beyond the edge."""
    values = [one.value for one in found]
    spread = max(1.0, *map(abs, values))
    ends = [end for one in found if one.low is not None for end in (one.low, one.high)]
    low = max(min(*values, *ends, 0) - 0.25 * spread, -2.5 * spread)
    high = min(max(*values, *ends, 0) + 0.25 * spread, 2.5 * spread)
    axes.set_ylim(low, high)
    return low, high


def _reader(axes: Axes, one: Difference, x: float, hollow: bool, low: float, high: float) -> None:
    look = style.READERS[one.result.point.reader.name]
    if one.low is not None and one.high is not None:
        axes.plot([x, x], [one.low, one.high], color=look.color, linewidth=1.3, alpha=0.75, zorder=2)
        for end, beyond, arrow in ((one.low, one.low < low, "v"), (one.high, one.high > high, "^")):
            edge = (low if arrow == "v" else high) if beyond else end
            axes.plot([x], [edge], marker=arrow if beyond else "_", color=look.color, markersize=5, alpha=0.75,
                      zorder=2, clip_on=False)  # fmt: skip
    mark = axes.scatter([x], [one.value], s=54, marker=look.marker, linewidths=1.5, zorder=4,
                        edgecolors=look.color, facecolors="white" if hollow else look.color)  # fmt: skip
    mark.set_urls([link(one.result)])


def _labels(axes: Axes, places: Sequence[tuple[Difference, float, bool]], low: float, high: float) -> None:
    """Names in a column on the right, in the order of the values and far enough apart, each with a line to its mark."""
    named = sorted(places, key=lambda place: place[0].value)
    room, count = (high - low) * 0.095, len(named)
    heights = [one.value for one, _, _ in named]
    for n in range(1, count):
        heights[n] = max(heights[n], heights[n - 1] + room)
    over = max(0.0, heights[-1] - (high - room / 2))
    heights = [height - over for height in heights]
    for n in range(count - 1, 0, -1):
        heights[n - 1] = min(heights[n - 1], heights[n] - room)
    on_the_right = blended_transform_factory(axes.transAxes, axes.transData)
    for (one, x, hollow), height in zip(named, heights, strict=True):
        look = style.READERS[one.result.point.reader.name]
        value = "" if not one.value else f" {one.value:+z.1f}"
        axes.annotate(f"{_name(one)}{', paper' if hollow else ''}{value}", (x, one.value), xytext=(_COLUMN, height),
                      textcoords=on_the_right, va="center", fontsize=8, color=style.INK, zorder=5,
                      arrowprops={"arrowstyle": "-", "color": look.color, "linewidth": 0.7, "alpha": 0.6,
                                  "shrinkA": 1, "shrinkB": 4})  # fmt: skip


def _relative_axis(axes: Axes, costs: Sequence[float]) -> None:
    """A logarithmic x axis around LUMEN's 1, with room for names on the right."""
    axes.set_xscale("log")
    low, end = min(*costs, 1) / 1.15, max(*costs, 1) * 1.15
    axes.set_xlim(low, low * (end / low) ** (1 / (_COLUMN - 0.05)))
    ticks = [tick for tick in (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 8, 16) if low <= tick <= end]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))


def with_state(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim with its state and that state's mark."""
    state = state_of(claim)
    return {**claim, "state": state, "glyph": STATES[state][0]}


def state_of(claim: Mapping[str, Any]) -> str:
    """One of `STATES` for a claim of claims.json."""
    verdict = claim.get("verdict")
    measured = claim.get("rests_on") in (MEASURED, None)
    if verdict in (SUPPORTED, IN_DIRECTION):
        return "shown" if measured else "built-in"
    if verdict in (CONTRADICTED, AGAINST):
        return "against" if measured else "built-against"
    if verdict in (UNDECIDED, NO_DIFFERENCE):
        return "excluded" if claim.get("excludes_paper_effect") else "weak"
    return {NOT_TESTED: "not-tested", MISSING: "missing"}[str(verdict)]


REPORTED = {"shown": "supported by the printed numbers", "weak": "undecided: the printed digits cannot say"}
"""What states mean of the paper's own numbers, where they mean something else."""


def strip(claims: Sequence[Mapping[str, Any]], reported: bool = False) -> dict[str, Any] | None:
    """Every claim as one mark, primary ones first, and how many are in each state; None where none was evaluated.

    `reported`: of the paper's own numbers, which nobody here measured.
    """
    if not claims:
        return None
    meaning = {state: text for state, (_, text) in STATES.items()} | (REPORTED if reported else {})
    rows = [(claim, state_of(claim)) for claim in claims]
    rows.sort(key=lambda row: row[0].get("family", PRIMARY) != PRIMARY)
    counts = Counter(state for _, state in rows)
    return {
        "marks": [
            {
                "id": claim["id"],
                "state": state,
                "glyph": STATES[state][0],
                "text": f"{claim['statement']} {meaning[state].capitalize()}.",
                "primary": claim.get("family", PRIMARY) == PRIMARY,
            }
            for claim, state in rows
        ],
        "legend": [
            {"state": state, "glyph": glyph, "text": meaning[state], "count": counts[state], "ids": _few(rows, state)}
            for state, (glyph, _) in STATES.items()
            if counts[state]
        ],
    }


_FEW = 3
"""As many claims of one state as the legend calls by name, and as many as are said not to be tested."""


def _few(rows: Sequence[tuple[Mapping[str, Any], str]], state: str) -> list[str]:
    ids = [claim["id"] for claim, of in rows if of == state]
    return ids if len(ids) <= _FEW and state != "missing" else []


def untested(claims: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Primary claims that a study could not try, the first few: id, statement and the first reason, without numbers."""
    rows = [one for one in claims if state_of(one) == "not-tested" and one.get("family", PRIMARY) == PRIMARY]
    reasons = [next(iter(one.get("reasons") or ()), "").partition(": ")[0] for one in rows]
    return [
        {"id": one["id"], "statement": one["statement"], "reason": reason}
        for one, reason in zip(rows[:_FEW], reasons, strict=False)
    ]


def levels(study: StudyResults) -> list[dict[str, str]]:
    """The three readers' own scores, one line each, with where they lead."""
    return [
        {"name": result.label, "reader": result.point.reader.name, "text": value_text(result), "anchor": result.anchor}
        for result in study.of("figure2", "performance")
    ]
