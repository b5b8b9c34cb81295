"""How a node process is told to end."""

import os
import select
import signal
import subprocess
import sys
import time

import pytest

from emma.errors import EmmaError
from emma.ros.settings import require_sound

ROUNDS = 2000
CHILD = """
import signal, sys
from emma.ros.runner import Stop
stop = Stop()
signal.signal(signal.SIGUSR1, lambda *_: stop.request())
while True:
    print("ready", flush=True)
    stop.wait()
    stop = Stop()
    sys.stdin.readline()
"""


def test_signals_that_come_together_are_one_request():
    """A second signal may interrupt the handling of the first at any place; with a lock in it, it waits forever."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        for number in range(ROUNDS):
            assert select.select([child.stdout], [], [], 30.0)[0], f"it hangs after {number} rounds"
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.0005)
            for _ in range(8):
                os.kill(child.pid, signal.SIGUSR1)
                until = time.perf_counter() + number % 40 * 1e-6
                while time.perf_counter() < until:
                    pass
            # The last of them belong to this round.
            time.sleep(0.001)
            child.stdin.write("\n")
    finally:
        child.kill()
        child.wait()


# A node in a process of its own: what `make` and `close` do is given, and "ready" is printed when `make` begins.
NODE = """
import sys, time
from rclpy.node import Node
from emma.errors import EmmaError
from emma.ros.runner import run

class Mine(Node):
    def __init__(self, stop):
        super().__init__("mine")
        print("ready", flush=True)
        {make}

    def sign(self):
        return "all is well"

    def close(self):
        {close}

sys.exit(run(Mine, ["mine"]))
"""


def lines_of(make: str, number: int = 0, *, wait_for: str = "ready", close: str = "pass", again: bool = False):
    """Exit code and output of a node that gets a signal once a line with `wait_for` was printed."""
    with subprocess.Popen(
        [sys.executable, "-c", NODE.format(make=make, close=close)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        try:
            said = ""
            while wait_for not in said:
                line = child.stdout.readline()
                assert line, said
                said += line
            if number:
                child.send_signal(number)
            while again and "closing" not in said:
                said += child.stdout.readline()
            if again:
                child.send_signal(number)
            return child.wait(60.0), said + child.stdout.read()
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_is_interrupted_while_it_is_made(number):
    code, said = lines_of("time.sleep(1000)", number)
    assert code == 128 + number
    assert said.endswith(f"mine: ended by {signal.Signals(number).name}\n")
    assert "Traceback" not in said


def test_a_running_node_says_how_it_is_and_ends_in_order():
    """Also where the second of two signals comes while it closes, as under a launcher in a terminal."""
    close = 'print("closing", flush=True); time.sleep(0.3); print("closed", flush=True)'
    code, said = lines_of("pass", signal.SIGINT, wait_for="ready: all is well", close=close, again=True)
    assert code == 0
    assert said.endswith("closing\nclosed\n")
    assert "ending: SIGINT" in said


def test_a_node_that_refuses_its_parameters_ends_with_2():
    code, said = lines_of('raise EmmaError("bad value", found=3, expected="4")')
    assert code == 2
    assert "emma: bad value\n" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ROS_DOMAIN_ID", "300", "no such ROS domain"),
        ("RMW_IMPLEMENTATION", "rmw_zenoh_cpp", "unset RMW_IMPLEMENTATION"),
        ("ROS_LOG_DIR", "/proc/self/none", "ROS cannot write its logs"),
    ],
)
def test_a_shell_in_which_no_node_starts_is_told_before_the_middleware_fails(variable, value, said, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(EmmaError) as told:
        require_sound()
    assert said in str(told.value)
