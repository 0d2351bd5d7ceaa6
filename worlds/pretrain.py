"""The initial checkpoint of a small study: a T5 that reads generated worlds other than the benchmark's.

A curriculum of stages, each a number of optimiser steps on text with gaps: first few passages, then more. The model
reads as FiD does, or split as LUMEN does, at a depth that each step draws. It starts as worlds.mimetic says. Every
reader of the study starts from what comes out.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from glimmer.errors import InputError
from glimmer.experiments.settings import TASKS, fid, lumen
from glimmer.models.batch import Batch
from glimmer.models.config import T5Config
from glimmer.models.reader import Reader, token_log_probability
from glimmer.models.t5 import T5
from glimmer.models.tokenizer import Tokenizer
from glimmer.training.ahead import made_ahead
from glimmer.training.losses import language_model_loss
from worlds.exercises import TextForms, evidence_of, exercise_batch
from worlds.generate import TWO_PAGES, ReadingExample
from worlds.kept import KeptStages, origin, save_checkpoint
from worlds.mimetic import mimetic_t5
from worlds.recipe import CurriculumStage, Examination, Recipe

CLIP_NORM = 1.0
SECOND_MOMENT_DECAY = 0.95  # of Adam: at 0.999 the steep first steps slow down all that a stage of hundreds has
COIN_EXAMPLES = 2048  # of FEVER read alone: 1.1 points of standard error, where an examination's 256 have 3.1
STAGE_EXAMPLES = 128  # of each kind of exercise, after each stage
Log = Callable[[dict[str, Any]], None]
_EXAMINATION = 2**31  # a random stream that no stage draws from: stage numbers are small


def write_initial_checkpoint(
    recipe: Recipe,
    config: T5Config,
    tokenizer: str | Path,
    forms: TextForms,
    out: str | Path,
    log: Log = lambda _: None,
) -> dict[str, Any]:
    """Pretrains, examines, and writes a Hugging Face directory with the tokenizer and reading.json; returns that.

    The checkpoint after the last finished stage lies beside `out` (`OUT.stages`) until then: a call that was stopped
    is gone on with from there.
    """
    started = time.perf_counter()
    pieces = Tokenizer(tokenizer)
    if len(pieces) > config.vocabulary:
        raise InputError(
            "tokenizer too large", where=tokenizer, expected=f"{config.vocabulary} pieces", found=len(pieces)
        )
    made_of = functools.partial(origin, recipe, config, tokenizer, forms)
    kept = KeptStages(f"{out}.stages", tokenizer, made_of)
    model = pretrain(recipe, config, pieces, forms, log, kept)
    trained = time.perf_counter()
    examined = (model, recipe.examination, recipe.seed, pieces, forms)
    reading = {
        "exact_match": examine(*examined) + without_passages(*examined),
        **reading_gate(*examined),
        "seconds": {"training": trained - started, "examination": time.perf_counter() - trained},
    }
    if kept.resumed_after:
        reading["seconds"]["stages_before"] = kept.resumed_after  # whose seconds are not among these
    save_checkpoint(model, out, tokenizer, made_of(), reading)
    kept.forget()
    return reading


def pretrain(
    recipe: Recipe,
    config: T5Config,
    tokenizer: Tokenizer,
    forms: TextForms,
    log: Log = lambda _: None,
    kept: KeptStages | None = None,
) -> T5:
    """Runs every stage of `recipe` that `kept` does not have. `log` gets a row of the curve now and then.

    Same recipe, configuration and tokenizer, same weights, stopped between or not: a stage starts with an Adam and a
    random stream of its own. After each stage a row says what was learnt of each kind.
    """
    # On a CPU, where memory is slow, computing activations again is faster than keeping them.
    training = dataclasses.replace(config, dropout=0.0, rematerialise=True)
    done, model = (kept and kept.latest(len(recipe.stages), training)) or (0, None)
    if model is None:
        model = mimetic_t5(training, jax.random.key(recipe.seed))
    for number, stage in enumerate(recipe.stages[done:], start=done):
        model = run_stage(model, stage, np.random.default_rng([recipe.seed, number]), tokenizer, forms, log)
        log({"stage": stage.name, "answered": stage_answered(model, stage, recipe.seed, number, tokenizer, forms)})
        if kept is not None:
            kept.keep(model, number + 1)
    model.config = config
    return model


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

    def step(parameters, state, batch, alpha):
        loss, gradients = jax.value_and_grad(lambda one: reading_loss(nnx.merge(definition, one), batch, alpha))(
            parameters
        )
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state, loss

    compiled = jax.jit(step, donate_argnums=(0, 1), static_argnums=3)
    parameters = jax.tree.map(jnp.copy, parameters)  # donated below, and the caller keeps his model
    state, recent, started = optimizer.init(parameters), [], time.perf_counter()
    for number, batch in enumerate(made_ahead(_batches(stage, rng, tokenizer, forms)), start=1):
        parameters, state, loss = compiled(parameters, state, *batch)
        recent.append(loss)
        if number % log_every == 0 or number == stage.steps:
            mean = float(jnp.stack(recent).mean())
            log({"stage": stage.name, "step": number, "loss": mean, "seconds": round(time.perf_counter() - started, 2)})
            recent.clear()
    return nnx.merge(definition, parameters)


def stage_answered(
    model: T5, stage: CurriculumStage, seed: int, number: int, tokenizer: Tokenizer, forms: TextForms
) -> dict[str, float]:
    """Exact match of each kind of exercise that `stage` has, all layers live, on worlds that no stage drew."""
    k = max(stage.passages)
    answered = {}
    for task in stage.tasks:
        if k < 2 and task in TWO_PAGES:
            continue
        exercises = dataclasses.replace(stage.exercises, tasks={task: 1})
        examples = exercises.draw(np.random.default_rng([seed, _EXAMINATION, number]), STAGE_EXAMPLES, k)
        batch = exercise_batch(examples, tokenizer, forms, exercises.lengths)
        answered[task] = _share_right(model, "1", batch, examples, tokenizer)
    return answered


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
        yield exercise_batch(examples, tokenizer, forms, exercises.lengths), alpha


def reading_loss(model: T5, batch: Batch, alpha: Fraction = Fraction(1)) -> Float[Array, ""]:
    """Cross-entropy of the answers' tokens, the model reading as FiD (alpha = 1) or LUMEN does."""
    reader = _reader(model, alpha, batch.passages.shape[1])
    log_probability = token_log_probability(reader.logits(reader.encode(batch), batch.answer), batch.answer, 0)
    return language_model_loss(log_probability, batch.answer)


def _reader(model: T5, alpha: Fraction | str, k: int) -> Reader:
    settings = fid(k=k) if Fraction(alpha) == 1 else lumen(alpha=alpha, k=k)
    return Reader(model, settings, rngs=nnx.Rngs(0))


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

    FEVER's is how often the right one of its two labels is the likelier, mean of the labels, of COIN_EXAMPLES: a reader
    that never met them says neither, and half is what it would have that always likes one better.
    """
    rows = []
    for task in TASKS:
        asked = dataclasses.replace(examination, examples=COIN_EXAMPLES) if task == "fever" else examination
        examples, batch = _examined(asked, task, examination.passages[0], seed, tokenizer, forms)
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
    reader = _reader(model, alpha, batch.passages.shape[1])
    given = np.asarray(read_answers(reader, batch, batch.answer.shape[1]))
    return float(np.mean([tokenizer.decode(ids) == one.answer for ids, one in zip(given, examples, strict=True)]))


@nnx.jit
def _log_probability(reader: Reader, batch: Batch) -> Float[Array, " B"]:
    return jnp.sum(token_log_probability(reader.logits(reader.encode(batch), batch.answer), batch.answer, 0), axis=1)


def _share_preferred(
    model: T5, batch: Batch, examples: list[ReadingExample], tokenizer: Tokenizer, length: int
) -> float:
    """How often the right one of all examples' answers is the likeliest, mean of these answers."""
    answers = sorted({example.answer for example in examples})
    reader = _reader(model, "1", batch.passages.shape[1])
    scores = []
    for answer in answers:
        ids = tokenizer.encode_array([answer] * len(examples), length, end=True)
        scores.append(_log_probability(reader, dataclasses.replace(batch, answer=ids)))
    right = np.array([answers.index(example.answer) for example in examples])
    hits = np.argmax(np.stack(scores), axis=0) == right
    return float(np.mean([hits[right == label].mean() for label in range(len(answers))]))
