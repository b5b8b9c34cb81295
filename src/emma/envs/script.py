"""Joint targets of a scripted demonstration made such that the robot's limits hold."""

import numpy as np

from emma.robots.spec import RobotSpec

# Share of each joint's velocity limit that a demonstration uses, and the time over which corners are rounded, s.
SPEED_SHARE = 0.8
ROUND_S = 0.16
# A gripper that moves faster than this share of its limit is taking or letting go; so long before and after, something
# is between its fingers or about to be, s.
MOVING_SHARE, NEAR_S = 0.02, 0.7


def feasible(targets: np.ndarray, start: np.ndarray, spec: RobotSpec) -> np.ndarray:
    """`targets` (T, J) followed from `start` (J,) within the spec's limits, as (T', J) with T' >= T.

    A jump becomes a ramp at `SPEED_SHARE` of the velocity limit, and every corner is rounded by a moving average, so
    that a policy sees motion that a robot can make. The end is held until the last target is reached.
    """
    period = 1.0 / spec.control_rate_hz
    largest = np.array([joint.velocity for joint in spec.joints]) * SPEED_SHARE * period
    lower = np.array([joint.lower for joint in spec.joints])
    upper = np.array([joint.upper for joint in spec.joints])
    goals = np.clip(targets, lower, upper)
    rows, now = [], np.clip(start, lower, upper)
    for goal in goals:
        now = now + np.clip(goal - now, -largest, largest)
        rows.append(now)
    while np.abs(goals[-1] - now).max() > 1e-9:
        now = now + np.clip(goals[-1] - now, -largest, largest)
        rows.append(now)
    half = max(1, round(0.5 * ROUND_S / period))
    before = np.repeat(np.clip(start, lower, upper)[None], 2 * half, axis=0)
    path = np.vstack([before, rows, np.repeat(rows[-1:], 2 * half, axis=0)])
    kernel = np.full(2 * half + 1, 1.0 / (2 * half + 1))
    return np.stack([np.convolve(path[:, j], kernel, mode="valid") for j in range(path.shape[1])], axis=1)


def near_grips(path: np.ndarray, spec: RobotSpec) -> np.ndarray:
    """(T,) bool: within `NEAR_S` of a moment at which a gripper of the path (T, J) moves."""
    period = 1.0 / spec.control_rate_hz
    moving = np.zeros(len(path), bool)
    for i, joint in enumerate(spec.joints):
        if joint.name in spec.gripper:
            speed = np.abs(np.diff(path[:, i], prepend=path[0, i])) / period
            moving |= speed > MOVING_SHARE * joint.velocity
    reach = round(NEAR_S / period)
    return np.asarray(np.convolve(moving, np.ones(2 * reach + 1), mode="full")[reach : reach + len(path)] > 0)
