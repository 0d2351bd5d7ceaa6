"""Every stage from a corpus to a result file, by the commands the workflow runs, in one process."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import yaml
from flax import nnx

from glimmer.cli import main
from glimmer.experiments import config_digest, load_study, runs_for
from glimmer.files import add_to_seal, read_json
from glimmer.models.checkpoint import save_t5
from glimmer.models.config import T5Config
from glimmer.models.t5 import T5
from glimmer.runs.materials import Materials
from glimmer.training.checkpoints import restore_parameters
from glimmer.training.state import split_reader
from tests.free_port import free_port
from tests.test_parts import contents

MODEL = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_heads": 2, "encoder_layers": 2, "decoder_layers": 1}
STUDY = {
    "like": "smoke",
    "name": "road",
    "title": "The road",
    "description": "The shortest way from a corpus to a result file.",
    "data": {"pages": 60},
    "model": MODEL,
    "retriever": {"kind": "bm25", "depth": 4},
    "training": {
        "steps": 2,
        "evaluate_every": 1,
        "batch_size": 2,
        "dev_examples": 2,
        "schedule": "linear",
        "warmup_steps": 0,
    },
    "evaluation": {"dev_examples": 3, "batch_size": 3, "bootstrap_samples": 20},
    "artifacts": ["figure2"],
    "baselines": ["untrained"],
    "scale": {"passages": {5: 1, 10: 2, 25: 4}, "alpha": {"1/3": "1/2"}, "beta": {"1/4": "1"}},
}


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """The stages before training; `glimmer(command, ...)` runs one more, of the study or with changes."""
    directory = tmp_path_factory.mktemp("road")
    config, work = directory / "road.yaml", directory / "work" / "road"
    config.write_text(yaml.safe_dump(STUDY))
    data, passages, init = work / "data", work / "passages", directory / "init"

    def glimmer(command, *changes, **options):
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return main([command, "--study", str(config), *(f"--set={change}" for change in changes), *arguments])

    assert main(["generate", "--out", str(data), "--seed", "0", "--pages", "60"]) == 0
    assert glimmer("chunk", data=data, out=passages) == 0
    tokenizer = work / "tokenizer" / "tokenizer.json"
    assert glimmer("vocabulary", data=data, passages=passages, out=tokenizer) == 0
    assert glimmer("tokenize", tokenizer=tokenizer, passages=passages, out=work / "tokens") == 0
    study = load_study(config)
    save_t5(T5(T5Config(**vars(study.dimensions())), rngs=nnx.Rngs(0)), init, tokenizer)
    assert glimmer("retrieve", data=data, passages=passages, out=work / "retrieved") == 0
    assert glimmer("lengths", data=data, passages=passages, tokenizer=tokenizer, out=work / "lengths.json") == 0
    assert glimmer("filter", retrieved=work / "retrieved", out=work / "filtered") == 0
    runs = {(run.reader.name, run.reader.trained): run for run in runs_for(study).values()}
    places = {"work": work, "data": data, "init": init}
    return SimpleNamespace(glimmer=glimmer, runs=runs, places=places, work=work, study=study, config=config)


def train_and_evaluate(road, run):
    trained, result = road.work / "runs" / run.id / "trained", road.work / f"{run.id}.json"
    assert road.glimmer("train", run=run.id, out=trained, **road.places) == 0
    assert road.glimmer("evaluate", run=run.id, trained=trained, out=result, **road.places) == 0
    return trained, read_json(result)


def check_units(result, road):
    """Two steps of two rows; nothing can have moved further than the rates allow (updates are not scaled)."""
    units = result["training_units"]
    if not result["learning_curve"]:
        assert units is None
        return
    assert all({"distill_uniform", "dev_loss", "train_loss"} <= set(entry) for entry in result["learning_curve"])
    assert all(0 <= entry["ranking_entropy"] <= 1.0001 for entry in result["learning_curve"])
    assert units["rows_seen"] == 4 and set(units["epochs"]) == set(result["tasks"])
    assert units["sum_of_rates"] == pytest.approx(1.5 * road.study.training.learning_rate), "linear to zero"
    for part, moved in units["moved"].items():
        assert moved <= 1.001 * units["path"][part], part
    assert units["moved"]["decoder"] > 0


def check_selection(result):
    """Of a trained run the best and the last evaluation, and what the one that is not kept scores."""
    if not result["learning_curve"]:
        assert result["selection"] is None and "other" not in result and result["kept_step"] == 0
        return
    selection = result["selection"]
    best = max(result["learning_curve"], key=lambda entry: entry["dev_average"])
    for which, entry in (("best", best), ("last", result["learning_curve"][-1])):
        assert selection[which] == {key: entry[key] for key in ("step", "dev_average")}
    keep = result["settings"]["training"]["keep"]
    assert selection["keep"] == keep == "last" and result["kept_step"] == selection["last"]["step"]
    assert ("other" in result) is (selection["best"]["step"] != selection["last"]["step"])
    if "other" in result:
        other = result["other"]
        assert (other["which"], other["step"]) == ("best", selection["best"]["step"])
        assert set(other["tasks"]) == set(result["tasks"])
        assert other["average"] == pytest.approx(sum(other["tasks"].values()) / len(other["tasks"]))


@pytest.mark.slow
@pytest.mark.parametrize("reader", [("glimmer", True), ("fid", False)], ids=["trained", "untrained"])
def test_a_run_is_trained_answered_and_scored(road, reader):
    run = road.runs[reader]
    trained, result = train_and_evaluate(road, run)
    assert result["id"] == run.id and result["settings"] == json.loads(json.dumps(run.settings))
    assert set(result["tasks"]) == set(road.study.tasks)
    for task, scored in result["tasks"].items():
        parts = result["dev_slices"][task]
        assert all(re.fullmatch("[0-9a-f]{8}", digest) for digest in scored["per_example"]["answers"])
        assert len(scored["per_example"]["answers"]) == 3
        assert {part: described["n"] for part, described in parts.items()} == {"selection": 2, "evaluated": 3}
        assert scored["n"] == len(scored["per_example"]["metric"]) == 3
        assert scored["score"] == pytest.approx(sum(scored["per_example"]["metric"]) / 3)
        guesses = [json.loads(line) for line in (trained.parent / "guesses" / f"{task}.jsonl").open()]
        gold = [json.loads(line) for line in (trained.parent / "gold" / f"{task}.jsonl").open()]
        assert [guess["id"] for guess in guesses] == [row["id"] for row in gold]
    assert result["average"]["score"] == pytest.approx(
        sum(scored["score"] for scored in result["tasks"].values()) / len(result["tasks"])
    )
    assert [entry["step"] for entry in result["learning_curve"]] == ([1, 2] if run.reader.trained else [])
    check_selection(result)
    check_units(result, road)
    assert result["claims"] == config_digest("claims")
    assert (result["memory_bytes_per_passage"] > 0) is (run.reader.name == "glimmer")


@pytest.mark.slow
def test_what_the_lengths_cut_is_counted_for_every_task_and_split(road):
    counted = read_json(road.work / "lengths.json")
    assert {task: set(splits) for task, splits in counted["tasks"].items()} == dict.fromkeys(
        road.study.tasks, {"train", "dev"}
    )
    for splits in counted["tasks"].values():
        assert all(
            kind["n"] > 0 and 0 <= kind["cut"] <= kind["n"] for split in splits.values() for kind in split.values()
        )


@pytest.mark.slow
def test_controls_change_the_train_answers_or_the_passages_and_nothing_else(road, tmp_path):
    work = shutil.copytree(road.work, tmp_path / "work", ignore=shutil.ignore_patterns("runs"))
    for path in sorted((work / "retrieved").glob("*.npz")):
        with np.load(path) as arrays:
            whole = dict(arrays)
        whole["gold"] = np.full((len(whole["passages"]), 2), [7, -1])
        np.savez(path, **whole)
    study = load_study(road.config, {"artifacts": ["controls"]})
    made = {}
    for run in runs_for(study).values():
        kind = (run.reader.labels, run.reader.evidence) if run.reader.trained and run.reader.k == 4 else None
        made[kind] = Materials(study=study, run=run, work=work, data=road.places["data"], initial=road.places["init"])
    usual, shuffled, first = made["given", "as_retrieved"], made["shuffled", "as_retrieved"], made["given", "first"]
    for task, examples in usual.train.items():
        rows, others = examples.rows.tolist(), shuffled.train[task]
        assert others.rows.tolist() == rows and np.array_equal(others.passages, examples.passages)
        assert sorted(map(others.answer, rows)) == sorted(map(examples.answer, rows))
        assert list(map(others.answer, rows)) != list(map(examples.answer, rows))
        assert (first.train[task].passages[:, 0] == 7).all() and first.train[task].rows.tolist() == rows
    for one, same, moved in zip(usual.evaluated, shuffled.evaluated, first.evaluated, strict=True):
        assert np.array_equal(one.passages, same.passages) and (moved.passages[:, 0] == 7).all()
        assert one.rows.tolist() == same.rows.tolist() == moved.rows.tolist()


@pytest.mark.slow
def test_evaluating_on_the_way_changes_nothing_of_the_training(road):
    """The two share a batcher, across threads: training saw answers of dev examples once."""
    losses = []
    for every in (24, 4):
        training = {"steps": 24, "batch_size": 6, "evaluate_every": every, "dev_examples": 4}
        changes = {f"training.{key}": value for key, value in training.items()} | {"evaluation.dev_examples": 12}
        run = next(run for run in runs_for(load_study(road.config, changes)).values() if run.reader.trained)
        out = road.work / "runs" / run.id / "trained"
        options = [f"{key}={value}" for key, value in changes.items()]
        assert road.glimmer("train", *options, run=run.id, out=out, **road.places) == 0
        losses.append(sum(entry["loss"] for entry in read_json(out / "training.json")["curve"]) * every / 24)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.slow
def test_a_run_is_not_evaluated_on_other_files_than_it_was_trained_on(road, capsys):
    run = road.runs["fid", False]
    trained, _ = train_and_evaluate(road, run)
    kept = road.work / "filtered"
    changed = next(path for path in sorted(kept.rglob("*.npy")))
    before = changed.read_bytes()
    try:
        changed.write_bytes(before + b"\0")
        out = road.work / "never.json"
        assert road.glimmer("evaluate", run=run.id, trained=trained, out=out, **road.places) == 2
        assert "not the bytes that were written" in capsys.readouterr().err
        add_to_seal(kept, [changed])  # as if the stage had written it anew
        assert road.glimmer("evaluate", run=run.id, trained=trained, out=out, **road.places) == 2
        assert "files changed since training" in capsys.readouterr().err
        assert not out.exists()
    finally:
        changed.write_bytes(before)
        add_to_seal(kept, [changed])


LISTENING = """
import json, os, sys
log, written = sys.argv.pop(1), []

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
        written.append(arguments[0])
    elif event in ("os.mkdir", "os.remove", "os.rmdir"):
        written.append(os.fspath(arguments[0]))
    elif event == "os.rename":
        written.extend(map(os.fspath, arguments[:2]))

sys.addaudithook(note)
from glimmer.cli import main
code = main(sys.argv[1:])
open(log, "w").write(json.dumps([os.path.abspath(path) for path in written if path != log]))
sys.exit(code)
"""


def by_several(count, road, command, directory, *changes, **options):
    """`count` processes, started, that do a command of the road together; each notes which files it writes."""
    port, arguments = free_port(), [f"--set={change}" for change in changes]
    arguments += [part for name, value in (options | road.places).items() for part in (f"--{name}", str(value))]
    return [
        subprocess.Popen(
            [sys.executable, "-c", LISTENING, str(directory / f"written-{index}.json"), command, "--study",
             str(road.config), *arguments, "--coordinator", f"127.0.0.1:{port}", "--processes", str(count),
             "--process", str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
        )
        for index in range(count)
    ]  # fmt: skip


def told_by(processes, directory, code=0):
    """What each of these processes says, line by line, and which files it wrote."""
    told = [process.communicate() for process in processes]  # one that misses another is ended by jax
    assert [process.returncode for process in processes] == [code] * len(processes), told
    said = [[line for line in out.splitlines() if not line.startswith("[Gloo]")] for out, _ in told]
    return said, [read_json(directory / f"written-{index}.json") for index in range(len(processes))]


@pytest.mark.slow
def test_two_processes_train_a_run_as_one_does_and_the_first_alone_writes(road, tmp_path):
    run = road.runs["fid", True]
    alone, out = (tmp_path / name / "trained" for name in ("alone", "together"))
    assert road.glimmer("train", run=run.id, out=alone, **road.places) == 0
    told = by_several(2, road, "train", tmp_path, run=run.id, out=out, metrics=tmp_path / "metrics.csv")
    said, written = told_by(told, tmp_path)
    one, two = (read_json(place / "training.json") for place in (alone, out))
    assert [entry["step"] for entry in two["curve"]] == [1, 2]
    for mine, theirs in zip(one["curve"], two["curve"], strict=True):
        by_task = mine.pop("tasks"), theirs.pop("tasks")
        assert theirs == pytest.approx(mine, rel=1e-4)
        for task, measured in by_task[0].items():
            assert by_task[1][task] == pytest.approx(measured, rel=1e-4), task
    for part, moved in one["training_units"]["moved"].items():
        assert two["training_units"]["moved"][part] == pytest.approx(moved, rel=1e-2), part
    materials = Materials(study=road.study, run=run, work=road.work, data=road.places["data"],
                          initial=road.places["init"])  # fmt: skip
    like = split_reader(materials.reader).trained
    kept = [jax.tree.leaves(restore_parameters(place, one["selection"]["keep"], like)) for place in (alone, out)]
    for mine, theirs in zip(*kept, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-4)
    assert said[0][-1].startswith(f"run {run.id}: kept step") and said[1] == []
    assert (tmp_path / "metrics.csv").exists()  # of the first: what the second wrote is looked through below
    under = str(tmp_path / "together") + "/"
    assert any(path.startswith(under) and "checkpoints" not in path for path in written[0])
    checkpoints = under + "checkpoints"
    assert all(path.startswith(checkpoints) for path in written[1] if path.startswith(str(tmp_path)))
    assert not [path for path in written[1] if path.startswith((str(road.work), str(road.study.results_directory)))]


@pytest.mark.slow
def test_two_processes_evaluate_a_run_as_one_does_and_the_first_alone_writes(road, tmp_path):
    """By the command, of an untrained GLIMMER: each process holds half of every matrix. Blocks of memory are written in
    turns; all else is process 0's, and equals one process's but for seconds, bytes of memory and devices."""
    run, results = road.runs["glimmer", False], [tmp_path / f"{name}.json" for name in ("alone", "together")]
    alone, together = (tmp_path / name / run.id / "trained" for name in ("alone", "together"))
    assert road.glimmer("train", run=run.id, out=alone, **road.places) == 0
    shutil.copytree(alone.parent, together.parent)
    assert road.glimmer("evaluate", run=run.id, trained=alone, out=results[0], **road.places) == 0
    of = {"run": run.id, "trained": together, "out": results[1]}
    said, written = told_by(by_several(2, road, "evaluate", tmp_path, "devices.fsdp=2", **of), tmp_path)
    one, two = map(read_json, results)
    assert two["device"]["count"] == 2 and without_times(two) | {"device": one["device"]} == without_times(one)
    assert one["memory_bytes_per_passage"] > 0
    assert said[0][-1].startswith(f"run {run.id}: average") and said[1] == []
    for kind in ("guesses", "gold"):
        assert contents(together.parent / kind) == contents(alone.parent / kind)
    stores = [contents(place.parent / "memory") for place in (alone, together)]
    assert {name: len(block) for name, block in stores[1].items()} == {n: len(block) for n, block in stores[0].items()}
    assert str(results[1]) in written[0] and not (together.parent / "answers").exists()
    memory = f"{together.parent}/memory"
    assert all(path.startswith(memory) for path in written[1] if path.startswith(str(tmp_path)))
    assert not [path for path in written[1] if path.startswith((str(road.work), str(road.study.results_directory)))]


LONGER = {"steps": 300, "evaluate_every": 100, "batch_size": 2}
SHORT_OF = [f"training.{key}={value}" for key, value in LONGER.items()] + ["preemption.checkpoint_seconds=1"]


def started(road, command, log, **options):
    """The command as a process of its own, with its output in a file."""
    arguments = [part for name, value in (options | road.places).items() for part in (f"--{name}", str(value))]
    changes = [f"--set={change}" for change in SHORT_OF]
    return subprocess.Popen(
        [sys.executable, "-m", "glimmer", command, "--study", str(road.config), *changes, *arguments],
        stdout=log.open("a"),
        stderr=subprocess.STDOUT,
        cwd=Path(__file__).resolve().parents[1],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def stopped_when(process, moment, number=signal.SIGTERM):
    """The exit code of a process that gets a signal as soon as `moment()` is true."""
    while process.poll() is None and not moment():
        time.sleep(0.002)
    if process.poll() is None:
        process.send_signal(number)
    return process.wait()


def lines(path):
    return len(path.read_text().splitlines()) if path.exists() else 0


def without_times(value):
    dropped = {"seconds", "telemetry", "peak_memory_bytes", "wall_seconds", "measured_on"}
    return {key: kept for key, kept in value.items() if key not in dropped}


@pytest.mark.slow
def test_signals_in_every_phase_change_no_number(road, tmp_path):
    """Real signals to real processes: in compilation, a step, a write, an evaluation, and while answering."""
    changes = {f"training.{key}": value for key, value in LONGER.items()}
    run = next(run for run in runs_for(load_study(road.config, changes)).values() if run.reader.name == "glimmer")
    whole, disturbed = (tmp_path / name / run.id / "trained" for name in ("whole", "disturbed"))
    log = tmp_path / "log"
    assert started(road, "train", log, run=run.id, out=whole).wait() == 0, log.read_text()
    metrics, checkpoints = tmp_path / "metrics.csv", disturbed.parent / "checkpoints"

    def train():
        return started(road, "train", log, run=run.id, out=disturbed, metrics=metrics)

    def written():
        return set(checkpoints.glob("between/*"))

    def steps():
        return sum(line.endswith(",") for line in metrics.read_text().splitlines()) if metrics.exists() else 0

    assert stopped_when(train(), checkpoints.exists) == 75, "compiling"
    assert stopped_when(train(), lambda: steps() > 3, signal.SIGUSR1) == 75, "in a step"
    before = written()
    assert stopped_when(train(), lambda: written() - before) == 75, "while a checkpoint is written"
    evaluated_after = 100 * (steps() // 100 + 1)
    assert stopped_when(train(), lambda: steps() >= evaluated_after) == 75, "in an evaluation"
    assert not disturbed.exists()
    assert train().wait() == 0, log.read_text()
    assert without_times(read_json(disturbed / "training.json")) == without_times(read_json(whole / "training.json"))
    assert read_json(disturbed / "training.json")["telemetry"]["resumed"] >= 2
    results = []
    for trained in (whole, disturbed):
        results.append(tmp_path / f"{trained.parent.parent.name}.json")
        options = {"run": run.id, "trained": trained, "out": results[-1]}
        if trained == disturbed:
            answers = disturbed.parent / "answers"
            process = started(road, "evaluate", log, **options)
            assert stopped_when(process, lambda: sum(map(lines, answers.glob("*.jsonl"))) > 2) == 75, "answering"  # noqa: B023
            assert not results[-1].exists()
        assert started(road, "evaluate", log, **options).wait() == 0, log.read_text()
        assert not (trained.parent / "answers").exists()
    undisturbed, interrupted = map(read_json, results)
    assert without_times(interrupted) == without_times(undisturbed)
    assert interrupted["telemetry"]["steps"] == 300
