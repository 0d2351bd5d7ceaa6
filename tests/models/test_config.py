"""The published sizes have as many parameters as the published checkpoints."""

import math

import jax
import pytest
from flax import nnx

from glimmer.models import config
from glimmer.models.t5 import T5

PUBLISHED = {  # what transformers counts of google/t5-v1_1-SIZE
    "t5_1_1_small": 76_961_152,
    "t5_1_1_base": 247_577_856,
    "t5_1_1_large": 783_150_080,
    "t5_1_1_xl": 2_849_757_184,
    "t5_1_1_xxl": 11_135_332_352,
}
T5_BASE = 222_903_552
"""Of t5-base, whose encoder GTR-base has."""


def number_of_parameters(of):
    model = nnx.eval_shape(lambda: T5(of, rngs=nnx.Rngs(0)))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


@pytest.mark.parametrize("name, parameters", PUBLISHED.items())
def test_a_published_size_has_the_published_number_of_parameters(name, parameters):
    assert number_of_parameters(getattr(config, name)()) == parameters


def test_gtr_base_is_t5_base_of_the_first_edition():
    assert number_of_parameters(config.gtr_base()) == T5_BASE
