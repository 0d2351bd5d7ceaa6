"""A call that hands jobs to SLURM ends at once where it would wait for ever; what SLURM is told of several nodes."""

import shlex
import sys
from types import SimpleNamespace

import pytest
import yaml
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

from glimmer.errors import InputError
from glimmer.experiments import load_study
from workflow.cluster import check_nodes, check_status_command
from workflow.layout import REPOSITORY, Layout
from workflow.needs import OverNodes, over_nodes

PROFILE = REPOSITORY / "workflow/profiles/slurm"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A machine whose SLURM keeps accounts in the way that is said."""

    def with_accounts(storage: str) -> None:
        for name, prints in {
            "scontrol": f"AccountingStorageType   = {storage}",
            "sinfo": "",
            "sacct": "",
            "squeue": "",
        }.items():
            command = tmp_path / name
            command.write_text(f"#!{sys.executable}\nprint({prints!r})\n")
            command.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return with_accounts


@pytest.fixture
def edited(tmp_path):
    """The profile with a line that a user took the # from."""
    profile = tmp_path / "profile"
    profile.mkdir()
    settings = yaml.safe_load((PROFILE / "config.yaml").read_text()) | {"slurm-status-command": "squeue"}
    (profile / "config.yaml").write_text(yaml.safe_dump(settings))
    return profile


def test_without_accounts_the_profile_as_it_comes_is_refused(slurm):
    slurm("accounting_storage/none")
    with pytest.raises(InputError, match="keeps no accounts.*expected squeue.*found sacct"):
        check_status_command(["--workflow-profile", str(PROFILE), "--config", "study=smoke"])
    with pytest.raises(InputError, match="keeps no accounts"):
        check_status_command(["--executor", "slurm", "--slurm-status-command=sacct"])


@pytest.mark.parametrize("more", [["--slurm-status-command", "squeue"], ["--slurm-status-command=squeue"], ["-n"]])
def test_without_accounts_squeue_and_dry_runs_pass(slurm, more):
    slurm("accounting_storage/none")
    check_status_command(["--workflow-profile", str(PROFILE), *more])


def test_the_profile_may_say_squeue_and_an_option_wins_over_it(slurm, edited):
    slurm("accounting_storage/none")
    check_status_command(["--workflow-profile", str(edited)])
    with pytest.raises(InputError, match="keeps no accounts"):
        check_status_command(["--workflow-profile", str(edited), "--slurm-status-command", "sacct"])


def test_with_accounts_the_profile_passes_as_it_comes(slurm):
    slurm("accounting_storage/slurmdbd")
    check_status_command(["--workflow-profile", str(PROFILE)])


def test_without_slurm_the_profile_is_refused_and_other_calls_are_not_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    check_status_command(["--cores", "2", "--workflow-profile", str(REPOSITORY / "workflow/profiles/default")])
    check_status_command(["--executor", "slurm-jobstep", "--cores", "1"])
    with pytest.raises(InputError, match="no SLURM here"):
        check_status_command(["--workflow-profile", str(PROFILE)])


@pytest.mark.parametrize(
    "devices, nodes, gpu",
    [
        ({}, 1, 8),
        ({"fsdp": 8}, 1, 8),
        ({"fsdp": 2, "model": 2}, 1, 8),  # data takes what they leave
        ({"data": 1, "fsdp": 2, "model": 2}, 1, 4),
        ({"fsdp": 64}, 8, 8),
        ({"data": 2, "fsdp": 4, "model": 2}, 2, 8),
        ({"data": 16}, 2, 8),
    ],
)
@pytest.mark.parametrize("rule", ["train", "remember", "evaluate"])
def test_a_job_has_as_many_nodes_as_the_devices_of_its_study_take(devices, nodes, gpu, rule):
    """Of the published study, whose nodes have eight."""
    study = load_study("kilt", {f"devices.{key}": value for key, value in devices.items()})
    assert over_nodes(study, rule) == OverNodes(nodes=nodes, gpu=gpu)
    assert over_nodes(study, "embed") == OverNodes(nodes=1, gpu=8), "of no mesh"


@pytest.mark.parametrize("devices", [{"fsdp": 12}, {"fsdp": 3}, {"data": 3, "fsdp": 4}])
def test_devices_that_are_no_whole_nodes_are_refused(devices):
    study = load_study("kilt", {f"devices.{key}": value for key, value in devices.items()})
    with pytest.raises(InputError, match="devices are no whole nodes.*multiple of 8"):
        over_nodes(study, "train")


def test_a_study_of_a_cpu_has_one_process_whatever_its_mesh():
    study = load_study("smoke", {"devices.fsdp": 8})
    assert over_nodes(study, "train") == OverNodes(nodes=1, gpu=0)
    assert Layout(study=study, draws_only=False).nodes == 1


class Resources(dict):
    """As those of a Snakemake job are asked for."""

    __getattr__ = dict.__getitem__


def submitted(rule, **changes):
    """What `sbatch` is told of a job of the published study, and how its command starts."""
    layout, threads = Layout(study=load_study("kilt", changes), draws_only=False), 16
    stated = layout.resources(rule) | {"runtime": 60}
    launch = stated["launch"]
    launch = launch(None, threads) if callable(launch) else launch
    job = SimpleNamespace(resources=Resources(stated), threads=threads)
    names = ("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir")
    asked = get_submit_command(job, dict.fromkeys(names, "x")) + set_gres_string(job)
    return shlex.split(asked), shlex.split(launch), stated


@pytest.mark.parametrize("rule", ["train", "remember", "evaluate"])
def test_slurm_is_asked_for_a_task_a_node_and_a_step_starts_them(rule):
    asked, launch, stated = submitted(rule, **{"devices.fsdp": 32})
    assert {"--nodes=4", "--ntasks=4", "--gpus=32", "--cpus-per-task=16"} <= set(asked)
    assert not [word for word in asked if word.startswith("--ntasks-per")], "one a node, and none for each GPU"
    assert launch == ["srun", "--nodes=4", "--ntasks=4", "--ntasks-per-node=1", "--gpus-per-node=8",
                      "--cpus-per-task=16"]  # fmt: skip
    assert stated["processes"] == "--processes slurm"
    assert "mpi" in stated, "else Snakemake's step starts one task, and `srun` stands in it"


def test_a_job_of_one_node_is_asked_for_as_one_and_starts_its_command_itself():
    asked, launch, stated = submitted("train")
    assert {"--nodes=1", "--gpus=8"} <= set(asked) and "mpi" not in stated
    assert launch == [] and stated["processes"] == ""


def test_devices_of_several_nodes_are_refused_without_slurm_before_any_work():
    elsewhere = ["--cores", "2", "--workflow-profile", str(REPOSITORY / "workflow/profiles/default")]
    with pytest.raises(InputError, match="those of 4 nodes.*no SLURM in this call"):
        check_nodes(elsewhere, 4)
    check_nodes(elsewhere, 1)
    for passes in ([*elsewhere, "-n"], ["--workflow-profile", str(PROFILE)], ["--executor", "slurm-jobstep"]):
        check_nodes(passes, 4)


def test_a_longer_mesh_shortens_what_a_training_asks_for():
    """Eight nodes have eight times the peak of one; a quarter of an hour is for start-up."""
    layouts = [Layout(study=load_study("kilt", changes), draws_only=False) for changes in ({}, {"devices.fsdp": 64})]
    run = next(id for id, run in layouts[0].runs.items() if run.reader.is_trained_by_its_run and run.size != "XXL")
    one, eight = (layout.resources("train")["runtime"](SimpleNamespace(run=run)) for layout in layouts)
    assert eight - 15 == pytest.approx((one - 15) / 8, abs=1)
