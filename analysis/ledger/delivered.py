"""Whether what a claim compares was delivered. Where not, its verdict is `not tested`, by rule and with the reason:

(a) a reader of it is not above its untrained self: training taught it nothing, so nothing that training is said to do
    was tried on it. For claims that rest on what is learnt.
(b) the two arms of a comparison answer differently no more often than two seeds of one arm do.
(c) its arms differ in the distillation loss, and distillation has not brought that loss below what equal scores have.
(d) no reader of it that keeps fewer passages than it reads ranks them better than the retriever did (R-precision, mean
    of the tasks of its average): nothing that ranking is said to do was tried on it. For claims that rest on what is
    learnt.

A rule that a study's runs cannot answer (no untrained run, one seed) says nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.ledger.bootstrap import JointBootstrap
from analysis.ledger.language import Requirement
from analysis.names import reader_text
from glimmer.experiments import Point, ReaderSettings
from glimmer.experiments.registry import Measure, Term
from glimmer.experiments.study import REDRAWN
from glimmer.files import canonical_json
from glimmer.results import answers_apart

DISTILLATION = ("lambda_", "tau", "kl", "token_reduction", "teacher_gradient")
"""The fields of a reader that only distillation knows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One reader's part in a point: its runs by seed, and what is measured of them."""

    term: Term
    measure: Measure

    @property
    def runs(self) -> Mapping[int, str]:
        """Seed -> run id."""
        return self.term.run_ids


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delivery:
    """The rules, over the runs of one study."""

    bootstrap: JointBootstrap

    def reasons(self, requirements: Sequence[Requirement], is_learnt: bool) -> list[str]:
        """Why nothing of a claim was tested: by rules (a) and (d), where what it says has to be learnt, and (c)."""
        learnt = (self._untaught, self._unranked) if is_learnt else ()
        found = [rule(requirements) for rule in (*learnt, self._undistilled)]
        return [reason for reason in found if reason]

    def alike(self, required: Requirement) -> str:
        """Why the arms of one requirement are no test of it, by rule (b); empty where one pair of them is."""
        rates = [self._rates(*pair) for pair in self._pairs(required)]
        if not rates or any(rate is None or rate[0] > rate[1] for rate in rates):
            return ""
        arms, seeds = max(rates)
        return f"the arms answer {arms:.1%} of questions differently, two seeds of one arm {seeds:.1%}"

    # -- (a) ----------------------------------------------------------------------------------------------------------

    def _untaught(self, requirements: Sequence[Requirement]) -> str | None:
        gains = {}
        for arm in self._arms(requirements):
            own = self._untrained.get(self_of(self._settings(arm)))
            if own and arm.term.reader.trained:
                gain = self.bootstrap.between(arm.runs, self._at_every_seed(own, arm), arm.measure)
                if gain is not None:
                    gains[reader_text(self._settings(arm))] = gain
        told = [
            f"{name} {gain.mean:+z.1f} ({gain.low:z.1f} to {gain.high:z.1f})"
            for name, gain in gains.items()
            if gain.verdict() != "above"
        ]
        return f"not above its untrained self: {'; '.join(told)}" if told else None

    def _at_every_seed(self, own: Mapping[int, str], arm: Arm) -> Mapping[int, str]:
        """An untrained reader is one run, whom no seed changes; of replicates each has its own."""
        if self.bootstrap.replicated:
            return own
        return {seed: own.get(seed, next(iter(own.values()))) for seed in arm.runs}

    @functools.cached_property
    def _untrained(self) -> Mapping[str, Mapping[int, str]]:
        return untrained_selves(self._runs)

    # -- (b) ----------------------------------------------------------------------------------------------------------

    def _pairs(self, required: Requirement) -> Iterator[tuple[Arm, Arm]]:
        """The arms that a requirement compares; a point that is a difference itself compares its own two."""
        planned = self.bootstrap.results.planned
        pairs = [tuple(planned[id] for id in pair) for pair in required.arms]
        own = {id: planned[id] for id in required.points if len(planned[id].terms) > 1}
        yield from (tuple(_arms_of(point)) for point in own.values())
        for one, other in pairs:
            if one.id not in own and other.id not in own:
                yield next(_arms_of(one)), next(_arms_of(other))

    def _rates(self, one: Arm, other: Arm) -> tuple[float, float] | None:
        """(how often two arms answer differently at one seed, how often two seeds of one arm do), of all questions."""
        if one.measure.kind == "speed":
            return None
        seeds = [seed for seed in one.runs if self._has(one, seed) and self._has(other, seed)]
        across = [self._differing(one.runs[seed], other.runs[seed], one.measure) for seed in seeds]
        within = [
            [self._differing(*twins, arm.measure) for twins in self._twins_of(arm, seeds)] for arm in (one, other)
        ]
        within = [rates for rates in within if rates and None not in rates]
        if not within or not across or None in across:
            return None
        return float(np.mean(across)), max(float(np.mean(rates)) for rates in within)

    def _twins_of(self, arm: Arm, seeds: Iterable[int]) -> list[tuple[str, str]]:
        """Pairs of runs of an arm between which fine-tuning alone was drawn anew."""
        own = {but_for_the_draw(self._runs[arm.runs[seed]]) for seed in seeds}
        return [pair for drawn in sorted(own) for pair in itertools.combinations(self._alike[drawn], 2)]

    @functools.cached_property
    def _alike(self) -> Mapping[str, list[str]]:
        return alike_but_for_the_draw(self._runs)

    def _differing(self, one: str, other: str, measure: Measure) -> float | None:
        """The share of questions that two runs answer differently."""
        runs = self._runs[one], self._runs[other]
        found = answers_apart(*runs, runs[0]["tasks"] if measure.kind == "average" else [measure.task])
        return found and found[0] / found[1]

    # -- (c) ----------------------------------------------------------------------------------------------------------

    def _undistilled(self, requirements: Sequence[Requirement]) -> str | None:
        pairs = [pair for required in requirements for pair in self._pairs(required)]
        differs = [pair for pair in pairs if _differs_in_distillation(*pair)]
        if not differs:
            return None
        losses = [self._losses(arm) for arm in _distinct(arm for pair in differs for arm in pair)]
        known = [pair for pair in losses if pair is not None]
        if not known or any(trained < uniform for trained, uniform in known):
            return None
        trained, uniform = known[0]
        return f"distillation has not lowered its loss: KL {trained:.3f}, of equal scores {uniform:.3f}"

    def _losses(self, arm: Arm) -> tuple[float, float] | None:
        """(KL at the end of training, KL that equal scores have on the same batches), mean of seeds."""
        known = []
        for seed in arm.runs:
            run = self._runs.get(arm.runs[seed])
            last = run["learning_curve"][-1] if run and run["learning_curve"] else {}
            if last.get("distill_uniform") is not None:
                known.append((last["distill_loss"], last["distill_uniform"]))
        return tuple(float(np.mean(part)) for part in zip(*known, strict=True)) if known else None

    # -- (d) ----------------------------------------------------------------------------------------------------------

    def _unranked(self, requirements: Sequence[Requirement]) -> str | None:
        ranks = {}
        for arm in self._arms(requirements):
            if arm.term.reader.learns_to_select and (known := self._r_precision(arm)) is not None:
                ranks[reader_text(self._settings(arm))] = known
        if not ranks or any(own > retrievers for own, retrievers in ranks.values()):
            return None
        told = [f"{name} {own:.1f}, the retriever {retrievers:.1f}" for name, (own, retrievers) in ranks.items()]
        return f"ranks no better than the retriever (R-precision): {'; '.join(told)}"

    def _r_precision(self, arm: Arm) -> tuple[float, float] | None:
        """(R-precision of its order, of the retriever's on the same questions), percent, means of tasks and seeds."""
        known = []
        for run in (self._runs[id] for id in arm.runs.values() if id in self._runs):
            kept = [run["tasks"][task]["per_example"] or {} for task in run["average"]["tasks"]]
            if kept and all("rprec" in scores and "retriever_rprec" in scores for scores in kept):
                known.append(
                    [np.mean([np.mean(scores[name]) for scores in kept]) for name in ("rprec", "retriever_rprec")]
                )
        return tuple(100 * float(part) for part in np.mean(known, axis=0)) if known else None

    # -- all ----------------------------------------------------------------------------------------------------------

    @property
    def _runs(self) -> Mapping[str, dict]:
        return self.bootstrap.results.runs.by_id

    def _arms(self, requirements: Iterable[Requirement]) -> list[Arm]:
        planned = self.bootstrap.results.planned
        ids = dict.fromkeys(id for required in requirements for id in required.points)
        return _distinct(arm for id in ids for arm in _arms_of(planned[id]) if arm.measure.kind != "speed")

    def _has(self, arm: Arm, seed: int) -> bool:
        return arm.runs.get(seed) in self._runs

    def _settings(self, arm: Arm) -> Mapping[str, Any]:
        runs = [self._runs[id] for id in arm.runs.values() if id in self._runs]
        return runs[0]["settings"] if runs else {}


def _arms_of(point: Point) -> Iterator[Arm]:
    return (Arm(term=term, measure=point.measure) for term in point.terms)


def _distinct(arms: Iterable[Arm]) -> list[Arm]:
    return list({(tuple(arm.runs.items()), arm.measure.name): arm for arm in arms}.values())


def _differs_in_distillation(one: Arm, other: Arm) -> bool:
    readers = one.term.reader, other.term.reader
    return any(getattr(readers[0], name) != getattr(readers[1], name) for name in DISTILLATION) and all(
        reader.name == "glimmer" for reader in readers
    )


def alike_but_for_the_draw(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """`but_for_the_draw` of a run -> the ids of all runs that have the same: twins, and seeds that redraw no world."""
    found: dict[str, list[str]] = {}
    for id, run in runs.items():
        found.setdefault(but_for_the_draw(run), []).append(id)
    return found


def but_for_the_draw(run: Mapping[str, Any]) -> str:
    """A run's settings but for its seed and for which draw of fine-tuning it is."""
    reader = {key: value for key, value in run["settings"]["reader"].items() if key != "draw"}
    return canonical_json({**run["settings"], "seed": None, "reader": reader})


def but_for_the_replicate(run: Mapping[str, Any]) -> str:
    """A run's settings but for every seed: fine-tuning's, and those that a replicate moves (`Study.replicate`)."""
    parts = {name: {**run["settings"][name], "seed": None} for name in REDRAWN}
    return canonical_json({**run["settings"], **parts, "seed": None})


def untrained_selves(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[int, str]]:
    """What a reader is before training (`self_of`) -> the untrained runs of it, by seed."""
    found: dict[str, dict[int, str]] = {}
    for id, run in runs.items():
        if not run["settings"]["reader"].get("trained", True):
            found.setdefault(self_of(run["settings"]), {})[run["settings"]["seed"]] = id
    return found


def self_of(settings: Mapping[str, Any]) -> str:
    """What a reader is before training. Copies of layers are equal and a scorer is zero then, whatever trains them."""
    if not settings:
        return ""
    reader = ReaderSettings.from_json(settings["reader"])
    names = ("name", "alpha", "beta", "k", "m", "question_in_decoder", "evidence", "dev_evidence")
    parts = {name: str(getattr(reader, name)) for name in names}
    return canonical_json(parts | {"scratch": reader.reranker == "scratch", "model": settings.get("model")})
