"""LUMEN and GLIMMER answering from stored memory, the store's reading included, beside our own FiD on as many passages.

What is compared is a ratio of seconds with the ratio that the operation counts predict (glimmer/compute.py, `exact`).
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.reading import TINY
from benchmarks.peers.rows import OURS, Row, in_turn, require_close
from glimmer.compute import Dimensions, Workload, operation_count, t5_1_1_small
from glimmer.experiments.settings import ReaderSettings, fid, glimmer, lumen

FID = "FiD"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """`stored` passages lie in the store; each question has `k` of them, of which GLIMMER keeps `m`."""

    dimensions: Dimensions
    k: int = 25
    m: int = 5
    alpha: Fraction = Fraction(1, 3)
    beta: Fraction = Fraction(1, 4)
    question: int = 32
    passage: int = 128
    answer: int = 20
    batch: int = 4
    stored: int = 256
    repeats: int = 3
    dtype: str = "float32"


def shapes(quick: bool, dtype: str = "float32") -> Shapes:
    """T5.1.1-Small at the paper's k, m, alpha and beta, rounded to whole layers."""
    if quick:
        return Shapes(dimensions=TINY, k=4, m=2, question=4, passage=8, answer=5, batch=2, stored=16, repeats=2,
                      dtype=dtype)  # fmt: skip
    return Shapes(dimensions=t5_1_1_small(), dtype=dtype)


def workload(settings: ReaderSettings, at: Shapes) -> Workload:
    """What one example makes a reader do, with the proportions that whole layers give."""
    layers = at.dimensions.encoder_layers
    split = settings.split(layers)
    beta = None
    if settings.beta is not None:
        beta = Fraction(split.rerank_layers, split.live_layers) if split.live_layers else Fraction(0)
    return Workload(alpha=Fraction(split.live_layers, layers), beta=beta, k=settings.k, m=settings.m,
                    tokens=at.question + at.passage, target_tokens=at.answer, question_tokens=at.question)  # fmt: skip


def rows(quick: bool, dtype: str = "float32") -> Iterator[Row]:
    """A row of LUMEN and one of GLIMMER."""
    at = shapes(quick, dtype)
    readers = {
        "LUMEN": lumen(k=at.k, alpha=at.alpha),
        "GLIMMER": glimmer(k=at.k, m=at.m, alpha=at.alpha, beta=at.beta),
    }
    from benchmarks.peers.programs import Answering, draw

    drawn = draw(at)
    baseline = fid(k=at.k)
    whole = Answering(at, baseline)
    for name, settings in readers.items():
        reader = Answering(at, settings)
        with tempfile.TemporaryDirectory() as directory:
            store, checked = _store(at, reader, drawn, Path(directory))
            seconds = in_turn(
                {
                    OURS: lambda reader=reader, store=store: reader(drawn.batch, store.read(drawn.ids)),
                    FID: lambda: whole(drawn.batch, None),
                },
                at.repeats,
            )
            reading = in_turn({"read": lambda store=store: store.read(drawn.ids)}, at.repeats)
        split = settings.split(at.dimensions.encoder_layers)
        counts = {n: operation_count(at.dimensions, workload(s, at), "exact")
                  for n, s in ((FID, baseline), (name, settings))}  # fmt: skip
        predicted = float(counts[FID] / counts[name])
        read = float(np.median(reading["read"]))
        kept = f"{at.k} passages, {at.m} kept" if name == "GLIMMER" else f"{at.k} passages"
        yield Row(
            name=f"{name} from memory" + ("" if dtype == "float32" else f", {dtype}"),
            what=f"{name}, greedy answers from stored memory: batch {at.batch}, {kept} of {at.passage} tokens,"
            f" {split.live_layers} of {at.dimensions.encoder_layers} layers live, store read included, {dtype}",
            against=f"our FiD on {at.k} passages; operations predict {predicted:.2f}",
            seconds=seconds,
            checked=checked,
            limits=f"live layers and cross-attention; reading the store takes"
            f" {100 * read / float(np.median(seconds[OURS])):.0f} %",
            facts={
                "ratio predicted": round(predicted, 3),
                "seconds to read the store": read,
                "MB read": round(drawn.ids.size * store.bytes_per_passage / 1e6, 1),
            },
        )


def _store(at: Shapes, reader: Any, drawn: Any, directory: Path) -> tuple[Any, str]:
    """(the memory of all passages, on disk, and what of it was compared with memory computed on the fly)."""
    from glimmer.models.memory_values import RELATIVE_PRECISION
    from glimmer.models.store import StorePlan, write_store

    shape = (at.passage, at.dimensions.d_model)
    plan = StorePlan.of(np.arange(at.stored), made_with={"weights": "random"}, shape=shape)
    store = write_store(directory, plan, lambda ids: drawn.passages[ids], reader.remember)
    computed = reader.remember(drawn.batch.passages[0])
    read = store.read(drawn.ids[:1])[0].astype(np.float32)
    return store, require_close("memory read, and computed on the fly,", read, computed, 2 * RELATIVE_PRECISION)
