"""The scripted operator node: an operator's targets to the robot's command topic, through the safety filter.

The one operator so far is scripted: the simulator's expert, which knows from the sim's `~/outcome` what the task is.
"""

import sys
import threading
import time
from dataclasses import dataclass

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from emma.control.pacing import FixedRate
from emma.control.safety import SafetyFilter
from emma.control.tracking import BLIND_S, TrackingGuard
from emma.envs.maker import maker_of
from emma.errors import EmmaError
from emma.messages import decode_state, stamp_ns
from emma.records import Topic
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.parameters import declare, parameter, read, robot_parameter
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer
from emma.sim.sim_state import SIM_STATE, ScriptedPhase, ScriptedState, SimState
from emma.sim.task import Task

OPERATORS = ("scripted",)
# Targets this near to what the filter allows go out as they are: its sums round in the last digits.
SAME = 1e-9
LOOK_S = 0.1


@dataclass(frozen=True, kw_only=True)
class ScriptedOperatorParameters:
    """Parameters of the scripted operator node."""

    robot: str = robot_parameter()
    operator: str = parameter("scripted", "who moves the robot", choices=OPERATORS)
    task_topic: str = parameter(SIM_STATE.name, "where the scripted operator learns the task")
    noise: float = parameter(
        0.0, "scripted: disturbance of the commands, rad (DART)", minimum=0.0, maximum=0.1, runtime=True
    )
    python: str = parameter("", "for an environment of others: a Python that has its package")
    lockstep: bool = parameter(False, "answer each joint state with one command, as the sim's lockstep wants it")


class ScriptedOperatorNode(Node):
    """`~/start` begins the demonstration of the present task, `~/stop` ends it; `~/state` says how far it is."""

    def __init__(self, _stop: Stop) -> None:
        super().__init__("scripted_operator")
        values = declare(self, ScriptedOperatorParameters)
        self.spec = load_robot(values.robot)
        maker = maker_of(self.spec, values.python)
        self._plan_arm = maker.make(self.spec, cameras=(), task=maker.tasks[0])
        self._lockstep = values.lockstep
        self._lock = threading.Lock()
        self._sim = Topic(values.task_topic, SimState)
        self._task: Task | None = None
        self._measured: np.ndarray | None = None
        self._measured_s = -np.inf
        self._targets: np.ndarray | None = None
        self._next = 0
        self._safety, self._guard = SafetyFilter(self.spec), TrackingGuard(self.spec)
        self._answered: tuple[int, np.ndarray] | None = None
        depth = qos.EXACT if values.lockstep else qos.COMMAND
        kind = messages.COMMAND_TYPES[self.spec.command.kind]
        self._command = self.create_publisher(kind, self.spec.command.topic, depth)
        self._state_topic = self.create_publisher(String, "~/state", qos.LATCHED)
        want = qos.EXACT if values.lockstep else qos.SENSOR_WANT
        self.create_subscription(JointState, self.spec.state_topic, self._on_state, want)
        self.create_subscription(String, values.task_topic, self._on_task, qos.LATCHED)
        self.create_service(Trigger, "~/start", answer(lambda _: self._start()))
        self.create_service(Trigger, "~/stop", answer(lambda _: self._finish("stopped")))
        self._ending = threading.Event()
        self._state: ScriptedPhase = "idle"
        self._listeners, self._saying = 0, threading.Lock()
        self.create_timer(LOOK_S, self._look)
        self._thread = threading.Thread(target=self._stream, name="scripted_operator", daemon=True)
        if not values.lockstep:
            self._thread.start()
        self._say("idle")

    def close(self) -> None:
        self._plan_arm.close()
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def sign(self) -> str:
        if self._measured is None:
            return f"waiting for joint states on {self.spec.state_topic}"
        return self._state

    def _start(self) -> str:
        if self._task is None or self._measured is None:
            raise EmmaError(
                "nothing to demonstrate yet",
                found=f"no message on {self.spec.state_topic if self._measured is None else 'the task topic'}",
                expected="joint states and a task",
                fix="start the sim node first",
            )
        self._plan_arm.set_task(self._task.kind)
        task = self._plan_arm.reset(self._task.seed, self._task.target)
        script = self._plan_arm.script(noise=read(self, ScriptedOperatorParameters).noise)
        with self._lock:
            self._safety.start(self._measured)
            self._targets, self._next, self._answered = script.executed, 0, None
        self._say("running")
        return f"{task.instruction}: {len(script.executed) / self.spec.control_rate_hz:.1f} s"

    def _finish(self, state: ScriptedPhase) -> None:
        with self._lock:
            self._targets = None
        self._say(state)

    def _on_task(self, message: String) -> None:
        try:
            self._task = self._sim.read(message.data).task
        except EmmaError as error:
            self._task = None
            self.get_logger().error(str(error), throttle_duration_sec=5.0)

    def _on_state(self, message: JointState) -> None:
        try:
            self._measured = decode_state(message, self.spec)
            self._measured_s = time.monotonic()
        except EmmaError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        if not self._lockstep:
            return
        stamp = stamp_ns(message) or 0
        if self._answered is not None and stamp <= self._answered[0]:
            # The simulator says everything again when it has waited for long: the answer was lost.
            if stamp == self._answered[0] and self._targets is not None:
                self._command.publish(messages.command(self.spec, self._answered[1], stamp))
            return
        self._send(stamp)

    def _stream(self) -> None:
        rate = FixedRate(1.0 / self.spec.control_rate_hz, self._ending)
        while rate.wait() is not None:
            self._send(self.get_clock().now().nanoseconds)

    def _send(self, stamp: int) -> None:
        """Send the next target of the demonstration, or end it."""
        with self._lock:
            if self._targets is None:
                return
            done, lost = self._next >= len(self._targets), self._lost()
            if lost:
                self._targets = None
            elif not done:
                target = self._targets[self._next].astype(np.float64)
                self._next += 1
                safe = self._safety.step(target)
                position = target if np.abs(safe.position - target).max() < SAME else safe.position
                self._answered = (stamp, position)
                self._command.publish(messages.command(self.spec, position, stamp))
        if lost:
            self.get_logger().error(f"the demonstration stopped: {lost}")
            self._finish("stopped")
        elif done:
            self._finish("done")

    def _lost(self) -> str:
        """Why the demonstration may not go on: the robot is silent, or not where it was commanded to be."""
        commanded = self._safety.position
        if commanded is None or self._measured is None:
            return "no joint states"
        silent_s = time.monotonic() - self._measured_s
        if not self._lockstep and silent_s > BLIND_S:
            return f"no joint states for {silent_s:.2f} s"
        return self._guard.excess(commanded, self._measured)

    def _look(self) -> None:
        """Publish the number of listeners when it changes."""
        if self._command.get_subscription_count() != self._listeners:
            self._say()

    def _say(self, state: ScriptedPhase | None = None) -> None:
        """Say a new state, or the present one again."""
        # The demonstration ends on a thread of its own: what it says must not be followed by what was before.
        with self._saying:
            self._state, self._listeners = state or self._state, self._command.get_subscription_count()
            self._state_topic.publish(messages.text(ScriptedState(state=self._state, listeners=self._listeners)))


def main() -> int:
    """Run the scripted operator node."""
    return run(ScriptedOperatorNode)


if __name__ == "__main__":
    sys.exit(main())
