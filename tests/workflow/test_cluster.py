"""A call that hands jobs to SLURM ends at once where it would wait for ever."""

import sys

import pytest
import yaml

from glimmer.errors import InputError
from workflow.cluster import check_status_command
from workflow.layout import REPOSITORY

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
