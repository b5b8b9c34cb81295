"""What a robot is: `calibration/<robot>/robot.yaml` as a frozen, validated RobotSpec."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from emma.errors import EmmaError
from emma.resources import data_dir
from emma.robots.checked import build, build_list, require, require_name, require_topic, unique
from emma.robots.command_groups import COMMAND_KINDS, Command, CommandGroup, Mimic, StateTopic
from emma.robots.parts import TRANSPORTS, Camera, Joint, KinematicModel, Tool
from emma.robots.units import UNITS, MessageForm
from emma.robots.yaml_file import read_yaml

__all__ = [
    "COMMAND_KINDS",
    "TRANSPORTS",
    "UNITS",
    "Camera",
    "Command",
    "CommandGroup",
    "Joint",
    "KinematicModel",
    "MessageForm",
    "Mimic",
    "RobotSpec",
    "StateTopic",
    "Tool",
    "list_robots",
    "load_robot",
    "robots_dir",
]

# A robot that acts on what was longer ago acts blindly.
_OLDEST_S = 10.0


@dataclass(frozen=True, kw_only=True)
class RobotSpec:
    """Everything the stack must know about one robot. State and action vectors follow the order of `joints`.

    command: the one topic that takes all joints. groups: several, instead; then `command` is the first of them.
    state_topic: where joint states come from; `states` names the joints that come elsewhere. mimics: joints that follow
    others, for messages that must hold them.

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
    groups: tuple[CommandGroup, ...] = ()
    states: tuple[StateTopic, ...] = ()
    mimics: tuple[Mimic, ...] = ()
    tracking_s: float = 0.15
    max_age_s: float = 0.25
    max_skew_s: float = 0.05
    folder: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        require_name(self.name)
        require(len(self.joints) > 0, "joints", "none", "at least one joint")
        unique("joints", self.joint_names)
        unique("cameras", self.camera_names)
        unknown = set(self.gripper) - set(self.joint_names)
        require(not unknown, "gripper", sorted(unknown), f"names from joints ({', '.join(self.joint_names)})")
        require_topic("state_topic", self.state_topic)
        require(0 < self.control_rate_hz <= 1000, "control_rate_hz", self.control_rate_hz, "a rate in (0, 1000] Hz")
        require(0 < self.state_rate_hz <= 10000, "state_rate_hz", self.state_rate_hz, "a rate in (0, 10000] Hz")
        require(
            0 < self.fps <= self.control_rate_hz, "fps", self.fps, f"1 to {self.control_rate_hz:g} (control_rate_hz)"
        )
        require(0 < self.tracking_s <= 1, "tracking_s", self.tracking_s, "seconds in (0, 1]")
        self._check_age()
        require(self.max_skew_s > 0, "max_skew_s", self.max_skew_s, "seconds above 0")
        if self.home:
            require(
                len(self.home) == len(self.joints), "home", list(self.home), f"{len(self.joints)} values, one a joint"
            )
            for i, (joint, value) in enumerate(zip(self.joints, self.home, strict=True)):
                require(
                    joint.lower <= value <= joint.upper,
                    f"home[{i}]",
                    value,
                    f"{joint.lower:g} to {joint.upper:g} {joint.unit}, the limits of joint {joint.name}",
                )
        for tool in self.kinematics.tools if self.kinematics else ():
            strange = set(tool.joints) - set(self.joint_names)
            require(not strange, "kinematics.tools", sorted(strange), f"joints among {', '.join(self.joint_names)}")
        self._check_groups()
        states = [each.topic for each in self.state_topics]
        commands = [each.topic for each in self.command_groups]
        if len(self.command_groups) == 1 and self.state_topic == self.command.topic:
            require(
                self.command.kind == "joint_state",
                "command",
                self.command.topic,
                f"a topic of its own: {self.command.kind} messages are no joint states",
            )
            # A driver that takes its commands where it publishes its state: both are one stream.
            commands = []
        topics = [*states, *commands]
        for camera in self.cameras:
            topics += [t for t in (camera.image_topic, camera.info_topic, camera.depth_topic) if t]
        unique("topics", tuple(topics))

    def _check_age(self) -> None:
        """Streams are never fresh with an age below their period, and never stale with an age without a bound."""
        rates = [(each.topic, each.rate_hz or self.state_rate_hz) for each in self.state_topics]
        rates += [(camera.image_topic, camera.rate_hz) for camera in self.cameras]
        topic, slowest = min(rates, key=lambda each: each[1])
        require(
            1 / slowest <= self.max_age_s <= _OLDEST_S,
            "max_age_s",
            self.max_age_s,
            f"{1 / slowest:.3g} (the period of {topic} at {slowest:g} Hz) to {_OLDEST_S:g} seconds",
        )

    def _check_groups(self) -> None:
        """Every joint in one group and on one state topic, and no name twice where it must be told from another."""
        known = set(self.joint_names)
        unique("mimics", tuple(mimic.name for mimic in self.mimics))
        for mimic in self.mimics:
            require(mimic.name not in known, "mimics", mimic.name, "joints that are not among `joints`")
            require(mimic.joint in known, "mimics", mimic.joint, f"a joint to follow: {', '.join(self.joint_names)}")
        followers = {mimic.name for mimic in self.mimics}
        unique("groups", tuple(group.name for group in self.groups))
        grouped = [name for group in self.groups for name in group.joints if name not in followers]
        unique("groups", tuple(grouped))
        if self.groups:
            require(
                set(grouped) == known, "groups", sorted(set(grouped) ^ known), "every joint in one group, no others"
            )
            require(
                self.command == self.groups[0].plain, "command", self.command.topic, "the first of groups, or no key"
            )
        elsewhere = [name for each in self.states for name in each.joints]
        unique("states", tuple(elsewhere))
        require(set(elsewhere) <= known, "states", sorted(set(elsewhere) - known), "names from joints")
        for state in self.state_topics:
            require(len(state.joints) > 0, "states", state.topic, "a topic with joints: all others are named elsewhere")
            unique(f"names on {state.topic}", tuple(self.joint(name).message_name for name in state.joints))

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    def joint(self, name: str) -> Joint:
        """The joint called `name`. Raises KeyError."""
        return self._by_name[name]

    def index(self, name: str) -> int:
        """The place of a joint in state and action vectors. Raises KeyError."""
        return self._places[name]

    def mimic(self, name: str) -> Mimic | None:
        """The joint called `name`, if it follows another."""
        return next((mimic for mimic in self.mimics if mimic.name == name), None)

    def message_name(self, name: str) -> str:
        """What messages call a joint of the robot or one that mimics it."""
        return self._by_name[name].message_name if name in self._by_name else name

    def led(self, group: CommandGroup) -> tuple[str, ...]:
        """The joints of a group that follow no other, in its order."""
        return tuple(name for name in group.joints if name in self._by_name)

    @cached_property
    def plain_messages(self) -> bool:
        """Whether messages have the units of this spec, for every joint."""
        return all(joint.scale == (1.0, 0.0) for joint in self.joints)

    @cached_property
    def _by_name(self) -> dict[str, Joint]:
        return {joint.name: joint for joint in self.joints}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.joint_names)}

    @cached_property
    def command_groups(self) -> tuple[CommandGroup, ...]:
        """What is commanded together; one group of all joints where robot.yaml names a single command."""
        if self.groups:
            return self.groups
        return (CommandGroup(name="all", topic=self.command.topic, kind=self.command.kind, joints=self.joint_names),)

    @cached_property
    def state_topics(self) -> tuple[StateTopic, ...]:
        """Where joint states come from, each topic with its joints and rate."""
        elsewhere = {name for each in self.states for name in each.joints}
        here = tuple(name for name in self.joint_names if name not in elsewhere)
        first = StateTopic(topic=self.state_topic, joints=here, rate_hz=self.state_rate_hz)
        return (first, *self.states)

    @property
    def command_topics(self) -> tuple[str, ...]:
        """The topics on which commands can be heard."""
        return tuple(group.recorded_topic for group in self.command_groups)

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
        topics = {state.topic: "sensor_msgs/msg/JointState" for state in self.state_topics}
        topics |= {group.recorded_topic: group.type for group in self.command_groups}
        for camera in self.cameras:
            topics[camera.image_topic] = TRANSPORTS[camera.transport]
            if camera.info_topic:
                topics[camera.info_topic] = "sensor_msgs/msg/CameraInfo"
            if camera.depth_topic:
                topics[camera.depth_topic] = "sensor_msgs/msg/Image"
        return topics


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
    lists = {"cameras": Camera, "groups": CommandGroup, "states": StateTopic, "mimics": Mimic}
    for key, cls in lists.items():
        if key in raw:
            parts[key] = build_list(cls, raw[key], key, path)
    if "joints" in raw:
        parts["joints"] = build_list(Joint, raw["joints"], "joints", path, message=MessageForm)
    if parts.get("groups") and "command" not in raw:
        parts["command"] = parts["groups"][0].plain
    if "command" in raw:
        parts["command"] = build(Command, raw["command"], "command", path)
    if raw.get("kinematics") is not None:
        parts["kinematics"] = _kinematics(raw["kinematics"], path)
    spec: RobotSpec = build(RobotSpec, raw, "", path, **parts)
    return spec


def _kinematics(raw: object, file: Path) -> KinematicModel:
    tools = (
        build_list(Tool, raw["tools"], "kinematics.tools", file) if isinstance(raw, Mapping) and "tools" in raw else ()
    )
    made: KinematicModel = build(KinematicModel, raw, "kinematics", file, **({"tools": tools} if tools else {}))
    return made
