"""The same id never covers other bytes: pins, the lock, and results of other inputs."""

import json

import pytest
import yaml

from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.experiments import load_study, runs_for
from glimmer.files import read_json, sha256_file, write_json, write_json_lines
from glimmer.runs.inputs import check_results, hold, inputs_of_run, lock_path, outside_inputs, relock

TASKS = ("nq", "fever")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GLIMMER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    write_json_lines(folder / "kilt_knowledgesource.json", [{"_id": "1"}])
    for task in TASKS:
        for split in ("train", "dev"):
            write_json_lines(folder / f"{task}-{split}-kilt.jsonl", [{"id": f"{task} {split}"}])
    return folder


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint"
    write_json(folder / "config.json", {"d_model": 8})
    (folder / "model.safetensors").write_bytes(b"weights")
    write_json(folder / "tokenizer.json", {})
    return folder


@pytest.fixture
def study(tmp_path):
    """A study of the user's data and checkpoint with nothing pinned, as kilt.yaml ships."""

    def load(**changes):
        given = {"release": "a release", "directory": None, "sha256": None}
        data = {"kind": "kilt", "tasks": list(TASKS), "admitted_missing_provenance": 0} | given
        stated = {"like": "smoke", "name": "mine", "results": str(tmp_path / "results"), "work": str(tmp_path / "work")}
        stated |= {"data": data, "initial": {"kind": "checkpoint", **given}, "tokenizer": {"kind": "checkpoint"}}
        stated |= {"artifacts": ["figure2"], "baselines": []}
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(stated))
        return load_study(path, changes)

    return load


def held(study, data, checkpoint):
    return hold(study, outside_inputs(study, data=data, initial=checkpoint))


def test_first_use_locks_every_file_the_knowledge_source_too(study, data, checkpoint):
    held(study(), data, checkpoint)
    lock = read_json(lock_path(study()))
    assert set(lock["data"]["a release"]) == {path.name for path in data.iterdir()}
    assert lock["initial"]["a release"]["model.safetensors"] == sha256_file(checkpoint / "model.safetensors")
    assert held(study(), data, checkpoint) == lock


@pytest.mark.parametrize("name", ["kilt_knowledgesource.json", "nq-dev-kilt.jsonl", "fever-train-kilt.jsonl"])
def test_other_data_under_the_same_name_stops_with_both_digests_and_the_way_out(study, data, checkpoint, name):
    held(study(), data, checkpoint)
    before = sha256_file(data / name)
    write_json_lines(data / name, [{"id": "another"}])
    with pytest.raises(InputError) as caught:
        held(study(), data, checkpoint)
    text = str(caught.value)
    assert f"--set data.directory={data}" in text
    assert before in text and sha256_file(data / name) in text and "release" in text and "--relock" in text
    assert "\n" not in text and caught.value.exit_code == 2
    held(study(**{"data.release": "another release"}), data, checkpoint)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_another_checkpoint_under_the_same_name_stops(study, data, checkpoint, name):
    held(study(), data, checkpoint)
    (checkpoint / name).write_bytes(b"other")
    with pytest.raises(InputError, match=f"{name}: other bytes under the name a release"):
        held(study(), data, checkpoint)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "flax_model.msgpack", "checkpoint"])
def test_weights_are_held_in_the_form_in_which_they_are_read(study, data, checkpoint, name):
    weights = (checkpoint / "model.safetensors").rename(checkpoint / name)
    (checkpoint / "tf_model.h5").write_bytes(b"never read")
    digests = held(study(), data, checkpoint)["initial"]["a release"]
    assert set(digests) == {"config.json", "tokenizer.json", name}
    held(study(**{"initial.sha256": sha256_file(weights)}), data, checkpoint)
    weights.write_bytes(b"other")
    with pytest.raises(InputError, match=f"{name}: other bytes under the name a release"):
        held(study(), data, checkpoint)


def test_another_form_beside_locked_weights_is_other_weights(study, data, checkpoint):
    """It would be read first, and the lock does not know it."""
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    held(study(), data, checkpoint)
    (checkpoint / "model.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match=r"model\.safetensors: other weights under the name a release.*--relock"):
        held(study(), data, checkpoint)


def test_shards_are_locked_each_and_cannot_share_one_pin(study, data, checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "one.safetensors")
    write_json(checkpoint / "model.safetensors.index.json", {"weight_map": {"x": "one.safetensors"}})
    assert {"one.safetensors", "model.safetensors.index.json"} <= set(
        held(study(), data, checkpoint)["initial"]["a release"]
    )
    with pytest.raises(InputError, match="one digest for a checkpoint of several files"):
        held(study(**{"initial.sha256": "0" * 64}), data, checkpoint)


def test_a_folder_without_weights_is_refused_at_the_start(study, data, checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "tf_model.h5")
    with pytest.raises(InputError, match="no weights that can be read"):
        held(study(), data, checkpoint)


def test_a_replaced_file_is_noticed_though_size_and_modification_time_are_the_same(study, data, checkpoint):
    import os

    held(study(), data, checkpoint)
    weights = checkpoint / "model.safetensors"
    stat = weights.stat()
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(InputError, match="other bytes"):
        held(study(), data, checkpoint)


@pytest.mark.parametrize("section", ["data", "initial"])
def test_pins_are_checked_without_any_subset(study, data, checkpoint, section):
    pin = {"nq-dev-kilt.jsonl": "0" * 64} if section == "data" else "0" * 64
    with pytest.raises(InputError, match="another file than the study names.*0000"):
        held(study(**{f"{section}.sha256": pin}), data, checkpoint)
    assert not lock_path(study()).exists()


def test_the_retriever_s_pin_is_checked_too(tmp_path, checkpoint):
    retriever = {"kind": "gtr", "initial": "checkpoint", "release": "gtr", "directory": None, "sha256": "0" * 64}
    numbers = {"seed": 0, "dimension": 8, "steps": 0, "batch_size": 8, "learning_rate": 1e-3, "depth": 8}
    study = load_study("smoke", {"results": str(tmp_path / "results"), "retriever": retriever | numbers})
    with pytest.raises(InputError, match="another file than the study names"):
        hold(study, outside_inputs(study, retriever=checkpoint))


def test_a_study_that_makes_everything_itself_has_no_outside_inputs(tmp_path):
    assert outside_inputs(load_study("embedded"), data=tmp_path, initial=tmp_path, retriever=tmp_path) == []


def result_of(study, data, checkpoint):
    """A result file as `evaluate` leaves it, for the first run of the study."""
    held(study, data, checkpoint)
    id, run = next(iter(runs_for(study).items()))
    write_json(study.result_file(id), {"id": id, "inputs": inputs_of_run(study, run)})
    return id


def test_a_result_of_other_bytes_never_counts_as_done(study, data, checkpoint):
    mine = study()
    id = result_of(mine, data, checkpoint)
    check_results(mine, runs_for(mine))
    lock_path(mine).unlink()  # somebody thinks that this is the way out
    write_json_lines(data / "nq-dev-kilt.jsonl", [{"id": "another"}])
    held(mine, data, checkpoint)
    with pytest.raises(InputError, match=f"{id}.json: a result of other inputs"):
        check_results(mine, runs_for(mine))


def test_a_result_of_before_locks_is_held_to_the_digests_it_has(study, data, checkpoint):
    mine = study()
    held(mine, data, checkpoint)
    id = next(iter(runs_for(mine)))
    write_json(mine.result_file(id), {"id": id, "digests": {"initial_checkpoint": "0" * 64}})
    with pytest.raises(InputError, match="a result of other inputs.*model.safetensors"):
        check_results(mine, runs_for(mine))


def test_relocking_withdraws_exactly_what_was_made_of_other_bytes(study, data, checkpoint):
    mine = study()
    id = result_of(mine, data, checkpoint)
    trained = mine.work_directory / "runs" / id / "trained"
    trained.mkdir(parents=True)
    inputs = outside_inputs(mine, data=data, initial=checkpoint)
    assert relock(mine, inputs, runs_for(mine)) == [] and mine.result_file(id).exists() and trained.exists()
    (checkpoint / "model.safetensors").write_bytes(b"other")
    inputs = outside_inputs(mine, data=data, initial=checkpoint)
    assert relock(mine, inputs, runs_for(mine)) == [id]
    assert not mine.result_file(id).exists() and not trained.exists()
    held(mine, data, checkpoint)
    check_results(mine, runs_for(mine))


def test_relocking_keeps_what_an_unmeasured_run_has_trained_on_the_same_bytes(study, data, checkpoint):
    mine = study()
    held(mine, data, checkpoint)
    checkpoints = mine.work_directory / "runs" / next(iter(runs_for(mine))) / "checkpoints"
    checkpoints.mkdir(parents=True)
    relock(mine, outside_inputs(mine, data=data, initial=checkpoint), runs_for(mine))
    assert checkpoints.exists()
    write_json_lines(data / "nq-dev-kilt.jsonl", [{"id": "another"}])
    relock(mine, outside_inputs(mine, data=data, initial=checkpoint), runs_for(mine))
    assert not checkpoints.exists()


def test_a_file_that_is_pinned_in_its_other_form_does_not_go_unchecked(study, data, checkpoint):
    with pytest.raises(InputError, match="another form of a pinned file; expected nq-dev-kilt.jsonl.gz"):
        held(study(**{"data.sha256": {"nq-dev-kilt.jsonl.gz": "0" * 64}}), data, checkpoint)


def test_the_command_lists_what_is_locked_and_relocks_only_when_told(study, data, checkpoint, tmp_path, capsys):
    study()
    given = ["--set", f"data={data}", "--set", f"initial.directory={checkpoint}"]
    command = ["inputs", "--study", str(tmp_path / "mine.yaml"), *given]
    assert main(command[:3]) == 2 and "no outside input is given" in capsys.readouterr().err
    assert main(command) == 0 and "not locked yet" in capsys.readouterr().out
    assert main([*command, "--relock"]) == 0 and main(command) == 0
    assert "as locked" in capsys.readouterr().out
    (checkpoint / "model.safetensors").write_bytes(b"other")
    assert main(command) == 1 and "OTHER than locked" in capsys.readouterr().out
    assert main([*command, "--relock"]) == 0 and main(command) == 0


def test_every_command_that_reads_outside_files_holds_them(study, data, checkpoint, tmp_path, capsys):
    mine = study()
    held(mine, data, checkpoint)
    (checkpoint / "tokenizer.json").write_text(json.dumps({"other": 1}))
    write_json_lines(data / "nq-train-kilt.jsonl", [{"id": "another"}])
    study_arguments = ["--study", str(tmp_path / "mine.yaml")]
    init, to = ["--init", str(checkpoint)], ["--out", str(tmp_path / "out")]
    read, run = ["--data", str(data)], next(iter(runs_for(mine)))
    passages, work = ["--passages", str(tmp_path)], ["--work", str(tmp_path)]
    for command in (
        ["chunk", *study_arguments, *read, *to],
        ["tokenizer", *study_arguments, "--checkpoint", str(checkpoint), *to],
        ["train-retriever", *study_arguments, *init, *read, *passages, *to],
        ["retrieve", *study_arguments, *read, *passages, *to],
        ["train", *study_arguments, "--run", run, *work, *read, *init, *to],
        ["evaluate", *study_arguments, "--run", run, *work, *read, *init, "--trained", str(tmp_path), *to],
    ):
        assert main(command) == 2, command
        assert "other bytes under the name a release" in capsys.readouterr().err, command
    assert not (tmp_path / "out").exists()
