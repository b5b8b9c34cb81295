"""SIGINT and SIGTERM to real nodes and verbs, from the moment they answer signals to the middle of their work."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emma.ros import NODES
from emma.ros.domain import own_domain

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
# Ends a test that would never end; how long an end takes is measured by `python tests/faults/test_signals.py`.
PATIENCE_S = 120.0
# Moments after the first at which a signal is answered, in seconds: imports, construction, work.
MOMENTS = (0.0, 0.3, 1.0, 3.0, 8.0)
ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "desk_arm_source"
PARAMETERS = {"policy": f"policy:={MODEL}", "learner": "config:=improve.yaml"}


def node(name: str) -> list[str]:
    command = [sys.executable, "-m", "emma.environment", f"emma.ros.nodes.{name}", "--ros-args", "--log-level", "warn"]
    return [*command, "-p", PARAMETERS[name]] if name in PARAMETERS else command


def verb(*words: str) -> list[str]:
    return [sys.executable, "-m", "emma", *words]


def verbs(folder: Path) -> dict[str, list[str]]:
    """Verbs that work for longer than any moment here."""
    return {
        "collect": verb("collect", "--episodes", "500", "--out", str(folder / "collected")),
        "eval": verb("eval", str(MODEL), "--episodes", "1000"),
        "record": verb("record", "--episodes", "50", "--out", str(folder / "bags")),
        "export": verb("export", str(folder / MODEL.name)),
        "doctor": verb("doctor"),
        "bench": verb("bench", "control", "--quick"),
    }


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal: bit n - 1 of SigCgt, which /proc/PID/status shows in hex."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def interrupted(command: list[str], folder: Path, number: int, after_s: float) -> tuple[int, str, float]:
    """Exit code, output, and the seconds from signal to end, of a process that gets a signal `after_s` after it can."""
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        try:
            deadline = time.monotonic() + PATIENCE_S
            # SIGTERM's handler is the last that is set; Python itself has one for SIGINT from the start.
            while child.poll() is None and not catches(child.pid, signal.SIGTERM):
                assert time.monotonic() < deadline, "it never answers signals"
                time.sleep(0.005)
            time.sleep(after_s)
            child.send_signal(number)
            sent = time.monotonic()
            said, _ = child.communicate(timeout=PATIENCE_S)
            return child.returncode, said, time.monotonic() - sent
        finally:
            child.kill()


def check(code: int, said: str, number: int) -> None:
    assert "Traceback" not in said, said
    if code == 0:  # it ran, and ended in order
        assert f"ending: {signal.Signals(number).name}" in said or "--log-level" not in said
        return
    assert code == 128 + number, said
    assert said.splitlines()[-1].partition(";")[0].endswith(f": ended by {signal.Signals(number).name}"), said


@BOTH
@pytest.mark.parametrize("name", ["sim", "policy"])
def test_a_node_that_is_starting_ends(name: str, number: int, tmp_path: Path) -> None:
    with own_domain():
        code, said, _ = interrupted(node(name), tmp_path, number, 0.0)
    check(code, said, number)


@BOTH
def test_a_verb_that_is_starting_ends(number: int, tmp_path: Path) -> None:
    code, said, _ = interrupted(verbs(tmp_path)["eval"], tmp_path, number, 0.0)
    check(code, said, number)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("after_s", MOMENTS)
@pytest.mark.parametrize("name", NODES)
def test_every_node_ends_at_any_moment(name: str, after_s: float, number: int, tmp_path: Path) -> None:
    with own_domain():
        code, said, _ = interrupted(node(name), tmp_path, number, after_s)
    # Two nodes refuse to run like this: no keyboard, no configuration.
    if code != 2:
        check(code, said, number)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("after_s", MOMENTS)
@pytest.mark.parametrize("name", list(verbs(Path())))
def test_every_verb_ends_at_any_moment(name: str, after_s: float, number: int, tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / MODEL.name)
    code, said, _ = interrupted(verbs(tmp_path)[name], tmp_path, number, after_s)
    if code not in (0, 1) or "ended by" in said:  # some are done by then
        check(code, said, number)


def measure(folder: Path) -> None:
    """Print how long each process took to end, at random moments."""
    shutil.copytree(MODEL, folder / MODEL.name)
    rng = random.Random(0)
    commands = {f"node {name}": node(name) for name in NODES} | verbs(folder)
    with own_domain():
        for name, command in commands.items():
            for number in (signal.SIGINT, signal.SIGTERM):
                after_s = rng.uniform(0.0, MOMENTS[-1])
                code, said, seconds = interrupted(command, folder, number, after_s)
                last = said.splitlines()[-1] if said else ""
                print(
                    f"{name:24} {number.name} after {after_s:4.1f} s: code {code}, {seconds:4.2f} s, {last}", flush=True
                )


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    measure(Path(sys.argv[1]))
