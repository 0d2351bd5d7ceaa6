"""One batch on its way through a reader: token ids, [question; passage] pairs, and what the decoder attends to.

Letters in shapes are those of glimmer.models.reader; S is the tokens of all attended passages together.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Token ids, 0 where there is no token, and which passages there are to read: at least one a question."""

    question: Int[Array | np.ndarray, "B Q"]
    passages: Int[Array | np.ndarray, "B k P"]
    present: Bool[Array | np.ndarray, "B k"]
    answer: Int[Array | np.ndarray, "B A"]

    @classmethod
    def of(
        cls,
        *,
        question: Int[Array | np.ndarray, "B Q"],
        passages: Int[Array | np.ndarray, "B k P"],
        answer: Int[Array | np.ndarray, "B A"],
    ) -> Batch:
        """A batch in which passages of padding alone are absent.

        A question whose passages are all absent is read alone: its first one is present, without tokens.
        """
        present = np.any(np.asarray(passages) != 0, axis=2)
        present[:, 0] |= ~np.any(present, axis=1)
        return cls(question=question, passages=passages, present=present, answer=answer)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairs:
    """The k (or m) [question; passage] pairs of each question, and how many live layers they have had."""

    states: Float[Array, "B k T D"]
    tokens: Bool[Array, "B k T"]
    present: Bool[Array, "B k"]
    live_layers_done: int = dataclasses.field(default=0, metadata={"static": True})

    def take(self, indexes: Int[Array, "B m"]) -> Pairs:
        """The pairs at `indexes`, in that order."""
        return jax.tree.map(
            lambda x: jnp.take_along_axis(x, indexes.reshape(*indexes.shape, *[1] * (x.ndim - 2)), 1), self
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoded:
    """What `Reader.encode` makes of a batch: the passages kept for the decoder, and all k with their scores."""

    kept: Pairs
    """The m kept, best first, after every live layer and normed."""
    kept_indexes: Int[Array, "B m"]
    reranked: Pairs
    """All k as `Reader.rerank` left them, in the order of retrieval."""
    scores: Float[Array, "B k"]
    question: Pairs | None
    """The question's own representation, where the decoder attends to it too."""

    @property
    def ranking(self) -> Int[Array, "B k"]:
        """Indexes of all k passages, best first."""
        return best_first(self.scores, self.scores.shape[1])


def best_first(scores: Float[Array, "B k"], count: int) -> Int[Array, "B count"]:
    """Indexes of the `count` highest scores; of equal ones the earlier retrieved comes first (top_k is stable)."""
    return jax.lax.top_k(scores, count)[1]


def one_sequence(*parts: Pairs | None) -> tuple[Float[Array, "B S D"], Bool[Array, "B S"]]:
    """All pairs of a question as one sequence for cross-attention, and which of its tokens are real."""
    parts = [part for part in parts if part is not None]
    b, _, _, d = parts[0].states.shape
    states = [part.states.reshape(b, -1, d) for part in parts]
    masks = [(part.tokens & part.present[..., None]).reshape(b, -1) for part in parts]
    return jnp.concatenate(states, axis=1), jnp.concatenate(masks, axis=1)
