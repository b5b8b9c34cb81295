"""A subscriber that only counts: the limit of what any recorder in this language and middleware could take."""

import sys
from dataclasses import dataclass

from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from emma.bench.load import Tallies
from emma.control.pacing import prefer_this_process
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.load.states import CounterState
from emma.ros.nodes.recorder import NICE
from emma.ros.parameters import declare, parameter
from emma.ros.raw_subscriptions import RawSubscriptions
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer


@dataclass(frozen=True, kw_only=True)
class CounterParameters:
    """Parameters of the counter."""

    robot: str = parameter("", "robot.yaml of the load")


class CounterNode(Node):
    """Counts the numbers of every topic of the load since `~/reset`; `~/state` says how many came."""

    def __init__(self, stop: Stop) -> None:
        prefer_this_process(NICE)
        super().__init__("counter")
        spec = load_robot(declare(self, CounterParameters).robot)
        self._tallies = Tallies()
        self._raw = RawSubscriptions(self, spec.topics(), (), lambda topic, data, *_: self._tallies.add(topic, data))
        self._state = self.create_publisher(String, "~/state", qos.LATCHED)
        self.create_service(Trigger, "~/reset", answer(lambda _: self._reset()))
        self.create_timer(0.1, self._look)

    def close(self) -> None:
        self._look()

    def sign(self) -> str:
        return f"{sum(tally.count for tally in self._tallies.topics.values())} messages came"

    def _reset(self) -> None:
        self._tallies = Tallies()

    def _look(self) -> None:
        self._raw.refresh()
        counts = {topic: tally.count for topic, tally in self._tallies.topics.items()}
        self._state.publish(messages.text(CounterState(received=counts)))


def main() -> int:
    """Run the counter."""
    return run(CounterNode)


if __name__ == "__main__":
    sys.exit(main())
