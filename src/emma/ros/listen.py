"""Listens to a running robot for a few seconds: which topics there are, and how they come. Nothing is published."""

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.image import message_to_cvimage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import String

from emma.errors import EmmaError
from emma.messages import stamp_ns
from emma.robots.heard import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    JOINT_STATE,
    Heard,
    HeardImage,
    HeardInfo,
    HeardJoints,
    Traffic,
)
from emma.robots.spec import COMMAND_KINDS
from emma.ros import qos
from emma.ros.client import RosClient
from emma.ros.raw_subscriptions import RawSubscription, RawSubscriptions

ROBOT_DESCRIPTION = "/robot_description"
TEXT = "std_msgs/msg/String"
SENSORS = (JOINT_STATE, IMAGE, COMPRESSED, CAMERA_INFO)
LISTENED = (*SENSORS, *COMMAND_KINDS.values())
# How often discovery is looked through for new topics.
LOOK_S = 0.2
# Images are decoded this often: what matters does not change within a second.
DECODE_S = 1.0
# A controller's node that runs answers at once; one that does not is not waited for.
ASK_S = 2.0
SEND_GOAL = "/_action/send_goal"


@dataclass
class _Notes:
    """What was noted of one topic while listening."""

    type: str
    first_ns: int = 0
    last_ns: int = 0
    count: int = 0
    behind_ns: list[int] = field(default_factory=list)
    unstamped: int = 0
    back: int = 0
    stamp: int = 0
    decoded_s: float = 0.0


def listen(seconds: float, *, said: Callable[[str], None] = lambda _: None) -> Heard:
    """Listen for `seconds`. said() gets one line for every topic that matters. Raises EmmaError where nothing is."""
    with RosClient("emma_listen") as client:
        return _Listener(client, said).listen(seconds)


def robot_description(topic: str, timeout_s: float) -> str:
    """The URDF that is published, latched, on `topic`. Raises EmmaError if none comes within `timeout_s`."""
    with RosClient("emma_listen") as client:
        found: list[str] = []
        client.node.create_subscription(String, topic, lambda message: found.append(message.data), qos.LATCHED)
        deadline = time.monotonic() + timeout_s
        while not found and time.monotonic() < deadline:
            time.sleep(0.05)
        if not found:
            known = sorted(name for name, types in client.node.get_topic_names_and_types() if TEXT in types)
            raise EmmaError(
                f"no URDF on {topic}",
                found=f"nothing after {timeout_s:g} s; texts come on {', '.join(known) or 'no topic'}",
                expected="robot_state_publisher, or a driver that publishes its URDF",
                fix="start the driver, see that ROS_DOMAIN_ID is the same on both sides, or give the file with --urdf",
            )
        return found[-1]


class _Listener:
    def __init__(self, client: RosClient, said: Callable[[str], None]) -> None:
        self._client, self._said = client, said
        self._node: Node = client.node
        self._notes: dict[str, _Notes] = {}
        self._joints: dict[str, dict[tuple[str, ...], HeardJoints]] = {}
        self._images: dict[str, HeardImage] = {}
        self._infos: dict[str, HeardInfo] = {}
        self._broken: dict[str, str] = {}
        self._description = ""
        self._raw = RawSubscriptions(self._node, {}, (), self._receive, types=LISTENED)

    def listen(self, seconds: float) -> Heard:
        self._node.create_subscription(String, ROBOT_DESCRIPTION, self._on_description, qos.LATCHED)
        # In the executor's thread, where messages are delivered as well.
        timer = self._node.create_timer(LOOK_S, self._look)
        time.sleep(seconds)
        self._node.destroy_timer(timer)
        traffic = self._traffic()
        if not traffic:
            raise EmmaError(
                "nothing is heard of a robot",
                found=f"no joint states, images or commands in {seconds:g} s",
                expected="running drivers",
                fix="start the drivers, and see that ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE are as theirs",
            )
        return Heard(
            seconds=seconds,
            traffic=traffic,
            joints={topic: tuple(found.values()) for topic, found in self._joints.items()},
            images=dict(self._images),
            infos=dict(self._infos),
            controllers=self._controllers(traffic),
            actions=self._actions(),
            description=self._description,
            broken=dict(self._broken),
        )

    def _look(self) -> None:
        for topic in self._raw.refresh():
            self._said(f"{topic} ({self._raw.by_topic[topic].type})")

    def _on_description(self, message: String) -> None:
        self._description = message.data

    def _receive(self, topic: str, data: bytes, receive_ns: int, _sent_ns: int) -> None:
        notes = self._notes.setdefault(topic, _Notes(self._raw.by_topic[topic].type))
        notes.first_ns, notes.last_ns = notes.first_ns or receive_ns, receive_ns
        notes.count += 1
        try:
            self._decode(topic, notes, data, receive_ns)
        except Exception as error:  # a decoder raises whatever the broken bytes provoke
            self._broken[topic] = f"{type(error).__name__}: {error}"

    def _decode(self, topic: str, notes: _Notes, data: bytes, receive_ns: int) -> None:
        """Images now and then, everything else always: it is small."""
        if notes.type in (IMAGE, COMPRESSED):
            if receive_ns - notes.decoded_s * 1e9 < DECODE_S * 1e9:
                return
            notes.decoded_s = receive_ns / 1e9
        kinds: dict[str, Any] = {
            JOINT_STATE: JointState,
            IMAGE: Image,
            COMPRESSED: CompressedImage,
            CAMERA_INFO: CameraInfo,
        }
        if notes.type not in kinds:
            return
        message = deserialize_message(data, kinds[notes.type])
        self._note_stamp(notes, stamp_ns(message), receive_ns)
        frame_id = message.header.frame_id
        if notes.type == JOINT_STATE:
            heard = HeardJoints(names=tuple(message.name), positions=tuple(message.position))
            self._joints.setdefault(topic, {})[heard.names] = heard
        elif notes.type == CAMERA_INFO:
            self._infos[topic] = HeardInfo(
                width=message.width,
                height=message.height,
                k=tuple(message.k),
                d=tuple(message.d),
                r=tuple(message.r),
                p=tuple(message.p),
                model=message.distortion_model,
                frame_id=frame_id,
            )
        elif notes.type == IMAGE:
            self._images[topic] = HeardImage(
                width=message.width, height=message.height, encoding=message.encoding, frame_id=frame_id
            )
        elif "compressedDepth" not in message.format:
            height, width = message_to_cvimage(message).shape[:2]
            self._images[topic] = HeardImage(width=width, height=height, encoding=message.format, frame_id=frame_id)

    @staticmethod
    def _note_stamp(notes: _Notes, stamp: int | None, receive_ns: int) -> None:
        if stamp is None:
            notes.unstamped += 1
            return
        notes.back += stamp < notes.stamp
        notes.stamp = stamp
        notes.behind_ns.append(receive_ns - stamp)

    def _traffic(self) -> dict[str, Traffic]:
        traffic = {}
        for topic, types in self._node.get_topic_names_and_types():
            kind = next((kind for kind in types if kind in LISTENED), None)
            if kind is None:
                continue
            publishers = [end for end in self._node.get_publishers_info_by_topic(topic) if end.topic_type == kind]
            subscribers = [
                end
                for end in self._node.get_subscriptions_info_by_topic(topic)
                if end.topic_type == kind and end.node_name != self._node.get_name()
            ]
            if not publishers and not subscribers:
                continue
            notes, raw = self._notes.get(topic, _Notes(kind)), self._raw.by_topic.get(topic)
            lost = 0 if raw is None else raw.lost
            span_s = (notes.last_ns - notes.first_ns) / 1e9
            lasting = DurabilityPolicy.TRANSIENT_LOCAL
            traffic[topic] = Traffic(
                type=kind,
                publishers=_names(publishers),
                subscribers=_names(subscribers),
                count=notes.count,
                # What a busy machine lost was published all the same.
                rate_hz=(notes.count - 1 + lost) / span_s if notes.count > 1 and span_s > 0 else 0.0,
                lost=lost,
                behind_s=statistics.median(notes.behind_ns) / 1e9 if notes.behind_ns else None,
                unstamped=notes.unstamped,
                back=notes.back,
                reliable=all(end.qos_profile.reliability == ReliabilityPolicy.RELIABLE for end in publishers),
                latched=bool(publishers) and all(end.qos_profile.durability == lasting for end in publishers),
                senders=_senders(raw),
                wants_latched=_names([end for end in subscribers if end.qos_profile.durability == lasting]),
            )
        return traffic

    def _controllers(self, traffic: dict[str, Traffic]) -> dict[str, tuple[str, ...]]:
        """Command topic -> the parameter `joints` of the one node that takes the commands, where it has one."""
        found = {}
        services = dict(self._node.get_service_names_and_types())
        for topic, seen in traffic.items():
            if seen.type not in COMMAND_KINDS.values() or len(seen.subscribers) != 1:
                continue
            service = f"{seen.subscribers[0]}/get_parameters"
            if service not in services:
                continue
            request = GetParameters.Request(names=["joints"])
            with suppress(EmmaError):
                response = self._client.call(GetParameters, service, request, ASK_S)
                if joints := tuple(response.values[0].string_array_value) if response.values else ():
                    found[topic] = joints
        return found

    def _actions(self) -> dict[str, str]:
        services = self._node.get_service_names_and_types()
        return {
            name.removesuffix(SEND_GOAL): types[0].removesuffix("_SendGoal")
            for name, types in services
            if name.endswith(SEND_GOAL)
        }


def _names(ends: list[Any]) -> tuple[str, ...]:
    return tuple(sorted({f"{end.node_namespace.rstrip('/')}/{end.node_name}" for end in ends}))


def _senders(raw: RawSubscription | None) -> int:
    return 0 if raw is None else raw.senders
