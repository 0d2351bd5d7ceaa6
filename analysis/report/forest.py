"""The claims that hang on a figure, as a forest plot: each effect with its interval, and the paper's carried over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.report.opening import STATES, state_of

_WIDEST = 3.0
"""How many times the largest effect a track reaches: intervals that are wider go on beyond its edge."""
_POINTS = "points"
_FORMATS = {_POINTS: "{:+z.1f}", "points a step": "{:+z.2f}"}
"""Unit -> how its numbers are written; others with four significant digits."""


def forest(artifact: str, claims: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a claim with a point of `artifact` and a result, its requirements as bars on one scale.

    Places are percent of a track whose middle is 0. Effects that are not in points (ratios of speeds, places along an
    axis) have no bar, only their text.
    """
    own = [claim for claim in claims if any(id.split("/")[0] == artifact for id in claim.get("points") or ())]
    own = [claim for claim in own if state_of(claim) != "missing" and claim.get("requirements")]
    reach = _reach([one for claim in own for one in claim["requirements"] if one["unit"] == _POINTS])
    return [_row(claim, reach) for claim in own]


def _reach(requirements: Sequence[Mapping[str, Any]]) -> float:
    sizes = [abs(value) for one in requirements for value in (one["effect"], one.get("carried_over")) if value]
    ends = [abs(end) for one in requirements for end in one["interval"] or ()]
    largest = max(sizes, default=1.0)
    return min(max([*ends, *sizes], default=1.0), _WIDEST * largest) or 1.0


def _row(claim: Mapping[str, Any], reach: float) -> dict[str, Any]:
    state = state_of(claim)
    return {
        "id": claim["id"],
        "statement": claim["statement"],
        "state": state,
        "glyph": STATES[state][0],
        "meaning": STATES[state][1],
        "bars": [_bar(one, reach) for one in claim["requirements"]],
    }


def _bar(one: Mapping[str, Any], reach: float) -> dict[str, Any]:
    bounds, carried = one["interval"], one.get("carried_over")
    write = _FORMATS.get(one["unit"], "{:+,.4g}").format
    text = f"{write(one['effect'])} {one['unit']}"
    if bounds:
        text += f" ({write(bounds[0])} to {write(bounds[1])})"
    if carried is not None:
        text += f"; the paper's {write(carried)}"
    if one["unit"] != _POINTS:
        return {"name": one["requirement"], "text": text}
    low, high = (_place(end, reach) for end in bounds or (one["effect"], one["effect"]))
    return {
        "name": one["requirement"],
        "text": text,
        "at": f"{_place(one['effect'], reach):.1f}",
        "from": f"{low:.1f}",
        "width": f"{high - low:.1f}",
        "paper": None if carried is None else f"{_place(carried, reach):.1f}",
    }


def _place(value: float, reach: float) -> float:
    return 50 + 50 * max(-1.0, min(1.0, value / reach))
