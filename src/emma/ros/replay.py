"""A recorded bag on its topics again: same bytes, same order, original timing. Nothing is decoded."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import yaml
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosbags.interfaces import Qos, QosDurability
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.metadata import parse_qos

from emma.bags.metadata import METADATA_NAME
from emma.bags.reader import Bag
from emma.errors import EmmaError
from emma.ros import qos
from emma.ros.raw_subscriptions import message_class

NS = 1_000_000_000
# A wait is cut into pieces of this length (s), so that a request to stop is seen.
LOOK_S = 0.1
# How long subscribers may take to acknowledge the last messages, s: some of the middleware's heartbeats, 3 s apart.
ACKNOWLEDGED_S = 15.0


def _ignored(_count: int) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """messages: published; seconds: how long it took; late_s: the latest message after its time; unacknowledged: topics
    of which a subscriber that asked for all messages has not confirmed them."""

    messages: int
    seconds: float
    late_s: float
    unacknowledged: tuple[str, ...] = ()


class Replayer:
    """Publishes a bag's messages at the times they were received. Header stamps stay as recorded.

    `skipped`: topics whose message package is not installed here.
    """

    def __init__(self, node: Node, bag: Bag, topics: Iterable[str] | None = None) -> None:
        """Raises EmmaError if a wanted topic is not in the bag, or there is nothing to publish."""
        wanted = list(bag.topics if topics is None else topics)
        unknown = [topic for topic in wanted if topic not in bag.topics]
        if unknown:
            raise EmmaError(
                f"{bag.path} has no {', '.join(unknown)}", found=", ".join(bag.topics), expected="its topics"
            )
        self._bag = bag
        self.skipped: list[str] = []
        self._publishers: dict[int, Publisher] = {}
        latched = _latched(bag)
        for topic in wanted:
            about = bag.topics[topic]
            kind = message_class(about.type)
            if kind is None:
                self.skipped.append(topic)
                continue
            profile = qos.LATCHED if topic in latched else qos.EXACT
            self._publishers[about.number] = node.create_publisher(kind, topic, profile)
        index = bag.index
        chosen = np.flatnonzero(np.isin(index.topic, list(self._publishers)))
        self._order = chosen[index.log_ns[chosen].argsort(kind="stable")]
        if len(self._order) == 0:
            raise EmmaError(
                f"nothing to replay in {bag.path}",
                found=f"no messages of {', '.join(wanted) or 'any topic'}",
                expected="messages whose packages are installed",
            )

    def __len__(self) -> int:
        return len(self._order)

    @property
    def duration_s(self) -> float:
        """From the first message to the last, as recorded."""
        log_ns = self._bag.index.log_ns
        return float(log_ns[self._order[-1]] - log_ns[self._order[0]]) / NS

    def heard(self) -> bool:
        """Whether every topic has a subscriber."""
        return all(publisher.get_subscription_count() > 0 for publisher in self._publishers.values())

    def play(
        self, rate: float = 1.0, *, alive: Callable[[], bool] = lambda: True, progress: Callable[[int], None] = _ignored
    ) -> ReplayReport:
        """Publish everything once, `rate` times as fast as it was recorded; ends early when not `alive`.

        progress is called with 1 for every message.
        """
        if not rate > 0:
            raise EmmaError("bad rate", found=rate, expected="a number above 0")
        index, start, late, sent = self._bag.index, time.monotonic(), 0.0, 0
        first = int(index.log_ns[self._order[0]])
        for position in self._order:
            due = start + (int(index.log_ns[position]) - first) / NS / rate
            # Read before it is due: the disk must not decide the moment.
            data = bytes(self._bag.raw(int(position)))
            while (left := due - time.monotonic()) > 0 and alive():
                time.sleep(min(left, LOOK_S))
            if not alive():
                break
            self._publishers[int(index.topic[position])].publish(data)
            late, sent = max(late, time.monotonic() - due), sent + 1
            progress(1)
        seconds = time.monotonic() - start
        return ReplayReport(messages=sent, seconds=seconds, late_s=late, unacknowledged=self._unacknowledged(alive))

    def _unacknowledged(self, alive: Callable[[], bool]) -> tuple[str, ...]:
        """The topics that are not acknowledged in time: a publisher that goes away takes what is not with it."""
        deadline, open_ones = time.monotonic() + ACKNOWLEDGED_S, list(self._publishers.values())
        while open_ones:
            left = min(max(deadline - time.monotonic(), 0.0), LOOK_S)
            open_ones = [one for one in open_ones if not one.wait_for_all_acked(Duration(seconds=left))]
            if left == 0.0 or not alive():
                break
        return tuple(publisher.topic_name for publisher in open_ones)


def _latched(bag: Bag) -> set[str]:
    """The topics whose publishers offered their last message to whoever came later, as far as the bag says."""
    try:
        information = yaml.safe_load((bag.path / METADATA_NAME).read_text())["rosbag2_bagfile_information"]
        rows = [row["topic_metadata"] for row in information["topics_with_message_count"]]
        return {row["name"] for row in rows if _all_latched(parse_qos(row["offered_qos_profiles"]))}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, ReaderError):
        return set()


def _all_latched(profiles: Sequence[Qos]) -> bool:
    return bool(profiles) and all(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles)
