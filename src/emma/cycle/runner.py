"""The stages of a cycle, one after the other, each in a process that can be stopped, killed and started again."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emma.cycle.cycle import Cycle
from emma.cycle.manifest import Manifest, begin, done, load_manifest, now
from emma.cycle.pause import PauseRules
from emma.cycle.stage_plans import Stage
from emma.cycle.state import StateFile
from emma.errors import EmmaError
from emma.provenance import commit

LOG = "log.txt"
# How often a stage's messages and the rules are looked at.
LOOK_S = 0.2
# An interrupted training saves a checkpoint.
PATIENCE_S = 60.0
# Of a log, for the error of a stage that crashed.
LAST_LINES = 5


class Runner:
    """Runs what is not done yet. `state` hears of everything; `rules` may stop the work at any moment."""

    def __init__(self, stages: Sequence[Stage], rules: PauseRules, state: StateFile) -> None:
        self._stages, self._rules, self._state = stages, rules, state

    def run(self, cycle: Cycle) -> dict[str, Manifest]:
        """All stages' manifests. Raises EmmaError when a stage cannot go on; what is done stays done."""
        before: dict[str, Manifest] = {}
        for stage in self._stages:
            self._state.set(phase="running", stage=stage.name, done=0, total=0, note="", stages=tuple(before))
            before[stage.name] = self._stage(cycle, stage, before)
        return before

    def _stage(self, cycle: Cycle, stage: Stage, before: dict[str, Manifest]) -> Manifest:
        plan, folder = stage.plan(cycle, before), cycle.stage(stage.name)
        if (manifest := done(folder, plan)) is not None:
            return manifest
        begin(folder, plan)
        if why := stage.skip(cycle, before):
            Manifest(plan=plan, skipped=why, finished=now(), commit=commit()).save(folder)
        else:
            self._run(cycle, stage, list(before))
        manifest = load_manifest(folder)
        assert manifest is not None  # the process ended with 0, and it writes the manifest before
        return manifest

    def _run(self, cycle: Cycle, stage: Stage, before: list[str]) -> None:
        folder = cycle.stage(stage.name)
        words = [sys.executable, "-m", "emma.cycle.child", str(cycle.folder), stage.name, stage.work, str(os.getpid())]
        threads = str(cycle.config.train.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        with (folder / LOG).open("ab") as log:
            child = subprocess.Popen(
                [*words, *before],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                process_group=0,  # stopped and continued with all that it starts
            )
        try:
            problem = self._follow(child)
        except BaseException:
            _end(child)
            raise
        finally:
            assert child.stdout is not None
            child.stdout.close()
        if child.returncode != 0:
            raise self._error(stage, folder / LOG, child.returncode, problem)

    def _follow(self, child: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Until the child ends: hear it, and stop it while the rules say so. Returns the problem that it told."""
        assert child.stdout is not None
        problem: dict[str, Any] = {}
        os.set_blocking(child.stdout.fileno(), False)
        rest, stopped, open_ = b"", False, True
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while open_ or child.poll() is None:
                if open_ and selector.select(LOOK_S):
                    data = child.stdout.read()
                    open_ = bool(data)
                    *lines, rest = (rest + (data or b"")).split(b"\n")
                    for said in map(json.loads, lines):
                        if "problem" in said:
                            problem = said
                        else:
                            self._state.set(**said)
                elif not open_:
                    time.sleep(LOOK_S / 10)
                reason = self._rules.reason()
                if bool(reason) != stopped and child.poll() is None:
                    os.killpg(child.pid, signal.SIGSTOP if reason else signal.SIGCONT)
                    stopped = bool(reason)
                if reason != self._state.state.paused:
                    self._state.set(phase="paused" if reason else "running", paused=reason)
        child.wait()
        return problem

    def _error(self, stage: Stage, log: Path, code: int, problem: dict[str, Any]) -> EmmaError:
        if code == 2 and problem:
            expected = None if problem["expected"] == "None" else problem["expected"]
            found = None if problem["found"] == "None" else problem["found"]
            return EmmaError(f"{stage.name}: {problem['problem']}", found=found, expected=expected, fix=problem["fix"])
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return EmmaError(
            f"the stage {stage.name} crashed ({how})",
            found="\n            ".join(lines[-LAST_LINES:]) or "an empty log",
            fix=f"see {log}; start again to go on from there",
        )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a child to save and go; make it go if it does not."""
    for number, patience in ((signal.SIGINT, PATIENCE_S), (signal.SIGKILL, None)):
        try:
            os.killpg(child.pid, number)
            os.killpg(child.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
        try:
            child.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue
