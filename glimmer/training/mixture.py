"""The multi-task mixture: uniform over tasks, without replacement within a task, a function of seed and step alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Int

from glimmer.errors import InputError


class UniformMixture:
    """Draws (task, row) pairs so that every task has the same share, whatever its size (section 4.1 of the paper).

    Examples are numbered n = step * batch + slot. Example n belongs to task n mod T and is that task's (n div T)-th;
    each pass over a task is a fresh permutation. Nothing is remembered between steps, so resuming needs no state.
    """

    def __init__(self, sizes: dict[str, int], *, seed: int):
        empty = [task for task, size in sizes.items() if size == 0]
        if empty or not sizes:
            raise InputError("nothing to train on", where=", ".join(empty) or "tasks", expected="examples", found=0)
        self.tasks, self.sizes, self.seed = tuple(sizes), dict(sizes), seed
        self._permutation = lru_cache(maxsize=4 * len(sizes))(self._draw)

    def _draw(self, task: int, epoch: int) -> Int[np.ndarray, " size"]:
        return np.random.default_rng([self.seed, task, epoch]).permutation(self.sizes[self.tasks[task]])

    def drawn(self, steps: int, batch_size: int) -> dict[str, int]:
        """How many rows of each task the first `steps` batches hold."""
        return {task: len(range(place, steps * batch_size, len(self.tasks))) for place, task in enumerate(self.tasks)}

    def rows(self, step: int, batch_size: int) -> list[tuple[str, int]]:
        """(task, position among the task's kept rows) of each slot of the batch at `step`."""
        out = []
        for n in range(step * batch_size, (step + 1) * batch_size):
            task, index = n % len(self.tasks), n // len(self.tasks)
            epoch, place = divmod(index, self.sizes[self.tasks[task]])
            out.append((self.tasks[task], int(self._permutation(task, epoch)[place])))
        return out
