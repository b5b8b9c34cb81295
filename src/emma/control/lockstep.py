"""The policy's control loop on the simulator's time: one tick for each joint state, inference in between. No ROS here.

Same seeds, same commands to the bit as `emma.sim.evaluate` in process: the proof that the way through the graph changes
nothing. On a robot time does not wait; there `control.ControlLoop` runs.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from emma.control.controller import Controller, Mode, Tick
from emma.control.status import ControlStatus
from emma.control.timing import Timings
from emma.errors import EmmaError
from emma.messages import stamp_ns
from emma.observation import Aligner
from emma.policy.runtime import PolicyRuntime
from emma.robots.spec import RobotSpec

NS = 1_000_000_000


class LockstepLoop:
    """As `ControlLoop`, driven by `push`: a moment is answered once all its pictures and its joint state are there.

    latency_s: how long after its observation a chunk may be used, in simulated time.
    """

    def __init__(
        self,
        spec: RobotSpec,
        aligner: Aligner,
        runtime: PolicyRuntime,
        controller: Controller,
        *,
        send: Callable[[np.ndarray, int], None],
        latency_s: float,
    ) -> None:
        self._spec, self._aligner, self._runtime, self._controller = spec, aligner, runtime, controller
        self._send, self._latency_ns = send, int(latency_s * NS)
        self._lock = threading.Lock()
        self._now_ns = 0
        self._answered: tuple[int, np.ndarray] | None = None
        self._pending: tuple[int, int, np.ndarray] | None = None
        self._instruction = ""
        self._error = ""
        self._enabling = False
        self._tick = Tick(command=None, mode=Mode.DISABLED)
        # A picture is due every so many ns: while the last one is older than that, the next is still on its way.
        self._due_ns = {
            f"{kind}.{name}": round(NS / spec.camera(name).rate_hz)
            for name in aligner.cameras
            for kind in ("images", "depth")
        }
        self.timings = Timings()

    def start(self) -> None:
        """Nothing to start: messages drive this loop."""

    def stop(self) -> bool:
        """Command nothing more."""
        self.disable()
        return True

    def push(self, topic: str, message: Any) -> None:
        """Take a message, and answer the moment that it makes whole."""
        with self._lock:
            self._aligner.push(topic, message, 0)
            if topic == self._spec.state_topic:
                stamp = stamp_ns(message) or 0
                if self._enabling and stamp == self._now_ns and (state := self._aligner.state_at(stamp)) is not None:
                    self._enabling = False
                    self._controller.enable(stamp, state[0])
                self._now_ns = max(self._now_ns, stamp)
                if self._answered is not None and stamp == self._answered[0] and self._controller.enabled:
                    # Said again: the answer was lost.
                    self._send(self._answered[1], stamp)
                    return
            self._turn()

    def set_instruction(self, instruction: str) -> None:
        """What the robot shall do, from the next inference on."""
        self._instruction = instruction

    @property
    def commanding(self) -> bool:
        """Whether commands go out, or will."""
        return self._controller.enabled or self._enabling

    def enable(self, seed: int | None = None) -> None:
        """Start commanding at the moment that the simulator waits in: the one it says twice."""
        with self._lock:
            if not self._instruction:
                raise EmmaError("cannot enable: no instruction", found="nothing on /instruction", expected="a text")
            if seed is not None and hasattr(self._runtime, "reset"):
                self._runtime.reset(seed)
            self._pending = self._answered = None
            self._enabling = True

    def disable(self) -> None:
        """Stop commanding; the simulator's time stops with it."""
        with self._lock:
            self._enabling = False
            self._controller.disable()
            self._tick = replace(self._tick, mode=Mode.DISABLED)

    def halt(self) -> None:
        """As `disable`: in lockstep the arm moves with commands only."""
        self.disable()

    def status(self) -> ControlStatus:
        with self._lock:
            return ControlStatus(
                mode=self._tick.mode.value,
                reason=self._tick.reason,
                warnings=self._tick.warnings,
                clipped=self._tick.clipped,
                ages_s=self._aligner.ages_s(self._now_ns),
                skew_s=0.0,
                problem="",
                inference_error=self._error,
                instruction=self._instruction,
            )

    def _turn(self) -> None:
        now = self._now_ns
        if not self._controller.enabled or (self._answered is not None and self._answered[0] >= now):
            return
        ages = self._aligner.ages_s(now)
        if any(age * NS >= self._due_ns.get(stream, 1) for stream, age in ages.items()):
            return
        if self._pending is not None and now >= self._pending[0]:
            self._error = self._controller.offer(self._pending[2], self._pending[1], now) or ""
            self._pending = None
        executor = self._controller.executor
        if self._aligner.newest_ns() == now and self._pending is None and executor.wants_chunk(now):
            executor.asked(now)
            previous = executor.previous(now)
            continued = () if previous is None else (previous,)
            with self.timings.section("inference"):
                actions = self._runtime.infer(self._aligner.at(now), self._instruction, *continued)
            self._pending = (now + self._latency_ns, now, actions)
        self._tick = self._controller.tick(now, {})
        if self._tick.command is not None:
            self.timings.count("ticks")
            self._answered = (now, self._tick.command)
            self._send(self._tick.command, now)
