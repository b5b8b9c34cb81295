"""The policy node (lifecycle): camera and joint topics to joint commands. The work is in `control` and `emma.policy`.

configure: load the bundle, warm the runtime up. activate: subscribe and start the control loop. `~/enable`: command.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool

from emma.errors import EmmaError
from emma.nodes import messages, qos
from emma.nodes.answers import answer
from emma.nodes.control import ControlLoop
from emma.nodes.control_lockstep import LockstepLoop
from emma.nodes.handover import INTERVENTION, Handover
from emma.nodes.pacing import prefer_this_process
from emma.nodes.parameters import declare, read
from emma.nodes.policy_parameters import PolicyParameters
from emma.nodes.policy_report import report
from emma.nodes.runner import Stop, run
from emma.nodes.warm_up import warm_up
from emma.observation import Aligner
from emma.policy.bundle import Bundle, load_bundle
from emma.policy.controller import Controller, WatchdogConfig
from emma.policy.executor import ExecutorConfig
from emma.policy.runtime import PolicyRuntime, open_runtime
from emma.robot import RobotSpec, load_robot


class PolicyNode(LifecycleNode):
    """`~/enable` ramps the policy in and out; `~/state` and /diagnostics say what it does and how long that takes."""

    def __init__(self, stop: Stop) -> None:
        super().__init__("policy")
        prefer_this_process()
        self._values = declare(self, PolicyParameters)
        self._loop: ControlLoop | LockstepLoop | None = None
        self._handover: Handover | None = None
        self._bundle: Bundle | None = None
        self._robot: RobotSpec | None = None
        self._runtime: PolicyRuntime | None = None
        self._commands: Publisher | None = None
        self._active: list[Subscription | Timer] = []
        self._timings: dict[str, float] = {}
        self._stated = 0
        self._enable_when_ready = self._values.enable
        self._instruction = self._values.instruction
        self._state_topic = self.create_publisher(String, "~/state", qos.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_subscription(String, "/instruction", self._on_instruction, qos.LATCHED)
        self.create_service(SetBool, "~/enable", answer(self._on_enable))
        if self._values.autostart:
            done = TransitionCallbackReturn.SUCCESS
            if self.trigger_configure() != done or self.trigger_activate() != done:
                stop.request(2)

    def close(self) -> None:
        self._halt()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up. Refused, with the reason in the log, if the bundle does not fit the robot."""
        values = self._values
        try:
            bundle = load_bundle(Path(values.policy))
            spec = load_robot(values.robot or bundle.info.robot)
            bundle.check(spec)
            self._runtime = open_runtime(bundle, kind=values.runtime, device=values.device, threads=values.threads)
            warm_up(self._runtime, bundle, spec)
        except EmmaError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._bundle, self._robot = bundle, spec
        self.get_logger().info(f"{bundle.info.policy_type} {bundle.path.name} for {spec.name}, {self._runtime.name}")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start ticking; nothing is commanded before `~/enable`."""
        bundle, spec, runtime, values = self._bundle, self._robot, self._runtime, self._values
        if bundle is None or spec is None or runtime is None:
            return TransitionCallbackReturn.ERROR
        try:
            controller = Controller(
                spec,
                ExecutorConfig(fps=bundle.info.fps, replan_s=values.replan_s, blend_s=values.blend_s),
                watchdog=WatchdogConfig(warn_age_s=values.warn_age_s, hold_age_s=values.hold_age_s),
                ramp_s=values.ramp_s,
            )
        except ValueError as error:
            self.get_logger().error(f"parameters do not fit together: {error}")
            return TransitionCallbackReturn.FAILURE
        offer, want = (qos.EXACT, qos.EXACT) if values.lockstep else (qos.COMMAND, qos.SENSOR_WANT)
        commands = self.create_publisher(messages.COMMAND_TYPES[spec.command.kind], spec.command.topic, offer)
        self._commands = commands
        aligner = Aligner(spec, cameras=bundle.info.cameras, depth=bundle.info.depth)

        def send(position: np.ndarray, stamp: int) -> None:
            commands.publish(messages.command(spec, position, stamp))

        if values.lockstep:
            self._loop = LockstepLoop(spec, aligner, runtime, controller, send=send, latency_s=values.latency_s)
        else:
            clock = self.get_clock()
            self._loop = ControlLoop(
                spec, aligner, runtime, controller, send=send, clock_ns=lambda: clock.now().nanoseconds
            )
        self._loop.set_instruction(self._instruction)
        kinds = {"sensor_msgs/msg/CompressedImage": CompressedImage, "sensor_msgs/msg/Image": Image}
        for topic in aligner.topics:
            # The robot's own commands are not needed here: the controller knows what it sent.
            if topic != spec.command.topic or topic == spec.state_topic:
                kind = kinds.get(spec.topics()[topic], JointState)
                self._active.append(self.create_subscription(kind, topic, self._pusher(topic), want))
        self._active += [self.create_timer(0.25, self._say), self.create_timer(1.0, self._diagnose)]
        if isinstance(self._loop, ControlLoop):
            self._handover = Handover(self, spec, self._loop, self._say)
        self._loop.start()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold, stop ticking and unsubscribe; the policy stays loaded."""
        self._halt(keep_runtime=True)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the policy."""
        if self._runtime is not None:
            self._runtime.close()
        self._runtime = self._bundle = self._robot = None
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold and stop."""
        self._halt()
        return super().on_shutdown(state)

    def _halt(self, *, keep_runtime: bool = False) -> None:
        loop, self._loop = self._loop, None
        if self._handover is not None:
            self._handover.close()
            self._handover = None
        idle = loop.stop() if loop is not None else True
        for entity in self._active:
            if isinstance(entity, Timer):
                self.destroy_timer(entity)
            else:
                self.destroy_subscription(entity)
        self._active.clear()
        if self._commands is not None:
            self.destroy_publisher(self._commands)
            self._commands = None
        if not keep_runtime and self._runtime is not None:
            if idle:
                self._runtime.close()
            self._runtime = None
        if loop is not None:
            self._say()

    def _pusher(self, topic: str) -> Any:
        def push(message: Any) -> None:
            if self._loop is not None:
                self._loop.push(topic, message)

        return push

    def _on_instruction(self, message: String) -> None:
        self._instruction = message.data
        if self._loop is not None:
            self._loop.set_instruction(message.data)
        self._say()

    def _on_enable(self, request: SetBool.Request) -> str:
        if self._loop is None:
            raise EmmaError("cannot enable: the node is not active", fix="configure and activate it first")
        if not request.data:
            self._loop.disable()
            if self._handover is not None:
                self._handover.forget()
            return "disabled"
        if self._handover is not None:
            self._handover.require_free()
        others = self.count_publishers(self._commands.topic_name) - 1 if self._commands is not None else 0
        # A person's node commands only while the policy does not.
        others -= self.count_publishers(INTERVENTION)
        if others > 0:
            self.get_logger().warning(f"{others} other publisher(s) of commands: only one may move the robot at a time")
        seed = read(self, PolicyParameters).seed
        self._loop.enable(seed if seed >= 0 else None)
        return "enabled"

    def _say(self) -> None:
        if self._loop is None:
            self._state_topic.publish(messages.json_string({"mode": "inactive"}))
            return
        if self._enable_when_ready:
            self._try_enable(self._loop)
        status = self._loop.status()
        person = self._handover is not None and self._handover.person
        values = {**asdict(status), "intervention": person, "timings": self._timings, "stated": self._stated}
        self._state_topic.publish(messages.json_string(values))
        if status.reason and status.mode == "holding":
            self.get_logger().warning(f"holding: {status.reason}", throttle_duration_sec=2.0)
        elif status.warnings:
            self.get_logger().warning("; ".join(status.warnings), throttle_duration_sec=2.0)
        if status.inference_error:
            self.get_logger().error(f"policy: {status.inference_error}", throttle_duration_sec=2.0)

    def _try_enable(self, loop: ControlLoop | LockstepLoop) -> None:
        try:
            if self._handover is not None:
                self._handover.require_free()
            loop.enable()
            self._enable_when_ready = False
        except EmmaError as error:
            self.get_logger().info(f"waiting: {error.problem}: {error.found}", throttle_duration_sec=5.0)

    def _diagnose(self) -> None:
        if self._loop is not None and self._robot is not None:
            array = DiagnosticArray(header=messages.header(self.get_clock().now().nanoseconds))
            # Percentiles cost a millisecond; once a second is often enough.
            self._timings, self._stated = self._loop.timings.summary(), self._stated + 1
            array.status = report(self._robot, self._loop.status(), self._timings)
            self._diagnostics.publish(array)


def main() -> int:
    """Run the policy node."""
    return run(PolicyNode)


if __name__ == "__main__":
    sys.exit(main())
