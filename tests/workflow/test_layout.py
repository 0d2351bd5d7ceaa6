"""Where the stages of a study put their files, and what they depend on."""

import dataclasses
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from glimmer.errors import InputError
from glimmer.experiments import load_study, runs_for
from glimmer.experiments.sections import GeneratedData
from glimmer.experiments.stages import STAGES, decides
from glimmer.files import read_json, write_json
from workflow.layout import REPOSITORY, Layout
from workflow.options import study_of


def test_given_directories_reach_the_stages(given):
    data, checkpoint = given
    found = Layout(study=study_of({"study": "sample-gpu", "data": data, "checkpoint": checkpoint}), draws_only=False)
    assert (found.data, found.initial) == (str(data), str(checkpoint))
    assert {found.initial_of(run) for run in found.runs} == {str(checkpoint)}


def test_a_study_of_a_part_of_the_data_makes_that_part_first(given):
    data, _ = given
    part = {"train_examples": 600, "dev_examples": 200, "distractor_pages": 6000}
    found = Layout(study=load_study("sample", {"data": data, "data.subset": part}), draws_only=False)
    assert (found.users_data, found.data) == (str(data), f"{found.work}/data")


def test_a_checkpoint_of_another_size_is_refused_before_any_work(given):
    data, checkpoint = given
    config = read_json(checkpoint / "config.json")
    write_json(checkpoint / "config.json", config | {"num_layers": 12})
    found = Layout(study=study_of({"study": "sample", "data": data, "checkpoint": checkpoint}), draws_only=False)
    with pytest.raises(InputError, match="encoder_layers 8; found 12"):
        found.check_inputs()


def test_directories_decide_neither_ids_nor_stages(tmp_path):
    here, there = (study_of({"study": "sample", "data": tmp_path / name, "work": name}) for name in "ab")
    assert set(runs_for(here)) == set(runs_for(there))
    assert [decides(here, stage) for stage in STAGES] == [decides(there, stage) for stage in STAGES]


def test_the_generator_is_told_the_sizes_that_the_study_names():
    study = study_of({"study": "embedded"})
    silent = GeneratedData(kind="generated", tasks=("nq",), seed=3, pages=70)
    both = (dataclasses.replace(silent, dev_examples=9), silent)
    told = [Layout(study=study, draws_only=True).generated_sizes(data) for data in both]
    assert told == [["--seed", "3", "--pages", "70", "--dev-examples", "9"], ["--seed", "3", "--pages", "70"]]
    knobs = dataclasses.replace(silent, train_examples={"nq": 30}, world={"references": 0})
    told = Layout(study=study, draws_only=True).generated_sizes(knobs)
    assert told[4:] == ["--set", "references=0", "--set", 'train_examples_of={"nq": 30}']


def test_a_retriever_trained_on_generated_questions_has_another_world_of_the_same_sizes():
    study = load_study("smoke")
    layout = Layout(study=study, draws_only=True)
    own, other = (layout.generated_sizes(data) for data in (study.data, study.data.of_retriever))
    assert own[0] == other[0] == "--seed" and own[1] != other[1] and own[2:] == other[2:]
    assert layout.data_of_retriever != layout.data and layout.passages_of_retriever != layout.path("passages")
    assert layout.embedded == [f"{layout.work}/embeddings/meta.json"]


def test_towers_trained_on_given_questions_are_two_and_others_one(given):
    data, _ = given

    def embedded(**changes):
        study = load_study("kilt", {"data": data, "data.tasks": ["nq"], "retriever.steps": 10} | changes)
        layout = Layout(study=study, draws_only=True)
        assert (layout.data_of_retriever, layout.passages_of_retriever) == (layout.data, layout.path("passages"))
        return [path.removeprefix(f"{layout.work}/embeddings/") for path in layout.embedded]

    assert embedded() == ["half-0/meta.json", "half-1/meta.json"]
    assert embedded(**{"retriever.steps": 0}) == ["meta.json"]


def test_a_retriever_that_is_not_trained_needs_no_world():
    for changes in ({"retriever.steps": 0}, {"retriever": {"kind": "bm25", "depth": 8}}):
        study = load_study("smoke", changes)
        assert not study.retriever_has_world and not study.cross_fits_retriever
    kilt = load_study("kilt")
    assert not kilt.trains_retriever, "the published tower has not seen KILT's questions"


def test_showing_depends_on_the_runs_that_exist_and_measuring_on_all(tmp_path):
    study = study_of({"study": "smoke", "results": tmp_path})
    run = next(iter(Layout(study=study, draws_only=False).runs))
    write_json(study.result_file(run), {})
    assert Layout(study=study, draws_only=True).run_files() == [str(study.result_file(run))]
    assert len(Layout(study=study, draws_only=False).run_files()) > 1


def test_every_rule_has_positive_needs_and_studies_add_to_them():
    small, large = (Layout(study=study_of({"study": name}), draws_only=True) for name in ("smoke", "sample-gpu"))
    assert small.needs("train")["gpu"] == 0 and large.needs("train")["gpu"] == 1
    assert small.needs("no-entry-of-its-own") == {"threads": 1, "mem_mb": 2000, "runtime": 30, "gpu": 0}
    assert large.resources("train")["nodes"] == 1, "GPUs of several nodes are none that a step can have"
    assert "nodes" not in small.resources("train")


def test_a_study_with_a_machine_asks_for_the_minutes_of_its_plan():
    """Half as much again as the operations take at a quarter of eight cards' peak, and no more than is allowed."""
    layout = Layout(study=load_study("kilt"), draws_only=False)
    trained = [run for run, one in layout.runs.items() if one.reader.is_trained_by_its_run]
    asked = {run: layout.resources("train")["runtime"](SimpleNamespace(run=run)) for run in trained}
    untrained = next(run for run, one in layout.runs.items() if not one.reader.trained)
    assert layout.resources("train")["runtime"](SimpleNamespace(run=untrained)) == layout.needs("train")["runtime"]
    longest = max(asked.values())
    assert longest == 4320, "a training of XXL takes longer than a job may"
    largest = {layout.runs[run].size for run in trained if asked[run] == longest}
    assert largest == {"XXL"}
    assert layout.resources("chunk")["runtime"](SimpleNamespace()) == pytest.approx(
        34.76 * 2**30 / 5e6 / layout.parts("chunk") * 1.5 / 60 + 15, abs=1
    )
    assert layout.resources("tokenizer")["runtime"] == 30, "what the plan does not foresee"
    assert layout.resources("lengths")["runtime"](SimpleNamespace()) == 1440
    assert layout.resources("retrieve")["runtime"](SimpleNamespace()) == 1440, "the plan counts no disk and no host"


def test_planning_imports_neither_jax_nor_scipy():
    """Either takes a good part of the time in which a small study is planned."""
    code = "from workflow.start import start; start({'study': 'smoke'}, ['all']); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "workflow.layout" in done.stdout and not {"jax", "scipy"} & set(done.stdout.split())


def test_what_a_cluster_user_edits_in_the_profile_is_still_yaml(tmp_path):
    profile = (REPOSITORY / "workflow" / "profiles" / "slurm" / "config.yaml").read_text()
    edited = re.sub(r"^( *)# (- slurm_|slurm-)", r"\1\2", profile, flags=re.MULTILINE)
    assert edited.count("# - slurm") == 0 and edited != profile
    settings = yaml.safe_load(edited)
    assert {"slurm_partition=main", "slurm_account=mine", "mem_mb=2000"} <= set(settings["default-resources"])
    assert settings["slurm-status-command"] == "squeue" and settings["retries"] >= 1


def test_every_file_of_the_data_is_watched_under_whichever_name_it_has(given):
    data, checkpoint = given
    (data / "knowledge_source.jsonl").rename(data / "kilt_knowledgesource.json")
    (data / "unused.jsonl").touch()
    study = study_of({"study": "sample-gpu", "data": data, "checkpoint": checkpoint})
    names = [path.rsplit("/", 1)[1] for path in Layout(study=study, draws_only=False).files_of_data]
    assert names[0] == "kilt_knowledgesource.json"
    assert sorted(names[1:]) == sorted(f"{task}-{s}-kilt.jsonl" for task in study.tasks for s in ("train", "dev"))
