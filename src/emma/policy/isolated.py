"""A runtime in a process of its own: what it computes, imports or crashes with does not touch the control loop.

Python lets one thread run at a time, so an inference beside a control loop delays ticks whenever it holds the
interpreter. In another process it cannot, and its death is an error message instead of the end of the node.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emma.environment import cleaned
from emma.errors import EmmaError
from emma.observation import Observation
from emma.policy.bundle import Bundle
from emma.policy.chunk_blending import Previous
from emma.policy.wire import Channel, Message
from emma.robots.spec import RobotSpec

# Loading torch and a policy on a busy machine.
START_S = 180.0
# An inference that takes this long is taken for dead; the arm has been holding for long by then.
HUNG_S = 10.0
# After a crash the next process is started at once, then after 1, 2, 4 s ... up to this: a loop of crashes must not eat
# the processor.
LONGEST_PAUSE_S = 30.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen
    channel: Channel
    name: str = ""
    reason: str = ""
    rtc: str = ""
    past_s: tuple[float, ...] = ()


class IsolatedRuntime:
    """A PolicyRuntime whose `infer` is answered by `emma.policy.isolated_child`. kind, device, threads, robot: as in
    `open_runtime`.

    `infer` raises EmmaError when the process dies or hangs (it is then killed); another one is started meanwhile.
    """

    isolated = True

    def __init__(
        self,
        bundle: Bundle,
        *,
        kind: str = "auto",
        device: str = "cpu",
        threads: int = 1,
        robot: RobotSpec | None = None,
        hung_s: float = HUNG_S,
    ) -> None:
        """Raises EmmaError if the bundle cannot be loaded there."""
        self._open = {"bundle": str(Path(bundle.path).resolve()), "kind": kind, "device": device, "threads": threads}
        self._open["robot"] = str(robot.folder.resolve()) if robot is not None else ""
        # A LeRobot folder has no manifest to be read there.
        self._open["info"] = asdict(bundle.info) if bundle.assumed else None
        self._hung_s = hung_s
        self._seed: int | None = None
        self._last: tuple[Observation, str] | None = None
        self._why = ""
        self._pause_s = 0.0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        # Held while the channel is in use: closing its files under a reader would be a trap.
        self._busy = threading.Lock()
        self._child: _Child | None = self._start()
        self.name, self.reason, self.rtc = f"{self._child.name}, own process", self._child.reason, self._child.rtc
        self.past_s = self._child.past_s
        self.restarts = 0
        self.note = ""

    @property
    def pid(self) -> int | None:
        """The process id, None while there is none."""
        child = self._child
        return None if child is None else child.process.pid

    def reset(self, seed: int) -> None:
        """Restart the noise sequence before the next inference. Returns at once."""
        self._seed = seed

    def infer(self, observation: Observation, instruction: str, previous: Previous | None = None) -> np.ndarray:
        """(chunk, J) float32, as the runtime there gives it. Raises EmmaError where there is no answer."""
        child = self._child
        if child is None:
            raise EmmaError("the policy's process is being started again", found=self._why)
        self._last = (observation, instruction)
        seed, self._seed = self._seed, None
        with self._busy:
            answer = self._ask(child, observation, instruction, previous, seed)
            chunk = np.array(answer.arrays["chunk"])
        self.note = str(answer.values["note"])
        self._pause_s = 0.0
        return chunk

    def close(self) -> None:
        """End the process, also in the middle of an inference."""
        self._closing.set()
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.process.kill()
            with self._busy:
                _end(child)

    def _ask(
        self, child: _Child, observation: Observation, instruction: str, previous: Previous | None, seed: int | None
    ) -> Message:
        values: dict[str, Any] = {"stamp_ns": observation.stamp_ns, "instruction": instruction, "seed": seed}
        arrays = {"state": observation.state}
        arrays |= {f"images.{name}": image for name, image in observation.images.items()}
        arrays |= {f"depth.{name}": image for name, image in observation.depth.items()}
        for i, seen in enumerate(observation.past):
            values.setdefault("past_ns", []).append(seen.stamp_ns)
            arrays[f"past.{i}.state"] = seen.state
            arrays |= {f"past.{i}.images.{name}": image for name, image in seen.images.items()}
        if previous is not None:
            values["previous"] = {"delay": previous.delay, "horizon": previous.horizon}
            arrays["previous"] = previous.actions
        try:
            child.channel.send(values, arrays)
            answer = child.channel.receive(self._hung_s)
        except TimeoutError:
            raise self._lost(child, f"no answer within {self._hung_s:g} s") from None
        except (EOFError, OSError, ValueError) as error:
            raise self._lost(child, _death(child.process) or str(error)) from None
        if "error" in answer.values:
            raise EmmaError("the policy failed", found=answer.values["error"])
        return answer

    def _lost(self, child: _Child, why: str) -> EmmaError:
        """The child is of no use any more: end it, start another one beside, and say so."""
        with self._lock:
            mine, self._child = self._child is child, None
        if mine:
            self._why = why
            _end(child)
            if not self._closing.is_set():
                log.warning("the policy's process is started again: %s", why)
                threading.Thread(target=self._restart, name="policy restart", daemon=True).start()
        return EmmaError("the policy's process ended", found=why)

    def _restart(self) -> None:
        while not self._closing.wait(self._pause_s):
            self._pause_s = min(max(1.0, 2.0 * self._pause_s), LONGEST_PAUSE_S)
            try:
                child = self._start()
                if self._last is not None:
                    # The first call is slow; no caller waits for this one.
                    self._warm(child, *self._last)
            except (EmmaError, EOFError, OSError, ValueError, TimeoutError) as error:
                self._why = str(error)
                log.warning("the policy's process does not start: %s", error)
                continue
            with self._lock:
                if not self._closing.is_set():
                    self._child = child
                    self.restarts += 1
                    log.warning("the policy's process runs again (start %d)", self.restarts + 1)
                    return
            _end(child)

    def _warm(self, child: _Child, observation: Observation, instruction: str) -> None:
        arrays = {"state": observation.state, **{f"images.{k}": v for k, v in observation.images.items()}}
        arrays |= {f"depth.{k}": v for k, v in observation.depth.items()}
        child.channel.send({"stamp_ns": observation.stamp_ns, "instruction": instruction, "seed": None}, arrays)
        child.channel.receive(self._hung_s)

    def _start(self) -> _Child:
        """A new process with the bundle loaded. Raises EmmaError with what it says if it cannot."""
        there_in, here_out = os.pipe()
        here_in, there_out = os.pipe()
        memory = os.memfd_create("emma-policy")
        theirs = (there_in, there_out, memory)
        try:
            process = subprocess.Popen(
                [*_stepping_back(), sys.executable, "-m", "emma.policy.isolated_child", *map(str, theirs)],
                pass_fds=theirs,
                stdin=subprocess.DEVNULL,
                env=cleaned(os.environ),
                # Ctrl+C is for the parent, which ends this process by closing the pipe. Not a session of its own: a
                # kernel that groups by session would give it a stranger's share.
                process_group=0,
            )
        finally:
            os.close(there_in)
            os.close(there_out)
        channel = Channel(here_in, here_out, memory)
        try:
            channel.send(self._open)
            said = channel.receive(START_S).values
        except (EOFError, OSError, TimeoutError) as error:
            why = _death(process) or str(error)
            _end(_Child(process, channel))
            raise EmmaError("the policy's process does not start", found=why, fix="see the lines above") from None
        if "refused" in said:
            _end(_Child(process, channel))
            raise EmmaError(**_text(said["refused"]))
        return _Child(process, channel, **{**said, "past_s": tuple(said["past_s"])})


def _stepping_back() -> list[str]:
    """Words before a command that put it among ordinary processes at once, where the calling thread is none of them.

    A child begins in its parent's class. So it must, since Python holds the interpreter's lock until the child has
    begun; but starting an interpreter takes a tenth of a second, and that long a control loop shall not have to share.
    """
    program = shutil.which("chrt") if os.sched_getscheduler(0) != os.SCHED_OTHER else None
    return [program, "--other", "0"] if program else []


def _text(refused: Mapping[str, Any]) -> dict[str, Any]:
    return {key: refused.get(key) for key in ("problem", "found", "expected", "fix")}


def _death(process: subprocess.Popen) -> str:
    """How a process ended that is about to be gone, "" if it lives."""
    deadline = time.monotonic() + 1.0
    while (code := process.poll()) is None:
        if time.monotonic() > deadline:
            return ""
        time.sleep(0.005)
    if code < 0:
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{hint}"
    return f"exit code {code}"


def _end(child: _Child) -> None:
    child.process.kill()
    child.process.wait()
    child.channel.close()
