"""Text to GTR embeddings: batches of like lengths, sharded over devices, and a corpus in resumable shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int
from tqdm import tqdm

from glimmer.errors import InputError
from glimmer.models.mesh import device_mesh, place_batch, place_parameters
from glimmer.models.tokenizer import Tokenizer
from glimmer.parts import StagePart
from glimmer.retrieval.gtr import GTR
from glimmer.retrieval.shards import ShardPlan, write_shards

# Each width is compiled once. Steps of a quarter waste at most a quarter of a batch in padding, a tenth on average.
_WIDTHS = (16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512)


class Embedder:
    """A GTR tower with its tokenizer, compiled once for each width of a batch.

    Args: tokens_per_batch: rows times width of a batch, about. None: 2048 on a CPU, whose caches larger batches
    overflow (measured: a third slower at 4096), 65536 on an accelerator.
    """

    def __init__(self, gtr: GTR, tokenizer: Tokenizer, *, tokens_per_batch: int | None = None):
        self.gtr, self.tokenizer = gtr, tokenizer
        self.tokens_per_batch = tokens_per_batch or (2048 if jax.default_backend() == "cpu" else 65536)
        self._mesh = device_mesh()
        definition, state = nnx.split(gtr)
        self._state = place_parameters(state, self._mesh)
        self._run = jax.jit(lambda state, tokens: nnx.merge(definition, state)(tokens))

    def texts(
        self,
        texts: Sequence[str],
        length: int,
        *,
        keep: Literal["first", "last"] = "first",
        progress: str | None = None,
    ) -> Float[np.ndarray, "n E"]:
        """Embeddings of texts cut to their first or last `length` tokens, the end token included."""
        return self.tokens(self.tokenizer.encode_array(texts, length, keep=keep, end=True), progress=progress)

    def tokens(self, tokens: Int[np.ndarray, "n T"], *, progress: str | None = None) -> Float[np.ndarray, "n E"]:
        """Embeddings of token rows padded with 0 on the right, longest batches first, in the order given."""
        out = np.zeros((len(tokens), self.gtr.dimension), np.float32)
        pending: list[tuple[np.ndarray, jax.Array]] = []
        with tqdm(
            total=len(tokens), desc=progress, unit="row", disable=True if progress is None else None, leave=False
        ) as bar:
            for chosen, batch in self._batches(tokens):
                pending.append((chosen, self._run(self._state, place_batch(batch, self._mesh))))
                if len(pending) > 2:  # keeps the device fed, and the host's queue short
                    _collect(out, *pending.pop(0), bar)
            while pending:
                _collect(out, *pending.pop(0), bar)
        return out

    def _batches(self, tokens: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(row numbers, int32 [rows, width]); the last rows of a batch may be empty."""
        lengths = np.count_nonzero(tokens, axis=1)
        order = np.argsort(-lengths, kind="stable")
        at = 0
        while at < len(order):
            width = batch_width(int(lengths[order[at]]))
            rows = self._rows(width)
            chosen = order[at : at + rows]
            batch = np.zeros((rows, width), np.int32)
            columns = min(width, tokens.shape[1])
            batch[: len(chosen), :columns] = tokens[chosen, :columns]
            yield chosen, batch
            at += rows

    def _rows(self, width: int) -> int:
        devices = self._mesh.shape["data"]
        return max(1, self.tokens_per_batch // width // devices) * devices


def batch_width(length: int) -> int:
    """The compiled width that rows of at most `length` tokens are padded to."""
    return next((width for width in _WIDTHS if width >= length), -(-length // 128) * 128)


def embed_corpus(
    embedder: Embedder,
    read_texts: Callable[[int, int], Sequence[str]],
    directory: str | Path,
    *,
    plan: ShardPlan,
    part: StagePart | None = None,
) -> list[int]:
    """Embeds a corpus into `directory`, skipping the shards that are there; returns the numbers of the new ones.

    Args: read_texts: texts of passages [start, end), as the tower should see them. part: of the shards; None: all.
    """
    if plan.dimension != embedder.gtr.dimension:
        raise InputError(
            "the plan is for another model", where=directory, expected=embedder.gtr.dimension, found=plan.dimension
        )
    count = len(plan.shards())

    def embed(start: int, end: int) -> np.ndarray:
        name = f"embed shard {start // plan.passages_per_shard + 1}/{count}"
        return embedder.texts(read_texts(start, end), plan.passage_tokens, progress=name)

    return write_shards(directory, plan, embed, part)


def passage_text(title: str, text: str) -> str:
    """What is embedded, indexed and matched of a passage: the title in front says what "it" and "he" are about."""
    return f"{title} {text}".strip()


def _collect(out: np.ndarray, chosen: np.ndarray, rows: jax.Array, bar: tqdm) -> None:
    out[chosen] = np.asarray(rows, np.float32)[: len(chosen)]
    bar.update(len(chosen))
