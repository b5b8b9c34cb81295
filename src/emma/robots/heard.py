"""What was heard of a running robot in a few seconds: topics, rates, clocks, names, sizes (`emma.ros.listen`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

JOINT_STATE = "sensor_msgs/msg/JointState"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
# Encodings of depth images (REP 118).
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """How one topic came. publishers, subscribers: names of nodes, the listener left out.

    rate_hz: as published, 0 for fewer than two messages. lost: messages that did not arrive.
    behind_s: receipt minus header stamp, the median; None without any stamp.
    unstamped: messages whose stamp was 0. back: how often stamps went back. reliable, latched: what all publishers
    offer. senders: publishers that sent something. wants_latched: subscribers that accept latched publishers alone.
    """

    type: str
    publishers: tuple[str, ...] = ()
    subscribers: tuple[str, ...] = ()
    count: int = 0
    rate_hz: float = 0.0
    lost: int = 0
    behind_s: float | None = None
    unstamped: int = 0
    back: int = 0
    reliable: bool = False
    latched: bool = False
    senders: int = 0
    wants_latched: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HeardJoints:
    """The newest message of each set of names on one JointState topic. names, positions: as published, in order."""

    names: tuple[str, ...]
    positions: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class HeardImage:
    """One image stream. encoding: of the Image, or the format of the CompressedImage. Sizes in pixels."""

    width: int
    height: int
    encoding: str
    frame_id: str = ""

    @property
    def depth(self) -> bool:
        return self.encoding in DEPTH_ENCODINGS or "compressedDepth" in self.encoding


@dataclass(frozen=True, kw_only=True)
class HeardInfo:
    """One CameraInfo stream: k and p row by row, d as published; zeros in k where the camera is not calibrated."""

    width: int
    height: int
    k: tuple[float, ...]
    d: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]
    model: str
    frame_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Everything that was heard in `seconds`. Keys are topics.

    joints: for each topic one entry a set of names. controllers: command topic -> the joints that its node takes, in
    order, where the node tells (the parameter `joints` of a ros2_control controller). actions: name -> type.
    """

    seconds: float
    traffic: Mapping[str, Traffic]
    joints: Mapping[str, tuple[HeardJoints, ...]] = field(default_factory=dict)
    images: Mapping[str, HeardImage] = field(default_factory=dict)
    infos: Mapping[str, HeardInfo] = field(default_factory=dict)
    controllers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    actions: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    broken: Mapping[str, str] = field(default_factory=dict)

    def of_type(self, *types: str) -> list[str]:
        """The topics of the given message types, in order of their names."""
        return sorted(topic for topic, traffic in self.traffic.items() if traffic.type in types)
