"""What a figure or table shows, as its title: `GLIMMER answers 7.5 points more than LUMEN`.

The words are of the first claim, in the ledger's order, that is primary (so that it was tested with the others), all
about this artifact, and decided by measuring: supported or contradicted, resting neither on k alone nor on
construction. The number is the difference of the points as drawn. Of a supported claim with several requirements it is
the smallest effect, of a contradicted one the requirement that fails. Without such a claim the title counts the
verdicts of the primary claims about the artifact, of the secondary ones where it has no other, and says `not tested`
where it has none. It says what is drawn where no claim was evaluated, or a verdict does not fit the numbers drawn.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.ledger.language import Linear, Requirement
from analysis.ledger.sentences import PRIMARY, Claim, load_claims
from analysis.ledger.verdicts import AGAINST, CONTRADICTED, MISSING, NO_DIFFERENCE, NOT_TESTED, SUPPORTED
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
    """`text` is the title, None where there is none; `claim` is the id of the claim that it is of. `tally` is the title
    instead: verdicts in a few words, empty where they do not fit what is drawn. `note` says what it rests on, or why
    there is none; empty where no claim was evaluated."""

    text: str | None = None
    claim: str | None = None
    tally: str = ""
    note: str = ""

    @property
    def title(self) -> str:
        """What was found, in a few words; empty where nothing says it."""
        return self.text or self.tally


def takeaway(artifact: str, study: StudyResults, claims: Sequence[Mapping[str, Any]]) -> Takeaway:
    """What `artifact` shows of its claims, which are rows of claims.json."""
    about = [row for row in claims if _is_about(artifact, row)]
    own = [row for row in about if row.get("family", PRIMARY) == PRIMARY]
    sentences = {claim.id: claim for claim in load_claims()} if own else {}
    unfit = ""
    for row in own:
        if state_of(row) not in _DECIDED or row["id"] not in sentences:
            continue
        shown = _shown(sentences[row["id"]], row, study)
        if shown is None:
            continue
        if shown.is_as_told and shown.is_as_drawn:
            note = f"{row['verdict']}{shown.interval}{_rest(own, row)}"
            return Takeaway(text=shown.text(), claim=row["id"], note=note)
        unfit = _OTHER_NUMBERS if shown.is_as_told else _OTHER_EFFECT
    if unfit or not claims:
        return Takeaway(note=unfit)
    if not about and any(artifact in _artifacts(row) for row in claims):
        return Takeaway(note="No takeaway: every claim on it is of other figures or tables too.")
    return Takeaway(tally=_outcome(own or about, "primary claims" if own else "claims"), note=_basis(own, about))


_OTHER_NUMBERS = "No takeaway: the claims were evaluated on other numbers than those drawn."
_OTHER_EFFECT = "No takeaway: a claim's verdict and its effect do not fit."


def _outcome(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """`undecided`; of several claims `all 3 claims undecided`, or `of 3 claims 1 is not tested and 2 are undecided`.
    `kind`: what they are called."""
    counts = Counter(_word(row) for row in rows)
    if len(counts) <= 1:
        word = next(iter(counts), NOT_TESTED)
        many = "both" if len(rows) == 2 else f"all {len(rows)}"
        return word if len(rows) <= 1 else f"{many} {kind} {word}"
    return f"of {len(rows)} {kind} {listed([_number(n, word) for word, n in counts.items()])}"


def _number(n: int, word: str) -> str:
    return f"{n} {'is' if n == 1 else 'are'} {word}"


_WORDS = {AGAINST: "against the paper", NO_DIFFERENCE: "without a difference seen", MISSING: "not measured"}
"""Verdicts that do not stand alone in a title."""


def _word(row: Mapping[str, Any]) -> str:
    state, verdict = state_of(row), row["verdict"]
    if state in ("built-in", "built-against"):
        return f"{_WORDS.get(verdict, verdict)} {row['rests_on']}"
    return "not as large as in the paper" if state == "excluded" else _WORDS.get(verdict, verdict)


def _basis(own: Sequence[Mapping[str, Any]], about: Sequence[Mapping[str, Any]]) -> str:
    if not about:
        return "No claim is of it alone."
    if not own:
        return "Secondary claims, no part of the test of the primary ones: none of those is of it alone."
    if any(state_of(row) in _DECIDED for row in own):
        return "Verdicts of its primary claims, of which no difference of two points says more."
    return "Verdicts of its primary claims, none decided by measuring."


def heading(entry: Artifact, shown: Takeaway) -> str:
    """`Figure 2: GLIMMER answers ...`, or `Figure 2: undecided`; its own title where nothing says what was found."""
    if not shown.title:
        return entry.full_title
    number, _, title = entry.full_title.partition(": ")
    return f"{number}: {shown.title}" if title else shown.title


def _is_about(artifact: str, row: Mapping[str, Any]) -> bool:
    return _artifacts(row) == {artifact} and row.get("rests_on") is not None


def _artifacts(row: Mapping[str, Any]) -> set[str]:
    return {id.split("/")[0] for id in row.get("points") or ()}


def _tally(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(_verdict(row) for row in rows)
    return listed([_number(n, verdict) for verdict, n in counts.items()]).rstrip(",")


def _verdict(row: Mapping[str, Any]) -> str:
    basis = row.get("rests_on")
    return f"{row['verdict']}, {basis}," if state_of(row) in ("built-in", "built-against") else row["verdict"]


def _rest(own: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> str:
    rest = [row for row in own if row is not told]
    return f". Of its other primary claims, {_tally(rest)}" if rest else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Shown:
    """The requirements that a title is made of, each as (above, below), with what is drawn. `below` is None of a gain,
    which is a difference itself. `effects` are theirs as drawn, `recorded` as claims.json has them; `is_as_told` says
    whether those and their intervals are on the verdict's side of 0."""

    pairs: tuple[tuple[PointResult, PointResult | None], ...]
    effects: tuple[float, ...]
    recorded: tuple[float, ...]
    interval: str
    is_as_told: bool

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
    weakest = chosen[recorded.index(min(recorded))]
    return _Shown(
        pairs=tuple(pairs),
        effects=tuple(above.value - (below.value if below else 0.0) for above, below in pairs),
        recorded=tuple(recorded),
        interval=_interval(weakest, parts[weakest]["interval"]) if row.get("interval") else "",
        is_as_told=all(_is_on_side(sign, *told) for told in zip(recorded, ends, strict=True)),
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
