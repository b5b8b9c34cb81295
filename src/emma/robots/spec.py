"""What a robot is: `calibration/<robot>/robot.yaml` as a frozen, validated RobotSpec."""

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from emma.errors import EmmaError
from emma.resources import data_dir
from emma.robots.yaml_file import read_yaml

UNITS = ("rad", "m")
COMMAND_KINDS = {
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "forward_position": "std_msgs/msg/Float64MultiArray",
    "joint_state": "sensor_msgs/msg/JointState",
}
TRANSPORTS = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
# Fully qualified names: https://design.ros2.org/articles/topic_and_service_names.html
_TOPIC = re.compile(r"(?:/[A-Za-z_]\w*)+", re.ASCII)
_TOPIC_RULE = "an absolute topic name: /, then letters, digits and _, levels parted by single /"


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One actuated joint. Limits in `unit`, `unit`/s and `unit`/s^2; velocity and acceleration are magnitudes."""

    name: str
    unit: str
    lower: float
    upper: float
    velocity: float
    acceleration: float

    def __post_init__(self) -> None:
        _require_name(self.name)
        _require(self.unit in UNITS, "unit", self.unit, f"one of {', '.join(UNITS)}")
        _require(self.lower < self.upper, "lower", self.lower, f"a number below upper ({self.upper})")
        _require(0 < self.velocity < math.inf, "velocity", self.velocity, "a number above 0")
        _require(0 < self.acceleration < math.inf, "acceleration", self.acceleration, "a number above 0")


@dataclass(frozen=True, kw_only=True)
class Camera:
    """One camera stream, and its depth stream where the camera has one (16UC1 in mm or 32FC1 in m)."""

    name: str
    image_topic: str
    width: int
    height: int
    rate_hz: float
    info_topic: str | None = None
    depth_topic: str | None = None
    transport: str = "raw"
    frame_id: str = ""

    def __post_init__(self) -> None:
        _require(self.name.isidentifier(), "name", self.name, "letters, digits and _")
        _require(self.transport in TRANSPORTS, "transport", self.transport, f"one of {', '.join(TRANSPORTS)}")
        _require(self.width > 0, "width", self.width, "a number of pixels above 0")
        _require(self.height > 0, "height", self.height, "a number of pixels above 0")
        _require(0 < self.rate_hz <= 1000, "rate_hz", self.rate_hz, "a rate in (0, 1000] Hz")
        for key in ("image_topic", "info_topic", "depth_topic"):
            topic = getattr(self, key)
            if topic is not None:
                _require_topic(key, topic)
        if self.transport == "raw":
            _require(
                not self.image_topic.endswith("/compressed"),
                "transport",
                self.transport,
                f"compressed, since image_topic is {self.image_topic}; or the raw image's topic",
            )


@dataclass(frozen=True, kw_only=True)
class Command:
    """Where joint targets go, and as which message."""

    topic: str
    kind: str

    def __post_init__(self) -> None:
        _require_topic("topic", self.topic)
        _require(self.kind in COMMAND_KINDS, "kind", self.kind, f"one of {', '.join(COMMAND_KINDS)}")

    @property
    def type(self) -> str:
        """The ROS message type of the command topic."""
        return COMMAND_KINDS[self.kind]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A frame that does the work. frame: a site or body of the kinematic model. joints: those that move it, by name."""

    name: str
    frame: str
    joints: tuple[str, ...]

    def __post_init__(self) -> None:
        _require_name(self.name)
        _require(self.frame != "", "frame", self.frame, "the name of a site or body (link) of the model")
        _require(len(self.joints) > 0, "joints", "none", "the joints of the arm that carries the tool")
        _unique("joints", self.joints)


@dataclass(frozen=True, kw_only=True)
class KinematicModel:
    """Where joints bring the tools (`emma.robots.kinematics`).

    model: a URDF or MJCF file beside robot.yaml, or `package:NAME/path` of an installed Python package. base: the frame
    in which poses are given; empty for the model's own origin. jog_box: opposite corners (x, y, z, x, y, z) in m of the
    box in which a person may jog the tools; empty for no box.
    """

    model: str
    tools: tuple[Tool, ...]
    base: str = ""
    jog_box: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _require(self.model != "", "model", self.model, "a URDF or MJCF file")
        _require(len(self.tools) > 0, "tools", "none", "at least one tool")
        _unique("tools", tuple(tool.name for tool in self.tools))
        corners = not self.jog_box or (
            len(self.jog_box) == 6 and all(a < b for a, b in zip(self.jog_box[:3], self.jog_box[3:], strict=True))
        )
        _require(corners, "jog_box", list(self.jog_box), "six numbers, the lower corner before the upper one")


@dataclass(frozen=True, kw_only=True)
class RobotSpec:
    """Everything the stack must know about one robot. State and action vectors follow the order of `joints`.

    tracking_s: how far the arm may lag behind its commands at full speed, in seconds; a command further from the
    measured pose is never sent (`emma.control.tracking`).
    """

    name: str
    joints: tuple[Joint, ...]
    cameras: tuple[Camera, ...]
    state_topic: str
    command: Command
    control_rate_hz: float
    fps: int
    description: str = ""
    simulated: bool = False
    gripper: tuple[str, ...] = ()
    state_rate_hz: float = 50.0
    home: tuple[float, ...] = ()
    kinematics: KinematicModel | None = None
    tracking_s: float = 0.15
    max_age_s: float = 0.25
    max_skew_s: float = 0.05
    folder: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        _require_name(self.name)
        _require(len(self.joints) > 0, "joints", "none", "at least one joint")
        _unique("joints", self.joint_names)
        _unique("cameras", self.camera_names)
        unknown = set(self.gripper) - set(self.joint_names)
        _require(not unknown, "gripper", sorted(unknown), f"names from joints ({', '.join(self.joint_names)})")
        _require_topic("state_topic", self.state_topic)
        _require(0 < self.control_rate_hz <= 1000, "control_rate_hz", self.control_rate_hz, "a rate in (0, 1000] Hz")
        _require(0 < self.state_rate_hz <= 10000, "state_rate_hz", self.state_rate_hz, "a rate in (0, 10000] Hz")
        _require(
            0 < self.fps <= self.control_rate_hz, "fps", self.fps, f"1 to {self.control_rate_hz:g} (control_rate_hz)"
        )
        _require(0 < self.tracking_s <= 1, "tracking_s", self.tracking_s, "seconds in (0, 1]")
        _require(self.max_age_s > 0, "max_age_s", self.max_age_s, "seconds above 0")
        _require(self.max_skew_s > 0, "max_skew_s", self.max_skew_s, "seconds above 0")
        if self.home:
            _require(
                len(self.home) == len(self.joints), "home", list(self.home), f"{len(self.joints)} values, one a joint"
            )
            for i, (joint, value) in enumerate(zip(self.joints, self.home, strict=True)):
                _require(
                    joint.lower <= value <= joint.upper,
                    f"home[{i}]",
                    value,
                    f"{joint.lower:g} to {joint.upper:g} {joint.unit}, the limits of joint {joint.name}",
                )
        for tool in self.kinematics.tools if self.kinematics else ():
            strange = set(tool.joints) - set(self.joint_names)
            _require(not strange, "kinematics.tools", sorted(strange), f"joints among {', '.join(self.joint_names)}")
        topics = [self.state_topic, self.command.topic]
        for camera in self.cameras:
            topics += [t for t in (camera.image_topic, camera.info_topic, camera.depth_topic) if t]
        if len(set(topics)) < len(topics) and self.state_topic != self.command.topic:
            _unique("topics", tuple(topics))

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    def camera(self, name: str) -> Camera:
        """The camera called `name`; EmmaError if this robot has none."""
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise EmmaError(
            f"robot {self.name} has no camera '{name}'",
            found=name,
            expected=f"one of {', '.join(self.camera_names) or '(no cameras)'}",
            fix=f"name a camera of {self.folder / 'robot.yaml'}, or add it there",
        )

    def topics(self) -> dict[str, str]:
        """Every topic of the robot and its message type: what a recorder stores and a bag must hold."""
        topics = {self.state_topic: "sensor_msgs/msg/JointState", self.command.topic: self.command.type}
        for camera in self.cameras:
            topics[camera.image_topic] = TRANSPORTS[camera.transport]
            if camera.info_topic:
                topics[camera.info_topic] = "sensor_msgs/msg/CameraInfo"
            if camera.depth_topic:
                topics[camera.depth_topic] = "sensor_msgs/msg/Image"
        return topics


class _BadValue(ValueError):
    def __init__(self, key: str, value: object, allowed: str) -> None:
        super().__init__(key)
        self.key, self.value, self.allowed = key, value, allowed


def _require(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise _BadValue(key, value, allowed)


def _require_name(name: str) -> None:
    _require(
        name != "" and name == name.strip(),
        "name",
        name,
        "a name that neither is empty nor begins or ends with a space",
    )


def _require_topic(key: str, topic: str) -> None:
    _require(_TOPIC.fullmatch(topic) is not None, key, topic, _TOPIC_RULE)


def _unique(key: str, names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    _require(not twice, key, f"{', '.join(twice)} more than once", "names that differ")


def _build(cls: type, raw: object, where: str, file: Path, **extra: Any) -> Any:
    """`cls(**raw)` with an error that names file, key, value and what is allowed."""
    if not isinstance(raw, Mapping):
        raise EmmaError(
            f"{file}: {where or 'the file'} is not a mapping", found=repr(raw)[:80], expected="key: value pairs"
        )
    known = {f.name: f for f in fields(cls) if f.name != "folder"}
    for key in raw:
        if key not in known:
            raise EmmaError(
                f"{file}: unknown key {_join(where, key)}",
                found=f"{key}: {raw[key]!r}",
                expected=f"one of {', '.join(known)}",
            )
    for name, spec in known.items():
        required = spec.default is MISSING and spec.default_factory is MISSING
        if required and name not in raw and name not in extra:
            raise EmmaError(
                f"{file}: {_join(where, name)} is missing", found=sorted(raw), expected=f"a value for {name}"
            )
    values = {
        **{k: _coerce(known[k].type, v, _join(where, k), file) for k, v in raw.items() if k not in extra},
        **extra,
    }
    try:
        return cls(**values)
    except _BadValue as bad:
        raise EmmaError(
            f"{file}: bad value for {_join(where, bad.key)}", found=f"{bad.key}: {bad.value!r}", expected=bad.allowed
        ) from None


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _coerce(annotation: Any, value: Any, where: str, file: Path) -> Any:
    """YAML scalars to the field's type; wrong kinds are refused, never guessed."""

    def refuse(expected: str) -> EmmaError:
        return EmmaError(f"{file}: bad value for {where}", found=repr(value), expected=expected)

    if annotation is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise refuse("a number, not NaN or infinite")
        return float(value)
    if annotation is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise refuse("a whole number")
        return value
    if annotation is bool:
        if not isinstance(value, bool):
            raise refuse("true or false")
        return value
    if annotation is str or annotation == (str | None):
        if value is None and annotation is not str:
            return None
        if not isinstance(value, str):
            raise refuse("text")
        return value
    if annotation == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise refuse("a list of names")
        return tuple(value)
    if annotation == tuple[float, ...]:
        if not isinstance(value, list) or not all(
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in value
        ):
            raise refuse("a list of numbers, none NaN or infinite")
        return tuple(float(v) for v in value)
    return value


def robots_dir() -> Path:
    """The folder that holds one folder per robot."""
    return data_dir("calibration")


def list_robots() -> list[str]:
    """Names of the robots that ship."""
    return sorted(path.parent.name for path in robots_dir().glob("*/robot.yaml"))


def load_robot(name_or_path: str | Path) -> RobotSpec:
    """Read a RobotSpec by name (`desk_arm`) or by path to a `robot.yaml` or its folder. Raises EmmaError."""
    text = str(name_or_path)
    path = Path(text)
    if "/" not in text and not path.suffix:
        path = robots_dir() / text / "robot.yaml"
        if not path.is_file():
            raise EmmaError(
                f"unknown robot '{text}'",
                found=text,
                expected=f"one of {', '.join(list_robots())}, or a path to a robot.yaml",
                fix=f"add {path} or choose a robot that `emma robots` lists",
            )
    elif path.is_dir():
        path = path / "robot.yaml"
    raw = read_yaml(path)
    if not isinstance(raw, Mapping):
        raise EmmaError(f"{path} does not describe a robot", found=type(raw).__name__, expected="key: value pairs")
    parts: dict[str, Any] = {"folder": path.parent}
    for key, cls in (("joints", Joint), ("cameras", Camera)):
        if key in raw:
            parts[key] = _list(cls, raw[key], key, path)
    if "command" in raw:
        parts["command"] = _build(Command, raw["command"], "command", path)
    if raw.get("kinematics") is not None:
        parts["kinematics"] = _kinematics(raw["kinematics"], path)
    spec: RobotSpec = _build(RobotSpec, raw, "", path, **parts)
    return spec


def _list(cls: type, raw: object, where: str, file: Path) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        raise EmmaError(f"{file}: bad value for {where}", found=repr(raw)[:80], expected="a list")
    return tuple(_build(cls, item, f"{where}[{i}]", file) for i, item in enumerate(raw))


def _kinematics(raw: object, file: Path) -> KinematicModel:
    tools = _list(Tool, raw["tools"], "kinematics.tools", file) if isinstance(raw, Mapping) and "tools" in raw else ()
    made: KinematicModel = _build(KinematicModel, raw, "kinematics", file, **({"tools": tools} if tools else {}))
    return made
