"""The hand frame, from keypoints by one definition; axes that a device reports are never used.

z points from the wrist to the middle knuckle. x lies in the plane of the palm and points to the left when the palm
faces down and the fingers point away: from little to index knuckle in a right hand, the other way in a left hand.
y = z x x leaves the back of the hand, in either hand, so that both have a right-handed frame. The origin is the mean
of wrist, index knuckle and little knuckle.
"""

import numpy as np

# The 21 points in MediaPipe's order.
POINTS = (
    "wrist",
    *(f"thumb_{part}" for part in ("base", "knuckle", "joint", "tip")),
    *(
        f"{name}_{part}"
        for name in ("index", "middle", "ring", "little")
        for part in ("knuckle", "joint", "end", "tip")
    ),
)
WRIST, THUMB_TIP, INDEX, INDEX_TIP, MIDDLE, LITTLE = 0, 4, 5, 8, 9, 17
KNUCKLES, TIPS = (5, 9, 13, 17), (8, 12, 16, 20)
# What the frame and the opening need; the others are for pictures and checks.
NEEDED = (WRIST, THUMB_TIP, INDEX, INDEX_TIP, MIDDLE, LITTLE)
BONES = tuple((0 if i % 4 == 1 else i - 1, i) for i in range(1, 21))
SIDES = ("left", "right")


def hand_frame(points: np.ndarray, side: str) -> np.ndarray:
    """world_from_hand (N, 4, 4) of keypoints (N, 21, 3); NaN where a needed keypoint is NaN."""
    forward = points[:, MIDDLE] - points[:, WRIST]
    across = points[:, INDEX] - points[:, LITTLE]
    if side == "left":
        across = -across
    z = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    x = across - (across * z).sum(-1, keepdims=True) * z
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    pose = np.zeros((len(points), 4, 4))
    pose[:, :3, :3] = np.stack([x, np.cross(z, x), z], axis=-1)
    pose[:, :3, 3] = points[:, (WRIST, INDEX, LITTLE)].mean(axis=1)
    pose[:, 3, 3] = 1.0
    return pose


def opening(points: np.ndarray) -> np.ndarray:
    """(N,) m: distance of the tips of thumb and index finger."""
    return np.linalg.norm(points[:, THUMB_TIP] - points[:, INDEX_TIP], axis=-1)


def palm_length(points: np.ndarray) -> np.ndarray:
    """(N,) distance from the wrist to the middle knuckle: rigid in a hand, 0.07 to 0.11 m in adults."""
    return np.linalg.norm(points[:, MIDDLE] - points[:, WRIST], axis=-1)


def curl(points: np.ndarray, side: str) -> np.ndarray:
    """(N,) how far the fingertips lie on the back side of the palm, over the palm's length.

    Fingers bend towards the palm, so the mean is negative. It is positive where the sides are swapped or the
    coordinates are left-handed.
    """
    back = hand_frame(points, side)[:, :3, 1]
    fingers = points[:, TIPS].mean(axis=1) - points[:, KNUCKLES].mean(axis=1)
    return (fingers * back).sum(-1) / palm_length(points)
