"""A policy loop in real time: a thread that ticks on the monotonic clock, and messages that come when they come.

Threads: subscriptions call `push`; a decoder turns images into pixels; the loop's own thread ticks; inference has a
fourth. Chunks play on the monotonic clock, so a step of the wall clock moves no joint; header stamps, which are
wall-clock, only tell how old data is.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from emma.arrays import Array
from emma.control.controller import Controller
from emma.control.image_decoder import DecodedFrame, ImageDecoder
from emma.control.inference import ThreadedInference
from emma.control.pacing import Beat, FixedRate, prefer_this_thread
from emma.control.policy_loop import LoopPolicy, PolicyLoop
from emma.observation import Aligner
from emma.policy.runtime import PolicyRuntime
from emma.robots.spec import RobotSpec


class RealTimeLoop:
    """Runs one policy on one robot from `start` to `stop`; commands nothing until `loop.enable`.

    send(position (J,), stamp_ns) publishes a command; clock_ns() is the clock of the header stamps; conflict() names
    another commander, "" if there is none.
    """

    def __init__(
        self,
        spec: RobotSpec,
        aligner: Aligner,
        runtime: PolicyRuntime,
        controller: Controller,
        *,
        send: Callable[[Array, int], None],
        clock_ns: Callable[[], int],
        conflict: Callable[[], str] = lambda: "",
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.inference = ThreadedInference(runtime)
        self.loop = PolicyLoop(
            spec,
            aligner,
            self.inference,
            controller,
            now_ns=monotonic_ns,
            stamp_ns=clock_ns,
            send=send,
            conflict=conflict,
        )
        self.decoder = ImageDecoder(spec, self._on_frame)
        self._clock_ns, self._controller = clock_ns, controller
        self._period_s = 1.0 / spec.control_rate_hz
        # Of the policy that runs and of the one that waits.
        self._aligners = [aligner]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        """Hold a last time and end all threads. False if the runtime hangs in an inference and must not be touched."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        self.decoder.close()
        return self.loop.close()

    def push(self, topic: str, message: Any) -> None:
        """Take a message of one of the robot's topics."""
        receive_ns = self._clock_ns()
        if self.decoder.offer(topic, message, receive_ns):
            return
        with self.loop.lock:
            for aligner in self._followed():
                aligner.push(topic, message, receive_ns)

    def enable(self, seed: int | None = None) -> None:
        """`PolicyLoop.enable`."""
        self.loop.enable(seed)

    def disable(self) -> None:
        """`PolicyLoop.disable`."""
        self.loop.disable()

    def halt(self) -> None:
        """`PolicyLoop.halt`."""
        self.loop.halt()

    def swap(self, policy: LoopPolicy, aligner: Aligner) -> None:
        """`PolicyLoop.swap`, with the policy's own streams followed from now on."""
        with self.loop.lock:
            self.loop.swap(policy)
            self._aligners.append(aligner)

    def beat(self, beat: Beat) -> None:
        """One control period."""
        timings = self.loop.timings
        if self._controller.enabled:
            timings.add("tick_lateness", beat.late_s * 1e3)
            timings.count("ticks")
            timings.count("missed_ticks", beat.missed)
        with timings.section("tick"):
            self.loop.tick()

    def _run(self) -> None:
        if prefer_this_thread():
            self.loop.timings.count("real_time_priority")
        rate = FixedRate(self._period_s, self._stop)
        while (beat := rate.wait()) is not None:
            self.beat(beat)

    def _on_frame(self, frame: DecodedFrame) -> None:
        with self.loop.lock:
            if frame.camera:
                self.loop.picture_seen(frame.camera, frame.fingerprint)
            for aligner in self._followed():
                aligner.push_decoded(frame.topic, frame.stamp_ns, frame.value)

    def _followed(self) -> list[Aligner]:
        if len(self._aligners) > 1:
            used = (self.loop.source, self.loop.next_source)
            self._aligners = [aligner for aligner in self._aligners if any(aligner is source for source in used)]
        return self._aligners
