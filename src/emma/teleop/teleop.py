"""A person's hand on the robot: starts where the arm was told to be, follows a device, brakes and lets go."""

from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np

from emma.control.safety import SafetyFilter
from emma.control.tracking import BLIND_S, TrackingGuard
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
    """idle: commands nothing; driving: follows the device; braking: comes to rest, then idle. taking: the node
    waits for the present commander to stop; the `Teleop` itself is idle."""

    IDLE = "idle"
    TAKING = "taking"
    DRIVING = "driving"
    BRAKING = "braking"


class Teleop:
    """One device on one robot, one `tick` per control period. Not thread-safe."""

    def __init__(self, spec: RobotSpec, device: Device) -> None:
        self.device = device
        self.phase = Phase.IDLE
        self.note = ""
        self._safety = SafetyFilter(spec)
        self._guard = TrackingGuard(spec)

    @property
    def position(self) -> np.ndarray | None:
        """(J,) where the robot is commanded to be; None before the first `engage`."""
        return self._safety.position

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

    def tick(self, t_s: float, measured: np.ndarray, age_s: float) -> np.ndarray | None:
        """The (J,) command for this moment, or None while idle.

        measured: (J,) the newest measured pose, `age_s` old. No command lies further from it than the guard's reach; if
        the robot is elsewhere, or its state is not known, the person lets go of it, and `note` has the reason.
        """
        position = self._safety.position
        if self.phase is Phase.IDLE or position is None:
            return None
        if age_s > BLIND_S:
            self.phase, self.note = Phase.IDLE, f"stopped: no joint states for {age_s:.2f} s; take the robot again"
            return None
        command = self._wanted(t_s, position, measured)
        excess = self._guard.excess(position, measured) or self._guard.excess(command, measured)
        if excess:
            self.phase, self.note = Phase.IDLE, f"stopped: {excess}; take the robot again"
            return self._guard.hold_at(measured)
        return command

    def _wanted(self, t_s: float, position: np.ndarray, measured: np.ndarray) -> np.ndarray:
        if self.phase is Phase.BRAKING:
            position = self._safety.brake().position
            if self._safety.at_rest:
                self.phase = Phase.IDLE
            return position
        wanted = self.device.target(t_s, position)
        self.note = wanted.note
        if wanted.position is None:
            return self._safety.brake().position
        reach = (measured - self._guard.reach, measured + self._guard.reach)
        safe = self._safety.step(wanted.position, speed=wanted.speed, within=reach)
        if "not finite" in safe.clipped:
            self.note = "the device gives no finite numbers"
        return safe.position
