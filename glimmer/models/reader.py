"""One reader, three names: memory layers apart, live layers on [question; passage], scores after the first of them.

    Q = Memory(question), P_i = Memory(passage_i)            memory_layers of the encoder, ahead of time for passages
    H_i = LiveA([Q; P_i])                                    the first rerank_layers of the live encoder, for all k
    s_i = w . pool(norm(H_i)),  keep the m passages of highest s_i
    E_j = norm(LiveB(H_j))                                   the remaining live layers, for the m kept
    answer = Decoder([E_1; ...; E_m])

FiD has no memory layers (alpha = 1), LUMEN keeps all passages (m = k, no scorer); sections 2 and 3.1 of the paper.

Question tokens are padded on the left and passage tokens on the right, so that the real tokens of [Q; P_i] stand
together and relative positions count real tokens. Letters in shapes: B questions, k passages, m kept passages,
Q question tokens, P passage tokens, T = Q + P, A answer tokens, D width, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from glimmer.experiments.settings import ReaderSettings
from glimmer.models.batch import Batch, Encoded, Pairs, best_first, one_sequence
from glimmer.models.config import T5Config
from glimmer.models.layers import MaybeKey, RMSNorm, dropout, split_key
from glimmer.models.t5 import T5, Embedding, EncoderStack, greedy_decode, shift_right


class DropoutKeys(NamedTuple):
    """A key for the dropout of each part of a reader; None for no dropout there."""

    question: MaybeKey = None
    passages: MaybeKey = None
    rerank: MaybeKey = None
    finish: MaybeKey = None
    decoder: MaybeKey = None

    @classmethod
    def split(cls, key: MaybeKey) -> DropoutKeys:
        """Independent keys of all parts, or none. The order of the parts decides which key each gets."""
        return cls(*split_key(key, len(cls._fields)))


NO_DROPOUT = DropoutKeys()


class Reader(nnx.Module):
    """A FiD, LUMEN or GLIMMER model, built from the layers of one T5 checkpoint."""

    def __init__(self, t5: T5, settings: ReaderSettings, *, rngs: nnx.Rngs):
        """Copies `t5`'s layers into memory, live and (where separate) question and rerank stacks.

        A "scratch" reranker keeps its random values; every other part starts from the checkpoint. Frozen memory reads
        tokens by a copy of the embedding, so that the decoder's own can be trained.
        """
        self.config, self.settings = t5.config, settings
        layers = t5.config.encoder_layers
        # alpha is the share of the layers that are live, beta the share of the live ones that rerank.
        memory, self.live_layers, self.rerank_layers = settings.split(layers)
        self.embedding = _copy(t5.embedding)
        self.memory_embedding = nnx.data(_tokens_only(t5.embedding) if settings.memory == "frozen" else None)
        self.memory = _part(t5.encoder, 0, memory)
        self.question_memory = nnx.data(
            _part(t5.encoder, 0, memory) if settings.question_encoder == "separate" else None
        )
        self.live = _part(t5.encoder, memory, layers)
        self.reranker = nnx.data(None)
        if settings.reranker == "separate":
            self.reranker = nnx.data(_part(t5.encoder, memory, memory + self.rerank_layers))
        elif settings.reranker == "scratch":
            self.reranker = nnx.data(EncoderStack(t5.config, self.rerank_layers, rngs=rngs))
        self.scorer = nnx.data(Scorer(self.config, settings.scorer) if settings.name == "glimmer" else None)
        self.encoder_norm = _copy(t5.encoder_norm)
        self.decoder = _copy(t5.decoder)

    def encode(
        self, batch: Batch, memory: Float[Array, "B k P D"] | None = None, keys: DropoutKeys = NO_DROPOUT
    ) -> Encoded:
        """Sections 2 and 3.1 of the paper, from token ids to what the decoder attends to.

        `memory` is that of the passages, from the store; it is computed here where None.
        """
        if memory is None:
            memory = self.remember_passages(batch.passages, keys.passages)
        question_memory = self.remember_question(batch.question, keys.question)
        pairs = self.pair(batch, question_memory, memory)
        reranked, scores = self.rerank(pairs, keys.rerank)
        indexes = self.select(scores)
        kept = self.finish(reranked.take(indexes), keys.finish)
        question = self.question_for_decoder(batch.question, question_memory)
        return Encoded(kept=kept, kept_indexes=indexes, reranked=reranked, scores=scores, question=question)

    # -- memory: ahead of time for passages, on the fly for questions --------------------------------------------

    def remember_question(self, question: Int[Array, "B Q"], key: MaybeKey = None) -> Float[Array, "B Q D"]:
        """The question's own representation, through the memory encoder or its separate copy."""
        stack = self.memory if self.question_memory is None else self.question_memory
        return self._remember(stack, question, key)

    def remember_passages(self, passages: Int[Array, "B k P"], key: MaybeKey = None) -> Float[Array, "B k P D"]:
        """Each passage's memory: the residual stream after the memory layers, before any norm."""
        return _fold(lambda rows: self._remember(self.memory, rows, key), passages)

    def _remember(self, stack: EncoderStack, tokens: Int[Array, "B T"], key: MaybeKey):
        embedding = self.embedding
        if stack is self.memory and self.memory_embedding is not None:
            embedding, key = self.memory_embedding, None  # training then sees the memory that the store holds
        input_key, layers_key = split_key(key, 2)
        x = dropout(embedding(tokens), self.config.dropout, input_key)
        return stack(x, tokens != self.config.pad_id, layers_key)

    def pair(
        self, batch: Batch, question_memory: Float[Array, "B Q D"], passage_memory: Float[Array, "B k P D"]
    ) -> Pairs:
        """[Q; P_i] for every passage: states side by side, and which tokens are real."""
        question, passages = batch.question, batch.passages
        k = passages.shape[1]
        beside = jnp.broadcast_to(question_memory[:, None], (question.shape[0], k, *question_memory.shape[1:]))
        states = jnp.concatenate([beside, passage_memory.astype(beside.dtype)], axis=2)
        question_tokens = jnp.broadcast_to(
            (question != self.config.pad_id)[:, None], (*passages.shape[:2], question.shape[1])
        )
        tokens = jnp.concatenate([question_tokens, passages != self.config.pad_id], axis=2)
        return Pairs(states=states, tokens=tokens, present=jnp.asarray(batch.present))

    # -- live: score, select, finish -------------------------------------------------------------------------------

    def rerank(self, pairs: Pairs, key: MaybeKey = None) -> tuple[Pairs, Float[Array, "B k"]]:
        """Pairs after LiveA, the share beta of the live layers, and their scores; absent passages score -inf.

        With a separate reranker the scores come from its layers, and the pairs pass on unchanged for the whole live
        encoder. Without a scorer (FiD, LUMEN) the order of retrieval stands: scores fall from 0 by 1 a rank.
        """
        if self.scorer is None:
            ranks = -jnp.arange(pairs.present.shape[1], dtype=jnp.float32)
            return pairs, jnp.where(pairs.present, ranks, -jnp.inf)
        if self.reranker is None:
            pairs = scored = self._live(pairs, self.live, self.rerank_layers, key)
        else:
            scored = self._live(pairs, self.reranker, self.rerank_layers, key)
        return pairs, jnp.where(pairs.present, self.scorer(scored), -jnp.inf)

    def select(self, scores: Float[Array, "B k"]) -> Int[Array, "B m"]:
        """Indexes of the m highest scores, best first; of all passages where there is no scorer to choose by."""
        k = scores.shape[1]
        return best_first(scores, k if self.scorer is None else min(self.settings.m, k))

    def finish(self, pairs: Pairs, key: MaybeKey = None) -> Pairs:
        """Pairs after the live layers that they have not had, normed: what the decoder attends to of the passages."""
        live_key, output_key = split_key(key, 2)
        pairs = self._live(pairs, self.live, self.live_layers, live_key)
        normed = dropout(self.encoder_norm(pairs.states), self.config.dropout, output_key)
        return dataclasses.replace(pairs, states=normed)

    def _live(self, pairs: Pairs, stack: EncoderStack, stop: int, key: MaybeKey) -> Pairs:
        rows, mask = _rows(pairs.states), _rows(pairs.tokens)
        states = stack(rows, mask, key, pairs.live_layers_done, stop).reshape(pairs.states.shape)
        return dataclasses.replace(pairs, states=states, live_layers_done=stop)

    def question_for_decoder(self, question: Int[Array, "B Q"], question_memory: Float[Array, "B Q D"]) -> Pairs | None:
        """The question's own normed representation as one more thing to attend to, where the settings ask for it."""
        if not self.settings.question_in_decoder:
            return None
        return Pairs(
            states=self.encoder_norm(question_memory)[:, None],
            tokens=(question != self.config.pad_id)[:, None],
            present=jnp.ones((question.shape[0], 1), bool),
        )

    # -- decoder -----------------------------------------------------------------------------------------------------

    def logits(self, encoded: Encoded, answer: Int[Array, "B A"], key: MaybeKey = None) -> Float[Array, "B A V"]:
        """Teacher-forced logits of the answer given all kept passages together."""
        return self._logits(one_sequence(encoded.kept, encoded.question), answer, key)

    def answer_log_probability(self, encoded: Encoded, answer: Int[Array, "B A"]) -> Float[Array, "B m A"]:
        """log p(answer token | kept passage_j alone, question, earlier tokens), 0 at padding; no dropout."""
        b, m = encoded.kept.present.shape
        alone = jax.tree.map(lambda x: x.reshape(b * m, 1, *x.shape[2:]), encoded.kept)
        answers, question = jax.tree.map(lambda x: jnp.repeat(x, m, axis=0), (answer, encoded.question))
        logits = self._logits(one_sequence(alone, question), answers, None)
        return token_log_probability(logits, answers, self.config.pad_id).reshape(b, m, -1)

    def _logits(self, attended: tuple[Array, Array], answer: Int[Array, "B A"], key: MaybeKey):
        targets = self.embedding(shift_right(answer, self.config.start_id))
        return self.embedding.logits(self.decoder(targets, *attended, key))

    def generate(self, encoded: Encoded, length: int) -> Int[Array, "B length"]:
        """Greedy answer of at most `length` tokens."""
        states, mask = one_sequence(encoded.kept, encoded.question)
        return greedy_decode(self.embedding, self.decoder, states, mask, length=length, config=self.config)


class Scorer(nnx.Module):
    """s = w . pool(norm(H)): a norm of its own (live states are an unnormed residual stream), then one projection.

    Pool is the first real token of the pair (the paper's choice) or the mean over its real tokens (Table 3). The weight
    starts at zero: before the first step all scores tie, and the order of retrieval stands.
    """

    def __init__(self, config: T5Config, pool: str):
        self.norm = RMSNorm(config)
        self.weight = nnx.Param(jnp.zeros(config.d_model, jnp.float32))
        self.pool = pool

    def __call__(self, pairs: Pairs) -> Float[Array, "B k"]:
        states = self.norm(pairs.states).astype(jnp.float32)
        if self.pool == "mean_pool":
            count = jnp.maximum(jnp.sum(pairs.tokens, axis=2), 1)
            pooled = jnp.einsum("bktd,bkt->bkd", states, pairs.tokens) / count[..., None]
        else:
            first = jnp.argmax(pairs.tokens, axis=2)  # questions are padded on the left
            pooled = jnp.take_along_axis(states, first[..., None, None], axis=2)[:, :, 0]
        return pooled @ self.weight[...]


def token_log_probability(logits: Float[Array, "B A V"], tokens: Int[Array, "B A"], pad_id: int) -> Float[Array, "B A"]:
    """log softmax of each token, 0 where the token is padding."""
    chosen = jnp.take_along_axis(logits, tokens[..., None], axis=2)[..., 0] - jax.nn.logsumexp(logits, axis=2)
    return jnp.where(tokens != pad_id, chosen, 0.0)


def _rows(x: Array) -> Array:
    return x.reshape(-1, *x.shape[2:])


def _fold(function, x: Int[Array, "B k P"]):
    return function(_rows(x)).reshape(*x.shape, -1)


def _copy(module: nnx.Module) -> nnx.Module:
    """A module with arrays of its own: buffers that two parameters shared could not be donated to a training step."""
    definition, state = nnx.split(module)
    return nnx.merge(definition, jax.tree.map(jnp.copy, state))


def _tokens_only(embedding: Embedding) -> Embedding:
    """A copy of an embedding without its head."""
    part = _copy(embedding)
    part.head = nnx.data(None)
    return part


def _part(encoder: EncoderStack, start: int, stop: int) -> EncoderStack:
    """Layers [start, stop) of an encoder with a copy of its relative-position table."""
    part = _copy(encoder)
    if start == stop:
        part.layers = nnx.data(None)
        return part
    definition, state = nnx.split(part.layers)
    part.layers = nnx.data(nnx.merge(definition, jax.tree.map(lambda leaf: jnp.copy(leaf[start:stop]), state)))
    return part
