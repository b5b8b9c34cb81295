"""A policy loop on the simulator's time: one tick for each joint state, inference in between.

Same seeds, same commands to the bit as `emma.sim.evaluate` in process: the proof that the way through the graph changes
nothing. On a robot time does not wait; there `RealTimeLoop` runs.
"""

from collections.abc import Callable
from typing import Any

from emma.arrays import Array
from emma.control.controller import Controller
from emma.control.inference import SimulatedInference
from emma.control.policy_loop import PolicyLoop
from emma.errors import EmmaError
from emma.messages import stamp_ns
from emma.observation import Aligner
from emma.policy.runtime import PolicyRuntime
from emma.robots.spec import RobotSpec

NS = 1_000_000_000


class LockstepLoop:
    """Driven by `push`: a moment is answered once all its pictures and its joint state are there.

    latency_s: how long after its observation a chunk may be used, in simulated time.
    """

    def __init__(
        self,
        spec: RobotSpec,
        aligner: Aligner,
        runtime: PolicyRuntime,
        controller: Controller,
        *,
        send: Callable[[Array, int], None],
        latency_s: float,
    ) -> None:
        self._spec, self._aligner, self._controller, self._send = spec, aligner, controller, send
        self._now_ns = 0
        self.inference = SimulatedInference(runtime, latency_s)
        self.loop = PolicyLoop(
            spec,
            aligner,
            self.inference,
            controller,
            now_ns=lambda: self._now_ns,
            stamp_ns=lambda: self._now_ns,
            send=self._answer,
        )
        self._answered: tuple[int, Array] | None = None
        # Whether to begin at the moment that the simulator repeats, and with which seed.
        self._beginning: tuple[int | None] | None = None
        # A picture is due every so many ns: while the last one is older than that, the next is still on its way.
        self._due_ns = {
            f"{kind}.{name}": round(NS / spec.camera(name).rate_hz)
            for name in aligner.cameras
            for kind in ("images", "depth")
        }

    def start(self) -> None:
        """Nothing to start: messages drive this loop."""

    def stop(self) -> bool:
        """Command nothing more."""
        self.disable()
        return True

    def push(self, topic: str, message: Any) -> None:
        """Take a message, and answer the moment that it makes whole."""
        with self.loop.lock:
            self._aligner.push(topic, message, 0)
            if topic == self._spec.state_topic and self._answered_again(stamp_ns(message) or 0):
                return
            self._tick_when_whole()

    def enable(self, seed: int | None = None) -> None:
        """Start commanding at the moment that the simulator waits in, which it publishes again and again.

        Raises EmmaError without an instruction.
        """
        with self.loop.lock:
            if not self.loop.status().instruction:
                raise EmmaError("cannot enable: no instruction", found="nothing on /instruction", expected="a text")
            self._answered, self._beginning = None, (seed,)
            self.inference.discard()

    def disable(self) -> None:
        """Stop commanding; the simulator's time stops with it."""
        with self.loop.lock:
            self._beginning = None
            self.loop.disable()

    def halt(self) -> None:
        """As `disable`: in lockstep the arm moves with commands only."""
        self.disable()

    @property
    def commanding(self) -> bool:
        """Whether commands go out, or will."""
        return self.loop.commanding or self._beginning is not None

    def _answered_again(self, stamp: int) -> bool:
        """Begin, or repeat an answer that was lost, at a moment that is published a second time."""
        if self._beginning is not None and stamp == self._now_ns:
            state = self._aligner.state_at(stamp)
            if state is not None:
                (seed,), self._beginning = self._beginning, None
                self.loop.begin(state[0], seed)
        self._now_ns = max(self._now_ns, stamp)
        if self._answered is None or stamp != self._answered[0] or not self._controller.enabled:
            return False
        self._send(self._answered[1], stamp)
        return True

    def _tick_when_whole(self) -> None:
        now = self._now_ns
        if not self._controller.enabled or (self._answered is not None and self._answered[0] >= now):
            return
        ages = self._aligner.ages_s(now)
        if not any(age * NS >= self._due_ns.get(stream, 1) for stream, age in ages.items()):
            self.loop.timings.count("ticks")
            self.loop.tick()

    def _answer(self, position: Array, stamp: int) -> None:
        self._answered = (stamp, position)
        self._send(position, stamp)
