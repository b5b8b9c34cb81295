"""The sim node: a robot's simulator as its camera and arm drivers would publish it."""

import sys
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from emma.envs.maker import maker_of
from emma.errors import EmmaError
from emma.messages import stamp_ns
from emma.records import encode
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.parameters import declare, on_change, parameter, read, robot_parameter
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer
from emma.sim.loop import SimLoop
from emma.sim.maker import require_known
from emma.sim.outcome import Outcome
from emma.sim.sim_state import SimReset, SimState
from emma.sim.task import Task


@dataclass(frozen=True, kw_only=True)
class SimParameters:
    """Parameters of the sim node. A reset takes effect on those that can change at run time."""

    robot: str = robot_parameter()
    cameras: tuple[str, ...] = parameter((), "cameras to draw; none named: all of the robot's")
    depth: bool = parameter(True, "publish depth images, for cameras that have a depth topic")
    domain: str = parameter("source", "visual appearance; takes effect at once", runtime=True)
    seed: int = parameter(0, "start and cube pose of the next reset", minimum=0, runtime=True)
    target: str = parameter("", "target of the next reset; empty: the seed decides", runtime=True)
    task: str = parameter("", "task of the next reset; empty: the robot's first", runtime=True)
    held_out_words: bool = parameter(False, "ask in words that no training data has", runtime=True)
    python: str = parameter("", "for an environment of others: a Python that has its package; empty: the installed one")
    lockstep: bool = parameter(False, "one control tick per command, in simulated time")
    repeat_s: float = parameter(0.25, "lockstep: say everything again after so long without a command", minimum=0.01)


# The name of an endpoint whose node has not been discovered yet.
_UNKNOWN = "_NODE_NAME_UNKNOWN_"


class SimNode(Node):
    """Publishes cameras, joints and outcome; takes commands. `~/reset` starts what the parameters describe."""

    def __init__(self, stop: Stop) -> None:
        super().__init__("sim")
        self._stop = stop
        values = declare(self, SimParameters)
        self.spec = load_robot(values.robot)
        self._maker = maker = maker_of(self.spec, values.python)
        self._check(asdict(values))
        task = values.task or maker.tasks[0]
        self._lockstep = values.lockstep
        offer = qos.EXACT if values.lockstep else qos.SENSOR_OFFER
        self._joints = self.create_publisher(JointState, self.spec.state_topic, offer)
        self._color: dict[str, Any] = {}
        self._info: dict[str, tuple[Any, CameraInfo]] = {}
        self._depth: dict[str, Any] = {}
        cameras = values.cameras or self.spec.camera_names
        for name in cameras:
            camera = self.spec.camera(name)
            self._color[name] = self.create_publisher(Image, camera.image_topic, offer)
            if values.depth and camera.depth_topic:
                self._depth[name] = self.create_publisher(Image, camera.depth_topic, offer)
        self._sim_time = self.create_publisher(Clock, "/clock", offer) if values.lockstep else None
        self._outcome = self.create_publisher(String, "~/outcome", qos.EVENTS)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._episode = 0
        self._known: tuple[Any, ...] | None = None
        self._state: SimState | None = None
        self._missed = 0
        self.loop = SimLoop(
            self.spec,
            self,
            make=lambda: maker.make(self.spec, cameras=cameras, domain=values.domain, seed=values.seed, task=task),
            cameras=cameras,
            clock_ns=lambda: self.get_clock().now().nanoseconds,
            lockstep=values.lockstep,
            repeat_s=values.repeat_s,
        )
        self.loop.start()
        for name in cameras:
            camera = self.spec.camera(name)
            if camera.info_topic:
                matrix = self.loop.call(lambda sim, name=name: sim.camera_matrix(name))  # type: ignore[misc]
                publisher = self.create_publisher(CameraInfo, camera.info_topic, offer)
                self._info[name] = (publisher, messages.camera_info(camera, matrix, 0))
        self._reset(values)
        command = messages.COMMAND_TYPES[self.spec.command.kind]
        self.create_subscription(
            command, self.spec.command.topic, self._on_command, qos.EXACT if values.lockstep else qos.COMMAND
        )
        self.create_service(Trigger, "~/reset", answer(lambda _: self._reset(read(self, SimParameters))))
        self.create_service(Trigger, "~/outcome", answer(lambda _: self._latest_state()))
        self.create_timer(1.0, self._diagnose)
        on_change(self, SimParameters, self._changed)

    def close(self) -> None:
        self.loop.close()

    def sign(self) -> str:
        return f"episode {self._episode}, {self._missed} ticks left out so far"

    def _reset(self, values: SimParameters) -> str:
        def begin(sim: Any) -> Any:
            self._episode += 1
            self._known = None
            sim.set_task(values.task or self._maker.tasks[0])
            return sim.reset(values.seed, values.target or None, held_out_words=values.held_out_words)

        task = self.loop.reset(begin)
        self.get_logger().info(f'episode {self._episode}: seed {task.seed}, "{task.instruction}"')
        return encode(SimReset(**vars(task), episode=self._episode))

    def _check(self, values: dict[str, Any]) -> None:
        """Raises EmmaError for what the simulator does not have."""
        require_known(self._maker, values.get("task") or self._maker.tasks[0], [values.get("domain", "source")])
        if (target := values.get("target")) and target not in self._maker.targets:
            raise EmmaError(
                f"unknown target '{target}'", found=target, expected=f"one of {', '.join(self._maker.targets)}"
            )

    def _changed(self, values: dict[str, Any]) -> None:
        self._check(values)
        if "domain" in values:
            self.loop.call(lambda sim: sim.set_domain(values["domain"]))

    def _on_command(self, message: Any) -> None:
        try:
            self.loop.command(messages.exact_command(message, self.spec), stamp_ns(message))
        except EmmaError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)

    def _require_alone(self) -> None:
        """End, with the exit code that is not retried, when a driver publishes the same joints: a robot has one."""
        topic = self.spec.state_topic
        others = {end.node_name for end in self.get_publishers_info_by_topic(topic)} - {self.get_name(), _UNKNOWN}
        if not others:
            return
        error = EmmaError(
            f"the robot {self.spec.name} has a driver already",
            found=f"{topic} of {', '.join(sorted(others))}",
            expected="one publisher of its joint states",
            fix="launch with sim:=false to drive the robot, or end its driver",
        )
        self.get_logger().fatal(str(error))
        self._stop.request(2)

    def _diagnose(self) -> None:
        self._require_alone()
        values: dict[str, Any] = {"mode": "lockstep" if self._lockstep else "real time"}
        values |= {"skipped_ticks": self._missed, "lost_pictures": self.loop.lost_pictures}
        array = DiagnosticArray(header=messages.header(self.get_clock().now().nanoseconds))
        array.status = [messages.status("sim: physics", self.spec.name, values)]
        self._diagnostics.publish(array)

    def _latest_state(self) -> str:
        if self._state is None:
            raise EmmaError("no outcome yet", found="a simulator before its first tick", expected="a task under way")
        return encode(self._state)

    # What follows is called on the simulator's thread (`SimOutput`).

    def joints(self, stamp_ns: int, position: np.ndarray, velocity: np.ndarray) -> None:
        if self._sim_time is not None:
            self._sim_time.publish(Clock(clock=messages.time_message(stamp_ns)))
        self._joints.publish(messages.joint_state(self.spec.joint_names, position, stamp_ns, velocity))

    def wants(self, camera: str) -> tuple[bool, bool]:
        depth = self._depth.get(camera)
        if self._lockstep:
            return True, depth is not None
        return self._color[camera].get_subscription_count() > 0, bool(depth and depth.get_subscription_count())

    def picture(self, stamp_ns: int, camera: str, color: np.ndarray | None, depth: np.ndarray | None) -> None:
        frame = self.spec.camera(camera).frame_id
        if color is not None:
            self._color[camera].publish(messages.color_image(color, stamp_ns, frame))
        if camera in self._info:
            publisher, info = self._info[camera]
            info.header.stamp = messages.time_message(stamp_ns)
            publisher.publish(info)
        if depth is not None:
            self._depth[camera].publish(messages.depth_image(depth, stamp_ns, frame))

    def outcome(self, task: Task, outcome: Outcome, seconds: float) -> None:
        self._state = SimState(**vars(outcome), episode=self._episode, task=task, time_s=seconds)
        # Once a second of the arm's time, and whenever something changes.
        known = (self._episode, outcome.placed_on, outcome.success, outcome.settled, int(seconds + 1e-9))
        if known != self._known:
            self._known = known
            self._outcome.publish(messages.text(self._state))

    def late(self, ticks: int) -> None:
        self._missed += ticks
        self.get_logger().warning(
            f"cannot keep real time: {ticks} ticks left out, {self._missed} so far",
            throttle_duration_sec=5.0,
        )

    def crashed(self, error: BaseException) -> None:
        if not isinstance(error, EmmaError):
            self.get_logger().fatal(f"the simulator stopped: {type(error).__name__}: {error}")
        self._stop.request(1)


def main() -> int:
    """Run the sim node."""
    return run(SimNode)


if __name__ == "__main__":
    sys.exit(main())
