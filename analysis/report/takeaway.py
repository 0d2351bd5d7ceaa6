"""What a figure or table shows, as its title: `GLIMMER answers 7.5 points more than LUMEN`.

The words are of the first claim, in the ledger's order, that is primary (so that it was tested with the others), all
about this artifact, and decided by measuring: supported or contradicted, resting neither on k alone nor on
construction. The number is the difference of the points as drawn. Of a supported claim with several requirements it is
the smallest effect, of a contradicted one the requirement that fails. Without such a claim the title says what is
drawn, and a line says why.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.ledger.language import Linear, Requirement
from analysis.ledger.sentences import PRIMARY, Claim, load_claims
from analysis.ledger.verdicts import CONTRADICTED, SUPPORTED
from analysis.report.ledger_tables import listed
from analysis.report.opening import state_of
from glimmer.experiments import Artifact
from glimmer.results import PointResult, StudyResults
from glimmer.results.points import HEADLINE_SCORE

_DECIDED = {"shown": SUPPORTED, "against": CONTRADICTED}
"""States of a claim that measuring decided, with the verdict of it."""
_AS_DRAWN = 0.005  # points; between an effect in claims.json and the points that are drawn
_NAMED = 3  # as many subjects as a title can name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Takeaway:
    """`text` is the title, None where there is none; `claim` is the id of the claim that it is of. `note` says what it
    rests on, or why there is none; empty where no claim could have given one."""

    text: str | None = None
    claim: str | None = None
    note: str = ""


def takeaway(artifact: str, study: StudyResults, claims: Sequence[Mapping[str, Any]]) -> Takeaway:
    """What `artifact` shows of its claims, which are rows of claims.json."""
    own = [row for row in claims if row.get("family", PRIMARY) == PRIMARY and _is_about(artifact, row)]
    sentences = {claim.id: claim for claim in load_claims()} if own else {}
    others = False
    for row in own:
        if state_of(row) not in _DECIDED or row["id"] not in sentences:
            continue
        shown = _shown(sentences[row["id"]], row, study)
        if shown is None:
            continue
        if not shown.is_as_drawn:
            others = True
            continue
        return Takeaway(text=shown.text(), claim=row["id"], note=f"{row['verdict']}{shown.interval}{_rest(own, row)}")
    if others:
        return Takeaway(note="No takeaway: the claims were evaluated on other numbers than those drawn.")
    return Takeaway(note=f"No takeaway: of its primary claims, {_tally(own)}." if own else "")


def heading(entry: Artifact, shown: Takeaway) -> str:
    """`Figure 2: GLIMMER answers ...`; of an artifact without a takeaway its own title."""
    if shown.text is None:
        return entry.full_title
    number, _, title = entry.full_title.partition(": ")
    return f"{number}: {shown.text}" if title else shown.text


def _is_about(artifact: str, row: Mapping[str, Any]) -> bool:
    points = row.get("points") or ()
    return bool(points) and all(id.split("/")[0] == artifact for id in points) and row.get("rests_on") is not None


def _tally(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(_verdict(row) for row in rows)
    return listed([f"{n} {'is' if n == 1 else 'are'} {verdict}" for verdict, n in counts.items()]).rstrip(",")


def _verdict(row: Mapping[str, Any]) -> str:
    basis = row.get("rests_on")
    return f"{row['verdict']}, {basis}," if state_of(row) in ("built-in", "built-against") else row["verdict"]


def _rest(own: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> str:
    rest = [row for row in own if row is not told]
    return f". Of its other primary claims, {_tally(rest)}" if rest else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Shown:
    """The requirements that a title is made of, each as (above, below), with what is drawn. `below` is None of a gain,
    which is a difference itself. `effects` are theirs as drawn, `recorded` as claims.json has them."""

    pairs: tuple[tuple[PointResult, PointResult | None], ...]
    effects: tuple[float, ...]
    recorded: tuple[float, ...]
    interval: str

    @property
    def is_as_drawn(self) -> bool:
        """Whether the claims were evaluated on the numbers drawn."""
        return all(abs(a - b) <= _AS_DRAWN for a, b in zip(self.effects, self.recorded, strict=True))

    def text(self) -> str:
        """The title."""
        above, below = map(_distinct, zip(*self.pairs, strict=True))
        least = min(self.recorded)
        amount = f"{_amount(least)} points"
        if len(self.pairs) > 1:
            amount = f"at least {amount}"
        many = len(above) > 1
        if below == [None]:
            verb = ("gain" if many else "gains") if least > 0 else ("lose" if many else "loses")
            return f"{listed([one.label for one in above])} {verb} {amount}"
        more = "more" if least > 0 else "less"
        verb = "answer" if many else "answers"
        if len({one.label for one in (*above, *below)}) == 1 and all(one.at for one in (*above, *below)):
            places = [listed([one.at for one in side]) for side in (above, below)]
            return f"{above[0].label} answers {amount} {more} at {places[0]} than at {places[1]}"
        return f"{listed([one.name for one in above])} {verb} {amount} {more} than {listed([b.name for b in below])}"


def _distinct(results: Iterable[PointResult | None]) -> list[PointResult | None]:
    return list({one and one.id: one for one in results}.values())


def _amount(effect: float) -> str:
    size = f"{abs(effect):.1f}"
    return size if float(size) else "under 0.1"


def _shown(claim: Claim, row: Mapping[str, Any], study: StudyResults) -> _Shown | None:
    """What a decided claim lets a title say; None where its requirements are no differences of two points, or gains."""
    results = {result.id: result for result in study.points}
    if list(claim.point_ids) != list(row["points"]) or any(results.get(id) is None for id in claim.point_ids):
        return None
    required = {each.name: each for each in claim.requirements(study.planned)}
    parts = {part["requirement"]: part for part in row.get("requirements") or ()}
    chosen = [row.get("effect_of")]
    if row["verdict"] == SUPPORTED and _have_a_side_in_common([_pair(each, results) for each in required.values()]):
        chosen = list(required)
    pairs = [_pair(required.get(name), results) for name in chosen]
    if None in pairs or not all(name in parts for name in chosen):
        return None
    sign = 1 if row["verdict"] == SUPPORTED else -1
    recorded, ends = [parts[name]["effect"] for name in chosen], [parts[name]["interval"] for name in chosen]
    if not all(_is_on_side(sign, effect, interval) for effect, interval in zip(recorded, ends, strict=True)):
        return None
    weakest = chosen[recorded.index(min(recorded))]
    return _Shown(
        pairs=tuple(pairs),
        effects=tuple(above.value - (below.value if below else 0.0) for above, below in pairs),
        recorded=tuple(recorded),
        interval=_interval(weakest, parts[weakest]["interval"]) if row.get("interval") else "",
    )


def _is_on_side(sign: int, effect: float, interval: Sequence[float] | None) -> bool:
    return sign * effect > 0 and (not interval or min(sign * end for end in interval) > 0)


def _interval(name: str, interval: Sequence[float]) -> str:
    return f", {name} by {interval[0]:+z.1f} to {interval[1]:+z.1f} points"


def _pair(required: Requirement | None, results: Mapping[str, PointResult]):
    """(above, below) of `a above b`, (a, None) of a gain above 0; None of every other requirement."""
    if not isinstance(required, Linear) or required.constant or required.closed or required.unit != "points":
        return None
    points = [results[id] for id in sorted(required.weights, key=lambda id: -required.weights[id])]
    if any(one.value is None or one.point.measure.score != HEADLINE_SCORE for one in points):
        return None
    weights = sorted(required.weights.values())
    if weights == [-1.0, 1.0]:
        return points[0], points[1]
    return (points[0], None) if weights == [1.0] and len(points[0].point.terms) == 2 else None


def _have_a_side_in_common(pairs: Sequence[tuple[PointResult, PointResult | None] | None]) -> bool:
    if None in pairs or not 1 < len(pairs) <= _NAMED:
        return False
    return any(len({one and one.id for one in side}) == 1 for side in zip(*pairs, strict=True))
