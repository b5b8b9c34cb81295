"""The schedule of a policy on a robot, one tick at a time: the robot, lockstep and the simulator run this same class.

observations at the newest common stamp -> inference (a thread, or simulated latency) -> action chunks -> controller.
Who calls `tick`, and by which clock, is the caller's: `RealTimeLoop`, `LockstepLoop` and `emma.sim.evaluate`.
"""

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from emma.arrays import Array
from emma.control.chunk_executor import ExecutorConfig
from emma.control.controller import RAN_OUT, Controller, Mode, Tick
from emma.control.inference import ChunkResult, Inference
from emma.control.memory import Memory
from emma.control.policy_state import LoopStatus
from emma.control.timing import Timings
from emma.control.tracking import start_pose
from emma.errors import EmmaError
from emma.frozen_cameras import FrozenCameras
from emma.observation import STATE, Observation
from emma.robots.spec import RobotSpec

NS = 1_000_000_000
# An inference that takes this long is taken for dead: the arm has been holding for long by then.
HUNG_S = 10.0
# Samples per section that percentiles are taken of: six minutes of ticks at 50 Hz.
TIMINGS_WINDOW = 18_000


class ObservationSource(Protocol):
    """Where observations come from. Moments are ns on the clock of the header stamps."""

    def newest_ns(self) -> int | None:
        """The newest moment that every needed stream has reached, or None while one has no sample."""
        ...

    def at(self, t_ns: int) -> Observation:
        """Raises EmmaError if a sample of that moment is missing or broken."""
        ...

    def measured(self) -> tuple[Array, int] | None:
        """The newest joint state (J,) and its stamp; None before the first one. Raises EmmaError if it is broken."""
        ...

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Seconds since the newest sample of every needed stream; `inf` for one that never came."""
        ...


@dataclass(frozen=True, kw_only=True)
class LoopPolicy:
    """What can be exchanged while the arm moves: a policy's observations, its inference, and how its chunks play."""

    source: ObservationSource
    inference: Inference
    executor: ExecutorConfig

    def close(self) -> None:
        """End the inference, then the runtime. One that hangs is left alone, unless it has a process of its own."""
        if self.inference.close() or self.inference.runtime.isolated:
            self.inference.runtime.close()


class PolicyLoop:
    """Commands nothing until `enable`. Every method may be called from any thread.

    now_ns() is the clock that chunks play on, stamp_ns() that of the header stamps; they may be the same.
    send(position (J,), stamp_ns) publishes a command. conflict() names another commander, "" if there is none: it is
    asked at every tick.
    """

    def __init__(
        self,
        spec: RobotSpec,
        source: ObservationSource,
        inference: Inference,
        controller: Controller,
        *,
        now_ns: Callable[[], int],
        stamp_ns: Callable[[], int],
        send: Callable[[Array, int], None],
        conflict: Callable[[], str] = lambda: "",
    ) -> None:
        self.lock = threading.RLock()
        self.timings = Timings(TIMINGS_WINDOW)
        self._spec, self._controller = spec, controller
        self._policy = LoopPolicy(source=source, inference=inference, executor=controller.executor.config)
        self._memory = Memory(inference.runtime.past_s)
        self._now_ns, self._stamp_ns, self._send, self._conflict = now_ns, stamp_ns, send, conflict
        self._next: LoopPolicy | None = None
        self._retired: list[LoopPolicy] = []
        self._instruction = ""
        # Moments asked about since enabling: an answer to an earlier question belongs to another episode.
        self._asked: set[int] = set()
        self._seen_ns: int | None = None
        # When enabling was asked for (clock of the stamps), until a newer observation lets it begin.
        self._enable_asked_ns: int | None = None
        self._seed: int | None = None
        self._commanded: Array | None = None
        self._fingerprints: dict[str, int] = {}
        self._frozen_cameras = FrozenCameras()
        self._frozen: dict[str, float] = {}
        self._measured: Array | None = None
        self._measured_ns: int | None = None
        self._problem, self._state_problem, self._error = "", "", ""
        self._good_ns, self._skew_s, self._inference_s = 0, 0.0, 0.0
        self._tick = Tick(command=None, mode=Mode.DISABLED)

    @property
    def source(self) -> ObservationSource:
        """Of the policy that runs."""
        return self._policy.source

    @property
    def inference(self) -> Inference:
        """Of the policy that runs."""
        return self._policy.inference

    @property
    def next_source(self) -> ObservationSource | None:
        """Of the policy that waits to take over."""
        return None if self._next is None else self._next.source

    @property
    def commanding(self) -> bool:
        """Whether commands go out, or will with the next observation."""
        return self._controller.enabled or self._enable_asked_ns is not None

    @property
    def releasing(self) -> bool:
        """Whether the arm comes to rest, to be let go of."""
        return self._controller.releasing

    @property
    def swapping(self) -> bool:
        """Whether a policy waits to take over."""
        return self._next is not None

    def set_instruction(self, instruction: str) -> None:
        """What the robot is asked to do, from the next inference on."""
        self._instruction = instruction

    def picture_seen(self, camera: str, fingerprint: int) -> None:
        """The checksum of a camera's newest picture, for the check of cameras that freeze."""
        with self.lock:
            self._fingerprints[camera] = fingerprint

    def enable(self, seed: int | None = None, *, commanded: Array | None = None) -> None:
        """Start commanding from the pose of the next observation, or from where another commander left the arm (J,).

        Raises EmmaError where that is unsafe or of no use. What was seen before this call may be of another scene: a
        robot moved by hand, a simulator that was reset.
        """
        with self.lock:
            now = self._stamp_ns()
            ages = self._policy.source.ages_s(now)
            stale = [f"{s} {age:.2f} s" for s, age in ages.items() if age > self._spec.max_age_s]
            if stale:
                raise EmmaError(
                    "cannot enable: streams are missing or old",
                    found=", ".join(stale),
                    expected=f"every stream at most {self._spec.max_age_s} s old",
                    fix="start the drivers, or correct the topics in robot.yaml",
                )
            self._require_policy()
            self._enable_asked_ns, self._seed, self._commanded = now, seed, commanded
            self._error = ""

    def begin(self, pose: Array, seed: int | None = None) -> None:
        """Start commanding at once from (J,) `pose`, for callers that know that it is where the robot is.

        Raises EmmaError without an instruction, and while the policy hangs.
        """
        with self.lock:
            self._require_policy()
            self._start(self._now_ns(), pose, seed)

    def disable(self) -> None:
        """Stop commanding; the robot stays where it was last commanded."""
        with self.lock:
            self._enable_asked_ns = None
            self._controller.disable()

    def release(self) -> None:
        """Bring the arm to rest, then stop commanding: a person takes it over. Returns at once."""
        with self.lock:
            self._enable_asked_ns = None
            self._controller.release()

    def halt(self) -> None:
        """Stop at once, without braking: the last command is sent once more. Then as `disable`."""
        with self.lock:
            self._enable_asked_ns = None
            held = self._controller.stop()
            if held is not None:
                self._send(held, self._stamp_ns())

    def swap(self, policy: LoopPolicy) -> None:
        """Let another policy for the same robot take over, at the moment the next chunk is due; its chunk fades in.

        It waits until every stream it needs has come. Raises EmmaError for another rate of actions.
        """
        fps = self._controller.executor.config.fps
        if policy.executor.fps != fps:
            raise EmmaError(
                "the next policy has another rate of actions",
                found=f"{policy.executor.fps:g} actions/s",
                expected=f"{fps:g}, as the one that runs",
                fix="deactivate and clean the node up, set the parameter policy, configure and activate it",
            )
        with self.lock:
            if self._next is not None:
                self._retired.append(self._next)
            self._next = policy

    def give_up_swap(self) -> tuple[str, ...]:
        """Let the policy that waits wait no longer. Returns the streams that it has never had."""
        with self.lock:
            following, self._next = self._next, None
            if following is None:
                return ()
            self._retired.append(following)
            ages = following.source.ages_s(self._stamp_ns())
            return tuple(stream for stream, age in ages.items() if age == math.inf)

    def retired(self) -> list[LoopPolicy]:
        """The policies that were replaced since the last call, for the caller to close."""
        with self.lock:
            retired, self._retired = self._retired, []
        return retired

    def close(self) -> bool:
        """Hold a last time and end the inference. False if the runtime hangs and must not be touched."""
        with self.lock:
            if self._next is not None:
                self._retired, self._next = [*self._retired, self._next], None
            self.halt()
        return self._policy.inference.close()

    def ahead(self) -> tuple[Array, int, float] | None:
        """What the policy wants next: the newest chunk (K, J), the moment of its first action as a header stamp (ns)
        and actions per second; None without a chunk."""
        with self.lock:
            executor = self._controller.executor
            if executor.ahead is None:
                return None
            actions, first_ns = executor.ahead
            return actions, first_ns - self._now_ns() + self._stamp_ns(), executor.config.fps

    @property
    def chunks(self) -> int:
        """How many chunks were taken so far."""
        return self._controller.executor.taken

    def status(self) -> LoopStatus:
        with self.lock:
            tick = self._tick
            note = self._policy.inference.runtime.note if self.commanding else ""
            return LoopStatus(
                mode=tick.mode,
                reason=tick.reason,
                warnings=(*tick.warnings, note) if note else tick.warnings,
                clipped=tick.clipped,
                ages_s=self._policy.source.ages_s(self._stamp_ns()),
                skew_s=self._skew_s,
                problem=self._problem or self._state_problem,
                inference_error=self._error,
                instruction=self._instruction,
            )

    def tick(self) -> Tick:
        """One control period: take chunks, ask for the next, command."""
        with self.lock:
            now, stamp = self._now_ns(), self._stamp_ns()
            if self.commanding and (conflict := self._conflict()):
                self._enable_asked_ns = None
                self._controller.release(f"another node commands the robot: {conflict}")
            if self._next is not None:
                self._take_over(self._next, now)
            self._take_results(now)
            with self.timings.section("observe"):
                self._measure(stamp)
                self._observe(now, stamp)
            self._tick = self._explained(self._controller.tick(now, self._ages_s(stamp), self._measured))
            if self._tick.command is not None:
                with self.timings.section("send"):
                    self._send(self._tick.command, stamp)
            return self._tick

    def _require_policy(self) -> None:
        if not self._instruction:
            raise EmmaError("cannot enable: no instruction", found="nothing on /instruction", expected="a text")
        busy_s = self._policy.inference.busy_s
        if busy_s > HUNG_S:
            raise EmmaError("cannot enable: the policy hangs", found=f"busy for {busy_s:.0f} s")

    def _take_over(self, following: LoopPolicy, now: int) -> None:
        executor = self._controller.executor
        if self._controller.enabled and (following.source.newest_ns() is None or not executor.wants_chunk(now)):
            return
        self._retired.append(self._policy)
        self._policy, self._next = following, None
        executor.config = following.executor
        self._frozen_cameras = FrozenCameras()
        self._memory = Memory(following.inference.runtime.past_s)
        # What the old one was asked is of no use any more; its active chunk is, and is faded out.
        self._asked.clear()
        self.timings.count("swaps")

    def _take_results(self, now: int) -> None:
        for result in self._policy.inference.results(now):
            if result.t_obs_ns in self._asked:
                self._asked.discard(result.t_obs_ns)
                self._take(result, now)

    def _take(self, result: ChunkResult, now: int) -> None:
        self._inference_s = result.seconds
        self.timings.add("inference", result.seconds * 1e3)
        refusal: str | None = result.error
        if result.actions is not None:
            refusal = self._controller.offer(result.actions, result.t_obs_ns, now)
        self._error = refusal or ""
        if refusal:
            self.timings.count("refused_chunks")
        else:
            self.timings.add("stamp_to_command", (now - result.t_obs_ns) / 1e6)

    def _measure(self, stamp: int) -> None:
        """Where the robot is: the newest joint state that can be read."""
        try:
            newest = self._policy.source.measured()
        except EmmaError as error:
            self._state_problem = f"{error.problem} ({error.found})"
            return
        self._state_problem = ""
        if newest is not None:
            self._measured, self._measured_ns = newest

    def _observe(self, now: int, stamp: int) -> None:
        """At every new moment that all streams have reached: is it a sound observation, and is it time to ask?"""
        source, inference, executor = self._policy.source, self._policy.inference, self._controller.executor
        newest = source.newest_ns()
        if newest is None or newest == self._seen_ns:
            return
        wanted = self._controller.enabled and inference.busy_s == 0.0 and executor.wants_chunk(now)
        self._seen_ns = newest
        try:
            observation = source.at(newest)
        except EmmaError as error:
            self._problem = f"{error.problem} ({error.found})"
            self.timings.count("bad_observations")
            return
        self._problem, self._good_ns, self._skew_s = "", stamp, observation.skew_s
        observation = self._memory.with_past(observation)
        self._frozen = self._frozen_cameras.update(self._fingerprints, observation.state, newest)
        if self._enable_asked_ns is not None and newest > self._enable_asked_ns:
            self._start(now, start_pose(self._spec, observation.state, self._commanded), self._seed)
            wanted = inference.busy_s == 0.0
        if wanted:
            executor.asked(now)
            # Chunks play on another clock than the stamps: convert the moment to it.
            observation = replace(observation, stamp_ns=now - (stamp - newest))
            self._asked.add(observation.stamp_ns)
            inference.submit(observation, self._instruction, executor.previous(observation.stamp_ns))

    def _start(self, now: int, pose: Array, seed: int | None) -> None:
        if seed is not None and self._policy.inference.busy_s == 0.0:
            self._policy.inference.runtime.reset(seed)
        self._asked.clear()
        self._memory.clear()
        self._controller.enable(now, pose)
        self._enable_asked_ns, self._error = None, ""

    def _ages_s(self, stamp: int) -> Mapping[str, float]:
        ages = self._policy.source.ages_s(stamp)
        if self._state_problem and STATE in ages:
            ages[STATE] = math.inf if self._measured_ns is None else (stamp - self._measured_ns) / NS
        ages |= {f"the picture of {camera}": seconds for camera, seconds in self._frozen.items()}
        if self._problem:
            ages["observation"] = (stamp - self._good_ns) / NS if self._good_ns else math.inf
        return ages

    def _explained(self, tick: Tick) -> Tick:
        """The tick with what is behind its reason, and what the operator can do about it."""
        if tick.mode is Mode.STOPPED and tick.reason and self._state_problem:
            return replace(tick, reason=f"{tick.reason}: {self._state_problem}")
        if tick.mode is not Mode.HOLDING:
            return tick
        if self._problem:
            return replace(tick, reason=f"{tick.reason}: {self._problem}")
        took, config = max(self._policy.inference.busy_s, self._inference_s), self._controller.executor.config
        if tick.reason == RAN_OUT and not self._error and took > config.replan_s:
            slow = f"inference takes {took:.2f} s and a chunk is to be replaced after {config.replan_s:g} s"
            return replace(tick, reason=f"{tick.reason}: {slow}; `emma export` and `emma compile` make it faster")
        return tick
