"""A process that is alone agrees with itself; where the others are is said whole, or not at all."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from glimmer import preemption, processes
from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.preemption import Preempted
from glimmer.processes import Place
from tests.free_port import free_port

SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")


def test_a_command_line_without_others_is_of_a_process_that_is_alone():
    assert Place.stated(None, None, None) is None


def test_a_place_by_hand():
    assert Place.stated("node1:1234", "8", 7) == Place(coordinator="node1:1234", processes=8, process=7)


@pytest.mark.parametrize(
    "stated, said",
    [
        (("node1:1234", "2", None), "only a part"),
        ((None, "2", 1), "only a part"),
        (("node1:1234", "2", 2), "process 2 of 2"),
        (("node1:1234", "2", -1), "process -1 of 2"),
        (("node1:1234", "two", 0), "process 0 of two"),
        (("node1:1234", "0", 0), "process 0 of 0"),
        (("node1", "2", 0), "host:port"),
    ],
)
def test_a_place_that_cannot_be_is_refused(stated, said):
    with pytest.raises(InputError, match=said):
        Place.stated(*stated)


def test_slurm_is_taken_at_its_word_and_wants_a_step(monkeypatch):
    for name in SLURM:
        monkeypatch.setenv(name, "1")
    assert Place.stated(None, "slurm", None).of_slurm
    with pytest.raises(InputError, match="--coordinator or --process beside it"):
        Place.stated(None, "slurm", 0)
    monkeypatch.delenv("SLURM_PROCID")
    with pytest.raises(InputError, match="no SLURM_PROCID"):
        Place.stated(None, "slurm", None)


@pytest.mark.parametrize("tasks, nodes, seen", [("2", "2", []), ("8", "2", None)], ids=["a host", "a device"])
def test_a_task_of_slurm_that_is_alone_on_its_host_has_all_its_devices(monkeypatch, tasks, nodes, seen):
    """Where a host has several tasks, jax gives each one device: no list."""
    import jax

    given = {}
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: given.update(options))
    monkeypatch.setattr(jax.distributed, "shutdown", lambda: given.update(ended=True))
    for name, value in {"NTASKS": tasks, "STEP_NUM_NODES": nodes, "PROCID": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with processes.joined(Place(of_slurm=True)):
        assert given["local_device_ids"] == seen and given["cluster_detection_method"] == "slurm"
    assert given["ended"]


@pytest.mark.parametrize("port", [None, "70000"], ids=["taken", "none"])
def test_an_address_at_which_the_first_cannot_listen_is_an_input_error(port):
    with socket.create_server(("", 0)) as listening:
        place = Place(coordinator=f"node1:{port or listening.getsockname()[1]}", processes=2, process=0)
        with pytest.raises(InputError, match="node1:[0-9]+: no port to listen at"), processes.joined(place):
            pass


ENDS_ALONE = """
import sys, time
from glimmer import processes
from glimmer.errors import InputError
index, port = map(int, sys.argv[1:])
processes._ENDING = 1
with processes.joined(processes.Place(coordinator=f"127.0.0.1:{port}", processes=2, process=index)):
    if processes.is_first():
        raise InputError("mine alone")
    time.sleep(200)
"""


@pytest.mark.slow
def test_a_process_with_an_error_of_its_own_says_it_and_the_others_do_not_wait_for_ever():
    port = str(free_port())
    command, piped = [sys.executable, "-c", ENDS_ALONE], {"stderr": subprocess.PIPE, "text": True}
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    started = [subprocess.Popen([*command, index, port], env=environment, **piped) for index in ("0", "1")]
    (_, first), (_, second) = (process.communicate() for process in started)
    assert started[0].returncode == 2 and first.splitlines()[-1] == "glimmer: process 0: mine alone"
    assert started[1].returncode == -signal.SIGABRT and "another task died" in second


def test_a_process_that_is_alone_agrees_with_itself(monkeypatch):
    assert not processes.several() and processes.is_first()
    assert processes.any_process(True) and not processes.any_process(False)
    assert list(processes.in_turn("abc", lambda thing: thing != "b")) == [("a", True), ("c", True)]
    assert processes.after_the_first(lambda: 5) == 5
    assert processes.of_the_first({"a": 0.1}) == {"a": 0.1}
    processes.require_alike("anything", os.getpid())
    wishes = processes.Wishes("stop", behind=2)
    assert wishes.heard(stop=True) == {"stop": True}, "at once"
    with pytest.raises(ZeroDivisionError), processes.together():
        raise ZeroDivisionError
    processes.check_stop()
    monkeypatch.setattr(preemption, "asked", lambda: True)
    with pytest.raises(Preempted):
        processes.check_stop()


@pytest.mark.parametrize(
    "command, names", [("train", {"out"}), ("evaluate", {"trained", "out"}), ("remember", {"trained"})]
)
def test_a_part_of_a_place_ends_the_command_in_one_line(capsys, command, names):
    places = [part for name in sorted({"work", "data", "init"} | names) for part in (f"--{name}", "nowhere")]
    assert main([command, "--study", "smoke", "--run", "0123456789ab", *places, "--processes", "2"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "only a part of it" in said


def test_one_process_compiles(capsys):
    by_hand = ["--coordinator", "node1:1234", "--processes", "2", "--process", "1"]
    assert main(["train", "--study", "smoke", "--run", "0123456789ab", "--compile-only", *by_hand]) == 2
    assert "found process 1 of 2 at node1:1234" in capsys.readouterr().err
