"""A person's hand on the robot: starts where the arm was told to be, follows a device, brakes and lets go."""

from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np

from emma.control.safety import SafetyFilter
from emma.robots.spec import RobotSpec


class Target(NamedTuple):
    """What a device wants now. position: (J,) joint targets, None to stand still; speed: share of the velocity limits;
    note: what the person should know, "" if all is well."""

    position: np.ndarray | None
    speed: float = 1.0
    note: str = ""


class Device(Protocol):
    """What a person moves the robot with. Times are seconds on the monotonic clock."""

    def begin(self, position: np.ndarray, t_s: float) -> None:
        """From now on the robot follows; it is commanded to be at (J,) `position`."""
        ...

    def target(self, t_s: float, position: np.ndarray) -> Target:
        """Where the robot shall go; it is commanded to be at `position` now."""
        ...


class Phase(StrEnum):
    """idle: commands nothing; driving: follows the device; braking: comes to rest, then idle."""

    IDLE = "idle"
    DRIVING = "driving"
    BRAKING = "braking"


class Teleop:
    """One device on one robot, one `tick` per control period. Not thread-safe."""

    def __init__(self, spec: RobotSpec, device: Device) -> None:
        self.device = device
        self.phase = Phase.IDLE
        self.note = ""
        self._safety = SafetyFilter(spec)

    def engage(self, position: np.ndarray, t_s: float) -> None:
        """Take the robot over, at rest at (J,) `position`. Raises ValueError if that is not finite."""
        self._safety.start(position)
        started = self._safety.position
        assert started is not None
        self.device.begin(started, t_s)
        self.phase, self.note = Phase.DRIVING, ""

    def release(self) -> None:
        """Let go of the robot, once it is at rest."""
        if self.phase is Phase.DRIVING:
            self.phase, self.note = Phase.BRAKING, ""

    def stop(self) -> np.ndarray | None:
        """Let go at once, without braking. Returns the pose (J,) to hold, None if it was not driving."""
        held = None if self.phase is Phase.IDLE or self._safety.position is None else self._safety.hold().position
        self.phase, self.note = Phase.IDLE, ""
        return held

    def tick(self, t_s: float) -> np.ndarray | None:
        """The (J,) command for this moment, or None while idle."""
        position = self._safety.position
        if self.phase is Phase.IDLE or position is None:
            return None
        if self.phase is Phase.BRAKING:
            position = self._safety.brake().position
            if self._safety.at_rest:
                self.phase = Phase.IDLE
            return position
        wanted = self.device.target(t_s, position)
        self.note = wanted.note
        if wanted.position is None:
            return self._safety.brake().position
        safe = self._safety.step(wanted.position, speed=wanted.speed)
        if "not finite" in safe.clipped:
            self.note = "the device gives no finite numbers"
        return safe.position
