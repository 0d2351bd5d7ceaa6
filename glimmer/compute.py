"""Operation counts: the formulas the paper prints, the count behind its Figure 2, and an honest one.

Everything is in multiply-accumulates (macs) for one example at inference, memory already stored. The three
conventions are kept apart on purpose, because they disagree; docs/decisions.md says where.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Literal

from glimmer.errors import InputError

Convention = Literal["printed", "figure2", "exact"]
CONVENTIONS: tuple[Convention, ...] = ("printed", "figure2", "exact")

MACS_PER_TFLOP = 10**12
"""Figure 2 counts one multiply-accumulate as one operation: samples per TFLOP = 1e12 / macs."""

BYTES_PER_VALUE = {"bfloat16": 2, "float16": 2, "float32": 4, "int8": 1}
SCALE_BYTES = {"int8": 4}
"""Beside its values each vector has a scale of float32, where they are whole numbers."""

MemoryDtype = Literal["bfloat16", "int8"]
"""How the memory store keeps values."""


_PEAKS = {
    "NVIDIA A100": 312e12,
    "NVIDIA H100 80GB HBM3": 989.4e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H200": 989.4e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
}
"""Beginning of a device's name -> floating-point operations a second, as its maker states them: dense, bfloat16."""


def peak_operations(device_kind: str) -> float | None:
    """Floating-point operations a second that a device could do at most, two a multiply-accumulate, in bfloat16.

    None where it is not known here, as of a CPU.
    """
    return next((peak for name, peak in _PEAKS.items() if device_kind.startswith(name)), None)


def device_like(name: str) -> str:
    """The first device of the table of peaks whose name holds `name`, whatever its case. Raises InputError."""
    found = next((device for device in _PEAKS if name.lower() in device.lower()), None)
    if found is None or not name:
        raise InputError("no peak is known of it", where="device", expected=f"one of {', '.join(_PEAKS)}", found=name)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dimensions:
    """The widths and depths of a T5.1.1 model that its operation counts depend on (gated feed-forward, untied head)."""

    d_model: int
    d_kv: int
    num_heads: int
    d_ff: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int = 32128

    @property
    def heads_width(self) -> int:
        """h, the width of all heads together."""
        return self.num_heads * self.d_kv

    @property
    def encoder_macs_per_token(self) -> int:
        """e = 4 d h + 3 d f: one encoder layer, one token, without attention scores."""
        return 4 * self.d_model * self.heads_width + 3 * self.d_model * self.d_ff

    @property
    def cross_macs_per_token(self) -> int:
        """x = 2 d h: keys and values of one decoder layer's cross-attention, one encoded token."""
        return 2 * self.d_model * self.heads_width

    @property
    def parameters(self) -> int:
        """Values in all matrices, embeddings and output head among them; norms and position tables left out."""
        decoder = self.decoder_layers * (self.decoder_macs_per_token + self.cross_macs_per_token)
        return self.encoder_layers * self.encoder_macs_per_token + decoder + 2 * self.vocabulary * self.d_model

    @property
    def decoder_macs_per_token(self) -> int:
        """D = 6 d h + 3 d f: one decoder layer, one target token (cross keys and values are counted apart)."""
        return 6 * self.d_model * self.heads_width + 3 * self.d_model * self.d_ff


def t5_1_1_small() -> Dimensions:
    """T5.1.1-Small."""
    return Dimensions(d_model=512, d_kv=64, num_heads=6, d_ff=1024, encoder_layers=8, decoder_layers=8)


def t5_1_1_base() -> Dimensions:
    """T5.1.1-Base."""
    return Dimensions(d_model=768, d_kv=64, num_heads=12, d_ff=2048, encoder_layers=12, decoder_layers=12)


def t5_1_1_large() -> Dimensions:
    """T5.1.1-Large."""
    return Dimensions(d_model=1024, d_kv=64, num_heads=16, d_ff=2816, encoder_layers=24, decoder_layers=24)


def t5_1_1_xl() -> Dimensions:
    """T5.1.1-XL."""
    return Dimensions(d_model=2048, d_kv=64, num_heads=32, d_ff=5120, encoder_layers=24, decoder_layers=24)


def t5_1_1_xxl() -> Dimensions:
    """T5.1.1-XXL."""
    return Dimensions(d_model=4096, d_kv=64, num_heads=64, d_ff=10240, encoder_layers=24, decoder_layers=24)


SIZES: dict[str, Callable[[], Dimensions]] = {
    "small": t5_1_1_small,
    "base": t5_1_1_base,
    "large": t5_1_1_large,
    "xl": t5_1_1_xl,
    "xxl": t5_1_1_xxl,
}
"""The published sizes by name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """What one example makes a reader do.

    `alpha` and `beta` are exact proportions of the layers (beta None: no reranker), `k` passages are retrieved and `m`
    kept. `tokens` is the length of one [question; passage] pair, `question_tokens` the question's part of it.
    `separate_reranker`: the kept passages run the live layers from the start, after a reranker of its own.
    """

    alpha: Fraction
    beta: Fraction | None
    k: int
    m: int
    tokens: int
    target_tokens: int
    question_tokens: int = 0
    separate_reranker: bool = False

    def __post_init__(self):
        for key in ("alpha", "beta"):
            value = getattr(self, key)
            if value is not None and not 0 <= value <= 1:
                raise InputError("outside its range", where=key, expected="a fraction in [0, 1]", found=value)
        if not 0 <= self.m <= self.k:
            raise InputError("not allowed", where="m", expected=f"0 <= m <= k = {self.k}", found=self.m)
        if not 0 <= self.question_tokens <= self.tokens:
            raise InputError(
                "not allowed", where="question_tokens", expected=f"at most {self.tokens}", found=self.question_tokens
            )


def operation_count(dimensions: Dimensions, work: Workload, convention: Convention = "figure2") -> Fraction:
    """Macs for one example under one convention (a Fraction: alpha L need not be whole in the closed forms)."""
    counts = {"printed": _printed, "figure2": _figure2, "exact": _exact}
    if convention not in counts:
        raise InputError("unknown convention", where="convention", expected=" or ".join(CONVENTIONS), found=convention)
    return Fraction(counts[convention](dimensions, work))


def operation_counts(dimensions: Dimensions, work: Workload) -> dict[Convention, float]:
    """Macs for one example under every convention, as a result file records them."""
    return {convention: float(operation_count(dimensions, work, convention)) for convention in CONVENTIONS}


def samples_per_tflop(dimensions: Dimensions, work: Workload, convention: Convention = "figure2") -> float:
    """Examples for 1e12 macs: what Figure 2 calls samples per TFLOP."""
    return float(MACS_PER_TFLOP / operation_count(dimensions, work, convention))


def memory_bytes_per_token(dimensions: Dimensions, alpha: Fraction, dtype: str = "bfloat16") -> int:
    """Bytes that one stored passage token takes: a vector of d_model values, or nothing when every layer is live
    (alpha = 1)."""
    return 0 if alpha == 1 else bytes_per_vector(dimensions.d_model, dtype)


def bytes_per_vector(width: int, dtype: str) -> int:
    """Bytes of `width` values, and of the scale that int8 has for them."""
    return width * BYTES_PER_VALUE[dtype] + SCALE_BYTES.get(dtype, 0)


def memory_macs_per_passage(dimensions: Dimensions, alpha: Fraction, passage_tokens: int) -> Fraction:
    """Macs to precompute one passage's memory, attention scores included: paid once, not per example."""
    return (1 - alpha) * dimensions.encoder_layers * _encoder_layer(dimensions, passage_tokens)


def training_macs(
    dimensions: Dimensions,
    work: Workload,
    *,
    frozen_memory: bool = False,
    distils: bool = False,
    rematerialises: bool = False,
) -> Fraction:
    """Macs of every matrix product of a training step, for one example; passages' memory is computed in it.

    A trained product has two more on the way back, a product of frozen memory none. Distillation finishes all k
    passages and decodes each on its own, forward only (a teacher whose gradient flows costs three times that). With
    `rematerialises` a layer runs again on the way back, without its last product. A scorer that is not distilled into
    has no way back. Without passages (k = 0) the question stands before one empty place. Not told apart: frozen
    embeddings, and a question encoder of its own.
    """
    if work.k == 0:
        work = dataclasses.replace(work, k=1, m=1, tokens=work.question_tokens + 1)
    d, pair, target = dimensions, work.tokens, work.target_tokens
    live = work.alpha * d.encoder_layers
    rerank = (work.beta or 0) * live
    finished = live if work.separate_reranker else live - rerank
    scorer = 0 if work.beta is None else work.k * d.d_model
    memory = memory_macs(d, work) + (d.encoder_layers - live) * _encoder_layer(d, work.question_tokens)
    total = 3 * (operation_count(d, work, "exact") + memory_macs(d, work))
    if frozen_memory:
        total -= 2 * memory
    if distils:
        total += work.k * (finished * _encoder_layer(d, pair) + _decoder(d, pair, target))
    else:
        total -= 2 * scorer
    if rematerialises:
        layers = (work.k * rerank + work.m * finished) * _without_last_product(d, _encoder_layer(d, pair), pair)
        if not frozen_memory:
            passage = pair - work.question_tokens
            again = work.k * _without_last_product(d, _encoder_layer(d, passage), passage)
            again += _without_last_product(d, _encoder_layer(d, work.question_tokens), work.question_tokens)
            layers += (d.encoder_layers - live) * again
        decoder = _decoder_layer(d, work.m * pair, target)
        total += layers + d.decoder_layers * _without_last_product(d, decoder, target)
    return Fraction(total)


def memory_macs(dimensions: Dimensions, work: Workload) -> Fraction:
    """Macs to compute the memory of one example's k passages, where it is not read from the store."""
    passage = work.tokens - work.question_tokens
    return work.k * memory_macs_per_passage(dimensions, work.alpha, passage)


def _printed(d: Dimensions, work: Workload) -> Fraction:
    """F as printed in sections 2.1, 2.2 and 3.3, with n_p = tokens.

    F_LUMEN = k n_p alpha L 12 d^2 + k n_p L 2 d^2 + n_t L 14 d^2 (FiD: alpha = 1), and
    F_GLIMMER = F_LUMEN(m) + (k - m) n_p beta alpha L 12 d^2. The paper's L is one depth for both stacks: the decoder's
    is taken for cross-attention and decoding.
    """
    square = d.d_model**2
    encoder = work.tokens * work.alpha * d.encoder_layers * 12 * square
    reranking = (work.k - work.m) * (work.beta or 0) * encoder
    cross = work.m * work.tokens * d.decoder_layers * 2 * square
    return work.m * encoder + cross + reranking + work.target_tokens * d.decoder_layers * 14 * square


def _figure2(d: Dimensions, work: Workload) -> Fraction:
    """T L [k alpha beta e + m alpha (1 - beta) e + m x] + n_t L D: Figure 2's speeds at T = 384, n_t = 64."""
    beta = work.beta or 0
    encoder = work.tokens * work.alpha * d.encoder_layers * d.encoder_macs_per_token
    cross = work.m * work.tokens * d.decoder_layers * d.cross_macs_per_token
    decoder = work.target_tokens * d.decoder_layers * d.decoder_macs_per_token
    return (work.k * beta + work.m * (1 - beta)) * encoder + cross + decoder


def _exact(d: Dimensions, work: Workload) -> Fraction:
    """Every matrix product of the program: Figure 2's terms, attention scores, the question, the scorer, the logits.

    The program's shapes are static: padding counts as tokens, decoding attends n_t cached keys at every step, and
    attention scores count in full. The question runs the memory layers once. Norms, softmaxes, embeddings and
    relative-position additions hold no matrix product and do not count.
    """
    live = work.alpha * d.encoder_layers
    rerank = (work.beta or 0) * live
    layer = _encoder_layer(d, work.tokens)
    question = (d.encoder_layers - live) * _encoder_layer(d, work.question_tokens)
    kept_live = live if work.separate_reranker else live - rerank
    encoder = question + work.k * rerank * layer + work.m * kept_live * layer
    scorer = 0 if work.beta is None else work.k * d.d_model
    # Closed book (k = 0): the question alone runs the live layers and is decoded from.
    if work.k == 0:
        encoder += live * _encoder_layer(d, work.question_tokens)
    encoded = work.m * work.tokens if work.k else work.question_tokens
    return encoder + scorer + _decoder(d, encoded, work.target_tokens)


def _encoder_layer(d: Dimensions, tokens: int) -> int:
    """One encoder layer on one sequence: tokens e + 2 tokens^2 h (scores and their weighted sum)."""
    return tokens * d.encoder_macs_per_token + 2 * tokens**2 * d.heads_width


def _decoder(d: Dimensions, encoded_tokens: int, target_tokens: int) -> int:
    """All decoder layers and the logits, over `encoded_tokens` encoded tokens."""
    layers = d.decoder_layers * _decoder_layer(d, encoded_tokens, target_tokens)
    return layers + target_tokens * d.d_model * d.vocabulary


def _decoder_layer(d: Dimensions, encoded_tokens: int, target_tokens: int) -> int:
    keys_and_values = encoded_tokens * d.cross_macs_per_token
    scores = 2 * target_tokens * (target_tokens + encoded_tokens) * d.heads_width
    return target_tokens * d.decoder_macs_per_token + keys_and_values + scores


def _without_last_product(d: Dimensions, layer: int, tokens: int) -> int:
    """A layer up to what its way back needs: all but the feed-forward's second product."""
    return layer - tokens * d.d_model * d.d_ff
