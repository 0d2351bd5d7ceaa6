"""What one measurement says, and how it is taken: arms in turn, so that a machine that drifts drifts for all."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from glimmer.errors import CheckFailed

OURS = "ours"
Fact = str | int | float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the page.

    `seconds` has for each arm the wall seconds of every turn. `over` is the arm that the others are held against: the
    ratio is theirs over its, so that above 1 it is the faster one. `checked` says what was compared before, `limits`
    what the time goes into as far as this run measured it, `facts` what else was counted. `missing` says why there is
    no number.
    """

    name: str
    what: str
    against: str
    seconds: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    over: str = OURS
    checked: str = ""
    limits: str = ""
    facts: Mapping[str, Fact] = dataclasses.field(default_factory=dict)
    missing: str = ""

    @property
    def medians(self) -> dict[str, float]:
        """Arm -> median seconds."""
        return {arm: statistics.median(turns) for arm, turns in self.seconds.items()}

    @property
    def best_other(self) -> str | None:
        """The fastest arm that the others are not held against; None where there is one arm."""
        others = {arm: median for arm, median in self.medians.items() if arm != self.over}
        return min(others, key=others.__getitem__) if others and self.over in self.seconds else None

    @property
    def ratio(self) -> float | None:
        """Median over turns of the best other arm's seconds over those of `over`; None where there is no pair."""
        other = self.best_other
        if other is None:
            return None
        return statistics.median(a / b for a, b in zip(self.seconds[other], self.seconds[self.over], strict=True))

    def to_json(self) -> dict[str, Any]:
        """All of it, and what follows from it."""
        return dataclasses.asdict(self) | {"medians": self.medians, "best_other": self.best_other, "ratio": self.ratio}

    @classmethod
    def of_json(cls, row: Mapping[str, Any]) -> Row:
        """A row as `to_json` wrote it; what follows from it is found anew."""
        return cls(**{field.name: row[field.name] for field in dataclasses.fields(cls) if field.name in row})


def in_turn(arms: Mapping[str, Callable[[], object]], repeats: int, warm: bool = True) -> dict[str, list[float]]:
    """Wall seconds of each arm in each of `repeats` turns. An arm returns when its work is done.

    `warm`: each arm runs once before, uncounted, which compiles what it compiles.
    """
    if warm:
        for arm in arms.values():
            arm()
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(repeats):
        for name, arm in arms.items():
            started = time.perf_counter()
            arm()
            taken[name].append(time.perf_counter() - started)
    return taken


def require_close(what: str, ours: Any, theirs: Any, tolerance: float) -> str:
    """Says by how much two arrays differ, as a share of the largest value. Raises CheckFailed beyond `tolerance`.

    Sides that differ do not do the same work: then there is nothing to time.
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise CheckFailed(f"{what}: shapes differ, {ours.shape} here and {theirs.shape} there")
    difference = float(np.abs(ours - theirs).max()) / max(float(np.abs(theirs).max()), 1e-30)
    if not difference <= tolerance:
        raise CheckFailed(f"{what}: {difference:.1e} of the largest value apart, {tolerance:.0e} allowed")
    return f"{what} within {tolerance:.0e} ({difference:.0e}) of the largest value"


def require_equal(what: str, ours: Any, theirs: Any) -> str:
    """Says that two arrays of whole numbers are equal. Raises CheckFailed where they are not."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape or not np.array_equal(ours, theirs):
        same = float(np.mean(ours == theirs)) if ours.shape == theirs.shape else 0.0
        raise CheckFailed(f"{what}: {100 * same:.2f} percent equal, all expected")
    return f"{what} equal, all {ours.size:,}"


def matrix_rate(size: int = 2048, repeats: int = 6) -> tuple[float, str]:
    """(floating-point operations a second, by whom) of a float32 product [size, size] x [size, size]: the best turn of
    jax, and of PyTorch where it is there, on the device that each would compute on."""
    import jax
    import jax.numpy as jnp

    left, right = (jax.random.normal(jax.random.key(n), (size, size)) for n in range(2))
    product = jax.jit(jnp.matmul)
    arms: dict[str, Callable[[], object]] = {"jax": lambda: jax.block_until_ready(product(left, right))}
    if (torch := imported("torch")) is not None:
        device = torch_device(torch)
        a, b = (torch.randn(size, size, device=device) for _ in range(2))
        arms["PyTorch"] = lambda: finished(torch, torch.mm(a, b))
    taken = in_turn(arms, repeats)
    best = min(taken, key=lambda name: min(taken[name]))
    return 2 * size**3 / min(taken[best]), best


def imported(name: str) -> Any:
    """A module, or None where it is not installed."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def on_accelerator() -> bool:
    """Whether jax computes on something else than the CPU."""
    import jax

    return jax.default_backend() != "cpu"


def torch_device(torch: Any) -> str:
    """Where PyTorch computes: where jax does, if it can. Its float32 products there are as jax's are (TF32)."""
    if not on_accelerator() or not torch.cuda.is_available():
        return "cpu"
    torch.set_float32_matmul_precision("high")
    return "cuda"


def finished(torch: Any, value: Any) -> Any:
    """`value`, when the device is done with it."""
    if torch.cuda.is_available() and torch_device(torch) == "cuda":
        torch.cuda.synchronize()
    return value


def torch_missing(torch: Any) -> str:
    """Why PyTorch is no peer here; empty where it is one."""
    if torch is None:
        return "not installed: torch"
    if on_accelerator() and torch_device(torch) == "cpu":
        return "not installed: torch for this accelerator"
    return ""


def absent(*names: str) -> str:
    """ "not installed: ..." of the modules that are not there; empty where all are."""
    gone = [name for name in names if imported(name) is None]
    return f"not installed: {', '.join(gone)}" if gone else ""
