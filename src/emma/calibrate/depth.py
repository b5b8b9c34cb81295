"""A check of depth pictures against the board: scale, offset, and shift against the colour picture.

Colour gives the board's plane, so the depth of every pixel on it is known. On a tilted board a shifted depth picture
has the depth of a neighbouring pixel: one view gives the shift along its slope, several slopes give all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emma.arrays import Array
from emma.calibrate.check_result import DEPTH, CheckResult
from emma.calibrate.motion import View
from emma.calibrate.pinhole import Intrinsics, board_pose
from emma.calibrate.record import now
from emma.errors import EmmaError

MIN_VIEWS = 6
# Error of the depth of a whole board: the sensor's pattern and a warped print, m, and what grows with distance.
VIEW_M, VIEW_SHARE = 1.5e-3, 2e-3
# Standard deviations before anything is seen: scale, offset (m), shift (px) along columns and rows.
PRIOR = np.array([0.05, 0.02, 20.0, 20.0])
# A shift that is known less well than this is not reported, px.
SURE_PX = 2.0
# Share of the board that is looked at, so that a shifted picture still shows it there.
INSIDE = 0.8
READINGS = 0.3
PIXELS = 4000
TURNS = 4


@dataclass(frozen=True)
class DepthError:
    """depth(p) = (1 + scale) z(p - shift) + offset, where z is the board's. sd: of scale, offset (m), shift (px).

    bias_m: RMS of scale and offset at the boards; unexplained (V,) m: what is left of each view.
    """

    scale: float
    offset_m: float
    shift_px: np.ndarray
    sd: np.ndarray
    bias_m: float
    unexplained: np.ndarray


def depth_error(views: Sequence[View], lens: Intrinsics) -> DepthError:
    """How depth differs from the board that colour sees. Raises EmmaError where the views cannot tell."""
    views = [view for view in views if view.depth_mm is not None]
    if len(views) < MIN_VIEWS:
        raise EmmaError(
            "too few views for a check of depth",
            found=f"{len(views)} with the board and a depth picture of the same moment",
            expected=f"at least {MIN_VIEWS}, better 12",
            fix="hold the board still, tilted to all four sides, with depth streaming",
        )
    patches = [_Patch(view, lens) for view in views]
    shift: Array = np.zeros(2)
    for _ in range(TURNS):
        rows = np.stack([patch.row(shift) for patch in patches])
        design = np.column_stack([rows[:, 0], np.ones(len(rows)), -rows[:, 1:3]])
        weights = 1 / np.hypot(VIEW_M, VIEW_SHARE * rows[:, 0]) ** 2
        covariance = np.linalg.inv(design.T @ (design * weights[:, None]) + np.diag(PRIOR**-2))
        # The rows are linear around the present shift; the shift itself stays absolute, so its prior holds.
        wanted = rows[:, 3] + design[:, 2:] @ shift
        theta = covariance @ (design.T @ (weights * wanted))
        shift = theta[2:]
    sd = np.sqrt(np.diag(covariance))
    if sd[2:].max() > SURE_PX:
        sides = ("left and right", "top and bottom")[int(sd[2:].argmax())]
        raise EmmaError(
            "the views do not show whether depth lies on colour",
            found=f"the shift is known to {sd[2]:.1f} and {sd[3]:.1f} px, along columns and rows",
            expected=f"{SURE_PX:g} px",
            fix=f"tilt the board by 30 to 45 degrees, {sides} nearer to the camera in turn, in more views",
        )
    bias = theta[0] * rows[:, 0] + theta[1]
    return DepthError(
        scale=float(theta[0]),
        offset_m=float(theta[1]),
        shift_px=shift,
        sd=sd,
        bias_m=float(np.sqrt((bias**2).mean())),
        unexplained=wanted - design @ theta,
    )


def check_depth(camera: str, views: Sequence[View], lens: Intrinsics) -> tuple[CheckResult, str]:
    """The result, and a line that says what it is made of. Raises EmmaError."""
    found = depth_error(views, lens)
    dx, dy = found.shift_px
    line = (
        f"depth lies ({dx:+.1f}, {dy:+.1f}) px from colour (sd {found.sd[2]:.1f}, {found.sd[3]:.1f});"
        f" scale {1 + found.scale:.3f} (sd {found.sd[0]:.3f}), offset {found.offset_m * 1000:+.1f} mm"
        f" (sd {found.sd[1] * 1000:.1f})"
    )
    result = CheckResult(
        camera=camera,
        how=DEPTH,
        date=now(),
        views=len(found.unexplained),
        error_px=float(np.linalg.norm(found.shift_px)),
        error_mm=found.bias_m * 1000,
    )
    return result, line


class _Patch:
    """The pixels of one view that lie well inside the board, with their depth in m."""

    def __init__(self, view: View, lens: Intrinsics) -> None:
        assert view.depth_mm is not None
        hull = cv2.convexHull(view.corners.pixels.astype(np.float32)).reshape(-1, 2)
        centre = hull.mean(0)
        mask = np.zeros(view.depth_mm.shape, np.uint8)
        cv2.fillConvexPoly(mask, np.rint(centre + INSIDE * (hull - centre)).astype(np.int32), 1)
        inside = np.argwhere(mask > 0)
        inside = inside[:: max(1, len(inside) // PIXELS)]
        depth = view.depth_mm[inside[:, 0], inside[:, 1]] / 1000
        good = depth > 0
        if good.mean() < READINGS:
            raise EmmaError(
                f"depth has hardly a reading on the board in {view.name}",
                found=f"{good.mean():.0%} of the pixels",
                expected=f"{READINGS:.0%} and more",
                fix="keep the board within the sensor's range, matt and out of direct light",
            )
        self._depth, self._lens = depth[good], lens
        self._pixels = inside[good][:, ::-1].astype(np.float64)
        pose = board_pose(view.corners, lens).camera_from_board
        self._normal = pose[:3, 2]
        self._away = float(pose[:3, 2] @ pose[:3, 3])

    def row(self, shift: np.ndarray) -> np.ndarray:
        """(4,): the board's depth (m), its slope along columns and rows (m/px), and by how much depth is larger (m).

        Medians over the pixels.
        """
        step = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        here, right, below = (self._plane(self._pixels - shift + s) for s in step)
        return np.array([np.median(v) for v in (here, right - here, below - here, self._depth - here)])

    def _plane(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self._away / (self._lens.distortion.rays(pixels, self._lens.matrix) @ self._normal))
