"""One finding of the doctor, and the process in which a doubtful thing is tried."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

PROBE_SECONDS = 60.0


class Status(StrEnum):
    """OK: nothing to do. WARN: works, with a catch. FAIL: something of emma does not work."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do if that is not well."""

    name: str
    status: Status
    found: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        return {key: str(value) for key, value in asdict(self).items()}


def ok(name: str, found: str) -> Check:
    return Check(name, Status.OK, found)


def warn(name: str, found: str, fix: str) -> Check:
    return Check(name, Status.WARN, found, fix)


def fail(name: str, found: str, fix: str) -> Check:
    return Check(name, Status.FAIL, found, fix)


class ProbeError(Exception):
    """A probe ended without an answer; the text is the last thing it said."""


class Probe:
    """Python code that prints one line of JSON, started at once in a process of its own.

    Libraries that do not fit together crash instead of raising: only a process boundary turns that into a finding.
    """

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def answer(self, timeout_s: float = PROBE_SECONDS) -> dict[str, Any]:
        """What it printed. Raises ProbeError if it failed, crashed or hung."""
        try:
            out, err = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise ProbeError(f"no answer after {timeout_s:.0f} s") from None
        if self._process.returncode < 0:
            raise ProbeError(f"crashed with signal {-self._process.returncode}")
        try:
            answer = json.loads(out.strip().splitlines()[-1])
        except (IndexError, ValueError):
            answer = None
        if self._process.returncode or not isinstance(answer, dict):
            raise ProbeError((err.strip().splitlines() or [f"exit code {self._process.returncode}"])[-1])
        return answer
