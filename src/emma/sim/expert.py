"""A scripted expert: does its task along waypoints, planned as a whole from the task's start."""

from collections.abc import Iterator

import numpy as np

from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.sim.arm import DeskArm
from emma.sim.kinematics import tool_down
from emma.sim.tasks import Waypoint, load_task

_EXPERT = 3

# Correlation time of the disturbance, s, and its share while the fingers are near something.
NOISE_TIME = 0.4
NEAR_SHARE = 0.3


class Expert:
    """One demonstration, tick by tick.

    commands: (T, 7) float32, the clean joint targets: what a policy should learn.
    executed: (T, 7) float32, the same with a smooth disturbance added (DART, Laskey et al., 2017): what to send, so
    that the data show how to come back from small errors. Equal to `commands` when noise is 0.

    noise: standard deviation of the disturbance of each arm joint, rad.
    Raises EmmaError if a step would exceed a joint's velocity limit or a waypoint is out of reach.
    """

    def __init__(self, sim: DeskArm, *, noise: float = 0.0) -> None:
        rng = np.random.default_rng([sim.task.seed, _EXPERT])
        home, _ = sim.kinematics.forward(sim.home[:6])
        waypoints = load_task(sim.task.kind).plan(sim.task.target, sim.task.cube_pose, home, rng)
        path, near = follow(sim, waypoints)
        self.commands = path.astype(np.float32)
        check_steps(path, sim.spec)
        disturbed = path.copy()
        disturbed[:, :6] += disturbance(rng, near, noise, 1.0 / sim.spec.control_rate_hz)
        lower = np.array([joint.lower for joint in sim.spec.joints])
        upper = np.array([joint.upper for joint in sim.spec.joints])
        self.executed = np.clip(disturbed, lower, upper).astype(np.float32)
        self._tick = 0

    def __len__(self) -> int:
        return len(self.commands)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs (clean, executed) of joint targets, one a control tick."""
        return zip(self.commands, self.executed, strict=True)

    @property
    def done(self) -> bool:
        """Whether every command has been given."""
        return self._tick >= len(self.commands)

    def command(self) -> np.ndarray:
        """(7,) the next joint targets to send; the last ones again once done."""
        targets = self.executed[min(self._tick, len(self.executed) - 1)]
        self._tick += 1
        return targets


def follow(sim: DeskArm, waypoints: list[Waypoint]) -> tuple[np.ndarray, np.ndarray]:
    """Joint targets (T, 7) along straight minimum-jerk tool paths, and (T,) bool: near an object."""
    joints = sim.state().astype(np.float64)
    position, _ = sim.kinematics.forward(joints[:6])
    arm, opening = joints[:6], joints[6]
    rows, near = [], []
    for waypoint in waypoints:
        ticks = max(1, round(waypoint.seconds * sim.spec.control_rate_hz))
        for share in minimum_jerk(np.arange(1, ticks + 1) / ticks):
            arm = sim.kinematics.inverse(position + share * (waypoint.position - position), tool_down(), arm)
            rows.append(np.append(arm, opening + share * (waypoint.opening - opening)))
        near += [waypoint.near] * ticks
        position, opening = waypoint.position, waypoint.opening
    return np.array(rows), np.array(near)


def minimum_jerk(s: np.ndarray) -> np.ndarray:
    """Travelled share of a minimum-jerk motion after the share `s` of its time (Flash and Hogan, 1985)."""
    return np.asarray(s**3 * (10.0 - 15.0 * s + 6.0 * s**2))


def check_steps(path: np.ndarray, spec: RobotSpec) -> None:
    """Raises EmmaError if any joint moves faster than its velocity limit between two ticks.

    An expert whose wrist flips still succeeds, but no policy can learn from it.
    """
    steps = np.abs(np.diff(path, axis=0)).max(axis=0) * spec.control_rate_hz
    for joint, speed in zip(spec.joints, steps, strict=True):
        if speed > joint.velocity:
            raise EmmaError(
                f"the expert moves {joint.name} too fast",
                found=f"{speed:.2f} {joint.unit}/s",
                expected=f"at most {joint.velocity} {joint.unit}/s",
                fix="give the waypoints more time",
            )


def disturbance(rng: np.random.Generator, near: np.ndarray, sigma: float, dt: float, joints: int = 6) -> np.ndarray:
    """(T, joints) rad: noise with standard deviation `sigma` and no jumps, weaker where `near`."""
    ticks = len(near)
    keep = np.exp(-dt / NOISE_TIME)
    smooth = np.zeros((ticks, joints))
    # An Ornstein-Uhlenbeck process through a low-pass of the same time constant: continuous speed.
    raw, out = np.zeros(joints), np.zeros(joints)
    kicks = rng.normal(0.0, 1.0, (ticks, joints)) * np.sqrt(1.0 - keep**2)
    share = 1.0
    for i in range(ticks):
        raw = keep * raw + kicks[i]
        out = keep * out + (1.0 - keep) * raw
        share += (1.0 - keep) * 2.0 * ((NEAR_SHARE if near[i] else 1.0) - share)
        smooth[i] = out * share
    # The low-pass halves the variance.
    return smooth * sigma * np.sqrt(2.0)
