"""Whether SLURM can do what a call asks of it: said at once, and not by a call that waits for ever."""

from __future__ import annotations

import re
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

import yaml
from snakemake.cli import get_argument_parser

from glimmer.errors import InputError

_OPTION = "--slurm-status-command"


def check_status_command(arguments: Iterable[str]) -> None:
    """Raises InputError where a call would hand jobs to SLURM and ask its accounting, which keeps none, how they do.

    Without slurmdbd `sacct` knows of no job, so none is ever seen to end. A dry run hands over nothing.
    """
    arguments = list(arguments)
    asked = get_argument_parser().parse_known_args(arguments)[0]
    profile = _profile(asked.workflow_profile)
    if asked.dryrun or _executor(asked) != "slurm":
        return
    given = any(argument.partition("=")[0] == _OPTION for argument in arguments)
    stated = asked.slurm_status_command if given else profile.get(_OPTION.removeprefix("--"))
    command = stated or ("sacct" if shutil.which("sacct") else "squeue")  # the executor's own choice
    if not _keeps_accounts() and command == "sacct":
        raise InputError("SLURM keeps no accounts here, so no job would be seen to end", where=_OPTION,
                         expected="squeue, as an option or in the profile", found=command)  # fmt: skip


def check_nodes(arguments: Iterable[str], nodes: int) -> None:
    """Raises InputError where a call would start jobs over several `nodes` elsewhere than on SLURM, whose `srun` starts
    a process on each. A dry run starts nothing."""
    asked = get_argument_parser().parse_known_args(list(arguments))[0]
    if nodes > 1 and not asked.dryrun and _executor(asked) not in ("slurm", "slurm-jobstep"):
        raise InputError(f"the study's devices are those of {nodes} nodes", where="devices",
                         expected="--workflow-profile workflow/profiles/slurm, or devices of one node",
                         found="no SLURM in this call")  # fmt: skip


def _executor(asked: Namespace) -> str | None:
    """Of a parsed command line, or its profile."""
    return asked.executor or _profile(asked.workflow_profile).get("executor")


def _profile(directory: str | None) -> dict:
    path = Path(directory or "", "config.yaml")
    return (yaml.safe_load(path.read_text()) or {}) if directory and path.is_file() else {}


def _keeps_accounts() -> bool:
    if shutil.which("scontrol") is None:
        raise InputError("no SLURM here", where="scontrol", expected="a login node", found="no such command")
    told = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=False).stdout
    stored = re.search(r"^AccountingStorageType\s*=\s*(\S+)", told, re.MULTILINE)
    return stored is None or not stored[1].endswith("none")
