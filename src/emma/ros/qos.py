"""Quality of service, chosen once: what is offered, what is asked for, and how a recorder fits itself to a stranger."""

from collections.abc import Sequence

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

# Reliable on offer matches best-effort and reliable subscribers alike; depth 5 as in rmw's sensor profile.
SENSOR_OFFER = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
SENSOR_WANT = qos_profile_sensor_data
# In lockstep every message counts: a lost one would stop the world until it is sent again.
EXACT = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
COMMAND = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
# The last value, for whoever comes late.
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# The same where every value counts, however quickly they follow each other.
EVENTS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Between a burst of messages and the recorder's thread: a second of a 500 Hz topic.
RECORDER_DEPTH = 500


def fitting(offers: Sequence[TopicEndpointInfo]) -> QoSProfile:
    """A profile that receives from every one of `offers`, chosen as by rosbag2: the strongest they all meet."""
    profiles = [offer.qos_profile for offer in offers]
    reliable = bool(profiles) and all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles)
    latched = bool(profiles) and all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles)
    return QoSProfile(
        depth=RECORDER_DEPTH,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def offered(node: Node, topic: str) -> list[TopicEndpointInfo]:
    """The publishers of `topic` that discovery knows."""
    found: list[TopicEndpointInfo] = node.get_publishers_info_by_topic(topic)
    return found


def for_bag(profile: QoSProfile) -> Qos:
    """The profile as a bag stores it, so that `ros2 bag play` offers the same."""
    # rmw and rosbag2 number their policies alike.
    return Qos(
        history=QosHistory(profile.history.value),
        depth=profile.depth,
        reliability=QosReliability(profile.reliability.value),
        durability=QosDurability(profile.durability.value),
        deadline=_time(profile.deadline),
        lifespan=_time(profile.lifespan),
        liveliness=QosLiveliness(profile.liveliness.value),
        liveliness_lease_duration=_time(profile.liveliness_lease_duration),
        avoid_ros_namespace_conventions=False,
    )


def _time(duration: Duration) -> QosTime:
    return QosTime(sec=duration.nanoseconds // 1_000_000_000, nsec=duration.nanoseconds % 1_000_000_000)
