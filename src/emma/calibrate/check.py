"""Whether a camera is still where its calibration has it, from a few views of the board."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import least_squares

from emma.calibrate.check_result import FOLDER, CheckResult
from emma.calibrate.closed_form import mean_pose
from emma.calibrate.files import mount_of
from emma.calibrate.hand_eye import Mount, motions, twist
from emma.calibrate.motion import Arm, View
from emma.calibrate.pinhole import Intrinsics, board_pose, rigid
from emma.calibrate.record import now
from emma.errors import EmmaError

MIN_VIEWS = 4


def check_views(folder: Path, camera: str, arm: Arm, views: Sequence[View], lens: Intrinsics) -> CheckResult:
    """Fit only where the board lies, keep the camera as calibrated, and see what is left. Raises EmmaError.

    Where the views have pictures, that of the largest error goes to `checks/`.
    """
    known = mount_of(folder, camera)
    if known is None:
        raise EmmaError(
            f"camera {camera} has no calibration to check",
            found=f"no entry in {folder / 'extrinsics.yaml'}",
            expected="a calibrated camera",
            fix=f"run `emma calibrate hand-eye {camera}` first",
        )
    if len(views) < MIN_VIEWS:
        raise EmmaError(
            "too few views for a check",
            found=f"{len(views)} with the board",
            expected=f"at least {MIN_VIEWS}, from different poses of the arm",
            fix="move the arm between pictures, with the board in sight",
        )
    parent, x = known
    mount: Mount = "base" if parent == "base" else "hand"
    boards = [board_pose(view.corners, lens) for view in views]
    seen = np.stack([board.camera_from_board for board in boards])
    moved = np.linalg.inv(x) @ motions(arm, views, mount)
    start = mean_pose(np.linalg.inv(moved) @ seen)

    def error(step: np.ndarray) -> np.ndarray:
        predicted = moved @ start @ rigid(step[:3], step[3:])
        off = twist(predicted @ np.linalg.inv(seen))
        return np.concatenate([b.by_pose @ e for b, e in zip(boards, off, strict=True)])

    fitted = least_squares(error, np.zeros(6), loss="soft_l1", f_scale=2.0)
    y = start @ rigid(fitted.x[:3], fitted.x[3:])
    off = twist(moved @ y @ np.linalg.inv(seen))
    pixels = np.concatenate([(b.by_pose @ e).reshape(-1, 2) for b, e in zip(boards, off, strict=True)])
    shift = off[:, 3:] + np.cross(off[:, :3], seen[:, :3, 3])
    worst = int(np.linalg.norm(shift, axis=1).argmax())
    picture = ""
    if (image := views[worst].picture) is not None:
        picture = f"{FOLDER}/{camera}.png"
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        expected = moved[worst] @ y
        points = lens.project(views[worst].corners.points @ expected[:3, :3].T + expected[:3, 3])[0]
        cv2.imwrite(str(folder / picture), _drawn(image, views[worst].corners.pixels, points))
    return CheckResult(
        camera=camera,
        how="board",
        date=now(),
        views=len(views),
        error_px=float(np.sqrt((pixels**2).sum(1).mean())),
        error_mm=float(np.sqrt((shift**2).sum(1).mean())) * 1000,
        picture=picture,
    )


def _drawn(picture: np.ndarray, seen: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 BGR: corners as they are seen in green, as the calibration expects them in red."""
    drawn = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    size = max(2, picture.shape[1] // 200)
    for a, b in zip(np.rint(seen).astype(int), np.rint(expected).astype(int), strict=True):
        cv2.line(drawn, a.tolist(), b.tolist(), (0, 0, 230), 1, cv2.LINE_AA)
        cv2.circle(drawn, b.tolist(), size, (0, 0, 230), 1, cv2.LINE_AA)
        cv2.circle(drawn, a.tolist(), size, (0, 200, 0), 1, cv2.LINE_AA)
    return drawn
