"""The parts of a robot: joints, cameras, tools and the kinematic model."""

import math
from dataclasses import dataclass, field

from emma.robots.checked import require, require_name, require_topic, unique
from emma.robots.units import UNITS, MessageForm

# Four turns: no joint with a stop goes further, and limits in degrees do.
_MOST_RAD = 8 * math.pi
# As many pixels a side as image formats hold.
_MOST_PIXELS = 2**15
TRANSPORTS = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One actuated joint. Limits in `unit`, `unit`/s and `unit`/s^2; velocity and acceleration are magnitudes.

    continuous: it turns without end; its angles are unwrapped, and the limits say how far it may wind up.
    """

    name: str
    unit: str
    lower: float
    upper: float
    velocity: float
    acceleration: float
    continuous: bool = False
    message: MessageForm = field(default_factory=MessageForm)

    def __post_init__(self) -> None:
        require_name(self.name)
        require(self.unit in UNITS, "unit", self.unit, f"one of {', '.join(UNITS)}")
        require(self.lower < self.upper, "lower", self.lower, f"a number below upper ({self.upper})")
        if self.unit == "rad" and not self.continuous:
            for key, value in (("lower", self.lower), ("upper", self.upper)):
                require(
                    abs(value) <= _MOST_RAD,
                    key,
                    value,
                    "radians, within four turns of 0; degrees x 0.01745 are radians, a joint without a stop is"
                    " continuous: true",
                )
        require(0 < self.velocity < math.inf, "velocity", self.velocity, "a number above 0")
        require(0 < self.acceleration < math.inf, "acceleration", self.acceleration, "a number above 0")
        require(self.unit == "rad" or not self.continuous, "continuous", True, "a joint in rad")
        try:
            _ = self.scale
        except ValueError as error:
            require(False, "message", self.message, str(error))

    @property
    def message_name(self) -> str:
        """What messages call the joint."""
        return self.message.name or self.name

    @property
    def scale(self) -> tuple[float, float]:
        """(a, b): position in `unit` = a x value in messages + b."""
        return self.message.scale(self.unit, self.lower, self.upper)


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
        require(self.name.isidentifier(), "name", self.name, "letters, digits and _")
        require(self.transport in TRANSPORTS, "transport", self.transport, f"one of {', '.join(TRANSPORTS)}")
        for key, pixels in (("width", self.width), ("height", self.height)):
            require(0 < pixels <= _MOST_PIXELS, key, pixels, f"1 to {_MOST_PIXELS} pixels")
        require(0 < self.rate_hz <= 1000, "rate_hz", self.rate_hz, "a rate in (0, 1000] Hz")
        for key in ("image_topic", "info_topic", "depth_topic"):
            topic = getattr(self, key)
            if topic is not None:
                require_topic(key, topic)
        if self.transport == "raw":
            require(
                not self.image_topic.endswith("/compressed"),
                "transport",
                self.transport,
                f"compressed, since image_topic is {self.image_topic}; or the raw image's topic",
            )


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A frame that does the work. frame: a site or body of the kinematic model. joints: those that move it, by name."""

    name: str
    frame: str
    joints: tuple[str, ...]

    def __post_init__(self) -> None:
        require_name(self.name)
        require(self.frame != "", "frame", self.frame, "the name of a site or body (link) of the model")
        require(len(self.joints) > 0, "joints", "none", "the joints of the arm that carries the tool")
        unique("joints", self.joints)


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
        require(self.model != "", "model", self.model, "a URDF or MJCF file")
        require(len(self.tools) > 0, "tools", "none", "at least one tool")
        unique("tools", tuple(tool.name for tool in self.tools))
        corners = not self.jog_box or (
            len(self.jog_box) == 6 and all(a < b for a, b in zip(self.jog_box[:3], self.jog_box[3:], strict=True))
        )
        require(corners, "jog_box", list(self.jog_box), "six numbers, the lower corner before the upper one")
