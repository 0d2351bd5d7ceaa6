"""One training run of the smoke study from process start to result file, beside its steps in a loop that is warm.

It trains for as many steps as a run of the embedded study, and is evaluated as often on the way: of the six steps that
smoke states nearly all would be start. What the run pays beyond its steps: two interpreters and their imports, the
run's materials, loading or compiling programs, evaluations on the way and at the end, checkpoints. The run's own
telemetry tells these apart.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.rows import Row, in_turn
from benchmarks.peers.texts import quietly
from glimmer.errors import CheckFailed
from glimmer.experiments import Run, Study, load_study, parse_overrides, runs_for

WARM, LOOP = "compiled before", "warm loop"
_LIKE = "embedded"
"""The study whose steps and evaluations on the way the run has."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """The stages before a run, in `directory`; `changes` are those of the study that they are of."""

    directory: Path
    study: Study
    run: Run
    changes: tuple[str, ...]

    @property
    def options(self) -> list[str]:
        """Of a command over the run."""
        places = {"work": "work", "data": "data", "init": "init"}
        stated = [part for name, place in places.items() for part in (f"--{name}", str(self.directory / place))]
        return ["--study", self.study.name, *(f"--set={change}" for change in self.changes), *stated, "--run",
                self.run.id]  # fmt: skip


def rows(quick: bool) -> Iterator[Row]:
    """The row of one run."""
    like = load_study(_LIKE).training
    repeats, steps, every = (1, 2, 1) if quick else (3, like.steps, like.evaluate_every)
    changes = ("retriever={kind: bm25, depth: 8}", f"training.steps={steps}", f"training.evaluate_every={every}")
    with tempfile.TemporaryDirectory() as directory:
        prepared = prepare(Path(directory), changes)
        cache = Path(directory) / "compiled"
        empty, _ = _whole(prepared, cache)
        loop, seconds, parts = _warm_loop(prepared), {WARM: [], LOOP: []}, []
        for turn in range(repeats):
            whole, spent = _whole(prepared, cache)
            seconds[WARM].append(whole)
            parts.append(spent)
            seconds[LOOP] += in_turn({LOOP: loop}, 1, warm=turn == 0)[LOOP]
    medians = {part: _median([spent[part] for spent in parts]) for part in parts[0]}
    yield Row(
        name="whole run",
        what=f"one run of the smoke study ({prepared.run.reader.name}, {steps} steps as of {_LIKE}, evaluated every"
        f" {every}), process start to result file",
        against="the same steps in a warm loop, nothing else",
        over=LOOP,
        seconds=seconds,
        checked="a result file is there after each run, and says that all steps were done",
        limits="the run's own count: " + ", ".join(f"{part} {spent:.1f} s" for part, spent in medians.items()),
        facts={"steps": steps, "seconds where nothing is compiled before": empty}
        | {f"seconds of {part}": spent for part, spent in medians.items()},
    )


def prepare(directory: Path, changes: tuple[str, ...]) -> Prepared:
    """Runs the stages before training, with a BM25 retriever and a checkpoint of random weights.

    Pretraining and a trained retriever belong to other stages, and change no shape of this one.
    """
    from flax import nnx

    from glimmer.models.checkpoint import save_t5
    from glimmer.models.config import T5Config
    from glimmer.models.t5 import T5

    study = load_study("smoke", parse_overrides(list(changes)))
    work, data = directory / "work", directory / "data"
    stated = ["--study", "smoke", *(f"--set={change}" for change in changes)]
    tokenizer, passages = work / "tokenizer" / "tokenizer.json", work / "passages"
    quietly("generate", "--out", str(data), "--seed", "0", "--pages", str(study.data.pages))
    quietly("chunk", *stated, "--data", str(data), "--out", str(passages))
    quietly("vocabulary", *stated, "--data", str(data), "--passages", str(passages), "--out", str(tokenizer))
    quietly("tokenize", *stated, "--tokenizer", str(tokenizer), "--passages", str(passages), "--out",
            str(work / "tokens"))  # fmt: skip
    save_t5(T5(T5Config(**vars(study.dimensions())), rngs=nnx.Rngs(0)), directory / "init", tokenizer)
    quietly("retrieve", *stated, "--data", str(data), "--passages", str(passages), "--out", str(work / "retrieved"))
    quietly("filter", *stated, "--retrieved", str(work / "retrieved"), "--out", str(work / "filtered"))
    runs = sorted(runs_for(study).values(), key=lambda run: (run.reader.k, run.id))
    run = next(run for run in runs if run.reader.name == "glimmer" and run.reader.is_trained_by_its_run)
    return Prepared(directory=directory, study=study, run=run, changes=changes)


def _whole(prepared: Prepared, cache: Path) -> tuple[float, dict[str, float]]:
    """(seconds, by part) of `glimmer train` and `glimmer evaluate`, as the workflow calls them, with a cache of
    programs there. Raises CheckFailed where they leave no result of all steps."""
    with tempfile.TemporaryDirectory(dir=prepared.directory) as out:
        trained, result = Path(out) / "trained", Path(out) / "result.json"
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
        started = time.perf_counter()
        _call(["train", *prepared.options, "--out", str(trained)], environment)
        _call(["evaluate", *prepared.options, "--trained", str(trained), "--out", str(result)], environment)
        seconds = time.perf_counter() - started
        if not result.is_file():
            raise CheckFailed("the run left no result file")
        left = json.loads(result.read_text(encoding="utf-8"))
    done, expected = left["telemetry"]["steps"], prepared.study.training.steps
    if done != expected:
        raise CheckFailed(f"the run did {done} steps, {expected} expected")
    return seconds, parts_of(left, seconds)


def parts_of(result: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """What `seconds` of a run went into, by its result file; the rest is what nobody timed: start and end of two
    processes."""
    parts = dict(result["telemetry"]["seconds"])
    parts |= {f"{part} at the end": result["wall_seconds"][part] for part in ("memory", "evaluate")}
    return parts | {"imports, materials and the rest": seconds - sum(parts.values())}


def _call(arguments: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "glimmer", *arguments], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise CheckFailed(f"glimmer {arguments[0]}: exit {done.returncode}: {done.stderr[-500:]}")


def _warm_loop(prepared: Prepared) -> Any:
    """All steps of the run, on random tokens of its shapes, when called."""
    from benchmarks.steps import compiled_steps

    step, _ = compiled_steps(prepared.study, prepared.run)

    def loop() -> None:
        import jax

        for _ in range(prepared.study.training.steps):
            losses = step()
        jax.block_until_ready(losses)

    return loop


def _median(seconds: list[float]) -> float:
    return float(np.median(seconds))
