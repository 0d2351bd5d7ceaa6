"""What a rule asks of a point, wherever the point comes from: what is measured, of which configurations, over which
examples. The registry's points answer for the paper of this repository and for studies, printed points for any paper.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Mapping
from fractions import Fraction
from typing import Any

from analysis.papers.description import SCALES, Paper, PrintedPaper, System, own_paper
from analysis.papers.printed import PrintedPoint
from glimmer import experiments
from glimmer.compute import SIZES
from glimmer.experiments.registry import Term
from glimmer.experiments.settings import ReaderSettings

_OF_THE_LOSS = ("tau", "scorer", "kl", "token_reduction", "teacher_gradient")  # fields that a LUMEN has no use for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """A point as rules see it.

    `quantity` is what is measured, apart from of what. `parts` are (weight, configuration): a number is the weighted
    sum over its parts; equal configurations are one trained model. `function` is what the first configuration computes,
    apart from how it was trained to. `sets` are the test sets that a number averages over, with their numbers of
    examples; one if it is a share of right answers of one set, empty where nothing is known. `settings` are what
    formulas may use, `model` names the model that they are of. `rising` says whether a curve over x should rise (True),
    fall (False), or neither (None), and `expected` why, up to the words "along x".
    """

    paper: Paper
    quantity: Hashable
    parts: tuple[tuple[int, Hashable], ...]
    function: Hashable
    sets: Mapping[str, int] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Fraction] = dataclasses.field(default_factory=dict)
    measure: str = ""
    model: str = ""
    rising: bool | None = None
    expected: str = ""
    artifact_kind: str = ""

    @property
    def configuration(self) -> Hashable | None:
        """The one configuration of a number that no other has a part in, else None."""
        return self.parts[0][1] if len(self.parts) == 1 else None


@functools.singledispatch
def facts(point: Any) -> Facts:
    """What rules ask of a point. Raises TypeError for what is none."""
    raise TypeError(f"not a point: {point!r}")


@facts.register
def _(point: experiments.Point) -> Facts:
    paper, measure = own_paper(), point.measure
    sizes = paper.test_sets.sizes
    sets = {measure.task: sizes[measure.task]} if measure.task else dict(sizes)
    return Facts(
        paper=paper,
        quantity=(measure.kind, measure.task, measure.score),
        parts=tuple((term.weight, run_key(point, term)) for term in point.terms),
        function=_function(point),
        sets={} if measure.kind == "speed" else sets,
        settings=_settings(point),
        measure=measure.name,
        model=point.size,
        rising=None if point.x is None or point.level else True,
        expected="more operations",
        artifact_kind=experiments.load_registry().artifacts[point.artifact].kind,
    )


def run_key(point: experiments.Point, term: Term) -> tuple:
    """What says that two terms are the same trained model: their run ids, or on paper the size and resolved reader."""
    if term.run_ids:
        return tuple(term.run_ids.values())
    layers = SIZES[point.size.lower()]().encoder_layers
    return point.size, term.reader.resolved(layers)


def _function(point: experiments.Point) -> tuple:
    """GLIMMER that keeps all it retrieves computes what LUMEN does; only training tells the two apart."""
    reader: ReaderSettings = point.terms[0].reader.resolved(SIZES[point.size.lower()]().encoder_layers)
    if reader.name == "glimmer" and reader.m == reader.k and reader.reranker == "shared":
        of_the_loss = {"lambda_": 0.0} | {key: getattr(ReaderSettings, key) for key in _OF_THE_LOSS}
        reader = reader.change(name="lumen", beta=None, **of_the_loss)
    return point.size, reader


def _settings(point: experiments.Point) -> dict[str, Fraction]:
    """A reader and its model in the letters of the formulas: alpha, beta, k, m; d, h, f, L (encoder), D (decoder)."""
    reader, model = point.reader, SIZES[point.size.lower()]()
    letters = {"alpha": reader.alpha, "beta": reader.beta or 0, "k": reader.k, "m": reader.m}
    letters |= {"d": model.d_model, "h": model.heads_width, "f": model.d_ff}
    letters |= {"L": model.encoder_layers, "D": model.decoder_layers}
    return {letter: Fraction(value) for letter, value in letters.items()}


@facts.register
def _(point: PrintedPoint) -> Facts:
    paper = point.paper
    axis = paper.axes[point.x_name] if point.x_name else None
    systems = [(1, point.system)] + ([(-1, point.less)] if point.less else [])
    own = paper.systems[point.system]
    return Facts(
        paper=paper,
        quantity=point.quantity,
        parts=tuple((weight, _configuration(paper, name, point)) for weight, name in systems),
        function=_configuration(paper, own.same_function_as or point.system, point),
        sets=_sets(paper, point.quantity),
        settings={k: v for k, v in _settled(paper, point.system, point)[1].items() if isinstance(v, Fraction)},
        measure=point.quantity,
        model=paper.systems[point.system].like or point.system,
        rising=None if axis is None or axis.expected is None else axis.expected == "rising",
        expected="it should rise" if axis and axis.expected == "rising" else "it should fall",
        artifact_kind=paper.artifacts[point.artifact].kind,
    )


def _configuration(paper: PrintedPaper, name: str, point: PrintedPoint) -> tuple[str, frozenset]:
    """A system as its family and settings, the place on the x axis among them."""
    family, settings = _settled(paper, name, point)
    return family, frozenset(settings.items())


def _settled(paper: PrintedPaper, name: str, point: PrintedPoint) -> tuple[str, dict[str, Fraction | str]]:
    system: System = paper.systems[name]
    settings = dict(paper.systems[system.like].settings) if system.like else {}
    settings |= system.settings
    if point.x_name is not None:
        settings[point.x_name] = point.x
    return system.like or name, settings


def _sets(paper: PrintedPaper, name: str) -> dict[str, int]:
    """The test sets behind a measure: its own, or those of the shares that it is the mean of (all or none)."""
    measure, sizes = paper.measures[name], paper.test_sets.sizes
    if measure.share_of:
        return {measure.share_of: sizes[measure.share_of]}
    parts = measure.mean_of if measure.unit in SCALES else ()
    shares = [paper.measures[part].share_of for part in parts]
    return {share: sizes[share] for share in shares} if shares and all(shares) else {}
