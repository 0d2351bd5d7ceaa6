"""What telemetry costs a training step: processor seconds of its calls, on losses that the device has finished.

    python -m benchmarks.telemetry --steps 20000

Its share of a step of S seconds is this divided by S; `benchmarks.steps` has S. What it waits for is no cost: an
earlier step is done before a later one, whoever waits.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=20000)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as directory:
        for name, metrics in (("without a metrics file", None), ("with one", Path(directory) / "metrics.csv")):
            print(f"{1e6 * _seconds(steps, metrics):8.1f} microseconds a step {name}")
    return 0


def _seconds(steps: int, metrics: Path | None) -> float:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from glimmer.models.batch import Batch
    from glimmer.training.losses import Losses
    from glimmer.training.telemetry import Telemetry

    batch = Batch.of(**{name: np.ones(shape, np.int32) for name, shape in _SHAPES.items()})
    number = jnp.float32(1)
    losses = Losses(total=number, language_model=number, distillation=number)
    jax.block_until_ready(losses)
    telemetry = Telemetry(metrics=metrics)
    telemetry.begin(0, None, 0.0)
    before = time.process_time()
    for step in range(steps):
        with telemetry.waiting("input"):
            pass
        with telemetry.sending():
            pass
        telemetry.sent(step, batch, losses)
    telemetry.close()
    return (time.process_time() - before) / steps


_SHAPES = {"question": (4, 18), "passages": (4, 3, 32), "answer": (4, 8)}

if __name__ == "__main__":
    raise SystemExit(main())
