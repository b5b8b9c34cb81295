"""Guides a person through the views: what to do next, hold still, taken."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from emma.calibrate.board import Board
from emma.calibrate.coverage import Coverage, coverage
from emma.calibrate.detect import Corners, Detector
from emma.calibrate.gather import BLUR_PX
from emma.calibrate.motion import View, check_motion
from emma.calibrate.pinhole import Intrinsics, board_pose
from emma.errors import EmmaError

# The board stands still when its corners move less than this between pictures for so long.
STILL_PX_OF_WIDTH = 0.0025
STILL_S = 0.3
# A view is new when the board's corners are elsewhere by this share of the width, or a joint by so many rad.
NEW_OF_WIDTH = 0.06
NEW_JOINT = 0.08
ENOUGH_POSES = 20


class Status(StrEnum):
    NO_BOARD = "no board in sight"
    MOVING = "hold still"
    BLURRED = "not sharp"
    KNOWN = "taken before: move on"
    TAKEN = "taken"


@dataclass
class Guide:
    """Takes views by itself when they are still, sharp and new. poses: base from hand of joints, for hand-eye.

    corners: of the newest picture, None without a board. Not thread-safe.
    """

    board: Board
    size: tuple[int, int]
    poses: Callable[[np.ndarray], np.ndarray] | None = None
    views: list[View] = field(default_factory=list)
    corners: Corners | None = None
    _still_since: float = np.inf

    def __post_init__(self) -> None:
        self._detector = Detector(self.board)
        # Good enough to tell tilts and distances apart before the lens is known.
        k = np.array([[self.size[0], 0, self.size[0] / 2], [0, self.size[0], self.size[1] / 2], [0, 0, 1.0]])
        self._lens = Intrinsics(
            model="plumb_bob", width=self.size[0], height=self.size[1], matrix=k, coefficients=(0.0,) * 5
        )

    def offer(self, image: np.ndarray, time_s: float, joints: np.ndarray, depth_mm: np.ndarray | None = None) -> Status:
        """Look at one picture (H, W) with the joints (J,) and the depth (H, W) of its moment."""
        corners = self._detector.find(image)
        before, self.corners = self.corners, corners
        if corners is None:
            self._still_since = np.inf
            return Status.NO_BOARD
        if before is None or _apart(before, corners) > STILL_PX_OF_WIDTH * self.size[0]:
            self._still_since = time_s
            return Status.MOVING
        if time_s - self._still_since < STILL_S:
            return Status.MOVING
        if corners.blur_px > BLUR_PX:
            return Status.BLURRED
        if any(self._same(view, corners, joints) for view in self.views):
            return Status.KNOWN
        name = f"{len(self.views):03d}.png"
        view = View(name=name, corners=corners, joints=joints, time_s=time_s, picture=image, depth_mm=depth_mm)
        self.views.append(view)
        return Status.TAKEN

    @property
    def missing(self) -> tuple[str, ...]:
        """What is still to be shown, the most useful first. Empty: enough."""
        if self.poses is None:
            return self.coverage.missing
        wanted = []
        if len(self.views) >= 3:
            try:
                check_motion(np.concatenate([self.poses(np.stack([v.joints for v in self.views]))] * 4))
            except EmmaError as error:
                wanted.append(error.fix or error.problem)
        if len(self.views) < ENOUGH_POSES:
            wanted.append(f"{ENOUGH_POSES - len(self.views)} more poses: tilt and roll the wrist, board in the picture")
        return tuple(wanted)

    @property
    def coverage(self) -> Coverage:
        """What the views show of the picture, of tilts and of distances."""
        corners = [view.corners for view in self.views]
        return coverage(corners, [board_pose(each, self._lens) for each in corners], self.size)

    def _same(self, view: View, corners: Corners, joints: np.ndarray) -> bool:
        if len(joints) and np.abs(view.joints - joints).max() > NEW_JOINT:
            return False
        return _apart(view.corners, corners) < NEW_OF_WIDTH * self.size[0]


def _apart(a: Corners, b: Corners) -> float:
    """Largest distance in pixels between corners that both have; infinite where they share fewer than four."""
    shared, in_a, in_b = np.intersect1d(a.ids, b.ids, return_indices=True)
    if len(shared) < 4:
        return np.inf
    return float(np.linalg.norm(a.pixels[in_a] - b.pixels[in_b], axis=1).max())
