"""Studies whose seeds redraw everything: what differs between replicates, and what is planned for each."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from glimmer.errors import InputError
from glimmer.experiments import load_study, points, runs_for
from glimmer.experiments.stages import STAGES, decides
from tests.workflow.test_snakefile import MEASURING, planned
from workflow.layout import Layout
from workflow.options import study_of

ROOT = Path(__file__).resolve().parents[2]
SEEDS = [0, 2]


@pytest.fixture
def study():
    return load_study("smoke", {"replicates": True, "seeds": SEEDS})


def test_a_replicate_moves_the_seeds_of_world_checkpoint_and_retriever_and_nothing_else(study):
    usual = load_study("smoke", {"seeds": [0]})
    moved = {"data.seed": 2, "initial.seed": 2, "retriever.seed": 2}
    assert study.replicate(2) == load_study("smoke", {"seeds": [2], **moved})
    assert study.replicate(0) == usual and usual.replicate(2) == usual


def test_runs_of_a_replicate_are_those_of_the_study_that_it_is(study):
    moved = {"data.seed": 2, "initial.seed": 2, "retriever.seed": 2}
    alone = runs_for(load_study("smoke", {"seeds": [2], **moved}))
    ours = {id for id, run in runs_for(study).items() if run.seed == 2}
    assert ours == set(alone)
    assert len(runs_for(study)) == 2 * len(alone), "untrained readers too: each replicate has its own"


def test_an_artifact_can_be_measured_at_fewer_seeds(study):
    fewer = load_study("smoke", {"replicates": True, "seeds": SEEDS, "fewer_seeds": {"table1": 1}})
    every, some = ({point.id: point for point in points(each)} for each in (study, fewer))
    for id, point in some.items():
        seeds = SEEDS[:1] if point.artifact == "table1" else SEEDS
        ids = [term.run_ids for term in every[id].terms]
        assert [term.run_ids for term in point.terms] == [{seed: of[seed] for seed in seeds} for of in ids]
    left = {id for point in some.values() for id in point.run_ids}
    assert set(runs_for(fewer)) == left < set(runs_for(study))


def test_fewer_seeds_for_an_artifact_that_the_study_lacks_are_refused():
    with pytest.raises(InputError, match="fewer_seeds.*figure7"):
        runs_for(load_study("smoke", {"fewer_seeds": {"figure7": 1}}))


def test_a_twin_draws_fine_tuning_anew_and_nothing_else(study):
    twins = load_study("smoke", {"replicates": True, "seeds": SEEDS, "artifacts": ["figure2", "twins"]})
    runs = runs_for(twins)
    for point in (point for point in points(twins) if point.artifact == "twins"):
        for seed, id in point.terms[0].run_ids.items():
            twin = runs[id]
            own = next(run for run in runs.values() if run.seed == seed and run.reader == twin.reader.change(draw=0))
            reader = {key: value for key, value in twin.settings["reader"].items() if key != "draw"}
            assert twin.settings | {"reader": reader} == own.settings
            assert own.lot == seed != twin.lot


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_another_for_another_replicate_where_it_reads_what_is_redrawn(study, name):
    differs = decides(study.replicate(0), name) != decides(study.replicate(2), name)
    assert differs == bool({"data", "initial", "retriever"} & set(STAGES[name].reads))


def test_given_data_cannot_be_redrawn():
    with pytest.raises(InputError, match="replicates"):
        load_study("kilt", {"replicates": True})


def test_files_of_replicates_lie_apart(study):
    layout = Layout(study=study, draws_only=True)
    first, second = (layout.replicates[seed] for seed in SEEDS)
    assert first.path("gtr") != second.path("gtr") and "replicate-2" in second.path("gtr")
    assert "{replicate}" in layout.path("gtr") and second.option == ["--replicate", "2"]
    run = next(id for id, run in layout.runs.items() if run.seed == 2)
    trained = layout.at(type("Wildcards", (), {"run": run})()).trained(run)
    assert trained == f"{study.run_directory(run, 2)}/trained" and trained.startswith(second.work)


@pytest.fixture
def checkout(tmp_path):
    """A checkout with a study `mine`: the smoke study, with replicates."""
    for name in ("Snakefile", "workflow", "glimmer", "worlds", "analysis", "environment.yml"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "results" / "paper", tmp_path / "results" / "paper")
    stated = {
        "like": "smoke",
        "name": "mine",
        "title": "Mine",
        "description": "Mine.",
        "seeds": SEEDS,
        "replicates": True,
    }
    (tmp_path / "config" / "mine.yaml").write_text(yaml.safe_dump(stated))
    return tmp_path


STAGES_OF_A_REPLICATE = MEASURING - {"train", "evaluate"} | {
    f"publish_{name}" for name in ("retrieval", "filter", "lengths", "priors", "reading")
}


def test_every_stage_is_planned_for_every_replicate(checkout):
    jobs = planned("all", "--config", "study=mine", "results=r", "work=w", cwd=checkout)
    assert {rule: jobs.get(rule) for rule in STAGES_OF_A_REPLICATE} == dict.fromkeys(STAGES_OF_A_REPLICATE, 2)
    runs = runs_for(load_study("smoke"))
    assert jobs["evaluate"] == 2 * len(runs)
    assert jobs["train"] == 2 * len({run.trained_id for run in runs.values()})


def test_make_reproduce_plans_one_more_replicate_of_three_readers(checkout):
    (part,) = re.findall(r"^PART := (.*)$", (ROOT / "Makefile").read_text(), flags=re.M)
    options = part.replace("$(SEED)", "99").split()
    jobs = planned("all", "--config", "study=mine", "results=r", "work=w", *options, cwd=checkout)
    assert {rule: jobs.get(rule) for rule in STAGES_OF_A_REPLICATE} == dict.fromkeys(STAGES_OF_A_REPLICATE, 1)
    assert jobs["train"] == jobs["evaluate"] == 3


def test_a_further_replicate_is_a_part_of_a_study_with_replicates(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    given = {"study": "mine", "results": "r", "artifacts": "figure2", "baselines": []}
    runs = runs_for(study_of(given | {"seeds": 99})).values()
    assert {run.reader.name for run in runs} == {"fid", "lumen", "glimmer"}
    assert {run.settings[part]["seed"] for run in runs for part in ("data", "initial", "retriever")} == {99}
    with pytest.raises(InputError, match="seeds.0 is not valid"):
        study_of(given | {"seeds": "last"})
