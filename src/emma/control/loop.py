"""The policy's control loop: observation, inference, executor, watchdog and safety at a fixed rate. No ROS here.

Threads: subscriptions call `push`; the loop's own thread ticks on the monotonic clock and owns the controller under one
lock; the inference worker has a third. Chunks are played on the monotonic clock, so a step of the wall clock moves no
joint; header stamps, which are wall-clock, only say how old data is.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from emma.control.chunk_executor import ExecutorConfig
from emma.control.controller import Controller, Mode, Tick
from emma.control.frozen_cameras import FrozenCameras
from emma.control.inference_worker import ChunkResult, InferenceWorker
from emma.control.next_policy import NextPolicy
from emma.control.pacing import Beat, FixedRate, prefer_this_thread
from emma.control.start_pose import start_pose
from emma.control.status import ControlStatus
from emma.control.timing import Timings
from emma.errors import EmmaError
from emma.observation import Aligner, Observation
from emma.policy.runtime import PolicyRuntime
from emma.robots.spec import RobotSpec

NS = 1_000_000_000
# An inference that takes this long is taken for dead: the arm has been holding for long by then.
HUNG_S = 10.0
# Samples per section that percentiles are taken of: six minutes of ticks at 50 Hz.
TIMINGS_WINDOW = 18_000


class ControlLoop:
    """Runs one policy on one robot from `start` to `stop`; commands nothing until `enable`.

    send(position (J,), stamp_ns) publishes a command; clock_ns() is the clock of the header stamps.
    """

    def __init__(
        self,
        spec: RobotSpec,
        aligner: Aligner,
        runtime: PolicyRuntime,
        controller: Controller,
        *,
        send: Callable[[np.ndarray, int], None],
        clock_ns: Callable[[], int],
    ) -> None:
        self._spec, self._aligner, self._controller = spec, aligner, controller
        self._send, self._clock_ns = send, clock_ns
        self._runtime = runtime
        self._lock = threading.Lock()
        self._results: deque[ChunkResult] = deque()
        self._worker = InferenceWorker(runtime, self._results.append)
        self._next: NextPolicy | None = None
        self._retired: list[NextPolicy] = []
        self._instruction = ""
        # Moments asked about since enabling: an answer to an earlier question belongs to another episode.
        self._asked: set[int] = set()
        self._seen_ns = 0
        # When enabling was asked for (wall clock), until a newer observation lets it begin.
        self._enable_asked_ns: int | None = None
        self._seed: int | None = None
        self._frozen_cameras = FrozenCameras()
        self._frozen: dict[str, float] = {}
        self._commanded: np.ndarray | None = None
        self._problem = ""
        self._good_ns, self._skew_s = 0, 0.0
        self._error = ""
        self._tick = Tick(command=None, mode=Mode.DISABLED)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self.timings = Timings(TIMINGS_WINDOW)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        """Hold a last time and end both threads. False if the runtime hangs in an inference and must not be touched."""
        self._stop.set()
        self._thread.join(2.0)
        with self._lock:
            if self._next is not None:
                self._retired, self._next = [*self._retired, self._next], None
            if self._controller.enabled:
                self._send(self._controller.safety.hold().position, self._clock_ns())
            self._controller.disable()
        return self._worker.close()

    def push(self, topic: str, message: Any) -> None:
        """Take a message of one of the aligner's topics."""
        with self._lock:
            self._aligner.push(topic, message, self._clock_ns())
            if self._next is not None:
                self._next.aligner.push(topic, message, self._clock_ns())

    def set_instruction(self, instruction: str) -> None:
        """What the robot shall do, from the next inference on."""
        self._instruction = instruction

    def enable(self, seed: int | None = None, *, commanded: np.ndarray | None = None) -> None:
        """Start commanding from the pose of the next observation, or from where another commander left the arm (J,).

        Raises EmmaError where that is unsafe or of no use. What was seen before this call may be of another scene: a
        robot moved by hand, a simulator that was reset.
        """
        with self._lock:
            now = self._clock_ns()
            stale = [f"{s} {age:.2f} s" for s, age in self._aligner.ages_s(now).items() if age > self._spec.max_age_s]
            if stale:
                raise EmmaError(
                    "cannot enable: streams are missing or old",
                    found=", ".join(stale),
                    expected=f"every stream at most {self._spec.max_age_s} s old",
                    fix="start the drivers, or correct the topics in robot.yaml",
                )
            if not self._instruction:
                raise EmmaError("cannot enable: no instruction", found="nothing on /instruction", expected="a text")
            if self._worker.busy_s > HUNG_S:
                raise EmmaError("cannot enable: the policy hangs", found=f"busy for {self._worker.busy_s:.0f} s")
            self._enable_asked_ns, self._seed, self._commanded = now, seed, commanded
            self._error = ""

    def disable(self) -> None:
        """Stop commanding; the robot stays where it was last told to be."""
        with self._lock:
            self._enable_asked_ns = None
            self._controller.disable()

    @property
    def commanding(self) -> bool:
        """Whether commands go out, or will with the next observation."""
        return self._controller.enabled or self._enable_asked_ns is not None

    def release(self) -> None:
        """Bring the arm to rest, then stop commanding: somebody else takes it over. Returns at once."""
        with self._lock:
            self._enable_asked_ns = None
            self._controller.release()

    def halt(self) -> None:
        """Stop at once, without braking: the arm stays at the last command, said once more. Then as `disable`."""
        with self._lock:
            self._enable_asked_ns = None
            held = self._controller.stop()
            if held is not None:
                self._send(held, self._clock_ns())

    def swap(self, runtime: PolicyRuntime, aligner: Aligner, executor: ExecutorConfig) -> None:
        """Let another policy for the same robot take over, at the moment the next chunk is due; its chunk fades in.

        It waits until every stream it needs has come. Raises EmmaError for another rate of actions.
        """
        if executor.fps != self._controller.executor.config.fps:
            raise EmmaError(
                "the next policy has another rate of actions",
                found=f"{executor.fps:g} actions/s",
                expected=f"{self._controller.executor.config.fps:g}, as the one that runs",
                fix="deactivate and clean the node up, set the parameter policy, configure and activate it",
            )
        worker = InferenceWorker(runtime, self._results.append)
        with self._lock:
            if self._next is not None:
                self._retired.append(self._next)
            self._next = NextPolicy(runtime=runtime, worker=worker, aligner=aligner, executor=executor)

    @property
    def swapping(self) -> bool:
        """Whether a policy waits to take over."""
        return self._next is not None

    def give_up_swap(self) -> tuple[str, ...]:
        """Let the policy that waits wait no longer. Returns the streams that it has never had."""
        with self._lock:
            following, self._next = self._next, None
            if following is None:
                return ()
            self._retired.append(following)
            return tuple(
                stream for stream, age in following.aligner.ages_s(self._clock_ns()).items() if age == math.inf
            )

    def retired(self) -> list[NextPolicy]:
        """The policies that were replaced since the last call, for the caller to close."""
        with self._lock:
            retired, self._retired = self._retired, []
        return retired

    def status(self) -> ControlStatus:
        with self._lock:
            tick, ages = self._tick, self._aligner.ages_s(self._clock_ns())
            return ControlStatus(
                mode=tick.mode.value,
                reason=tick.reason,
                warnings=tick.warnings,
                clipped=tick.clipped,
                ages_s=ages,
                skew_s=self._skew_s,
                problem=self._problem,
                inference_error=self._error,
                instruction=self._instruction,
            )

    def _run(self) -> None:
        if prefer_this_thread():
            self.timings.count("real_time_priority")
        rate = FixedRate(1.0 / self._spec.control_rate_hz, self._stop)
        while (beat := rate.wait()) is not None:
            with self.timings.section("tick"), self._lock:
                self._turn(beat)

    def _turn(self, beat: Beat) -> None:
        now, wall = time.monotonic_ns(), self._clock_ns()
        if self._controller.enabled:
            self.timings.add("tick_lateness", beat.late_s * 1e3)
            self.timings.count("ticks")
            self.timings.count("missed_ticks", beat.missed)
        if self._next is not None:
            self._take_over(self._next, now)
        with self.timings.section("observe"):
            self._observe(now, wall)
        self._take_results(now)
        ages = self._aligner.ages_s(wall)
        ages |= {f"the picture of {camera}": seconds for camera, seconds in self._frozen.items()}
        if self._problem:
            ages["observation"] = (wall - self._good_ns) / NS if self._good_ns else math.inf
        self._tick = self._controller.tick(now, ages)
        if self._problem and self._tick.mode is Mode.HOLDING:
            self._tick = replace(self._tick, reason=f"{self._tick.reason}: {self._problem}")
        if self._controller.enabled and self._tick.command is not None:
            with self.timings.section("send"):
                self._send(self._tick.command, wall)

    def _take_over(self, following: NextPolicy, now: int) -> None:
        executor = self._controller.executor
        if self._controller.enabled and (following.aligner.newest_ns() is None or not executor.wants_chunk(now)):
            return
        self._retired.append(
            NextPolicy(runtime=self._runtime, worker=self._worker, aligner=self._aligner, executor=executor.config)
        )
        self._runtime, self._worker, self._aligner = following.runtime, following.worker, following.aligner
        executor.config, self._next = following.executor, None
        self._frozen_cameras = FrozenCameras()
        # What the old one was asked is no longer of use; the chunk in play is, and is faded out.
        self._asked.clear()
        self.timings.count("swaps")

    def _observe(self, now: int, wall: int) -> None:
        """At every new moment that all streams have reached: is it a sound observation, and is it time to ask?"""
        newest = self._aligner.newest_ns()
        if newest is None or newest == self._seen_ns:
            return
        self._seen_ns = newest
        try:
            observation = self._aligner.at(newest)
        except EmmaError as error:
            self._problem = f"{error.problem} ({error.found})"
            self.timings.count("bad_observations")
            return
        self._problem, self._good_ns, self._skew_s = "", wall, observation.skew_s
        self._frozen = self._frozen_cameras.update(observation)
        if self._enable_asked_ns is not None and newest > self._enable_asked_ns:
            self._begin(now, observation)
        executor = self._controller.executor
        if self._controller.enabled and self._worker.busy_s == 0.0 and executor.wants_chunk(now):
            executor.asked(now)
            # From here on the moment is told on the monotonic clock, as the chunk will be.
            observation = replace(observation, stamp_ns=now - (wall - newest))
            self._asked.add(observation.stamp_ns)
            self._worker.submit(observation, self._instruction, executor.previous(observation.stamp_ns))

    def _begin(self, now: int, observation: Observation) -> None:
        if self._seed is not None and hasattr(self._runtime, "reset") and self._worker.busy_s == 0.0:
            self._runtime.reset(self._seed)
        self._asked.clear()
        self._controller.enable(now, start_pose(self._spec, observation.state, self._commanded))
        self._enable_asked_ns = None

    def _take_results(self, now: int) -> None:
        while self._results:
            result = self._results.popleft()
            if result.t_obs_ns not in self._asked:
                continue
            self._asked.discard(result.t_obs_ns)
            self.timings.add("inference", result.seconds * 1e3)
            refusal: str | None = result.error
            if result.actions is not None:
                refusal = self._controller.offer(result.actions, result.t_obs_ns, now)
            if refusal:
                self._error = refusal
                self.timings.count("refused_chunks")
            else:
                self._error = ""
                self.timings.add("stamp_to_command", (now - result.t_obs_ns) / 1e6)
