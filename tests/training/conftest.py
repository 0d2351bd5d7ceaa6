"""One compiled training step for all tests: frozen memory, a separate question encoder, dropout, Adam."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
import pytest

from glimmer.experiments.settings import lumen
from glimmer.models.config import T5Config
from glimmer.models.mesh import device_mesh, place_parameters
from glimmer.training.losses import DistillationWeights
from glimmer.training.state import compile_step, split_reader
from tests.models.tiny import CONFIG, ragged_batch, tiny_reader

jax.config.update("jax_disable_most_optimizations", True)


MESH = device_mesh(devices=jax.devices()[:1])


@dataclasses.dataclass(frozen=True)
class Toy:
    """A reader, its optimizer and compiled step, and one batch a step."""

    settings: object
    config: T5Config
    optimizer: object
    step: object
    weights: DistillationWeights

    mesh = MESH

    def reader(self):
        return tiny_reader(self.settings, self.config)

    def placed(self):
        """A fresh reader, split, as the training loop places it."""
        return place_parameters(split_reader(self.reader()), MESH)

    @staticmethod
    def batch(step):
        return ragged_batch(step % 2, k=3)


@pytest.fixture(scope="session")
def toy():
    jax.config.update("jax_default_prng_impl", "unsafe_rbg")  # dropout compiles in half the time
    settings = lumen(alpha="1/2", k=3, memory="frozen", question_encoder="separate")
    config = dataclasses.replace(CONFIG, decoder_layers=1, dropout=0.05)
    optimizer = optax.adam(2e-2)  # Adafactor takes four times as long to compile; test_optimizer.py has it
    definition = split_reader(tiny_reader(settings, config)).definition
    weights = DistillationWeights(lambda_=jnp.float32(1), tau=jnp.float32(1))
    yield Toy(settings, config, optimizer, compile_step(definition, optimizer), weights)
    jax.config.update("jax_default_prng_impl", "threefry2x32")
