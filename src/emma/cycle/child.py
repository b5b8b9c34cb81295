"""One stage in a process of its own: `python -m emma.cycle.child CYCLE_FOLDER STAGE WORK PARENT`.

It tells its progress as JSON lines on standard output and dies with its parent. Exit code 2: an error that a user can
mend, told as JSON; any other code but 0 is a crash, and its traceback is in the stage's log.
"""

import importlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from emma import interrupts
from emma.cycle.cycle import load_cycle
from emma.cycle.job import Job, Made
from emma.cycle.manifest import Manifest, load_begun, load_manifest, now
from emma.cycle.priority import die_with_parent
from emma.errors import EmmaError
from emma.provenance import commit, machine, versions

# Messages about progress are for eyes.
SAY_S = 0.2


class Speaker:
    """Writes to the parent, at most every `SAY_S`."""

    def __init__(self, fd: int) -> None:
        self._out, self._last = os.fdopen(fd, "w", buffering=1), 0.0

    def progress(self, done: int, total: int, note: str) -> None:
        if time.monotonic() - self._last > SAY_S or (total and done >= total):
            self._last = time.monotonic()
            self.say(done=done, total=total, note=note)

    def say(self, **values: Any) -> None:
        self._out.write(json.dumps(values) + "\n")


def run(cycle_folder: Path, stage: str, work: str, before: list[str], speaker: Speaker) -> None:
    """Do the work and write the manifest, last."""
    cycle, start = load_cycle(cycle_folder), time.monotonic()
    folder = cycle.stage(stage)
    begun = load_begun(folder)
    manifests = {name: _required(cycle.stage(name)) for name in before}
    module, _, function = work.partition(":")
    job = Job(folder=folder, cycle=cycle, before=manifests, progress=speaker.progress)
    made: Made = getattr(importlib.import_module(module), function)(job)
    manifest = Manifest(
        plan=begun.plan,
        outputs=dict(made.outputs),
        results=dict(made.results),
        skipped=made.skipped,
        attempts=begun.attempts,
        finished=now(),
        commit=commit(),
        versions=versions(),
        machine=machine() if "torch" in sys.modules else {},
    )
    replace(manifest, seconds=round(time.monotonic() - start, 3)).save(folder)


def _required(folder: Path) -> Manifest:
    manifest = load_manifest(folder)
    if manifest is None:
        raise EmmaError(f"{folder} is not done", found="no manifest", expected="a stage that came before")
    return manifest


def main() -> int:
    """Run one stage as the command line says."""
    cycle, stage, work, parent, *before = sys.argv[1:]
    die_with_parent(int(parent))
    interrupts.begin(f"stage {stage}")
    # Libraries print what they like; that belongs to the log and not among the messages.
    speaker = Speaker(os.dup(1))
    os.dup2(2, 1)
    try:
        with interrupts.raising():
            run(Path(cycle), stage, work, before, speaker)
    except EmmaError as error:
        speaker.say(problem=error.problem, found=str(error.found), expected=str(error.expected), fix=error.fix)
        return 2
    except KeyboardInterrupt as error:
        return interrupts.exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
