"""Where joint targets go and where joint states come from: command groups, and more than one state topic."""

from dataclasses import dataclass

from emma.robots.checked import require, require_name, require_topic, unique

COMMAND_KINDS = {
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "forward_position": "std_msgs/msg/Float64MultiArray",
    "joint_state": "sensor_msgs/msg/JointState",
    "position": "std_msgs/msg/Float64",
    # What is sent as a goal of the action is published as a JointState as well, so that it can be recorded.
    "gripper_action": "sensor_msgs/msg/JointState",
}
GRIPPER_ACTION = "control_msgs/action/GripperCommand"
ONE_JOINT = ("position", "gripper_action")


@dataclass(frozen=True, kw_only=True)
class Command:
    """Where joint targets go, and as which message. For an action, `topic` is the action's name."""

    topic: str
    kind: str

    def __post_init__(self) -> None:
        require_topic("topic", self.topic)
        require(self.kind in COMMAND_KINDS, "kind", self.kind, f"one of {', '.join(COMMAND_KINDS)}")

    @property
    def type(self) -> str:
        """The ROS message type of the recorded topic."""
        return COMMAND_KINDS[self.kind]


@dataclass(frozen=True, kw_only=True)
class CommandGroup(Command):
    """Joints that are commanded together. joints: in the order of a message without names; joints that mimic others
    may be among them. rate_hz: how often, at most; None: at every control tick."""

    name: str
    joints: tuple[str, ...]
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name(self.name)
        require(len(self.joints) > 0, "joints", "none", "at least one joint")
        unique("joints", self.joints)
        if self.kind in ONE_JOINT:
            require(len(self.joints) == 1, "joints", list(self.joints), f"one joint for kind {self.kind}")
        if self.rate_hz is not None:
            require(0 < self.rate_hz <= 1000, "rate_hz", self.rate_hz, "a rate in (0, 1000] Hz")

    @property
    def plain(self) -> Command:
        """Topic and kind alone."""
        return Command(topic=self.topic, kind=self.kind)

    @property
    def recorded_topic(self) -> str:
        """The topic on which the group's targets can be heard."""
        return f"{self.topic}/target" if self.kind == "gripper_action" else self.topic


@dataclass(frozen=True, kw_only=True)
class StateTopic:
    """One more JointState topic, and the joints that are told there."""

    topic: str
    joints: tuple[str, ...]
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        require_topic("topic", self.topic)
        unique("joints", self.joints)
        if self.rate_hz is not None:
            require(0 < self.rate_hz <= 10000, "rate_hz", self.rate_hz, "a rate in (0, 10000] Hz")


@dataclass(frozen=True, kw_only=True)
class Mimic:
    """A joint that follows another: position = multiplier x position of `joint` + offset. It is in no vector."""

    name: str
    joint: str
    multiplier: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        require_name(self.name)
