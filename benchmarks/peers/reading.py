"""FiD of one size on both sides: training steps and greedy answers, against `torch_fid`.

Every token is real, so that nobody's padding is timed. Weights are random: they cost what learnt ones cost.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.rows import OURS, Row, absent, imported, in_turn, matrix_rate, require_close, require_equal
from benchmarks.peers.rows import torch_missing as torch_missing_of
from glimmer.compute import Dimensions, Workload, t5_1_1_small, training_macs

TINY = Dimensions(d_model=32, d_kv=8, num_heads=4, d_ff=48, encoder_layers=4, decoder_layers=2, vocabulary=256)
RATE = 1e-4
"""Of AdamW on both sides."""
EAGER, COMPILED = "PyTorch", "torch.compile"
_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
"""Of logits and losses; published sizes have ten layers and more between them and the weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """What is read: `question` and `passage` tokens are a pair."""

    dimensions: Dimensions
    k: int = 5
    question: int = 32
    passage: int = 128
    answer: int = 20
    train_batch: int = 4
    answer_batch: int = 8
    repeats: int = 5
    matrix: int = 2048
    dtype: str = "float32"

    @property
    def pair(self) -> int:
        """Tokens of one [question; passage] pair."""
        return self.question + self.passage

    @property
    def work(self) -> Workload:
        """What one example makes FiD do."""
        return Workload(alpha=Fraction(1), beta=None, k=self.k, m=self.k, tokens=self.pair, target_tokens=self.answer,
                        question_tokens=self.question)  # fmt: skip


def shapes(quick: bool, dtype: str = "float32") -> Shapes:
    """T5.1.1-Small on 5 pairs of 160 tokens; `quick`: something tiny, whose times say nothing."""
    if quick:
        return Shapes(dimensions=TINY, k=2, question=4, passage=8, answer=5, train_batch=2, answer_batch=2, repeats=2,
                      matrix=128, dtype=dtype)  # fmt: skip
    return Shapes(dimensions=t5_1_1_small(), dtype=dtype)


class Ours:
    """Our FiD with random weights, and its compiled programs. `folder` gets its checkpoint, for the other side."""

    def __init__(self, at: Shapes, folder: Path | None = None, seed: int = 0):
        import jax
        import optax
        from flax import nnx

        from glimmer.experiments.settings import fid
        from glimmer.models.checkpoint import save_t5
        from glimmer.models.config import T5Config
        from glimmer.models.reader import Reader
        from glimmer.models.t5 import T5
        from glimmer.training.losses import DistillationWeights
        from glimmer.training.state import compile_step, initial_state, split_reader

        t5 = T5(T5Config(**vars(at.dimensions), dtype=at.dtype, dropout=0.0), rngs=nnx.Rngs(seed))
        if folder is not None:
            save_t5(t5, folder)
        self.at, self.jax = at, jax
        self.split = split_reader(Reader(t5, fid(k=at.k), rngs=nnx.Rngs(seed)))
        optimizer = optax.adamw(RATE, eps=1e-8, weight_decay=0.0)
        self._step = compile_step(self.split.definition, optimizer)
        self._state = initial_state(jax.tree.map(jax.numpy.copy, self.split.trained), optimizer)
        self._weights = DistillationWeights(lambda_=jax.numpy.float32(0), tau=jax.numpy.float32(1))
        self._key = None  # no dropout
        self.encode = jax.jit(lambda split, batch: split.merge().encode(batch))
        self.decode = jax.jit(lambda split, encoded: split.merge().generate(encoded, at.answer))
        self.answer = jax.jit(lambda split, batch: _answer(split.merge(), batch, at.answer))
        self.logits = jax.jit(lambda split, batch: _logits(split.merge(), batch))

    def batch(self, rows: int, seed: int = 0) -> Any:
        """Random tokens, none of them padding or an end."""
        from glimmer.models.batch import Batch

        random, at = np.random.default_rng(seed), self.at
        sizes = {"question": (rows, at.question), "passages": (rows, at.k, at.passage), "answer": (rows, at.answer)}
        drawn = {name: random.integers(2, at.dimensions.vocabulary, size) for name, size in sizes.items()}
        return Batch.of(**{name: tokens.astype(np.int32) for name, tokens in drawn.items()})

    def step(self, batch: Any) -> float:
        """One step of AdamW; the loss before it."""
        key = self.jax.random.key(0)
        self._state, losses = self._step(self._state, self.split.fixed, batch, self._weights, key)
        self.jax.block_until_ready(self._state)
        return float(losses.total)

    def done(self, program: Callable, *arguments: Any) -> Any:
        """What a program gives, finished."""
        return self.jax.block_until_ready(program(self.split, *arguments))


def pairs_of(batch: Any) -> np.ndarray:
    """The [B, k, T] pairs of a batch without padding."""
    k = batch.passages.shape[1]
    question = np.broadcast_to(batch.question[:, None], (len(batch.question), k, batch.question.shape[1]))
    return np.concatenate([question, batch.passages], axis=2)


def training(quick: bool, dtype: str = "float32") -> Iterator[Row]:
    """The row of a training step."""
    yield from _with_peer(shapes(quick, dtype), _training)


def answering(quick: bool, dtype: str = "float32") -> Iterator[Row]:
    """The rows of greedy answers: whole, and encoding and decoding apart."""
    yield from _with_peer(shapes(quick, dtype), _answering)


def _with_peer(at: Shapes, measure: Callable[[Shapes, Ours, Any], Iterator[Row]]) -> Iterator[Row]:
    """The rows of both sides with the same weights, or of ours alone where PyTorch or transformers are missing."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "t5"
        missing = torch_missing_of(imported("torch")) or absent("transformers")
        ours = Ours(at, None if missing else folder)
        theirs = None
        if not missing:
            from benchmarks.peers.torch_fid import TorchFiD

            theirs = TorchFiD(folder, bfloat16=at.dtype == "bfloat16", rate=RATE)
        for row in measure(at, ours, theirs):
            yield dataclasses.replace(row, missing=missing)


def agree(at: Shapes, ours: Ours, theirs: Any, batch: Any) -> str:
    """Compares teacher-forced logits. Raises CheckFailed where they differ."""
    pairs, answer = theirs.tensor(pairs_of(batch)), theirs.tensor(batch.answer)
    return require_close("logits", ours.done(ours.logits, batch), theirs.logits(pairs, answer), _TOLERANCE[at.dtype])


def _training(at: Shapes, ours: Ours, theirs: Any) -> Iterator[Row]:
    batch = ours.batch(at.train_batch)
    arms: dict[str, Callable[[], object]] = {OURS: lambda: ours.step(batch)}
    checked, facts = "", {}
    if theirs is not None:
        checked = agree(at, ours, theirs, batch)
        pairs, answer = theirs.tensor(pairs_of(batch)), theirs.tensor(batch.answer)
        losses = [(ours.step(batch), theirs.step(pairs, answer)) for _ in range(2)]
        checked += "; " + require_close("losses of two steps", *zip(*losses, strict=True), _TOLERANCE[at.dtype])
        arms[EAGER] = lambda: theirs.step(pairs, answer)
        try:
            theirs.step(pairs, answer, compiled=True)
            arms[COMPILED] = lambda: theirs.step(pairs, answer, compiled=True)
        except Exception as error:  # of its compiler: whatever it ends in, eager stands
            facts[COMPILED] = f"did not run: {type(error).__name__}"
    seconds = in_turn(arms, at.repeats)
    operations = 2 * float(training_macs(at.dimensions, at.work)) * at.train_batch
    rate, by = matrix_rate(at.matrix)
    shares = {arm: operations / rate / float(np.median(turns)) for arm, turns in seconds.items()}
    facts |= {"GFLOP a step": round(operations / 1e9, 1), "matrix products, GFLOP a second": round(rate / 1e9, 1),
              "measured by": by}  # fmt: skip
    facts |= {f"share of that rate, {arm}": round(share, 3) for arm, share in shares.items()}
    others = ", ".join(f"{arm} {100 * share:.0f} %" for arm, share in shares.items() if arm != OURS)
    yield Row(
        name=_named("training", at),
        what=f"FiD, training step: batch {at.train_batch}, k = {at.k} x {at.pair} tokens, AdamW, {at.dtype}",
        against=f"transformers' T5 as FiD, best of {EAGER} and {COMPILED}",
        seconds=seconds,
        checked=checked,
        limits=f"matrix products: ours reaches {100 * shares[OURS]:.0f} % of their measured float32 rate"
        + (f", {others}" if others else "")
        + "; the rest of the time goes into everything else and into smaller products",
        facts=facts,
    )


def _answering(at: Shapes, ours: Ours, theirs: Any) -> Iterator[Row]:
    batch = ours.batch(at.answer_batch)
    encoded = ours.done(ours.encode, batch)
    arms: dict[str, dict[str, Callable[[], object]]] = {
        "answers": {OURS: lambda: ours.done(ours.answer, batch)},
        "encoding": {OURS: lambda: ours.done(ours.encode, batch)},
        "decoding": {OURS: lambda: ours.done(ours.decode, encoded)},
    }
    checked = ""
    if theirs is not None:
        checked = agree(at, ours, theirs, batch)
        pairs = theirs.tensor(pairs_of(batch))
        states = theirs.encode(pairs)
        tokens = theirs.generate(states, at.answer)
        if at.dtype == "float32":
            checked += "; " + require_equal("tokens", ours.done(ours.answer, batch), tokens)
        arms["answers"][EAGER] = lambda: theirs.generate(theirs.encode(pairs), at.answer)
        arms["encoding"][EAGER] = lambda: theirs.encode(pairs)
        arms["decoding"][EAGER] = lambda: theirs.generate(states, at.answer)
    counted = int(np.count_nonzero(ours.done(ours.answer, batch)))
    about = f"batch {at.answer_batch}, k = {at.k} x {at.pair} tokens, {at.dtype}"
    words = {
        "answers": f"FiD, greedy answers of {at.answer} tokens, encoding included: {about}",
        "encoding": f"of that, encoding: {about}",
        "decoding": f"of that, decoding {at.answer} tokens with a cache",
    }
    medians = {}
    for part, of_part in arms.items():
        seconds = in_turn(of_part, at.repeats)
        medians[part] = float(np.median(seconds[OURS]))
        limits = {
            "answers": "the two parts below",
            "encoding": "matrix products of the encoder",
            "decoding": "one token a step: weights and cached keys and values are read for every token",
        }[part]
        yield Row(
            name=_named(part, at), what=words[part], against="transformers' generate with its cache", seconds=seconds,
            checked=checked, limits=limits, facts={"tokens answered": counted},
        )  # fmt: skip


def _named(name: str, at: Shapes) -> str:
    return name if at.dtype == "float32" else f"{name}, {at.dtype}"


def _answer(reader: Any, batch: Any, length: int) -> Any:
    from glimmer.evaluation.answering import answer

    return answer(reader, batch, None, length)[0]


def _logits(reader: Any, batch: Any) -> Any:
    return reader.logits(reader.encode(batch), batch.answer)
