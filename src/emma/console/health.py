"""How an episode moves, in a few numbers that tell good demonstrations from bad ones."""

from typing import Any

import numpy as np

from emma.robots.spec import RobotSpec

# Slower than this share of its velocity limit a joint counts as standing.
IDLE = 0.01
# Closer to a limit than this share of its range a command counts as a hit.
NEAR = 0.002


def health(times: np.ndarray, state: np.ndarray, action: np.ndarray, spec: RobotSpec | None) -> dict[str, Any]:
    """times: (T,) s; state: (T, J); action: (N, J). jerk: RMS over time of the third difference, rad or m per s^3, of
    the worst joint; idle: share of the time in which no joint moves; limit hits: commands at a joint's limit, without
    grippers, which are meant to close."""
    if len(times) < 4 or not state.size:
        return {}
    step = float(np.median(np.diff(times))) or 1.0
    velocity = np.gradient(state.astype(np.float64), times, axis=0)
    jerk = np.diff(state.astype(np.float64), n=3, axis=0) / step**3
    found: dict[str, Any] = {"jerk": round(float(np.sqrt((jerk**2).mean(axis=0)).max()), 2)}
    if spec is None or len(spec.joints) != state.shape[1]:
        return found
    limits = np.array([joint.velocity for joint in spec.joints])
    found["idle"] = f"{float((np.abs(velocity) < IDLE * limits).all(axis=1).mean()):.0%}"
    arm = [i for i, joint in enumerate(spec.joints) if joint.name not in spec.gripper]
    lower = np.array([spec.joints[i].lower for i in arm])
    upper = np.array([spec.joints[i].upper for i in arm])
    near = NEAR * (upper - lower)
    hits = (action[:, arm] < lower + near) | (action[:, arm] > upper - near) if len(action) else np.zeros((0, 1), bool)
    found["limit hits"] = int(hits.any(axis=1).sum())
    return found
