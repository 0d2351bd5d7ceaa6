"""The closed form of a training step against the matrix products of the step itself, as JAX traces it."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.extend.core import jaxprs_in_params
from jax.interpreters import partial_eval

from glimmer.compute import Dimensions, Workload, training_macs
from glimmer.experiments.settings import fid, glimmer, lumen
from glimmer.models.batch import Batch
from glimmer.training.losses import DistillationWeights
from glimmer.training.state import compile_step, initial_state, split_reader
from tests.models.tiny import ANSWER, CONFIG, PASSAGE, QUESTION, K, ragged_batch, tiny_reader

ROWS = 2


def products(jaxpr) -> int:
    """Multiply-accumulates of all matrix products of a program, those of a loop as often as it turns."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            contracted = equation.params["dimension_numbers"][0][0]
            operand = equation.invars[0].aval.shape
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(operand[axis] for axis in contracted)
        turns = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += turns * sum(products(inner) for inner in jaxprs_in_params(equation.params))
    return total


def macs_of_a_step(settings, config) -> float:
    """Those of one example of the compiled step, what nothing uses taken out as the compiler does."""
    split = split_reader(tiny_reader(settings, config))
    optimizer = optax.sgd(1e-3)  # no product of its own
    weights = DistillationWeights(lambda_=jnp.float32(1), tau=jnp.float32(1))
    step = compile_step(split.definition, optimizer)
    state, batch = initial_state(split.trained, optimizer), ragged_batch(rows=ROWS)
    if settings.k == 0:
        batch = Batch.of(question=batch.question, passages=jnp.zeros((ROWS, 1, 1), jnp.int32), answer=batch.answer)
    traced = jax.make_jaxpr(step)(state, split.fixed, batch, weights, jax.random.key(0)).jaxpr
    used, _ = partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))
    return products(used) / ROWS


@pytest.mark.parametrize("rematerialise", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        fid(k=0),
        fid(k=K),
        lumen(alpha="1/2", k=K),
        lumen(alpha="1/2", k=K, memory="frozen"),
        glimmer(alpha="1/2", beta="1/2", k=K, m=2),
        glimmer(alpha="1/2", beta="1/2", k=K, m=2, lambda_=0),
        glimmer(alpha="1/2", beta="1/2", k=K, m=2, memory="frozen"),
        glimmer(alpha="1/2", beta="1/2", k=K, m=2, reranker="separate"),
    ],
    ids=lambda settings: " ".join(
        f"{key}={value}" for key, value in settings.to_json().items() if key != "train_tasks"
    ),
)
def test_the_training_count_is_the_sum_over_the_products_of_the_step(settings, rematerialise):
    config = dataclasses.replace(CONFIG, rematerialise=rematerialise)
    names = {field.name for field in dataclasses.fields(Dimensions)}
    dimensions = Dimensions(**{name: value for name, value in vars(config).items() if name in names})
    work = Workload(
        alpha=settings.alpha,
        beta=settings.beta,
        k=settings.k,
        m=settings.m,
        tokens=QUESTION + PASSAGE,
        question_tokens=QUESTION,
        target_tokens=ANSWER,
        separate_reranker=settings.reranker != "shared",
    )
    found = training_macs(
        dimensions,
        work,
        frozen_memory=settings.memory == "frozen",
        distils=settings.name == "glimmer" and settings.lambda_ > 0,
        rematerialises=rematerialise,
    )
    assert found == macs_of_a_step(settings, config)
