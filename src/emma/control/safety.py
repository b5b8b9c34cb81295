"""The last thing between a policy and a motor: every command passes this filter."""

from dataclasses import dataclass

import numpy as np

from emma.arrays import Array
from emma.control.workspace import Workspace
from emma.robots.spec import RobotSpec

# Shares of a step that are tried at the edge of the workspace.
PARTS = (1.0, 0.75, 0.5, 0.25)
# How far outside counts as the same place (m): rounding, not room.
TOUCH_M = 1e-6


# A command waits at the end of its reach when it is this near to it, as a share of the whole way through the reach.
EDGE = 0.05


@dataclass(frozen=True, kw_only=True)
class SafeCommand:
    """A command that keeps every limit. position: (J,) float64; clipped: which limits acted, empty when none did.

    waits: the command is at the end of the arm's reach and its target is beyond, as when the arm does not follow. A far
    target alone is not that: an arm that follows takes the reach along.
    """

    position: Array
    clipped: tuple[str, ...] = ()
    waits: bool = False


class SafetyFilter:
    """Position, velocity and acceleration limits at a fixed tick, NaN/Inf rejection, hold.

    Tracks a target with the fastest motion the limits allow and brakes in time, so a jump in the target becomes a
    bounded motion and never a jump of the arm. One filter per command topic; not thread-safe.
    """

    def __init__(self, spec: RobotSpec, *, period_s: float | None = None, workspace: Workspace | None = None) -> None:
        """workspace: where the tool has to stay, as well; it is left no further, and may always be returned to."""
        self._dt = period_s or 1.0 / spec.control_rate_hz
        self._workspace = workspace
        self._lower = np.array([j.lower for j in spec.joints])
        self._upper = np.array([j.upper for j in spec.joints])
        self._velocity = np.array([j.velocity for j in spec.joints])
        self._acceleration = np.array([j.acceleration for j in spec.joints])
        self._q: Array | None = None
        self._v: Array = np.zeros(len(spec.joints))
        self._target: Array = np.zeros(len(spec.joints))

    @property
    def position(self) -> Array | None:
        """The last commanded position, or None before `start`."""
        return None if self._q is None else self._q.copy()

    def start(self, measured: Array) -> None:
        """Begin at the measured pose, at rest. Raises ValueError if it is not finite."""
        if not np.isfinite(measured).all():
            raise ValueError("measured pose is not finite")
        self._q = np.clip(np.asarray(measured, dtype=np.float64), self._lower, self._upper)
        self._v = np.zeros_like(self._q)
        self._target = self._q.copy()

    def hold(self) -> SafeCommand:
        """The last commanded position again, at rest. Never zeros. Raises RuntimeError before `start`."""
        if self._q is None:
            raise RuntimeError("SafetyFilter.start was not called")
        self._v[:] = 0.0
        self._target = self._q.copy()
        return SafeCommand(position=self._q.copy())

    @property
    def at_rest(self) -> bool:
        """Whether the last command moved nothing."""
        return not self._v.any()

    def brake(self) -> SafeCommand:
        """One tick towards rest, as fast as the acceleration limits allow: how to stop a moving arm on purpose.

        Raises RuntimeError before `start`.
        """
        if self._q is None:
            raise RuntimeError("SafetyFilter.start was not called")
        slower = np.maximum(np.abs(self._v) - self._acceleration * self._dt, 0.0)
        position = np.clip(self._q + np.copysign(slower, self._v) * self._dt, self._lower, self._upper)
        # Not (position - q) / dt: its last digits would keep a resting joint moving.
        self._v = np.where(slower > 0.0, (position - self._q) / self._dt, 0.0)
        self._q = position
        self._target = position.copy()
        return SafeCommand(position=position.copy())

    def step(self, target: Array, *, speed: float = 1.0, within: tuple[Array, Array] | None = None) -> SafeCommand:
        """One tick towards `target` (J,). `speed` in (0, 1] scales the velocity limits, for ramping in.

        within: (J,) lowest and highest position of this tick, beside the robot's own limits; they must enclose the last
        command. A target that is not finite or not (J,) is answered with `hold` and the reason in `clipped`.
        """
        if self._q is None:
            raise RuntimeError("SafetyFilter.start was not called")
        target = np.asarray(target, dtype=np.float64)
        if target.shape != self._q.shape:
            return SafeCommand(position=self.hold().position, clipped=(f"shape {target.shape}",))
        if not np.isfinite(target).all():
            return SafeCommand(position=self.hold().position, clipped=("not finite",))
        reasons = []
        lower, upper = self._lower, self._upper
        inside = np.clip(target, lower, upper)
        if not np.array_equal(inside, target):
            reasons.append("position")
        if within is not None:
            lower, upper = np.maximum(lower, within[0]), np.minimum(upper, within[1])
            near = np.clip(inside, lower, upper)
            if not np.array_equal(near, inside):
                reasons.append("reach")
            inside = near
        top = self._velocity * speed
        error = inside - self._q
        moving = np.clip((inside - self._target) / self._dt, -top, top)
        self._target = inside
        # A target in steady motion is followed without lag; only the distance it is ahead by must be braked out.
        ahead = error / self._dt - moving
        velocity = moving + np.clip(ahead, *_both(self._braking(np.abs(ahead) * self._dt)))
        bounded = np.clip(velocity, -top, top)
        if (np.abs(bounded - velocity) > 1e-9).any():
            reasons.append("velocity")
        bounded = np.clip(bounded, -self._braking(self._q - lower), self._braking(upper - self._q))
        step = self._acceleration * self._dt
        limited = np.clip(bounded, self._v - step, self._v + step)
        if (np.abs(limited - bounded) > 1e-9).any():
            reasons.append("acceleration")
        if self._workspace is not None:
            allowed = self._workspace_velocity(self._workspace, limited)
            if allowed is not limited:
                reasons.append("workspace")
                limited = allowed
        position = np.clip(self._q + limited * self._dt, lower, upper)
        self._v = (position - self._q) / self._dt
        self._q = position
        waits = "reach" in reasons and within is not None and _at_edge(position, within)
        return SafeCommand(position=position.copy(), clipped=tuple(reasons), waits=waits)

    def _workspace_velocity(self, workspace: Workspace, velocity: Array) -> Array:
        """The largest part of `velocity` (J,) from which the tool can still be stopped within the workspace.

        What lies between it and braking keeps the acceleration limits, because both ends do.
        """
        assert self._q is not None
        now = workspace.outside(self._q)
        slowest: Array = np.copysign(np.maximum(np.abs(self._v) - self._acceleration * self._dt, 0.0), self._v)
        for part in PARTS:
            tried = slowest + part * (velocity - slowest)
            path = [np.clip(q, self._lower, self._upper) for q in self._stopping(tried)]
            # NaN compares false, so a pose whose kinematics fail is not gone to.
            if all(workspace.outside(q) <= now + TOUCH_M for q in path):
                return velocity if part == 1.0 else tried
        return slowest

    def _stopping(self, velocity: Array) -> list[Array]:
        """Poses (J,) on the way to rest after one tick at `velocity`: the next one, half way, and the last."""
        assert self._q is not None
        after = self._q + velocity * self._dt
        way = velocity * np.maximum(np.abs(velocity) / self._acceleration - self._dt, 0.0) / 2.0
        return [after, after + 0.75 * way, after + way]

    def _braking(self, distance: Array) -> Array:
        """The highest speed (J,) from which `distance` (J,) still suffices to stop, changing speed once a tick.

        Stopping in n ticks from speed v covers n*v*dt - a*dt^2*n*(n-1)/2; n is the fewest ticks that can cover the
        distance, and v is that equation solved for it.
        """
        distance = np.maximum(distance, 0.0)
        step = self._acceleration * self._dt
        n = np.maximum(np.ceil(np.sqrt(0.25 + 2.0 * distance / (step * self._dt)) - 0.5), 1.0)
        return np.asarray(distance / (n * self._dt) + step * (n - 1.0) / 2.0)


def _at_edge(position: Array, within: tuple[Array, Array]) -> bool:
    lower, upper = within
    width = upper - lower
    near = np.minimum(position - lower, upper - position) <= EDGE * np.where(np.isfinite(width), width, 0.0)
    return bool((near & np.isfinite(width)).any())


def _both(limit: Array) -> tuple[Array, Array]:
    return -limit, limit
