"""Raw subscriptions that come and go with their publishers: any topic, any QoS, nothing decoded."""

import fnmatch
import importlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import MessageInfo, Subscription

from emma.ros import qos

# topic, serialised message, receive time and send time in ns since the epoch.
Deliver = Callable[[str, bytes, int, int], None]
# Messages of one topic taken in a row before the others have their turn.
BATCH = 64


def message_class(name: str) -> type | None:
    """The Python class of `package/msg/Type`; None if the package is not installed."""
    package, _, kind = name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind, None)
    except ImportError:
        return None


@dataclass
class RawSubscription:
    """One topic. received: messages taken; lost: gaps in the publishers' own numbering, lost before they got here."""

    topic: str
    type: str
    profile: QoSProfile
    subscription: Subscription
    received: int = 0
    lost: int = 0
    last: tuple[bytes, int] | None = None
    _sequence: dict[bytes, int] = field(default_factory=dict)

    @property
    def senders(self) -> int:
        """How many publishers sent something."""
        return len(self._sequence)

    @property
    def latched(self) -> bool:
        """Whether the last message holds for whoever comes late."""
        return self.profile.durability == DurabilityPolicy.TRANSIENT_LOCAL

    def count(self, info: MessageInfo) -> None:
        """Count one message and what its publisher sent between it and the one before."""
        self.received += 1
        number, publisher = info.get("publication_sequence_number"), info.get("publisher_gid")
        if number is None or publisher is None:
            return
        gid = publisher["data"]
        before = self._sequence.get(gid)
        if before is not None and number > before + 1:
            self.lost += number - before - 1
        self._sequence[gid] = number


class RawSubscriptions:
    """Follows `wanted` (topic -> type), every topic that matches one of `patterns` (* and ? as in file names), and
    every topic of one of `types`."""

    def __init__(
        self,
        node: Node,
        wanted: Mapping[str, str],
        patterns: Iterable[str],
        deliver: Deliver,
        *,
        types: Collection[str] = (),
    ) -> None:
        self._node = node
        self._wanted = dict(wanted)
        self._patterns = tuple(patterns)
        self._kinds = frozenset(types)
        self._deliver = deliver
        self._unknown: set[str] = set()
        self.by_topic: dict[str, RawSubscription] = {}

    @property
    def types(self) -> dict[str, str]:
        """Every topic to record with its type: the wanted ones, published or not, and those found by pattern."""
        return {**self._wanted, **{topic: raw.type for topic, raw in self.by_topic.items()}}

    @property
    def publishers(self) -> dict[str, int]:
        """How many publishers of every wanted topic send to this node. One that exists may not know of it yet."""
        found = {topic: self.by_topic.get(topic) for topic in self._wanted}
        return {topic: raw.subscription.get_publisher_count() if raw else 0 for topic, raw in found.items()}

    def unpublished(self) -> list[str]:
        """The wanted topics without a publisher."""
        return [topic for topic in self._wanted if self._node.count_publishers(topic) == 0]

    def refresh(self) -> list[str]:
        """Subscribe to what appeared, and anew where the publishers' QoS no longer fits. Returns the new topics."""
        new = []
        for topic, kind in {**self._found(), **self._wanted}.items():
            offers = [offer for offer in qos.offered(self._node, topic) if offer.topic_type == kind]
            if not offers:
                continue
            profile = qos.fitting(offers)
            raw = self.by_topic.get(topic)
            if raw is None:
                subscription = self._subscribe(topic, kind, profile)
                if subscription is not None:
                    self.by_topic[topic] = RawSubscription(topic, kind, profile, subscription)
                    new.append(topic)
            elif (profile.reliability, profile.durability) != (raw.profile.reliability, raw.profile.durability):
                again = self._subscribe(topic, kind, profile)
                if again is not None:
                    self._node.destroy_subscription(raw.subscription)
                    raw.subscription, raw.profile = again, profile
        return new

    def deliver_latched(self, now_ns: int) -> None:
        """Hand out the last message of every latched topic again: it was sent once, perhaps long ago."""
        for topic, raw in self.by_topic.items():
            if raw.last is not None:
                self._deliver(topic, raw.last[0], now_ns, raw.last[1])

    def _found(self) -> dict[str, str]:
        own = self._node.get_fully_qualified_name() + "/"
        found = {}
        for topic, types in self._node.get_topic_names_and_types():
            matches = any(fnmatch.fnmatchcase(topic, pattern) for pattern in self._patterns)
            kind = types[0] if matches else next((each for each in types if each in self._kinds), None)
            if kind is not None and not topic.startswith(own):
                found[topic] = kind
        return found

    def _subscribe(self, topic: str, kind: str, profile: QoSProfile) -> Subscription | None:
        cls = message_class(kind)
        if cls is None:
            if topic not in self._unknown:
                self._unknown.add(topic)
                self._node.get_logger().error(f"cannot record {topic}: no Python package for {kind} is installed")
            return None

        def take(data: bytes, info: MessageInfo) -> None:
            raw = self.by_topic[topic]
            raw.count(info)
            if raw.latched:
                raw.last = (data, info["source_timestamp"])
            self._deliver(topic, data, info["received_timestamp"], info["source_timestamp"])

        def receive(data: bytes, info: MessageInfo) -> None:
            take(data, info)
            # The executor looks at every entity of the node between two messages: too slow for a topic of 500 Hz among
            # images, which then overflows. What waits is taken at once.
            with subscription.handle:
                for _ in range(BATCH):
                    more = subscription.handle.take_message(cls, True)
                    if more is None:
                        break
                    take(*more)

        subscription = self._node.create_subscription(cls, topic, receive, profile, raw=True)
        return subscription
