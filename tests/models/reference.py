"""T5 and the readers once more, in NumPy float64 and plain loops, on real tokens only: padding never enters here."""

import math

import numpy as np
from flax import nnx


class Parameters:
    """The parameters of a module as float64 arrays by dotted name: `p["decoder.norm.scale"]`."""

    def __init__(self, module, prefix=""):
        flat = nnx.to_flat_state(nnx.state(module)) if not isinstance(module, dict) else None
        self.values = module if flat is None else {
            ".".join(map(str, path)): np.asarray(variable[...], np.float64) for path, variable in flat
        }  # fmt: skip
        self.prefix = prefix

    def __getitem__(self, name):
        return self.values[self.prefix + name]

    def __contains__(self, name):
        return any(key.startswith(self.prefix + name) for key in self.values)

    def below(self, name):
        return Parameters(self.values, f"{self.prefix}{name}.")

    def layer(self, number):
        found = {k.removeprefix(self.prefix): v[number] for k, v in self.values.items() if k.startswith(self.prefix)}
        return Parameters(found)


def bucket(distance: int, bidirectional: bool, buckets: int = 32, furthest: int = 128) -> int:
    """T5's relative-position bucket of one key-minus-query distance, by whole numbers: no logarithm to round."""
    first = 0
    if bidirectional:
        buckets //= 2
        first = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    # The largest b with exact * (furthest / exact)^(b / (buckets - exact)) <= distance.
    steps, b = buckets - exact, 0
    while b + 1 < steps and exact**steps * furthest ** (b + 1) <= distance**steps * exact ** (b + 1):
        b += 1
    return first + exact + b


def norm(x, scale, epsilon=1e-6):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon) * scale


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(p, x, source, bias, heads):
    """x: queries [T, D]; source: [S, D]; bias: [H, T, S], -inf where hidden."""
    q, k, v = (
        (a @ p[name]).reshape(len(a), heads, -1) for name, a in (("query", x), ("key", source), ("value", source))
    )
    out = [softmax(q[:, h] @ k[:, h].T + bias[h]) @ v[:, h] for h in range(heads)]
    return np.concatenate(out, axis=1) @ p["output"]


def feed_forward(p, x):
    hidden = x @ p["input"]
    if "gate" in p:
        gate = x @ p["gate"]
        hidden *= 0.5 * gate * (1 + np.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
    else:
        hidden = np.maximum(hidden, 0)
    return hidden @ p["output"]


def positions(p, length, config, bidirectional):
    """The learned bias of every pair of places, [H, T, T]; -inf where a causal query may not look."""
    table = p["relative_bias.table"]
    out = np.empty((config.num_heads, length, length))
    for i in range(length):
        for j in range(length):
            chosen = bucket(j - i, bidirectional, config.relative_buckets, config.relative_max_distance)
            out[:, i, j] = table[chosen] if bidirectional or j <= i else -np.inf
    return out


def encoder_layers(p, x, config, start, stop):
    """Layers [start, stop) of an encoder stack on the residual stream [T, D]."""
    if start == stop:
        return x
    bias = positions(p, len(x), config, True)
    for number in range(start, stop):
        layer = p.below("layers").layer(number)
        normed = norm(x, layer["attention_norm.scale"])
        x = x + attention(layer.below("attention"), normed, normed, bias, config.num_heads)
        x = x + feed_forward(layer.below("feed_forward"), norm(x, layer["feed_forward_norm.scale"]))
    return x


def decoder_logits(p, answer, encoded, config):
    """Teacher-forced logits [A, V] of the answer given encoded states [S, D]."""
    x = p["embedding.table"][np.concatenate([[config.start_id], answer[:-1]])]
    d = p.below("decoder")
    bias = positions(d, len(x), config, False)
    unbiased = np.zeros((config.num_heads, len(x), len(encoded)))
    for number in range(config.decoder_layers):
        layer = d.below("layers").layer(number)
        normed = norm(x, layer["attention_norm.scale"])
        x = x + attention(layer.below("attention"), normed, normed, bias, config.num_heads)
        crossed = norm(x, layer["cross_norm.scale"])
        x = x + attention(layer.below("cross_attention"), crossed, encoded, unbiased, config.num_heads)
        x = x + feed_forward(layer.below("feed_forward"), norm(x, layer["feed_forward_norm.scale"]))
    x = norm(x, d["norm.scale"])
    if config.tied_head:
        return x @ p["embedding.table"].T * config.d_model**-0.5
    return x @ p["embedding.head"]


def read(reader, question, passages, answer):
    """One question of a reader, by the equations of glimmer.models.reader: (scores, kept, logits, log likelihoods).

    `question`, `answer` and each of `passages` are lists of real tokens; an absent passage is an empty list.
    """
    p, config, s = Parameters(reader), reader.config, reader.settings
    memory, live, rerank = s.split(config.encoder_layers)
    remember = lambda part, tokens: encoder_layers(  # noqa: E731
        p.below(part), p["embedding.table"][tokens], config, 0, memory
    )
    asked = remember("question_memory" if s.question_encoder == "separate" else "memory", question)
    pairs = [np.concatenate([asked, remember("memory", passage)]) if passage else None for passage in passages]
    if s.name == "glimmer":
        stack = "live" if s.reranker == "shared" else "reranker"
        scored = [None if x is None else encoder_layers(p.below(stack), x, config, 0, rerank) for x in pairs]
        scores = np.array([-np.inf if x is None else _score(p, x, s.scorer) for x in scored])
        done = rerank if s.reranker == "shared" else 0
        pairs = scored if s.reranker == "shared" else pairs
    else:
        scores, done = np.array([-np.inf if x is None else -float(i) for i, x in enumerate(pairs)]), 0
    kept = np.argsort(-scores, kind="stable")[: s.m]
    finish = lambda x: norm(  # noqa: E731
        encoder_layers(p.below("live"), x, config, done, live), p["encoder_norm.scale"]
    )
    own = [norm(asked, p["encoder_norm.scale"])] if s.question_in_decoder else []
    encoded = np.concatenate([*[finish(pairs[i]) for i in kept if pairs[i] is not None], *own])
    likelihoods = np.full(len(passages), np.nan)
    for i, x in enumerate(pairs):
        if x is not None:
            found = log_probability(decoder_logits(p, answer, np.concatenate([finish(x), *own]), config), answer)
            likelihoods[i] = found.sum() if s.token_reduction == "sum" else found.mean()
    return scores, kept, decoder_logits(p, answer, encoded, config), likelihoods


def log_probability(logits, tokens):
    """log softmax of each token."""
    return np.log(softmax(logits))[np.arange(len(tokens)), tokens]


def _score(p, states, pool):
    states = norm(states, p["scorer.norm.scale"])
    return (states.mean(axis=0) if pool == "mean_pool" else states[0]) @ p["scorer.weight"]


def distillation(scores, likelihoods, present, tau, kl):
    """Mean over rows of KL(p_rank, p_LM) or of its reverse, over the passages that are present."""
    total = 0.0
    for s, l, here in zip(scores, likelihoods, present, strict=True):  # noqa: E741
        if here.any():
            rank, lm = softmax(s[here] / tau), softmax(l[here] / tau)
            a, b = (rank, lm) if kl == "rank_lm" else (lm, rank)
            total += float(np.sum(a * np.log(a / b)))
    return total / len(scores)
