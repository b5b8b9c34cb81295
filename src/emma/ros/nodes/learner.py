"""The learner node: the offline cycle beside a running robot. What is promoted or rolled back, the policy changes to.

The cycle itself is `emma improve` in a process of its own at low priority; what the node knows it reads from its files.
"""

import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from emma.control.policy_state import PolicyState, SwapPhase
from emma.cycle.config import load_config
from emma.cycle.cycle_supervisor import Attendant
from emma.cycle.learner_state import LearnerState, LearnerSwap
from emma.cycle.ready import require_ready
from emma.errors import EmmaError
from emma.records import Topic
from emma.ros import messages, qos
from emma.ros.client import RosClient
from emma.ros.parameters import declare, parameter
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer
from emma.ros.swap_client import swap_policy

LOOK_S = 0.5
# A swap that is being reported gives up within a second.
PATIENCE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class LearnerParameters:
    """Parameters of the learner node."""

    config: str = parameter("", "YAML file of the cycle; `emma improve --example` prints one with every key")
    auto: bool = parameter(False, "begin a cycle whenever an episode was saved or judged; otherwise ~/start does")
    every_s: float = parameter(60.0, "auto: how often to look for new episodes", minimum=1.0)
    swap: bool = parameter(True, "let the policy node change to a version as soon as it becomes current")
    policy_node: str = parameter("/policy", "the node that runs the policy")
    calm_s: float = parameter(
        30.0, "stand still for so long after the policy missed a control tick; 0: never", minimum=0.0
    )


class LearnerNode(Node):
    """`~/start`, `~/stop`, `~/pause` and `~/rollback`; `~/state` says how far the cycle is and which version runs."""

    def __init__(self, _stop: Stop) -> None:
        super().__init__("learner")
        self._values = declare(self, LearnerParameters)
        if not self._values.config:
            raise EmmaError("the learner has nothing to do", found="no parameter config", expected="a YAML file")
        file = Path(self._values.config).resolve()
        self._attendant = Attendant(load_config(file), ["--config", str(file)])
        try:
            require_ready(self._attendant.config)
        except EmmaError as error:
            self.get_logger().warning(f"no cycle can begin yet: {error}")
        self._policy = Topic(f"{self._values.policy_node}/state", PolicyState)
        self._running: PolicyState | None = None
        self._swapping: threading.Thread | None = None
        self._swap = LearnerSwap()
        # Why the latest cycle did not begin, or ended with an error.
        self._problem = ""
        self._ending = threading.Event()
        self._said: LearnerState | None = None
        self._missed: float | None = None
        self._calm = 0.0
        self._topic = self.create_publisher(String, "~/state", qos.LATCHED)
        self.create_subscription(String, self._policy.name, self._on_policy, qos.LATCHED)
        self.create_service(Trigger, "~/start", answer(lambda _: self._start()))
        self.create_service(Trigger, "~/stop", answer(lambda _: self._attendant.stop(0.0)))
        self.create_service(SetBool, "~/pause", answer(self._on_pause))
        self.create_service(Trigger, "~/rollback", answer(lambda _: self._attendant.roll_back()))
        self.create_timer(LOOK_S, self._look)
        if self._values.auto:
            self.create_timer(self._values.every_s, self._begin)

    def close(self) -> None:
        """The cycle is interrupted and goes on the next time; a swap that was asked for is the policy node's to end."""
        self._ending.set()
        self._attendant.stop()
        self._attendant.go_on()
        if self._swapping is not None:
            # Its executor must not outlive the interpreter.
            self._swapping.join(PATIENCE_S)

    def sign(self) -> str:
        state = self._attendant.state()
        at = f", {state.stage} {state.done}/{state.total or '?'}" if state.stage else ""
        return f"{state.phase}{at}{': ' + state.paused if state.paused else ''}"

    def _start(self) -> str:
        self._attendant.start()
        self._problem = ""
        return "a cycle begins; ~/state says how far it is"

    def _begin(self) -> None:
        try:
            if self._attendant.start_if_new():
                self._problem = ""
                self.get_logger().info("an episode is new: a cycle begins")
        except EmmaError as error:
            self._complain(f"an episode is new, but no cycle can begin: {error}")

    def _complain(self, problem: str) -> None:
        self._problem = problem
        self.get_logger().error(problem)

    def _on_pause(self, request: SetBool.Request) -> None:
        self._calm = 0.0
        if request.data:
            self._attendant.pause("asked to by ~/pause")
        else:
            self._attendant.go_on()

    def _on_policy(self, message: String) -> None:
        try:
            self._running = self._policy.read(message.data)
        except EmmaError as error:
            self._running = None
            if str(error) != self._problem:
                self._complain(str(error))

    def _look(self) -> None:
        self._stand_aside(self._running)
        if failure := self._attendant.failure():
            self._complain(f"the cycle ended: {failure}")
        busy = self._swapping is not None and self._swapping.is_alive()
        if self._values.swap and not busy and (bundle := self._attendant.next_version()) is not None:
            self._swapping = threading.Thread(target=self._run_swap, args=(bundle,), name="swap", daemon=True)
            self._swapping.start()
        policy = self._running.policy if self._running is not None else ""
        said = LearnerState(
            **vars(self._attendant.state()),
            running=policy,
            running_version=self._attendant.version_of(policy) if policy else 0,
            swap=self._swap,
            problem=self._problem,
        )
        if said != self._said:
            self._said = said
            self._topic.publish(messages.text(said))

    def _stand_aside(self, running: PolicyState | None) -> None:
        """The robot comes first: after a missed control tick the cycle stands still for a while."""
        if self._calm and time.monotonic() > self._calm:
            self._calm = 0.0
            self._attendant.go_on()
        missed = None if running is None else running.timings.get("missed_ticks")
        if missed is None or not self._values.calm_s:
            return
        if self._missed is not None and missed > self._missed:
            self._calm = time.monotonic() + self._values.calm_s
            self._attendant.pause("the policy missed a control tick")
        self._missed = missed

    def _run_swap(self, bundle: Path) -> None:
        self._swap = LearnerSwap(policy=str(bundle), phase=SwapPhase.LOADING)
        try:
            with RosClient("learner_swap", context=self.context, alive=self._go_on) as client:
                result = swap_policy(bundle, node=self._values.policy_node, client=client)
        except EmmaError as error:
            if self._ending.is_set():
                return
            self._swap = replace(self._swap, phase=SwapPhase.REFUSED, why=str(error))
            self.get_logger().error(f"version {bundle.name} was not taken: {error}")
            return
        self._swap = LearnerSwap(
            policy=str(result.policy),
            phase=SwapPhase.DONE,
            previous=str(result.previous),
            seconds=result.seconds,
            ticks=result.ticks,
            missed_ticks=result.missed_ticks,
        )
        self.get_logger().info(f"version {bundle.name} runs; {result.missed_ticks} of {result.ticks} ticks missed")

    def _go_on(self) -> None:
        if self._ending.is_set():
            raise EmmaError("the learner ends")


def main() -> int:
    """Run the learner node."""
    return run(LearnerNode)


if __name__ == "__main__":
    sys.exit(main())
