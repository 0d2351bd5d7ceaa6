"""The loss on dev is training's: minus the mean log probability of the answers' tokens, whatever the batch size."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.evaluation.dev import AnswerLoss
from glimmer.experiments.settings import glimmer
from glimmer.models.batch import Batch
from glimmer.models.mesh import device_mesh
from glimmer.training.losses import DistillationWeights, reader_losses
from glimmer.training.state import split_reader
from tests.models.tiny import ragged, tiny_reader

jax.config.update("jax_disable_most_optimizations", True)  # compiles faster; see tests/models/conftest.py
ROWS, K = 7, 3
TASKS = [SimpleNamespace(task="nq", rows=np.array([4, 0, 2])), SimpleNamespace(task="fever", rows=np.array([6, 1]))]


class Rows:
    """A batcher over random token arrays, answers of one to three tokens."""

    random = np.random.default_rng(0)
    question = ragged(random, ROWS, 4, left=True)
    passages = ragged(random, ROWS * K, 5).reshape(ROWS, K, 5)
    answer = ragged(random, ROWS, 3)

    def batch(self, chosen):
        rows = [row for _, row in chosen]
        return Batch.of(question=self.question[rows], passages=self.passages[rows], answer=self.answer[rows])


@pytest.mark.parametrize("batch_size", [2, 8])
@pytest.mark.parametrize("tasks", [("nq", "fever"), ("nq",), ("fever",)])
def test_the_loss_on_dev_is_that_of_one_training_batch_with_the_same_rows(tasks, batch_size):
    reader = tiny_reader(glimmer(alpha="1/2", beta="1/2", k=K, m=2))
    rows = Rows().batch([(None, row) for task in TASKS if task.task in tasks for row in task.rows])
    weights = DistillationWeights(lambda_=jnp.float32(1), tau=jnp.float32(1))
    expected = float(jax.jit(lambda r, b: reader_losses(r, b, weights, None).language_model)(reader, rows))
    found = AnswerLoss(Rows(), TASKS, batch_size, device_mesh())(split_reader(reader))
    assert found.mean(tasks) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("tasks", "named"),
    [([*TASKS, SimpleNamespace(task="zsre", rows=np.array([], np.int64))], "zsre"), ([], "tasks")],
)
def test_a_task_without_a_row_to_measure_on_is_named_before_anything_is_computed(tasks, named):
    """Its mean is no number; a curve that left it out would not say what its average is over."""
    with pytest.raises(InputError, match=f"{named}: no row to measure a loss on"):
        AnswerLoss(Rows(), tasks, 2, device_mesh())
