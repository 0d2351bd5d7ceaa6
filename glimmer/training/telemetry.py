"""Where the time of training goes: steps, input, checkpoints, evaluations; a file of metrics and a profile, by choice.

The loop sends steps off and does not wait for them. So that a step's time can be told, and so that a stop never waits
for more than a few steps, it stays `AHEAD` steps ahead of the device: it waits for an earlier step, never for the last.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import jax

from glimmer.files import atomic_write, readable
from glimmer.models.batch import Batch
from glimmer.training.losses import Losses

AHEAD = 2
"""Steps that are on their way while the next one is sent off."""

WAITS = ("input", "checkpoints", "evaluation")
"""What the loop stands still for, beside compilation."""

METRICS = ("step", "seconds", "step_seconds", "examples_per_second", "loss", "lm_loss", "distill_loss", "dev_average")
"""Columns of the metrics file: a row a step, and one an evaluation, which has its step and `dev_average` alone."""

_PERCENTILES = (10, 50, 90, 99)
_BIN = math.log(1.01)
_FIRST_PROFILED, _PROFILED = 2, 5  # steps of this process before the trace begins, and steps in it


@dataclasses.dataclass
class _Totals:
    """What a checkpoint keeps: a training that was stopped goes on counting."""

    resumed: int = 0
    steps: int = 0
    examples: int = 0
    tokens: int = 0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    step_times: dict[str, int] = dataclasses.field(default_factory=dict)
    """Steps by their time, in bins a hundredth wide: enough for percentiles, however many steps there are."""


class Telemetry:
    """Counts and times of one training, over all its processes.

    `operations` are those of a training step for one example (floating-point, two a multiply-accumulate), and `peak`
    what all devices, named `device`, do in a second; the share of peak is None where either is unknown. `metrics` is a
    CSV file that grows while training runs, `profile` a directory for a trace of a few steps.
    """

    def __init__(
        self,
        *,
        operations: float | None = None,
        peak: float | None = None,
        device: str | None = None,
        metrics: Path | None = None,
        profile: Path | None = None,
    ):
        self._operations, self._peak, self._device = operations, peak, device
        self._metrics_path, self._profile = metrics, profile
        self._metrics: IO | None = None
        self._totals = _Totals()
        self._in_flight: deque[tuple[int, int, int, Losses]] = deque()
        self._sent = 0  # by this process
        self._done_at = 0.0
        self._started = 0.0

    def begin(self, step: int, kept: Mapping[str, Any] | None, seconds: float) -> None:
        """At the first step of this process: `kept` of an earlier one, which trained for `seconds`."""
        self._started = time.monotonic() - seconds
        if kept is not None:
            self._totals = _Totals(**kept)
            self._totals.resumed += 1
        if self._metrics_path is not None:
            self._metrics = _continued(self._metrics_path, step)
        self._done_at = time.monotonic()

    def kept(self) -> dict[str, Any]:
        """For a checkpoint."""
        return dataclasses.asdict(self._totals)

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Times what the loop waits for, of WAITS; all but input stops the steps, and waits for those on their way."""
        if what != "input":
            self.drain()
        before = time.monotonic()
        try:
            yield
        finally:
            now = time.monotonic()
            self._add(what, now - before)
            if what != "input":
                self._done_at = now

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Around the call of the step: the first one compiles it, and the trace begins and ends here."""
        if self._profile is not None and self._sent == _FIRST_PROFILED:
            self.drain()
            jax.profiler.start_trace(str(self._profile))
        before = time.monotonic()
        yield
        if self._sent == 0:
            self._done_at = time.monotonic()
            self._add("compilation", self._done_at - before)
        self._sent += 1

    def sent(self, step: int, batch: Batch, losses: Losses) -> None:
        """Step number `step` is on its way; waits for the one that was AHEAD of it."""
        tokens = batch.question.size + batch.passages.size + batch.answer.size
        self._in_flight.append((step, len(batch.question), tokens, losses))
        while len(self._in_flight) > AHEAD:
            self._wait()
        if self._profile is not None and self._sent == _FIRST_PROFILED + _PROFILED:
            self.drain()
            self.stop_profile()

    def drain(self) -> None:
        """Waits for all steps that are on their way."""
        while self._in_flight:
            self._wait()

    def _wait(self) -> None:
        step, examples, tokens, losses = self._in_flight.popleft()
        jax.block_until_ready(losses.total)
        now = time.monotonic()
        took, self._done_at = now - self._done_at, now
        self._totals.steps += 1
        self._totals.examples += examples
        self._totals.tokens += tokens
        place, times = str(math.floor(math.log(max(took, 1e-9)) / _BIN)), self._totals.step_times
        times[place] = times.get(place, 0) + 1
        self._add("steps", took)
        if self._metrics is not None:
            parts = (float(part) for part in (losses.total, losses.language_model, losses.distillation))
            self._row(step, f"{now - self._started:.3f}", f"{took:.6f}", f"{examples / took:.3f}", *parts, "")

    def evaluated(self, entry: Mapping[str, float | int]) -> None:
        """An evaluation, for the metrics file."""
        if self._metrics is not None:
            seconds = f"{time.monotonic() - self._started:.3f}"
            self._row(entry["step"], seconds, *[""] * (len(METRICS) - 3), entry["dev_average"])

    def _row(self, *values: Any) -> None:
        csv.writer(self._metrics, lineterminator="\n").writerow(values)

    def _add(self, what: str, seconds: float) -> None:
        self._totals.seconds[what] = self._totals.seconds.get(what, 0.0) + seconds

    def stop_profile(self) -> None:
        """Ends the trace, if one is being written."""
        if self._profile is not None and self._sent > _FIRST_PROFILED:
            jax.profiler.stop_trace()
            self._profile = None

    def close(self) -> None:
        """Ends the trace, and closes the metrics file."""
        if self._profile is not None and self._sent <= _FIRST_PROFILED:
            print(f"no profile: it begins after {_FIRST_PROFILED} steps, and there were {self._sent}", flush=True)
        self.stop_profile()
        if self._metrics is not None:
            self._metrics.close()

    def summary(self) -> dict[str, Any]:
        """For people and result files; seconds and rates are of the clock, and None before the first step."""
        totals = self._totals
        seconds = totals.seconds.get("steps", 0.0)
        per_second = totals.examples / seconds if seconds else None
        known = None not in (per_second, self._operations, self._peak)
        return {
            "steps": totals.steps,
            "resumed": totals.resumed,
            "examples_per_second": per_second,
            "tokens_per_second": totals.tokens / seconds if seconds else None,
            "share_of_peak": per_second * self._operations / self._peak if known else None,
            "peak_operations_per_second": self._peak,
            "device": self._device,
            "step_seconds": {f"p{share}": self._percentile(share) for share in _PERCENTILES},
            "seconds": {what: totals.seconds.get(what, 0.0) for what in ("steps", "compilation", *WAITS)},
        }

    def _percentile(self, share: int) -> float | None:
        """To a hundredth."""
        at = share / 100 * self._totals.steps
        for name in sorted(self._totals.step_times, key=int):
            at -= self._totals.step_times[name]
            if at <= 0:
                return math.exp((int(name) + 0.5) * _BIN)
        return None


def _continued(path: Path, step: int) -> IO:
    """The metrics file up to a step, open for more: what was done after the checkpoint is done, and written, again."""
    rows = []
    if step and path.exists():
        with open(readable(path), encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if len(row) == len(METRICS) and row[0].isdigit()]
    with atomic_write(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(METRICS)
        writer.writerows(row for row in rows if int(row[0]) <= step)
    return open(path, "a", buffering=1, encoding="utf-8", newline="")


def in_words(summary: Mapping[str, Any]) -> str:
    """The summary as a part of a line of the log."""
    if not summary["steps"]:
        return "no step timed"
    seconds, times = summary["seconds"], summary["step_seconds"]
    lost = ", ".join(f"{what} {seconds[what]:.0f} s" for what in ("compilation", *WAITS))
    share = summary["share_of_peak"]
    peak = "" if share is None else f", {100 * share:.0f} % of the peak of {summary['device']}"
    return (
        f"{summary['examples_per_second']:.3g} examples/s, {summary['tokens_per_second']:.3g} tokens/s{peak}, "
        f"step {1000 * times['p50']:.3g} ms (p99 {1000 * times['p99']:.3g}); {lost}"
    )
