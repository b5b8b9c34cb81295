"""A program of the user's in place of a stage's own work: its words, its log, its exit code."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from emma.cycle.priority import die_with_parent
from emma.errors import EmmaError

LOG = "program.log"
LOOK_S = 0.5


def run_program(command: Sequence[str], values: Mapping[str, str], folder: Path, note: Callable[[str], None]) -> None:
    """Run `command` with its {placeholders} filled in from `values`, and {python} from this interpreter.

    Its output goes to a log in `folder`, whose last line `note` gets. It ends with this process. Raises EmmaError for a
    placeholder that is not known, and with the end of the log when the exit code is not 0.
    """
    known = {"python": sys.executable, **values}
    try:
        words = [word.format_map(known) for word in command]
    except (KeyError, ValueError, IndexError) as error:
        raise EmmaError(
            "the command has an unknown placeholder",
            found=str(error),
            expected=", ".join(f"{{{name}}}" for name in known),
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    log, me = folder / LOG, os.getpid()
    with log.open("ab") as file:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: die_with_parent(me),
        )
    while child.poll() is None:
        time.sleep(LOOK_S)
        note(_last_line(log))
    if child.returncode != 0:
        raise EmmaError(
            "the program failed",
            found=f"exit code {child.returncode}: {_last_line(log)}",
            expected="exit code 0",
            fix=f"see {log}; run by hand: {' '.join(words)}",
        )


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-400:].decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:120]
