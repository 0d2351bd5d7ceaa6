"""What a number is of: an entry states, a study fills in, and a new option changes no id."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from glimmer.errors import InputError
from glimmer.experiments import artifacts_of, load_study, runs_for, sections
from glimmer.experiments.documents import repository_path
from glimmer.experiments.settings import SCIENCE_VERSION, ReaderSettings, fid, glimmer, lumen

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ("embedded", "smoke", "kilt", "sample", "sample-gpu")
# One other value for every field of a reader but its name, as an entry spells it.
OTHER = {
    "alpha": "1/2",
    "beta": "1/2",
    "k": 40,
    "m": 10,
    "reranker": "separate",
    "scorer": "mean_pool",
    "memory": "frozen",
    "question_encoder": "separate",
    "lambda_": 3,
    "tau": 3,
    "kl": "lm_rank",
    "token_reduction": "mean",
    "teacher_gradient": "flows",
    "question_in_decoder": True,
    "train_tasks": ["nq"],
    "trained": False,
    "labels": "shuffled",
    "evidence": "first",
    "dev_evidence": "of_another_question",
    "draw": 1,
}


@pytest.fixture
def entries():
    return yaml.safe_load(repository_path("config/experiments.yaml").read_text())


@pytest.fixture
def registry_of(tmp_path, monkeypatch):
    """Makes `entries` the registry that studies are read with."""

    def use(entries):
        path = tmp_path / f"experiments-{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(yaml.safe_dump(entries, sort_keys=False))
        monkeypatch.setattr("glimmer.experiments.entries.repository_path", lambda name: path)

    return use


def table3(study, series):
    points = artifacts_of(study)["table3"].points
    return next(point for point in points if point.series == series)


def test_every_field_of_a_reader_has_another_value_here():
    assert {field.name for field in dataclasses.fields(ReaderSettings)} == set(OTHER) | {"name"}


@pytest.mark.parametrize("field", OTHER)
@pytest.mark.parametrize("name", ["embedded", "kilt"])
def test_a_field_that_an_entry_changes_makes_another_run(entries, registry_of, field, name):
    key = field.rstrip("_")
    entries["artifacts"] = {"table3": entries["artifacts"]["table3"]}
    entries["artifacts"]["table3"]["series"] = {"GLIMMER": {}, "Changed": {"set": {key: OTHER[field]}}}
    registry_of(entries)
    study = load_study(name, {"artifacts": ["table3"], "baselines": [], "scale": {}, "replicates": False})
    baseline, changed = table3(study, "GLIMMER"), table3(study, "Changed")
    assert not set(baseline.run_ids) & set(changed.run_ids)
    assert len(runs_for(study)) == len(study.seeds) * (1 + (field != "trained")) + (field == "trained")
    assert changed.reader.to_json()[key] == OTHER[field]


def test_another_reader_is_another_run(entries, registry_of):
    series = {"GLIMMER": {}, "LUMEN": {"reader": "LUMEN"}, "FiD": {"reader": "FiD"}}
    entries["artifacts"] = {"table3": entries["artifacts"]["table3"] | {"series": series}}
    registry_of(entries)
    assert len(runs_for(load_study("embedded", {"artifacts": ["table3"], "baselines": [], "seeds": [0]}))) == 3


@pytest.mark.parametrize("key, usual, other", [("kl", "rank_lm", "lm_rank"), ("token_reduction", "sum", "mean")])
def test_what_an_entry_states_wins_over_the_study_and_what_it_leaves_open_does_not(
    entries, registry_of, key, usual, other
):
    entries["artifacts"]["table3"]["series"]["Stated"] = {"set": {key: usual}}
    registry_of(entries)
    study = load_study("embedded", {"artifacts": ["table3"], "baselines": [], f"distillation.{key}": other})
    assert getattr(table3(study, "Stated").reader, key) == usual
    assert getattr(table3(study, "Mean pool").reader, key) == other


@pytest.mark.parametrize("change", [{"tau": 1}, {"lambda": 1.0, "kl": "rank_lm"}, {"k": 25}])
def test_an_ablation_that_is_the_baseline_is_refused_unless_it_says_so(entries, registry_of, change):
    series = entries["artifacts"]["table3"]["series"]
    series["Nothing changed"] = {"set": change}
    registry_of(entries)
    study = load_study("embedded", {"artifacts": ["table3"], "baselines": []})
    with pytest.raises(InputError, match="table3/Nothing changed: two points of one run.*table3/GLIMMER"):
        artifacts_of(study)
    series["Nothing changed"]["same_as"] = ["GLIMMER"]
    registry_of(entries)
    assert table3(study, "Nothing changed").run_ids == table3(study, "GLIMMER").run_ids


def test_two_points_that_only_a_study_makes_one_are_refused_in_that_study(entries, registry_of):
    entries["artifacts"]["table3"]["series"]["ATLAS KL"] = {"set": {"kl": "lm_rank"}}
    registry_of(entries)
    changes = {"artifacts": ["table3"], "baselines": []}
    assert table3(load_study("embedded", changes), "ATLAS KL").run_ids
    with pytest.raises(InputError, match="table3/ATLAS KL: two points of one run"):
        artifacts_of(load_study("embedded", changes | {"distillation.kl": "lm_rank"}))


def test_a_proportion_that_whole_layers_make_the_baseline_s_is_refused(entries, registry_of):
    entries["artifacts"]["table3"]["series"]["A fifth"] = {"set": {"beta": "1/5"}}
    registry_of(entries)
    with pytest.raises(InputError, match="table3/A fifth: two points of one run.*2 of 8 live layers"):
        artifacts_of(load_study("embedded", {"model.encoder_layers": 24, "scale": {}}))


def planned_ids(root: Path) -> dict[str, list[str]]:
    code = (
        "import json; from glimmer.experiments import load_study, runs_for\n"
        f"print(json.dumps({{name: list(runs_for(load_study(name))) for name in {STUDIES}}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_new_option_with_a_neutral_default_changes_no_id(copy_of_the_code):
    before = planned_ids(copy_of_the_code)
    settings = copy_of_the_code / "glimmer" / "experiments" / "settings.py"
    text = settings.read_text()
    marker = "    question_in_decoder: bool = False\n"
    assert marker in text
    settings.write_text(text.replace(marker, marker + '    normalise_scores: bool = False\n    prefix: str = ""\n'))
    assert planned_ids(copy_of_the_code) == before
    used = "from glimmer.experiments.settings import fid, run_id; print(run_id(fid(k=5, prefix='x').to_json()))"
    run = [sys.executable, "-c", used]
    id_with_it = subprocess.run(run, cwd=copy_of_the_code, capture_output=True, text=True, check=True).stdout.strip()
    assert (
        id_with_it
        != subprocess.run(
            [*run[:2], used.replace(", prefix='x'", "")],
            cwd=copy_of_the_code,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )


def test_every_committed_result_is_planned_under_its_id():
    for folder in sorted((ROOT / "results").glob("*/runs")):
        planned = runs_for(load_study(folder.parent.name))
        strangers = {path.stem for path in folder.glob("*.json")} - set(planned)
        assert not strangers, f"{folder}: no study asks for {sorted(strangers)[:3]}"


def test_a_description_says_all_that_differs_and_nothing_else():
    plain = glimmer(alpha="1/3", beta="1/4", k=25, m=5)
    assert plain.differences() == fid(k=5).differences() == lumen(alpha="1/3", k=10).differences() == {}
    for field, value in OTHER.items():
        if field not in ("alpha", "beta", "k", "m"):
            changed = plain.change(**{field: tuple(value) if isinstance(value, list) else value})
            assert changed.differences() == {field.rstrip("_"): value}, field


def test_a_lumen_without_memory_layers_is_a_fid_in_all_that_a_fid_can_choose():
    assert lumen(alpha=1, k=5, question_in_decoder=True).resolved(8) == fid(k=5, question_in_decoder=True)
    assert lumen(alpha=1, k=5, memory="frozen").resolved(8).name == "lumen"


# What ids leave out at its default, as it was under SCIENCE_VERSION 3. Another default for one of these would give
# settings that leave it out other numbers under the same id: raise SCIENCE_VERSION with it, and write the new one here.
# A field that is new needs no line.
LEFT_OUT = {
    "ReaderSettings": {
        "reranker": "shared", "scorer": "first_token", "memory": "trained", "question_encoder": "shared",
        "lambda_": 1.0, "tau": 1.0, "kl": "rank_lm", "token_reduction": "sum", "teacher_gradient": "stopped",
        "question_in_decoder": False, "labels": "given", "evidence": "as_retrieved", "trained": True,
    },
    "RelevanceSettings": {"mode": "labels", "k": None},
    "Training": {"keep": "best", "scorer_learning_rate": None},
    "Gtr": {
        "temperature": 0.01, "optimizer": "adam", "schedule": "linear", "warmup_steps": 0, "clip_norm": 1.0,
        "bidirectional": True, "balanced": True, "train_embeddings": True, "dropout": 0.0, "dtype": "float32",
        "hard_negatives": 0, "question_tokens": None, "passage_tokens": None, "pairs_per_task": None,
    },
    "KiltData": {"subset": None},
    "GeneratedData": {"dev_examples": None},
}  # fmt: skip


@pytest.mark.parametrize("section", LEFT_OUT)
def test_a_default_that_ids_leave_out_stays_as_long_as_the_science_version(section):
    assert SCIENCE_VERSION == 3
    described = ReaderSettings if section == "ReaderSettings" else getattr(sections, section)
    defaults = {field.name: field.default for field in dataclasses.fields(described)}
    assert {name: defaults[name] for name in LEFT_OUT[section]} == LEFT_OUT[section]
