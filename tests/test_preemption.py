"""A process that is asked to stop: it is told at its next look, and ended when its grace is over."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from glimmer import preemption
from glimmer.preemption import Preempted, check, heeded


@pytest.mark.parametrize("number", preemption.SIGNALS)
def test_a_look_after_the_signal_raises_and_not_before(number):
    before = signal.getsignal(number)
    with pytest.raises(Preempted), heeded(60):
        check()
        os.kill(os.getpid(), number)
        while True:
            check()
            time.sleep(0.01)
    assert signal.getsignal(number) == before
    check()


def test_what_never_looks_is_ended_with_the_exit_code_when_grace_is_over():
    code = "import time; from glimmer.preemption import heeded\nwith heeded(0.3): print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1].decode()
    assert process.returncode == preemption.EXIT_CODE == 75
    assert "SIGTERM: stops at the next safe place, in 0.3 seconds at most" in said and "no safe place" in said


def test_a_thread_that_is_not_the_main_one_is_left_as_it_is():
    ended = []

    def work():
        with heeded(0.1):
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended
