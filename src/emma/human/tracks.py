"""Hand keypoints to tool poses: what cannot be right is refused, what is missing is marked, short gaps are bridged."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from emma.errors import EmmaError
from emma.human.hand_frame import NEEDED, curl, hand_frame, opening, palm_length
from emma.human.recording import Recording
from emma.policy.end_effector.poses import inverse


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """Which samples count as valid.

    min_confidence: least confidence, where the format has one. max_gap_s: longest gap that interpolation bridges.
    max_speed_m_s: a hand that moves faster between two samples has jumped. max_bone_change: largest change of the
    palm's length, over its median.
    """

    min_confidence: float = 0.5
    max_gap_s: float = 0.2
    max_speed_m_s: float = 4.0
    max_bone_change: float = 0.15


@dataclass(frozen=True, kw_only=True)
class HandTrack:
    """The valid samples of one hand: times_s (M,), world_from_tool (M, 4, 4), opening_m (M,).

    lost: reason -> samples that do not count for it.
    """

    times_s: np.ndarray
    poses: np.ndarray
    opening_m: np.ndarray
    max_gap_s: float
    lost: dict[str, int]

    def at(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Poses (K, 4, 4), openings (K,) and validity (K,) at `times_s`; an invalid moment holds the nearest values."""
        inside = np.clip(times_s, self.times_s[0], self.times_s[-1])
        after = np.clip(np.searchsorted(self.times_s, inside, side="left"), 1, len(self.times_s) - 1)
        gap = self.times_s[after] - self.times_s[after - 1]
        exact = np.isclose(inside, self.times_s[after], atol=1e-9) | np.isclose(
            inside, self.times_s[after - 1], atol=1e-9
        )
        valid = (np.abs(inside - times_s) < 1e-6) & ((gap <= self.max_gap_s + 1e-9) | exact)
        nearer = np.where(inside - self.times_s[after - 1] < self.times_s[after] - inside, after - 1, after)
        moments = np.where(valid, inside, self.times_s[nearer])
        poses = np.tile(np.eye(4), (len(times_s), 1, 1))
        poses[:, :3, :3] = Slerp(self.times_s, Rotation.from_matrix(self.poses[:, :3, :3]))(moments).as_matrix()
        for axis in range(3):
            poses[:, axis, 3] = np.interp(moments, self.times_s, self.poses[:, axis, 3])
        return poses, np.interp(moments, self.times_s, self.opening_m), valid


def hand_track(
    recording: Recording, side: str, cleaning: Cleaning | None = None, tool_from_hand: np.ndarray | None = None
) -> HandTrack:
    """Raises EmmaError for a hand that is absent, in the wrong unit, mirrored or swapped."""
    cleaning, name = cleaning or Cleaning(), recording.files[0]
    points = recording.points.get(side)
    valid = np.zeros(0, bool) if points is None else np.isfinite(points[:, NEEDED]).all(axis=(1, 2))
    lost = {"missing": int((~valid).sum())}
    if points is not None and side in recording.confidence:
        sure = recording.confidence[side] >= cleaning.min_confidence
        lost["confidence"] = int((valid & ~sure).sum())
        valid &= sure
    if points is None or valid.sum() < 2:
        raise EmmaError(
            f"{name} does not show the {side} hand",
            found=f"{int(valid.sum())} samples that count ({lost})",
            expected="2 or more",
            fix="choose the other hand with --hands, or lower --min-confidence",
        )
    length = palm_length(points)
    _check_unit(float(np.median(length[valid])), side, name)
    bent = _far_from_median(length, valid, cleaning.max_bone_change)
    lost["bone length"] = int(bent.sum())
    valid &= ~bent
    jumps = _jumps(recording.times_s, points[:, 0], valid, cleaning.max_speed_m_s)
    lost["jump"] = int(jumps.sum())
    valid &= ~jumps
    if valid.sum() < 2:
        raise EmmaError(f"{name}: the {side} hand never holds still enough", found=str(lost), expected="valid samples")
    _check_chirality(points[valid], side, name)
    poses = hand_frame(points[valid], side)
    if tool_from_hand is not None:
        poses = poses @ inverse(tool_from_hand)
    return HandTrack(
        times_s=recording.times_s[valid],
        poses=poses,
        opening_m=opening(points[valid]),
        max_gap_s=cleaning.max_gap_s,
        lost=lost,
    )


def _check_unit(palm: float, side: str, name: object) -> None:
    if 0.05 <= palm <= 0.15:
        return
    guess = next((unit for unit, scale in (("mm", 1e-3), ("cm", 1e-2)) if 0.05 <= palm * scale <= 0.15), "")
    raise EmmaError(
        f"{name}: the {side} hand has an impossible size",
        found=f"{palm:.4g} from wrist to middle knuckle" + (f", as if in {guess}" if guess else ""),
        expected="0.05 to 0.15 m",
        fix=f"convert to m (`unit: {guess or 'mm'}` in a table's column map)",
    )


def _far_from_median(length: np.ndarray, valid: np.ndarray, limit: float) -> np.ndarray:
    middle = np.median(length[valid])
    return valid & (np.abs(np.where(valid, length, middle) / middle - 1) > limit)


def _jumps(times: np.ndarray, places: np.ndarray, valid: np.ndarray, limit: float) -> np.ndarray:
    """Samples that are too far from the last one that counts, and as many again as the hand needs to get there."""
    out = np.zeros(len(times), bool)
    last = -1
    for i in np.flatnonzero(valid):
        if last >= 0 and np.linalg.norm(places[i] - places[last]) > limit * (times[i] - times[last]):
            out[i] = True
        else:
            last = int(i)
    return out


def _check_chirality(points: np.ndarray, side: str, name: object) -> None:
    bends = float(np.nanmedian(curl(points, side)))
    if bends > 0.1:
        raise EmmaError(
            f"{name}: the fingers of the {side} hand bend backwards",
            found=f"fingertips {bends:.2f} palm lengths behind the back of the hand",
            expected="fingers that bend towards the palm",
            fix="correct either left-handed coordinates (`coordinates: unity`) or swapped sides, not both",
        )
