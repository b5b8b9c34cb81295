"""The teleop node: a person's leader arm, keys or gamepad to the robot's command topic. The work is in `emma.teleop`.

`~/take` asks whoever commands to let go (`/intervention`, see `handover`) and drives when the arm has come to rest;
`~/give` brings it to rest and gives it back.
"""

import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from emma.control.pacing import FixedRate
from emma.control.tracking import BLIND_S, start_pose
from emma.errors import EmmaError
from emma.messages import decode_command
from emma.observation import Aligner
from emma.robots.spec import CommandGroup, load_robot
from emma.ros import messages, qos
from emma.ros.e_stop import EStop
from emma.ros.group_commands import GroupCommands
from emma.ros.intervention_gate import INTERVENTION
from emma.ros.parameters import declare, parameter, robot_parameter
from emma.ros.policy_watch import JOG_TOPIC, PolicyWatch
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer
from emma.teleop.jog import JogConfig, JogDevice
from emma.teleop.leader import LeaderConfig, LeaderDevice, LeaderMap, load_leader_map
from emma.teleop.teleop import Phase, Teleop
from emma.teleop.teleop_state import TeleopState

DEVICES = ("jog", "leader")
# Without commands for this long there is no commander: longer than a busy machine keeps a commander from its turn.
QUIET_S = 0.3


@dataclass(frozen=True, kw_only=True)
class TeleopParameters:
    """Parameters of the teleop node."""

    robot: str = robot_parameter()
    device: str = parameter(
        "jog", "jog: axes of the tool on /jog (sensor_msgs/Joy); leader: a second arm's joints", choices=DEVICES
    )
    take: bool = parameter(False, "take the robot as soon as its state is there")
    take_timeout_s: float = parameter(3.0, "give up when the robot is not free after so long", minimum=0.1)
    leader_topic: str = parameter("/leader/joint_states", "leader: its joint states")
    leader_map: str = parameter("", "leader: YAML file, follower joint: {leader, scale, offset}; empty: equal joints")
    align_speed: float = parameter(
        0.15, "leader: share of full speed while coming to its pose", minimum=0.01, maximum=1.0
    )
    max_age_s: float = parameter(0.2, "leader: stand still when its state is older", minimum=0.02)
    linear: float = parameter(0.12, "jog: tool speed at full deflection, m/s", minimum=0.001, maximum=1.0)
    yaw: float = parameter(0.8, "jog: turning speed at full deflection, rad/s", minimum=0.01, maximum=4.0)
    gripper: float = parameter(0.06, "jog: gripper speed at full deflection, m/s or rad/s", minimum=0.001)


class TeleopNode(Node):
    """`~/take`, `~/give`; `~/state` says idle, taking, driving or braking, and what the person should know."""

    def __init__(self, _stop: Stop) -> None:
        super().__init__("teleop")
        self._values = values = declare(self, TeleopParameters)
        self.spec = load_robot(values.robot)
        self._lock = threading.Lock()
        self._teleop = Teleop(self.spec, self._device())
        self._policy = PolicyWatch(self)
        # The newest measured pose, and when it came.
        self._measured: np.ndarray | None = None
        self._measured_s = -np.inf
        # The newest command of every group (J,), whose ever, NaN before the first; and when the last of them came.
        self._commanded = (np.full(len(self.spec.joints), np.nan), -np.inf)
        self._asked_s: float | None = None
        self._claimed = False
        self._problem = ""
        self._said: TeleopState | None = None
        self._take_when_ready = values.take
        self._aligner = Aligner(self.spec, cameras=())
        self._command = GroupCommands(self, self.spec)
        self._intervention = self.create_publisher(Bool, INTERVENTION, qos.LATCHED)
        self._state_topic = self.create_publisher(String, "~/state", qos.LATCHED)
        for state in self.spec.state_topics:
            hear = partial(self._on_state, state.topic)
            self.create_subscription(JointState, state.topic, hear, qos.SENSOR_WANT)
        for group in self.spec.command_groups:
            kind, take = messages.COMMAND_TYPES[group.kind], partial(self._on_command, group)
            self.create_subscription(kind, group.recorded_topic, take, qos.COMMAND)
        self.create_service(Trigger, "~/take", answer(lambda _: self._take()))
        self.create_service(Trigger, "~/give", answer(lambda _: self._give()))
        self._e_stop = EStop(self, self._on_e_stop)
        self._claim(False)
        self.create_timer(0.1, self._look)
        self._say()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="teleop", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Come to rest. The robot is not given back: nothing shall move it because a person's program ended."""
        with self._lock:
            self._teleop.release()
            self._asked_s = None
        deadline = time.monotonic() + 2.0
        while self._teleop.phase is not Phase.IDLE and time.monotonic() < deadline:
            time.sleep(0.01)
        self._ending.set()
        self._thread.join(2.0)

    def sign(self) -> str:
        """What it does, or is about to do."""
        topic = self.spec.state_topic
        if self._take_when_ready:
            return f"the arm follows the {self._values.device} device as soon as joint states come on {topic}"
        if self._measured is None:
            return f"waiting for joint states on {topic}"
        more = self._teleop.note or self._problem
        return f"{self._phase}{': ' + more if more else ''}"

    def _device(self) -> JogDevice | LeaderDevice:
        values = self._values
        try:
            if values.device == "leader":
                mapping = load_leader_map(values.leader_map, self.spec) if values.leader_map else None
                limits = LeaderConfig(align_speed=values.align_speed, max_age_s=values.max_age_s)
                leader = LeaderDevice(mapping or LeaderMap.identity(self.spec), limits)
                self.create_subscription(
                    JointState, values.leader_topic, lambda m: self._push(leader, m.name, m.position), qos.SENSOR_WANT
                )
                return leader
            config = JogConfig(linear=values.linear, yaw=values.yaw, gripper=values.gripper)
            jog = JogDevice(self.spec, config)
        except ValueError as error:
            raise EmmaError("parameters of node teleop do not fit together", found=error) from None
        self.create_subscription(Joy, JOG_TOPIC, lambda m: self._push(jog, np.array(m.axes)), qos.COMMAND)
        return jog

    def _push(self, device: Any, *values: Any) -> None:
        try:
            with self._lock:
                device.push(*values, time.monotonic())
        except EmmaError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)

    def _on_state(self, topic: str, message: JointState) -> None:
        try:
            with self._lock:
                self._aligner.push(topic, message, self.get_clock().now().nanoseconds)
                measured = self._aligner.measured()
                if measured is not None:
                    self._measured = measured[0].astype(np.float64)
                    self._measured_s = time.monotonic()
        except EmmaError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)

    def _on_command(self, group: CommandGroup, message: Any) -> None:
        try:
            target = decode_command(message, self.spec, group)
        except EmmaError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        with self._lock:
            newest = self._commanded[0].copy()
            newest[[self.spec.index(name) for name in self.spec.led(group)]] = target
            self._commanded = (self._aligner.turns.beside(newest), time.monotonic())

    def _send(self, position: np.ndarray) -> None:
        self._command.publish(self._aligner.turns.wind(position), self.get_clock().now().nanoseconds)

    def _take(self) -> str:
        """Ask for the robot; `~/state` says when it is had, or why not."""
        self._e_stop.require_clear()
        if time.monotonic() - self._measured_s > BLIND_S:
            raise EmmaError(
                "no robot to take",
                found=f"no joint states on {', '.join(state.topic for state in self.spec.state_topics)} now",
                expected="joint states",
                fix="start the robot's driver or the sim node",
            )
        with self._lock:
            if self._asked_s is not None or self._teleop.phase is not Phase.IDLE:
                return self._phase
            self._asked_s, self._problem = time.monotonic(), ""
        self._claim(True)
        self._say()
        return Phase.TAKING

    def _on_e_stop(self, pressed: bool) -> None:
        self._take_when_ready = False
        if not pressed:
            return
        with self._lock:
            had, self._asked_s = self._asked_s is not None or self._teleop.phase is not Phase.IDLE, None
            held = self._teleop.stop()
            if held is not None:
                self._send(held)
                self._command.flush()
        if had:
            self._claim(False)
        self.get_logger().error("emergency stop: the arm holds; take it again once it is released")
        self._say()

    def _give(self) -> str:
        with self._lock:
            if self._asked_s is not None or (self._claimed and self._teleop.phase is Phase.IDLE):
                self._asked_s, self._problem = None, ""
                self._claim(False)
            self._teleop.release()
        self._say()
        return self._phase

    def _claim(self, claimed: bool) -> None:
        """Tell who commands that a person has the robot, or no longer has it."""
        self._claimed = claimed
        self._intervention.publish(Bool(data=claimed))

    @property
    def _phase(self) -> Phase:
        return Phase.TAKING if self._asked_s is not None else self._teleop.phase

    def _run(self) -> None:
        rate = FixedRate(1.0 / self.spec.control_rate_hz, self._ending)
        while rate.wait() is not None:
            with self._lock:
                self._turn(time.monotonic())

    def _turn(self, now: float) -> None:
        if self._asked_s is not None:
            self._try(now, self._asked_s)
        before, measured = self._teleop.phase, self._measured
        if before is Phase.IDLE or measured is None:
            return
        position = self._teleop.tick(now, measured, now - self._measured_s)
        if position is not None:
            self._send(position)
        if self._teleop.phase is not Phase.IDLE or self._ending.is_set():
            return
        self._command.flush()
        if self._teleop.note:
            # It stopped by itself. The robot stays the person's until they give it back: no policy goes on by itself.
            self._problem = self._teleop.note
            self.get_logger().error(self._problem)
        else:
            self._claim(False)

    def _try(self, now: float, asked_s: float) -> None:
        """Begin to drive when everybody else has let go."""
        commanded, at = self._commanded
        in_the_way = self._policy.in_the_way(asked_s)
        if not in_the_way and now - max(at, asked_s) < QUIET_S:
            in_the_way = f"another node commands on {', '.join(self.spec.command_topics)}"
        if not in_the_way and self._measured is not None and now - self._measured_s <= BLIND_S:
            self._teleop.engage(start_pose(self.spec, self._measured, commanded), now)
            self._asked_s = None
        elif now - asked_s > self._values.take_timeout_s:
            self._asked_s, self._problem = None, f"cannot take the robot: {in_the_way}"
            self._claim(False)
            self.get_logger().error(self._problem)

    def _look(self) -> None:
        if self._take_when_ready and self._measured is not None:
            self._take_when_ready = False
            self.get_logger().info(f"taking the robot: the {self._values.device} device moves it from now on")
            self._take()
        self._say()

    def _say(self) -> None:
        state = TeleopState(
            state=self._phase, device=self._values.device, note=self._teleop.note, problem=self._problem
        )
        if state != self._said:
            self._said = state
            self._state_topic.publish(messages.text(state))


def main() -> int:
    """Run the teleop node."""
    return run(TeleopNode)


if __name__ == "__main__":
    sys.exit(main())
