"""A job that was asked to stop is started again, and the signal reaches the command and not a shell around it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("rules, command", [("training", "train"), ("evaluation", "evaluate"), ("memory", "remember")])
def test_what_saves_on_a_signal_takes_the_place_of_its_shell(rules, command):
    assert f'"exec {{resources.launch}} glimmer {command} ' in (ROOT / f"workflow/rules/{rules}.smk").read_text()


@pytest.mark.slow
def test_a_job_that_ends_with_the_exit_code_of_a_stop_is_tried_again(tmp_path):
    """By as many retries as the SLURM profile has, on this machine: stopped twice, by a signal to its own process."""
    stopped = (
        "import os, pathlib, signal, sys, time; from glimmer import preemption\n"
        "tries = pathlib.Path('tries'); tries.open('a').write('x')\n"
        "from glimmer.cli import GlimmerError\n"
        "try:\n"
        "    with preemption.heeded(60):\n"
        "        if len(tries.read_text()) < 3: os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)\n"
        "        preemption.check(); pathlib.Path('out').touch()\n"
        "except GlimmerError as error: sys.exit(error.exit_code)\n"
    )
    (tmp_path / "job.py").write_text(stopped)
    (tmp_path / "Snakefile").write_text(
        f'rule out:\n    output: "out"\n    shell: "exec {sys.executable} job.py; echo never > shell"\n'
    )
    retries = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())["retries"]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--retries", str(retries)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tries").read_text() == "xxx" and not (tmp_path / "shell").exists()
    assert "75" in done.stderr
