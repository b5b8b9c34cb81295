"""`emma compile` in the background: the engines of a bundle are built while another runtime drives.

The build is a process of its own at the lowest priority, so that a crash of the compiler ends nothing else. On the GPU
it shares time with the policy: chunks come later while kernels are timed.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile

from emma.device import AUTO, CPU, driver_loads
from emma.interrupts import STOP_WITH_PARENT
from emma.policy.exported import FOLDER, MANIFEST

TENSORRT = "tensorrt"
NICE = 19
STOP_S = 5.0
TAIL_BYTES = 4096


class Phase(StrEnum):
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


def build_helps(bundle: Path, runtime: str, *, kind: str, device: str) -> bool:
    """Whether engines would give a bundle a faster runtime than the one it has. Cheap: torch is not imported.

    runtime: the name of the one that runs; kind, device: what was asked for.
    """
    return (
        kind == AUTO
        and device != CPU
        and not runtime.startswith(TENSORRT)
        and importlib.util.find_spec(TENSORRT) is not None
        and driver_loads()
        and (bundle / FOLDER / MANIFEST).is_file()
    )


class EngineBuild:
    """One build. `poll` tells how it goes; `close` ends it and everything it started."""

    def __init__(self, bundle: Path, command: Sequence[str] | None = None) -> None:
        """command: what is run, `emma compile BUNDLE` by default."""
        self.bundle = bundle
        self._output = TemporaryFile()  # noqa: SIM115  (close() closes it)
        self._process = subprocess.Popen(
            command or [sys.executable, "-m", "emma", "compile", str(bundle)],
            # It ends when this pipe closes: with this process, whatever ends it.
            stdin=subprocess.PIPE,
            env={**os.environ, STOP_WITH_PARENT: "1"},
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # The node that starts it may run under a real-time policy, which a child inherits.
        os.sched_setscheduler(self._process.pid, os.SCHED_BATCH, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)

    def poll(self) -> Phase:
        code = self._process.poll()
        if code is None:
            return Phase.BUILDING
        return Phase.READY if code == 0 else Phase.FAILED

    def last_line(self) -> str:
        """What it printed last."""
        end = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, end - TAIL_BYTES))
        lines = self._output.read().decode(errors="replace").replace("\r", "\n").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """End the build; what it had finished is kept in the bundle."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._output.close()
