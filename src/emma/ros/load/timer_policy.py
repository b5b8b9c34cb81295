"""The policy as a plain rclpy node runs it: one thread, a timer, inference in its callback. For `emma bench control`.

Observation, chunk executor and safety filter are those of the policy node; what differs is who waits for whom.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool

from emma.control.chunk_executor import ExecutorConfig
from emma.control.controller import Controller, Mode
from emma.control.pacing import Grid
from emma.control.policy_loop import TIMINGS_WINDOW
from emma.control.policy_state import PolicyState
from emma.control.timing import Timings
from emma.errors import EmmaError
from emma.observation import Aligner
from emma.policy.bundle import load_bundle
from emma.policy.runtime import open_runtime
from emma.policy.warm_up import warm_up
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.parameters import declare, parameter
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer

NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class TimerPolicyParameters:
    """Parameters of the plain policy node."""

    policy: str = parameter("", "policy bundle")
    robot: str = parameter("", "robot: a name, or a path to a robot.yaml")


class TimerPolicyNode(Node):
    """`~/enable` starts and stops commanding; `~/state` gives the timings by the policy node's names."""

    def __init__(self, stop: Stop) -> None:
        super().__init__("policy")
        values = declare(self, TimerPolicyParameters)
        bundle = load_bundle(Path(values.policy))
        self.spec = load_robot(values.robot or bundle.info.robot)
        bundle.check(self.spec)
        self._runtime = open_runtime(bundle)
        warm_up(self._runtime, bundle, self.spec)
        self._aligner = Aligner(self.spec, cameras=bundle.info.cameras, depth=bundle.info.depth)
        self._controller = Controller(self.spec, ExecutorConfig(fps=bundle.info.fps))
        self._timings = Timings(TIMINGS_WINDOW)
        self._grid: Grid | None = None
        self._instruction, self._mode, self._stats_seq = "", Mode.DISABLED, 0
        self._commands = self.create_publisher(
            messages.COMMAND_TYPES[self.spec.command.kind], self.spec.command.topic, qos.COMMAND
        )
        self._state = self.create_publisher(String, "~/state", qos.LATCHED)
        kinds = {"sensor_msgs/msg/CompressedImage": CompressedImage, "sensor_msgs/msg/Image": Image}
        for topic in self._aligner.topics:
            if topic != self.spec.command.topic:
                kind = kinds.get(self.spec.topics()[topic], JointState)
                self.create_subscription(kind, topic, self._pusher(topic), qos.SENSOR_WANT)
        self.create_subscription(String, "/instruction", self._on_instruction, qos.LATCHED)
        self.create_service(SetBool, "~/enable", answer(self._on_enable))
        self._timer = self.create_timer(1.0 / self.spec.control_rate_hz, self._tick)
        self.create_timer(1.0, self._say)

    def close(self) -> None:
        self._runtime.close()

    def sign(self) -> str:
        return self._mode.value

    def _pusher(self, topic: str) -> Any:
        return lambda message: self._aligner.push(topic, message, self.get_clock().now().nanoseconds)

    def _on_instruction(self, message: String) -> None:
        self._instruction = message.data
        self._say()

    def _on_enable(self, request: SetBool.Request) -> str:
        self._grid = None
        if not request.data:
            self._controller.disable()
            return "disabled"
        newest = self._aligner.newest_ns()
        if newest is None:
            raise EmmaError("cannot enable: no observation yet", found=", ".join(self._aligner.needed))
        self._controller.enable(time.monotonic_ns(), self._aligner.at(newest).state)
        return "enabled"

    def _tick(self) -> None:
        if not self._controller.enabled:
            return
        if self._grid is None:
            # The timer's own moments: this call was due a period before the next one.
            period_s, left_s = 1.0 / self.spec.control_rate_hz, (self._timer.time_until_next_call() or 0) / NS
            self._grid = Grid(period_s, time.monotonic() - (period_s - left_s))
        beat = self._grid.beat(time.monotonic())
        self._timings.add("tick_lateness", beat.late_s * 1e3)
        self._timings.count("ticks")
        self._timings.count("missed_ticks", beat.missed)
        now, wall = time.monotonic_ns(), self.get_clock().now().nanoseconds
        if self._controller.executor.wants_chunk(now) and (newest := self._aligner.newest_ns()) is not None:
            self._controller.executor.asked(now)
            t_obs = now - (wall - newest)
            with self._timings.section("inference"):
                actions = self._runtime.infer(self._aligner.at(newest), self._instruction)
            now, wall = time.monotonic_ns(), self.get_clock().now().nanoseconds
            self._controller.offer(actions, t_obs, now)
            self._timings.add("stamp_to_command", (now - t_obs) / 1e6)
        tick = self._controller.tick(now, self._aligner.ages_s(wall))
        self._mode = tick.mode
        if tick.command is not None:
            self._commands.publish(messages.command(self.spec, tick.command, wall))

    def _say(self) -> None:
        self._stats_seq += 1
        state = PolicyState(
            mode=self._mode,
            instruction=self._instruction,
            timings=self._timings.summary(),
            stats_seq=self._stats_seq,
        )
        self._state.publish(messages.text(state))


def main() -> int:
    """Run the plain policy node."""
    return run(TimerPolicyNode)


if __name__ == "__main__":
    sys.exit(main())
