"""The policy node (lifecycle): camera and joint topics to joint commands. The work is in `emma.control`."""

import gc
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from emma.control.chunk_executor import ExecutorConfig
from emma.control.controller import Mode
from emma.control.lockstep import LockstepLoop
from emma.control.pacing import prefer_all_threads, prefer_this_process
from emma.control.policy_state import LoopStatus, PolicyState
from emma.control.real_time import RealTimeLoop
from emma.errors import EmmaError
from emma.observation import Aligner
from emma.policy.bundle import load_bundle
from emma.robots.agreement import parse_map
from emma.robots.turns import Turns
from emma.ros import messages, qos
from emma.ros.chunk_topic import ChunkTopic
from emma.ros.commanders import Commanders
from emma.ros.e_stop import EStop
from emma.ros.group_commands import GroupCommands
from emma.ros.intervention_gate import InterventionGate
from emma.ros.nodes.policy_engines import PolicyEngines
from emma.ros.nodes.policy_load import Loaded, build_controller, executor_config, load
from emma.ros.nodes.policy_parameters import PolicyParameters
from emma.ros.nodes.policy_report import complain, report
from emma.ros.nodes.policy_swap import PolicySwap
from emma.ros.parameters import declare, on_change, read
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer

IMAGE_TYPES = {"sensor_msgs/msg/CompressedImage": CompressedImage, "sensor_msgs/msg/Image": Image}
# How often the node looks after what is not part of a tick: a policy that was loaded, an enabling that waits.
POLL_S = 0.02
# How often `~/state` is published while nothing changes, and the percentiles renewed, which cost a millisecond.
STATE_S, STATS_S = 0.25, 1.0
# After no command for this long the loop has stopped sending; groups that skipped the last one are sent it.
QUIET_S = 0.1


class PolicyNode(LifecycleNode):
    """`~/enable` ramps in and out, `~/swap` changes to the bundle that the parameter `policy` names, /e_stop stops;
    `~/state` and /diagnostics tell what it does and how long that takes."""

    def __init__(self, stop: Stop) -> None:
        super().__init__("policy")
        prefer_this_process()
        self._values = declare(self, PolicyParameters)
        self._driver: RealTimeLoop | LockstepLoop | None = None
        self._gate: InterventionGate | None = None
        self._commanders: Commanders | None = None
        self._loaded: Loaded | None = None
        self._swap = PolicySwap(lambda path: load(self._values, path))
        self._commands: GroupCommands | None = None
        self._sent_s = 0.0
        self._engines = PolicyEngines(self._values, self.get_logger(), self._swap.ask)
        self._chunks: ChunkTopic | None = None
        self._active: dict[str, Subscription | Timer] = {}
        self._timings: dict[str, float] = {}
        self._stats_seq = 0
        self._shown: tuple[Mode, str] = (Mode.DISABLED, "")
        self._enable_when_ready = self._values.enable
        self._instruction = self._values.instruction
        self._state_topic = self.create_publisher(String, "~/state", qos.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._e_stop = EStop(self, self._on_e_stop)
        self.create_subscription(String, "/instruction", self._on_instruction, qos.LATCHED)
        self.create_service(SetBool, "~/enable", answer(self._on_enable))
        self.create_service(Trigger, "~/swap", answer(lambda _: self._on_swap()))
        if self._values.autostart:
            done = TransitionCallbackReturn.SUCCESS
            if self.trigger_configure() != done or self.trigger_activate() != done:
                stop.request(2)
        on_change(self, PolicyParameters, self._on_parameters)

    def close(self) -> None:
        self._halt()
        self._forget()

    def sign(self) -> str:
        """What it does, for a line now and then."""
        state = self._state()
        if self._enable_when_ready:
            return "the arm begins to move as soon as all streams are there (enable is set)"
        if state.mode is Mode.DISABLED and not state.reason:
            return "disabled: the arm is not commanded; call ~/enable to begin"
        return f"{state.mode.value}{': ' + state.reason if state.reason else ''}"

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up. Refused, with the reason in the log, if the bundle does not fit the robot."""
        try:
            self._loaded = load(self._values, read(self, PolicyParameters).policy)
        except EmmaError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._announce(self._loaded)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start ticking; nothing is commanded before `~/enable`."""
        loaded, values = self._loaded, self._values
        if loaded is None:
            return TransitionCallbackReturn.ERROR
        spec, aligner = loaded.robot, loaded.aligner()
        self._no_turns = aligner.turns
        try:
            controller = build_controller(values, loaded)
        except EmmaError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        commanders = Commanders(self, spec.command_topics)
        try:
            commands = GroupCommands(self, spec, qos.EXACT if values.lockstep else qos.COMMAND, commanders)
        except EmmaError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._commands, self._commanders = commands, commanders
        self._chunks = ChunkTopic(self, spec)

        def send(position: np.ndarray, stamp: int) -> None:
            commands.publish(self._turns().wind(position), stamp)
            self._sent_s = time.monotonic()

        if values.lockstep:
            self._driver = LockstepLoop(
                spec, aligner, loaded.runtime, controller, send=send, latency_s=values.latency_s
            )
        else:
            clock = self.get_clock()
            self._driver = RealTimeLoop(
                spec,
                aligner,
                loaded.runtime,
                controller,
                send=send,
                clock_ns=lambda: clock.now().nanoseconds,
                conflict=lambda: commanders.conflict,
            )
            self._gate = InterventionGate(
                self, spec, self._driver.loop, self._publish_state, commanders, lambda q: self._turns().beside(q)
            )
        self._driver.loop.set_instruction(self._instruction)
        self.subscribe(loaded)
        self._active |= {
            "poll": self.create_timer(POLL_S, self._poll),
            "state": self.create_timer(STATE_S, self._publish_state),
            "stats": self.create_timer(STATS_S, self._publish_diagnostics),
        }
        self._driver.start()
        self._engines.begin(loaded.bundle.path, loaded.runtime.name)
        if loaded.runtime.isolated:
            # All that is left to this process is short and may come first. What is there now stays: looking through it
            # for garbage, again and again, would cost a tick each time.
            gc.collect()
            gc.freeze()
            prefer_all_threads()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold, stop ticking and unsubscribe; the policy stays loaded."""
        self._halt()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the policy."""
        self._forget()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold and stop."""
        self._halt()
        self._forget()
        return super().on_shutdown(state)

    def subscribe(self, loaded: Loaded) -> None:
        """Subscribe to what the policy sees; topics that another policy uses already are left as they are."""
        spec, want = loaded.robot, qos.EXACT if self._values.lockstep else qos.SENSOR_WANT
        for topic in loaded.aligner().topics:
            # The robot's own commands are not needed here: the controller knows what it sent.
            if topic not in self._active and (topic not in spec.command_topics or topic == spec.state_topic):
                kind = IMAGE_TYPES.get(spec.topics()[topic], JointState)
                self._active[topic] = self.create_subscription(kind, topic, self._pusher(topic), want)

    def executor_config_for(self, loaded: Loaded) -> ExecutorConfig:
        return executor_config(self._values, loaded)

    def on_swapped(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._announce(loaded)
        self._engines.begin(loaded.bundle.path, loaded.runtime.name)
        self._publish_state()

    def _turns(self) -> Turns:
        """How far the driver's count of continuous joints is ahead of the policy's."""
        source = self._driver.loop.source if self._driver is not None else None
        return source.turns if isinstance(source, Aligner) else self._no_turns

    def _announce(self, loaded: Loaded) -> None:
        runtime = loaded.runtime
        self.get_logger().info(
            f"{loaded.bundle.info.policy_type} {loaded.bundle.path.name} for {loaded.robot.name}, "
            f"{runtime.name}: {runtime.reason}"
        )

    def _halt(self) -> None:
        """Hold, stop ticking, unsubscribe."""
        self._engines.close()
        driver, self._driver = self._driver, None
        if isinstance(driver, RealTimeLoop):
            # It may have changed policies since the last look.
            self._swap.poll(driver, self)
        if self._gate is not None:
            self._gate.close()
            self._gate = None
        hangs = driver is not None and not driver.stop()
        if hangs and self._loaded is not None and not self._loaded.runtime.isolated:
            # What an inference in this process uses must not be taken from it.
            self._loaded = None
        self._swap.close()
        for policy in driver.loop.retired() if driver is not None else ():
            policy.close()
        for entity in self._active.values():
            if isinstance(entity, Timer):
                self.destroy_timer(entity)
            else:
                self.destroy_subscription(entity)
        self._active.clear()
        if self._commands is not None:
            self._commands.flush()
            self._commands.close()
        if self._chunks is not None:
            self._chunks.close()
        self._commands = self._commanders = self._chunks = None
        if driver is not None:
            self._publish_state()

    def _forget(self) -> None:
        if self._loaded is not None:
            self._loaded.runtime.close()
        self._loaded = None

    def _pusher(self, topic: str) -> Any:
        return lambda message: self._driver.push(topic, message) if self._driver is not None else None

    def _on_instruction(self, message: String) -> None:
        self._instruction = message.data
        if self._driver is not None:
            self._driver.loop.set_instruction(message.data)
        self._publish_state()

    def _on_enable(self, request: SetBool.Request) -> str:
        if self._driver is None:
            raise EmmaError("cannot enable: the node is not active", fix="configure and activate it first")
        if not request.data:
            self._driver.disable()
            if self._gate is not None:
                self._gate.forget()
            return "disabled"
        seed = read(self, PolicyParameters).seed
        self._enable(self._driver, seed if seed >= 0 else None)
        return "enabled"

    def _enable(self, driver: RealTimeLoop | LockstepLoop, seed: int | None = None) -> None:
        self._e_stop.require_clear()
        if self._gate is not None and self._commanders is not None:
            self._gate.require_free()
            self._commanders.require_alone()
            if others := self._commanders.others():
                self.get_logger().info(f"{others} may publish commands, too; none came so far")
        if seed is None and driver.loop.commanding and not driver.loop.releasing:
            # It runs. To begin anew would step from the last command back to the measured pose.
            return
        with driver.loop.lock:
            # However far joints without end were wound up by hand: the policy begins in the turn that it learnt.
            self._turns().forget()
        driver.enable(seed)

    def _on_e_stop(self, pressed: bool) -> None:
        self._enable_when_ready = False
        if pressed:
            if self._driver is not None:
                self._driver.halt()
            if self._commands is not None:
                self._commands.flush()
            if self._gate is not None:
                self._gate.forget()
            self.get_logger().error("emergency stop: the arm holds; enable again once it is released")
        self._publish_state()

    def _on_parameters(self, values: dict[str, Any]) -> None:
        if "policy" in values:
            bundle = load_bundle(values["policy"], self._loaded.robot if self._loaded is not None else None)
            if self._loaded is not None:
                now = read(self, PolicyParameters)
                bundle.check(self._loaded.robot, renamed=parse_map(now.map), units=now.units)

    def _on_swap(self) -> str:
        if not isinstance(self._driver, RealTimeLoop):
            raise EmmaError(
                "nothing to swap: the node is not active, or in lockstep", fix="clean it up and configure it again"
            )
        policy = Path(read(self, PolicyParameters).policy)
        self._on_parameters({"policy": policy})
        self._swap.ask(policy)
        self._publish_state()
        return f"loading {policy}; {self._state_topic.topic_name} tells when it runs"

    def _poll(self) -> None:
        """Hand over what was loaded, enable once everything is there, and report a stop as it happens."""
        driver = self._driver
        if driver is None:
            return
        if self._commands is not None and time.monotonic() - self._sent_s > QUIET_S:
            self._commands.flush()
        if isinstance(driver, RealTimeLoop):
            self._swap.poll(driver, self)
            self._engines.poll()
        if self._chunks is not None:
            self._chunks.look(driver.loop)
        if self._enable_when_ready:
            self._try_enable(driver)
        status = driver.loop.status()
        shown, self._shown = self._shown, (status.mode, status.reason)
        if status.mode is Mode.STOPPED and self._shown != shown:
            if self._gate is not None:
                self._gate.forget()
            self.get_logger().error(f"stopped: {status.reason}; see that the robot is safe, then enable again")
            self._publish_state()

    def _try_enable(self, driver: RealTimeLoop | LockstepLoop) -> None:
        try:
            self._enable(driver)
            self._enable_when_ready = False
        except EmmaError as error:
            self.get_logger().info(f"waiting: {error.problem}: {error.found}", throttle_duration_sec=5.0)

    def _state(self) -> PolicyState:
        if self._driver is None or self._loaded is None:
            return PolicyState(mode=Mode.INACTIVE, e_stop=self._e_stop.pressed, swap=self._swap.state)
        status = self._driver.loop.status()
        return PolicyState(
            **{field.name: getattr(status, field.name) for field in fields(LoopStatus)},
            policy=str(self._loaded.bundle.path),
            runtime=self._loaded.runtime.name,
            runtime_reason=self._loaded.runtime.reason,
            swap=self._swap.state,
            intervention=self._gate is not None and self._gate.person,
            resumes=self._gate is not None and self._gate.resumes,
            e_stop=self._e_stop.pressed,
            listeners=self._commands.listeners if self._commands is not None else 0,
            timings=self._timings,
            stats_seq=self._stats_seq,
        )

    def _publish_state(self) -> None:
        state = self._state()
        self._state_topic.publish(messages.text(state))
        complain(self.get_logger(), state)

    def _publish_diagnostics(self) -> None:
        if self._driver is not None and self._loaded is not None:
            self._timings, self._stats_seq = self._driver.loop.timings.summary(), self._stats_seq + 1
            if isinstance(self._driver, RealTimeLoop):
                self._timings["skipped_frames"] = self._driver.decoder.skipped
            array = DiagnosticArray(header=messages.header(self.get_clock().now().nanoseconds))
            array.status = report(self._loaded.robot, self._state())
            self._diagnostics.publish(array)


def main() -> int:
    """Run the policy node."""
    return run(PolicyNode)


if __name__ == "__main__":
    sys.exit(main())
