"""The initial checkpoint of a small study: a T5 that reads generated worlds other than the benchmark's.

A curriculum of stages, each a number of optimiser steps on reading exercises: first few passages, then more, last the
numbers that readers will meet. The model reads as FiD does, or split as LUMEN does. It starts from planted circuits and
may grow in depth between stages (worlds.mimetic). Every reader of the study starts from what comes out.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from glimmer.errors import InputError
from glimmer.experiments.settings import TASKS, fid, glimmer, lumen
from glimmer.files import atomic_directory, write_json
from glimmer.models.batch import Batch
from glimmer.models.checkpoint import save_t5
from glimmer.models.config import T5Config
from glimmer.models.reader import Reader, token_log_probability
from glimmer.models.t5 import T5
from glimmer.models.tokenizer import Tokenizer
from glimmer.training.ahead import made_ahead
from glimmer.training.losses import language_model_loss
from worlds.distribution import StartingWords, starting_words, words_of_text
from worlds.exercises import TextForms, evidence_of, exercise_batch
from worlds.generate import TWO_PAGES, ReadingExample, sample_pages, sample_reading_examples
from worlds.mimetic import grown_t5, places_at_the_end, plain_t5, planted_t5
from worlds.recipe import CurriculumStage, Examination, Recipe, check_places

CLIP_NORM = 1.0
SECOND_MOMENT_DECAY = 0.95  # of Adam: at 0.999 the steep first steps slow down all that a stage of hundreds has
Log = Callable[[dict[str, Any]], None]
_WORDS, _EXAMINATION = 2**31, 2**31 + 1  # random streams that no stage draws from: stage numbers are small


def write_initial_checkpoint(
    recipe: Recipe,
    config: T5Config,
    tokenizer: str | Path,
    forms: TextForms,
    out: str | Path,
    log: Log = lambda _: None,
) -> dict[str, Any]:
    """Pretrains, examines, and writes a Hugging Face directory with the tokenizer and reading.json; returns that."""
    started = time.perf_counter()
    pieces = Tokenizer(tokenizer)
    if len(pieces) > config.vocabulary:
        raise InputError(
            "tokenizer too large", where=tokenizer, expected=f"{config.vocabulary} pieces", found=len(pieces)
        )
    model = pretrain(recipe, config, pieces, forms, log)
    trained = time.perf_counter()
    examined = (model, recipe.examination, recipe.seed, pieces, forms)
    rows = examine(*examined)
    if recipe.reads_only:
        rows += without_passages(*examined)
    reading = {
        "exact_match": rows,
        **(reading_gate(*examined) if recipe.reads_only else {}),
        "seconds": {"training": trained - started, "examination": time.perf_counter() - trained},
    }
    with atomic_directory(out) as temporary:
        save_t5(model, temporary, tokenizer)
        write_json(temporary / "reading.json", reading)
    return reading


def pretrain(recipe: Recipe, config: T5Config, tokenizer: Tokenizer, forms: TextForms, log: Log = lambda _: None) -> T5:
    """Runs every stage of `recipe` and grows to `config`'s depth. `log` gets a row of the curve now and then.

    Same recipe, configuration and tokenizer, same weights. Raises InputError, before any training, if a stage is deeper
    than the model, `recipe.places` are not those of its layers, or a recipe that `reads_only` ends with fewer layers.
    """
    trained = recipe.stages[-1].encoder_layers
    check_places(recipe.places, trained, config.encoder_layers, "initial.places")
    if recipe.reads_only and trained != config.encoder_layers:
        raise InputError("layers that are not trained with the others", where="initial.stages, the last one",
                         expected=f"encoder_layers {config.encoder_layers}", found=trained)  # fmt: skip
    # On a CPU, where memory is slow, computing activations again is faster than keeping them.
    first = dataclasses.replace(config, encoder_layers=recipe.stages[0].encoder_layers, dropout=0.0, rematerialise=True)
    words = _words(recipe, config, tokenizer, forms)
    started = plain_t5 if recipe.start == "plain" else planted_t5
    model = started(first, jax.random.key(recipe.seed), words)
    for number, stage in enumerate(recipe.stages):
        grown = _grown(model, stage.places, stage.encoder_layers)
        model = run_stage(grown, stage, np.random.default_rng([recipe.seed, number]), tokenizer, forms, log)
    model = _grown(model, recipe.places, config.encoder_layers)
    model.config = config
    return model


def _grown(model: T5, places: tuple[int | None, ...], layers: int) -> T5:
    return grown_t5(model, places or places_at_the_end(model.config.encoder_layers, layers))


def _words(recipe: Recipe, config: T5Config, tokenizer: Tokenizer, forms: TextForms) -> StartingWords | None:
    if not recipe.word_exercises:
        return None
    rng = np.random.default_rng([recipe.seed, _WORDS])
    if recipe.start == "plain":
        pages = sample_pages(rng, recipe.word_exercises)
        return words_of_text(pages, tokenizer, config.vocabulary, config.d_model, rng)
    one_hop = ("nq", "triviaqa", "trex")
    examples = sample_reading_examples(rng, recipe.word_exercises, passages=1, facts=(1, 1), tasks=one_hop)
    return starting_words(examples, tokenizer, forms, config.vocabulary, config.d_model, rng)


def run_stage(
    model: T5,
    stage: CurriculumStage,
    rng: np.random.Generator,
    tokenizer: Tokenizer,
    forms: TextForms,
    log: Log = lambda _: None,
    log_every: int = 25,
) -> T5:
    """A trained copy of `model`: `stage.steps` steps of a fresh Adam on exercises drawn by `rng`."""
    definition, parameters = nnx.split(model)
    optimizer = _optimizer(stage)
    width = model.config.d_model
    probe = Probe(evidence=jnp.zeros(width), offset=jnp.zeros(()), ranking=jnp.zeros(width))

    def step(trained, state, batch, evidence, alpha):
        def loss(trained):
            parameters, probe = trained
            model = nnx.merge(definition, parameters)
            losses = reading_losses(model, probe, batch, evidence, stage.ranking_layers, alpha)
            total = losses.answer + stage.evidence_weight * losses.evidence + stage.ranking_weight * losses.ranking
            return total, losses

        gradients, losses = jax.grad(loss, has_aux=True)(trained)
        updates, state = optimizer.update(gradients, state, trained)
        return optax.apply_updates(trained, updates), state, losses

    compiled = jax.jit(step, donate_argnums=(0, 1), static_argnums=4)
    trained = (jax.tree.map(jnp.copy, parameters), probe)  # donated below, and the caller keeps his model
    state, recent, started = optimizer.init(trained), [], time.perf_counter()
    for number, batch in enumerate(made_ahead(_batches(stage, rng, tokenizer, forms)), start=1):
        trained, state, losses = compiled(trained, state, *batch)
        recent.append(losses)
        if number % log_every == 0 or number == stage.steps:
            means = jax.tree.map(lambda *one: float(jnp.stack(one).mean()), *recent)._asdict()
            log({"stage": stage.name, "step": number, **means, "seconds": round(time.perf_counter() - started, 2)})
            recent.clear()
    return nnx.merge(definition, trained[0])


def _optimizer(stage: CurriculumStage) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(CLIP_NORM), optax.adam(_rate(stage), b2=SECOND_MOMENT_DECAY))


def _rate(stage: CurriculumStage) -> optax.Schedule:
    warmup = min(stage.warmup_steps, stage.steps - 1)
    least = stage.learning_rate * stage.final_rate
    return optax.warmup_cosine_decay_schedule(0.0, stage.learning_rate, warmup, max(stage.steps, 2), least)


def _batches(
    stage: CurriculumStage, rng: np.random.Generator, tokenizer: Tokenizer, forms: TextForms
) -> Iterator[tuple]:
    exercises = stage.exercises
    for _ in range(stage.steps):
        k = int(rng.choice(stage.passages))
        alpha = Fraction(str(rng.choice(stage.alphas)) if len(stage.alphas) > 1 else stage.alphas[0])
        examples = exercises.draw(rng, max(stage.pairs // k, 1), k)
        yield exercise_batch(examples, tokenizer, forms, exercises.lengths), evidence_of(examples), alpha


class Probe(NamedTuple):
    """What pretraining asks of the encoder's states, along directions that it learns and then throws away."""

    evidence: Float[Array, " D"]
    offset: Float[Array, ""]
    ranking: Float[Array, " D"]


class ReadingLosses(NamedTuple):
    """The three losses of a batch of exercises."""

    answer: Float[Array, ""]
    evidence: Float[Array, ""]
    ranking: Float[Array, ""]


def reading_losses(
    model: T5,
    probe: Probe,
    batch: Batch,
    evidence: Bool[Array, "B k"],
    ranking_layers: int,
    alpha: Fraction = Fraction(1),
) -> ReadingLosses:
    """Cross-entropy of the answer's tokens, the model reading as FiD or LUMEN does; and of the evidence, probed twice.

    The evidence probe asks each token's normed state whether its passage holds the evidence. Answers alone say which
    passage was meant once a question; the probe says it at every token, and what it teaches is to bring a title's
    agreement with the question to the whole passage. The ranking probe is GLIMMER's scorer after `ranking_layers`
    live layers (all, where there are fewer), asked for the evidence among the k passages; readers start with a scorer
    of their own, which is zero.
    Neither probe is part of the checkpoint.
    """
    k = batch.passages.shape[1]
    live = lumen(alpha=alpha, k=k).split(model.config.encoder_layers)[1]
    # A GLIMMER that keeps all its passages reads as LUMEN does (FiD, at alpha = 1), and scores them on the way.
    settings = glimmer(alpha=alpha, beta=Fraction(min(ranking_layers, live), max(live, 1)), k=k, m=k)
    reader = Reader(model, settings, rngs=nnx.Rngs(0))
    reader.scorer.weight[...] = probe.ranking
    encoded = reader.keep_all(reader.encode(batch))  # in the order of `evidence`, not of the scores
    log_probability = token_log_probability(reader.logits(encoded, batch.answer), batch.answer, 0)
    logits = encoded.kept.states @ probe.evidence + probe.offset
    each = optax.sigmoid_binary_cross_entropy(logits, jnp.broadcast_to(evidence[..., None], logits.shape))
    wanted = evidence / jnp.maximum(jnp.sum(evidence, axis=1, keepdims=True), 1)
    return ReadingLosses(
        answer=language_model_loss(log_probability, batch.answer),
        evidence=jnp.sum(each * encoded.kept.tokens) / jnp.sum(encoded.kept.tokens),
        ranking=jnp.mean(optax.softmax_cross_entropy(encoded.scores, wanted)),
    )


@nnx.jit(static_argnames="length")
def read_answers(reader: Reader, batch: Batch, length: int) -> Int[Array, "B length"]:
    """Greedy answers of a reader."""
    return reader.generate(reader.encode(batch), length)


def examine(
    model: T5, examination: Examination, seed: int, tokenizer: Tokenizer, forms: TextForms
) -> list[dict[str, Any]]:
    """Exact match on unseen worlds with the evidence in view: a row for each alpha, number of passages and task.

    An answer is right if it decodes to the very text asked for.
    """
    rows = []
    for k in examination.passages:
        for task in examination.tasks:
            if k < 2 and task in TWO_PAGES:
                continue
            examples, batch = _examined(examination, task, k, seed, tokenizer, forms)
            for alpha in examination.alphas:
                right = _share_right(model, alpha, batch, examples, tokenizer)
                rows.append(
                    {"alpha": alpha, "passages": k, "task": task, "examples": len(examples), "exact_match": right}
                )
    return rows


def without_passages(
    model: T5, examination: Examination, seed: int, tokenizer: Tokenizer, forms: TextForms
) -> list[dict[str, Any]]:
    """Rows as `examine`'s with 0 passages: each task's inputs read alone.

    FEVER's is how often the right one of its two labels is the likelier: a reader that never met them says neither.
    """
    rows = []
    for task in TASKS:
        examples, batch = _examined(examination, task, examination.passages[0], seed, tokenizer, forms)
        alone = _without(batch, np.ones(batch.present.shape, bool))
        if task == "fever":
            right = _share_preferred(model, alone, examples, tokenizer, examination.lengths.target)
        else:
            right = _share_right(model, "1", alone, examples, tokenizer)
        rows.append({"alpha": "1", "passages": 0, "task": task, "examples": len(examples), "exact_match": right})
    return rows


def reading_gate(
    model: T5, examination: Examination, seed: int, tokenizer: Tokenizer, forms: TextForms
) -> dict[str, float]:
    """What a checkpoint that has only read must and must not do, shares of exact match with the first of `passages`.

    `clozes_in_view`: statements with a gap, their evidence in view. `tasks_in_view`: the tasks' own inputs likewise,
    mean of tasks but FEVER. `before_fine_tuning`: the mean of all tasks with the evidence absent where a retriever
    would miss it, by `seen_share`. `closed_book` and `closed_book_fever`: `without_passages`, mean of tasks but FEVER.
    """
    k = examination.passages[0]
    examples, batch = _examined(examination, "text_cloze", k, seed, tokenizer, forms)
    clozes = _share_right(model, "1", batch, examples, tokenizer)
    in_view, before = {}, {}
    for task in TASKS:
        examples, batch = _examined(examination, task, k, seed, tokenizer, forms)
        in_view[task] = _share_right(model, "1", batch, examples, tokenizer)
        missed = np.arange(len(examples)) >= round(examination.seen_share * len(examples))
        seen = _without(batch, missed[:, None] & evidence_of(examples))
        before[task] = _share_right(model, "1", seen, examples, tokenizer)
    alone = without_passages(model, examination, seed, tokenizer, forms)
    closed = {row["task"]: row["exact_match"] for row in alone}
    fever = closed.pop("fever")
    del in_view["fever"]
    means = {"tasks_in_view": in_view, "before_fine_tuning": before, "closed_book": closed}
    found = {name: float(np.mean(list(values.values()))) for name, values in means.items()}
    return {"clozes_in_view": clozes, **found, "closed_book_fever": fever}


def _examined(
    examination: Examination, task: str, k: int, seed: int, tokenizer: Tokenizer, forms: TextForms
) -> tuple[list[ReadingExample], Batch]:
    rng = np.random.default_rng([seed, _EXAMINATION, k])
    examples = examination.exercises(task).draw(rng, examination.examples, k)
    return examples, exercise_batch(examples, tokenizer, forms, examination.lengths)


def _without(batch: Batch, hidden: Bool[np.ndarray, "B k"]) -> Batch:
    passages = np.where(hidden[..., None], 0, batch.passages)
    return Batch.of(question=batch.question, passages=passages, answer=batch.answer)


def _share_right(model: T5, alpha: str, batch: Batch, examples: list[ReadingExample], tokenizer: Tokenizer) -> float:
    k, length = batch.passages.shape[1], batch.answer.shape[1]
    settings = fid(k=k) if alpha == "1" else lumen(alpha=alpha, k=k)
    given = np.asarray(read_answers(Reader(model, settings, rngs=nnx.Rngs(0)), batch, length))
    return float(np.mean([tokenizer.decode(ids) == one.answer for ids, one in zip(given, examples, strict=True)]))


@nnx.jit
def _log_probability(reader: Reader, batch: Batch) -> Float[Array, " B"]:
    return jnp.sum(token_log_probability(reader.logits(reader.encode(batch), batch.answer), batch.answer, 0), axis=1)


def _share_preferred(
    model: T5, batch: Batch, examples: list[ReadingExample], tokenizer: Tokenizer, length: int
) -> float:
    """How often the right one of all examples' answers is the likeliest."""
    answers = sorted({example.answer for example in examples})
    reader = Reader(model, fid(k=batch.passages.shape[1]), rngs=nnx.Rngs(0))
    scores = []
    for answer in answers:
        ids = tokenizer.encode_array([answer] * len(examples), length, end=True)
        scores.append(_log_probability(reader, dataclasses.replace(batch, answer=ids)))
    best = np.argmax(np.stack(scores), axis=0)
    return float(np.mean([answers[place] == one.answer for place, one in zip(best, examples, strict=True)]))
