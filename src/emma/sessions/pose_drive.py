"""Drives the arm to a pose when a person agrees: the teleop node follows the pose as it would follow a leader arm.

So takeover, limits, tracking guard, emergency stop and braking are those of teleoperation. If this process ends, the
leader is silent and the arm stands still.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from emma.errors import EmmaError
from emma.observation import Aligner
from emma.records import Topic
from emma.robots.spec import RobotSpec
from emma.ros import qos
from emma.ros.client import RosClient
from emma.ros.messages import joint_state
from emma.ros.raw_subscriptions import message_class
from emma.sessions.graph import Graph, NodeProcess
from emma.teleop.teleop import Phase
from emma.teleop.teleop_state import TeleopState

NODE = "calibrate_drive"
TARGET = f"/{NODE}/target"
STATE = Topic(f"/{NODE}/state", TeleopState)
TARGET_HZ = 20.0
START_S = 30.0
# Share of the velocity limits.
SPEED = 0.15
# The arm is there when no joint is further from the pose, rad or m; or when it rests this near, as weak servos do.
THERE, NEAR = 0.03, 0.12
# It rests when no joint moves further than this in such a time.
STILL, STILL_S = 2e-3, 0.8
# A way may take so many times as long as at full speed of its slowest joint, and some more.
PATIENCE, PATIENCE_S = 3.0, 5.0
ASK = "Enter drives there slowly (collisions are not checked: look at the way), s skips it: "
Ask = Callable[[str], str]


class PoseDrive:
    """A context manager, and a `Mover`. ask: puts a question to the person and returns the line they type."""

    def __init__(self, robot: str, spec: RobotSpec, logs: Path, *, ask: Ask = input) -> None:
        self._spec, self._ask = spec, ask
        parameters = {"robot": robot, "device": "leader", "leader_topic": TARGET, "align_speed": SPEED}
        self._graph = Graph([NodeProcess(module="teleop", name=NODE, parameters=parameters)], logs)
        self._lock = threading.Lock()
        self._aligner = Aligner(spec, cameras=())
        self._target: np.ndarray | None = None

    def __enter__(self) -> Self:
        self._graph.__enter__()
        try:
            self._client = RosClient("calibrate_pose", alive=self._graph.check)
        except BaseException:
            self._graph.stop()
            raise
        node = self._client.node
        kind = message_class("sensor_msgs/msg/JointState")
        assert kind is not None, "it is one of the standard messages"
        self._publisher: Any = node.create_publisher(kind, TARGET, qos.SENSOR_OFFER)
        node.create_timer(1 / TARGET_HZ, self._publish)
        for state in self._spec.state_topics:
            node.create_subscription(kind, state.topic, self._hears(state.topic), qos.SENSOR_WANT)
        self._client.listen(STATE)
        return self

    def __exit__(self, *_: object) -> None:
        self._graph.stop()
        self._client.close()

    def __call__(self, names: Sequence[str], wanted: np.ndarray) -> None:
        """Ask, then drive joints `names` to `wanted` (rad) and hold there. Raises EmmaError where it cannot go on."""
        try:
            if self._ask(ASK).strip():
                return
        except EOFError:
            # Without a terminal there is no consent, so the arm does not move.
            return
        measured = self.measured()
        target = measured.copy()
        target[[self._spec.index(name) for name in names]] = wanted
        with self._lock:
            self._target = target
        try:
            self._client.wait_for_service(f"/{NODE}/take", START_S)
            self._take()
            self._arrive(target, self._seconds(measured, target))
        finally:
            with self._lock:
                self._target = None
            # The arm brakes where it is, and holds.
            self._client.trigger(f"/{NODE}/give")
        self._client.wait_for(STATE, lambda state: state.state is Phase.IDLE, PATIENCE_S)

    def _take(self) -> None:
        """Ask for the arm; again while its state is too old, as on a busy machine."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._client.trigger(f"/{NODE}/take")
                return
            except EmmaError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _arrive(self, target: np.ndarray, seconds: float) -> None:
        driving = self._client.wait_for(STATE, lambda s: s.state is Phase.DRIVING or s.problem, PATIENCE_S)
        if driving is None or driving.problem:
            raise EmmaError(
                "the arm cannot be driven to the pose",
                found="no answer of the teleop node" if driving is None else driving.problem,
                expected="an arm that no other node commands",
                fix="end or disable the other commander, or move the arm by hand (without --drive)",
            )
        begin = moved_s = time.monotonic()
        place = self.measured()
        while (off := np.abs((now := self.measured()) - target)).max() > THERE:
            if np.abs(now - place).max() > STILL:
                place, moved_s = now, time.monotonic()
            if off.max() < NEAR and time.monotonic() - moved_s > STILL_S:
                return
            state = self._client.heard(STATE)
            if state is None or state.state is Phase.IDLE or time.monotonic() > begin + seconds:
                worst = int(off.argmax())
                joint, by = self._spec.joints[worst], float((now - target)[worst])
                raise EmmaError(
                    "the arm did not arrive at the pose",
                    found=(
                        state.problem if state and state.problem else f"{joint.name} is off by {by:+.2f} {joint.unit}"
                    ),
                    expected=f"every joint within {THERE:g} of the pose after {seconds:.0f} s",
                    fix="see what is in the way; the views so far are kept",
                )
            time.sleep(1 / TARGET_HZ)

    def _seconds(self, measured: np.ndarray, target: np.ndarray) -> float:
        fastest = np.array([joint.velocity for joint in self._spec.joints])
        return PATIENCE_S + PATIENCE * float((np.abs(target - measured) / (SPEED * fastest)).max())

    def measured(self) -> np.ndarray:
        """(J,) where the robot is. Raises EmmaError without joint states."""
        deadline = time.monotonic() + START_S
        while True:
            with self._lock:
                measured = self._aligner.measured()
            if measured is not None:
                return np.asarray(measured[0], np.float64)
            if time.monotonic() > deadline:
                topics = ", ".join(state.topic for state in self._spec.state_topics)
                raise EmmaError(f"no joint states on {topics}", found=f"nothing for {START_S:g} s", expected="a driver")
            time.sleep(0.05)

    def _hears(self, topic: str) -> Callable[[Any], None]:
        def hear(message: Any) -> None:
            # What does not fit is as good as silence, which is reported.
            with self._lock, contextlib.suppress(EmmaError):
                self._aligner.push(topic, message, self._client.node.get_clock().now().nanoseconds)

        return hear

    def _publish(self) -> None:
        with self._lock:
            target = self._target
        if target is not None:
            stamp_ns = self._client.node.get_clock().now().nanoseconds
            self._publisher.publish(joint_state(self._spec.joint_names, target, stamp_ns))
