"""Velocity and last direction of each joint from recorded joint states."""

import numpy as np

# Window of the velocity, s: long against the noise of an encoder, short against a motion.
WINDOW_S = 0.08
# A joint that moved less than this before the picture tells nothing of its backlash, rad or m.
TRAVEL = 0.02
LOOK_BACK_S = 10.0
STILL = 0.01


def motion_at(times_s: np.ndarray, joints: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Velocity (J,) per second at a time, and the direction (J,) in -1, 0, 1 of each joint's last travel before it.

    times_s (T,) rising; joints (T, J). The travel counts from the last reversal that was larger than `TRAVEL`.
    """
    near = np.abs(times_s - time_s) <= WINDOW_S / 2
    if near.sum() < 3:
        near[np.argsort(np.abs(times_s - time_s))[: min(3, len(times_s))]] = True
    t = times_s[near] - times_s[near].mean()
    spread = float((t**2).sum())
    velocity = (t @ (joints[near] - joints[near].mean(0))) / spread if spread > 0 else np.zeros(joints.shape[1])
    before = (times_s <= time_s) & (times_s >= time_s - LOOK_BACK_S)
    return velocity, np.array([_direction(column) for column in joints[before].T])


def _direction(values: np.ndarray) -> float:
    """-1, 0 or 1: towards where the joint travelled last. Its backlash lies against the side it came from."""
    if len(values) == 0:
        return 0.0
    end = values[-1]
    # Backwards in time, until the joint was further than TRAVEL from where it is now.
    away = values[::-1] - end
    far = np.flatnonzero(np.abs(away) > TRAVEL)
    if len(far) == 0:
        return 0.0
    # The link trails behind the motor: coming from below, the link is below.
    return float(np.sign(away[far[0]]))
