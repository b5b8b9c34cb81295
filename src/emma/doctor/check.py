"""One finding of the doctor, and the process in which a doubtful thing is tried."""

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from emma.errors import EmmaError

PROBE_SECONDS = 60.0
# Colours, and other codes that a library writes for a terminal.
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
# How texts begin that this module writes itself.
OWN_WORDS = ("no answer after", "crashed with signal", "exit code")
LIBRARY = re.compile(r"\blib[\w+.-]*\w")


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


def of_error(name: str, error: EmmaError) -> Check:
    """What `error` says, as a failed check."""
    found = error.problem if error.found is None else f"{error.problem}: {error.found}"
    return fail(name, found, error.fix or (f"expected: {error.expected}" if error.expected else "see the message"))


class ProbeError(Exception):
    """A probe ended without an answer; the text is the last line that it printed, without codes for a terminal."""

    @property
    def cause(self) -> str:
        """The text in short: a signal, a library that is missing, or the kind of error. No words of libraries."""
        text = str(self)
        if text.startswith(OWN_WORDS):
            return text
        if library := LIBRARY.search(text):
            return f"{library[0]} cannot be loaded"
        kind = text.partition(":")[0].rpartition(".")[2]
        return kind if kind.isidentifier() and kind.endswith(("Error", "Exception")) else "it stopped with an error"


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
            lines = [line.strip() for line in CODES.sub("", err).splitlines() if line.strip()]
            raise ProbeError((lines or [f"exit code {self._process.returncode}"])[-1])
        return answer
