"""How a node process is told to end."""

import os
import select
import signal
import subprocess
import sys
import time

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
