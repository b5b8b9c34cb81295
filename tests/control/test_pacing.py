"""A fixed rate stays on its grid: short delays are made up, long ones are counted, never caught up in a burst."""

import os
import subprocess
import sys
import threading
import time

import pytest

from emma.control.pacing import FixedRate

PERIOD_S = 0.02


def test_a_long_delay_is_counted_and_not_made_up():
    rate = FixedRate(PERIOD_S, threading.Event())
    assert rate.wait() is not None
    time.sleep(5.5 * PERIOD_S)
    late = rate.wait()
    assert late.missed >= 4
    assert late.late_s >= late.missed * PERIOD_S
    # The next beat lies in the future again, on the grid.
    assert rate.left_s <= PERIOD_S


def test_slack_allows_to_catch_up():
    rate = FixedRate(PERIOD_S, threading.Event(), slack=1000)
    rate.wait()
    time.sleep(4.5 * PERIOD_S)
    assert all(rate.wait().missed == 0 for _ in range(4))


def test_it_ends_when_stopped():
    stop = threading.Event()
    rate = FixedRate(PERIOD_S, stop)
    stop.set()
    assert rate.wait() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to a negative nice value")
@pytest.mark.parametrize("alone", [True, False])
def test_a_process_with_a_session_to_itself_takes_the_session_along(alone: bool) -> None:
    program = "import os; from emma.control.pacing import AUTOGROUP, prefer_this_process;"
    program += "assert prefer_this_process(-3); print(os.nice(0), AUTOGROUP.read_text() if AUTOGROUP.exists() else '-')"
    # Not alone: a child of the session's leader.
    command = [sys.executable, "-c", program]
    command = command if alone else ["sh", "-c", '"$@"; true', "sh", *command]
    said = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True).stdout.split()
    assert said[0] == "-3"
    if said[1] != "-":
        assert said[-1] == ("-3" if alone else "0")
