"""Embedding a corpus with GTR's shapes: `Embedder` against the T5 encoder of transformers, pooled as GTR pools.

Both read the same rows, longest first. Ours pads a batch to a width that it has compiled, the other side only to the
longest row of the batch, as sentence-transformers does.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.reading import TINY
from benchmarks.peers.rows import OURS, Row, absent, finished, imported, in_turn, require_close, torch_device
from benchmarks.peers.rows import torch_missing as torch_missing_of

PEER = "PyTorch"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """`passages` rows of `shortest` to `longest` tokens; the other side reads `peer_batch` rows at once."""

    passages: int = 32
    shortest: int = 64
    longest: int = 256
    peer_batch: int = 32
    repeats: int = 3
    dtype: str = "float32"
    tiny: bool = False


def shapes(quick: bool, dtype: str = "float32") -> Shapes:
    """GTR-base; on an accelerator many more passages."""
    from benchmarks.peers.rows import on_accelerator

    if quick:
        return Shapes(passages=7, shortest=3, longest=20, peer_batch=3, repeats=2, dtype=dtype, tiny=True)
    return Shapes(passages=8192 if on_accelerator() else 32, peer_batch=256 if on_accelerator() else 32, dtype=dtype)


def rows(quick: bool, dtype: str = "float32") -> Iterator[Row]:
    """The row of corpus embedding."""
    at = shapes(quick, dtype)
    tower, tokens = _tower(at), _tokens(at)
    from glimmer.retrieval.embed import Embedder
    from glimmer.retrieval.gtr import with_activations

    embedder = Embedder(with_activations(tower, dtype=at.dtype), None)
    arms: dict[str, Any] = {OURS: lambda: embedder.tokens(tokens)}
    missing, checked = torch_missing_of(imported("torch")) or absent("transformers"), ""
    if not missing:
        peer = TorchTower(tower, bfloat16=at.dtype == "bfloat16")
        tolerance = 1e-3 if at.dtype == "float32" else 5e-2
        checked = require_close("embeddings", embedder.tokens(tokens), peer(tokens, at.peer_batch), tolerance)
        arms[PEER] = lambda: peer(tokens, at.peer_batch)
    count = int(np.count_nonzero(tokens))
    seconds = in_turn(arms, at.repeats)
    yield Row(
        name="embedding" + ("" if dtype == "float32" else f", {dtype}"),
        what=f"corpus embedding: {at.passages} passages of {at.shortest} to {at.longest} tokens, GTR-base, {dtype}",
        against=f"transformers' T5 encoder, mean, dense and unit length; {at.peer_batch} rows, sorted by length",
        seconds=seconds,
        checked=checked,
        limits="matrix products of the encoder; ours pads to one of a few widths, the peer to its longest row",
        facts={"tokens": count, "tokens a second, ours": round(count / float(np.median(seconds[OURS])))},
        missing=missing,
    )


def _tower(at: Shapes) -> Any:
    """A GTR tower with random weights."""
    import jax
    from flax import nnx

    from glimmer.models.config import T5Config, gtr_base
    from glimmer.models.t5 import T5
    from glimmer.retrieval.gtr import GTR

    tiny = T5Config(**vars(TINY), activation="relu", tied_head=True)
    config = dataclasses.replace(tiny if at.tiny else gtr_base(), dropout=0.0, decoder_layers=1)
    return GTR(
        T5(config, rngs=nnx.Rngs(0)), jax.random.normal(jax.random.key(1), (config.d_model,) * 2) * config.d_model**-0.5
    )


def _tokens(at: Shapes) -> np.ndarray:
    """Ragged rows [n, longest], padded with 0 on the right."""
    random = np.random.default_rng(0)
    out = np.zeros((at.passages, at.longest), np.int32)
    for row in out:
        length = random.integers(at.shortest, at.longest + 1)
        row[:length] = random.integers(2, TINY.vocabulary if at.tiny else 32000, length)
    return out


class TorchTower:
    """The same tower made of transformers' T5EncoderModel: what sentence-transformers runs for GTR."""

    def __init__(self, tower: Any, *, bfloat16: bool = False):
        import torch
        import transformers

        from glimmer.retrieval.gtr import save_gtr
        from worlds.vocabulary import train_vocabulary

        transformers.logging.set_verbosity_error()
        self.torch, self.device, self.bfloat16 = torch, torch_device(torch), bfloat16
        with tempfile.TemporaryDirectory() as directory:
            vocabulary = Path(directory) / "tokenizer.json"
            train_vocabulary(["a b c"], 30, vocabulary)  # the folder wants one; nothing is read by it
            save_gtr(tower, Path(directory) / "gtr", vocabulary)
            model = transformers.T5EncoderModel.from_pretrained(Path(directory) / "gtr", dtype=torch.float32)
        self.model = model.to(self.device)
        self.model.eval()
        self.projection = torch.as_tensor(np.array(tower.projection[...]), device=self.device)

    def __call__(self, tokens: np.ndarray, batch: int) -> np.ndarray:
        """Unit-length embeddings float32 [n, E] in the order given."""
        lengths = np.count_nonzero(tokens, axis=1)
        order = np.argsort(-lengths, kind="stable")
        out = np.zeros((len(tokens), self.projection.shape[1]), np.float32)
        with self.torch.inference_mode():
            for start in range(0, len(order), batch):
                chosen = order[start : start + batch]
                out[chosen] = self._embed(tokens[chosen, : lengths[chosen[0]]]).cpu().numpy()
        return finished(self.torch, out)

    def _embed(self, rows: np.ndarray) -> Any:
        ids = self.torch.as_tensor(np.asarray(rows, np.int64), device=self.device)
        mask = (ids != 0).long()
        with self.torch.autocast(self.device, dtype=self.torch.bfloat16, enabled=self.bfloat16):
            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        states = states.float() * mask[..., None]
        mean = states.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.torch.nn.functional.normalize(mean @ self.projection, dim=1)
