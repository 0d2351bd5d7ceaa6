"""How a reader's answers grow in seconds and bytes with k, m, alpha, beta and the passages' length.

One GLIMMER of small dimensions answers from memory that is there; one of its sizes changes at a time. Seconds are
fitted to the closed form of glimmer/compute.py (`exact`): seconds = a + b x operations. Bytes are those that the
compiler reserves for the program, arguments and parameters included; there is no closed form of them, and they are
fitted to the size itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from benchmarks.peers.reading import TINY
from benchmarks.peers.rows import in_turn
from benchmarks.peers.stored import Shapes, workload
from glimmer.compute import Dimensions, operation_count
from glimmer.experiments.settings import glimmer

_DIMENSIONS = Dimensions(
    d_model=128, d_kv=32, num_heads=4, d_ff=256, encoder_layers=12, decoder_layers=2, vocabulary=1024
)
_BASE = Shapes(dimensions=_DIMENSIONS, k=16, m=4, alpha=Fraction(1, 2), beta=Fraction(1, 3), question=16, passage=48,
               answer=8, batch=4, stored=64, repeats=7)  # fmt: skip
AXES: dict[str, tuple[Any, ...]] = {
    "k": (4, 8, 16, 32, 64),
    "m": (1, 2, 4, 8, 16),
    "alpha": tuple(Fraction(n, 12) for n in (1, 3, 6, 9, 12)),
    "beta": tuple(Fraction(n, 6) for n in (0, 1, 2, 4, 6)),
    "passage": (16, 32, 64, 128, 256),
}
"""What changes, and the values it takes; `passage` is tokens of a passage. All others stay as they are."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One size: `value` of the axis, operations (macs) of a batch, seconds of each turn, bytes of the program."""

    value: float
    macs: float
    seconds: Sequence[float]
    bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Growth:
    """One axis, smallest value first."""

    axis: str
    points: Sequence[Point]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def of_json(cls, axis: dict[str, Any]) -> Growth:
        """As `to_json` wrote it."""
        return cls(axis=axis["axis"], points=[Point(**point) for point in axis["points"]])

    @property
    def medians(self) -> np.ndarray:
        """Seconds of each point."""
        return np.array([np.median(point.seconds) for point in self.points])

    @property
    def seconds_fit(self) -> Fit:
        """Of the seconds to the operations."""
        return fit(np.array([point.macs for point in self.points]), self.medians)

    @property
    def bytes_fit(self) -> Fit:
        """Of the bytes to the value."""
        values, sizes = ([getattr(point, name) for point in self.points] for name in ("value", "bytes"))
        return fit(np.array(values, float), np.array(sizes, float))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """y = intercept + slope x, least squares; `explained` is R squared (1 where y does not vary)."""

    intercept: float
    slope: float
    explained: float


def fit(x: np.ndarray, y: np.ndarray) -> Fit:
    """The least-squares line of y over x."""
    slope, intercept = np.polyfit(x, y, 1)
    variation = float(np.sum((y - y.mean()) ** 2))
    left = float(np.sum((y - intercept - slope * x) ** 2))
    return Fit(intercept=float(intercept), slope=float(slope), explained=1 - left / variation if variation else 1.0)


def axes(quick: bool) -> Iterator[Growth]:
    """Each axis, its points measured in turn."""
    base = (
        dataclasses.replace(_BASE, dimensions=dataclasses.replace(TINY, encoder_layers=12), repeats=2)
        if quick
        else _BASE
    )
    for axis, values in AXES.items():
        values = values[:: len(values) - 1] if quick else values
        yield Growth(
            axis=axis, points=_measured([(value, dataclasses.replace(base, **{axis: value})) for value in values])
        )


def _measured(sizes: Sequence[tuple[Any, Shapes]]) -> list[Point]:
    import jax

    from benchmarks.peers.programs import Answering, draw

    compiled = {}
    for value, at in sizes:
        at = dataclasses.replace(at, stored=max(at.stored, at.k))
        settings = glimmer(k=at.k, m=at.m, alpha=at.alpha, beta=at.beta)
        reader, drawn = Answering(at, settings), draw(at)
        memory = np.stack([reader.remember(passages) for passages in drawn.batch.passages])
        lowered = reader.program.lower(reader.split, drawn.batch, memory)
        program = lowered.compile()
        operations = float(operation_count(at.dimensions, workload(settings, at), "exact")) * at.batch
        compiled[value] = (program, (reader.split, drawn.batch, memory), operations, at.repeats)

    def arm(value: Any):
        program, arguments, *_ = compiled[value]
        return lambda: jax.block_until_ready(program(*arguments))

    repeats = sizes[0][1].repeats
    seconds = in_turn({value: arm(value) for value in compiled}, repeats)
    return [
        Point(value=float(value), macs=operations, seconds=seconds[value], bytes=_bytes(program))
        for value, (program, _, operations, _) in compiled.items()
    ]


def _bytes(program: Any) -> int:
    counted = program.memory_analysis()
    kept = counted.argument_size_in_bytes + counted.output_size_in_bytes - counted.alias_size_in_bytes
    return int(kept + counted.temp_size_in_bytes)
