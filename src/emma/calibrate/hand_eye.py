"""Where a camera sits on the hand or beside the robot, by joint refinement of the reprojection.

Model of a picture: camera_from_board = X^-1 G(q) Y. Camera on the hand: X = hand from camera, G = hand from base,
Y = base from board. Camera beside the robot: X = base from camera, G = base from hand, Y = hand from board.

The joints q are the measured ones at the picture's stamp plus a delay, with an offset each, half a backlash towards the
side on which the link stands, and noise. The corners of a picture are condensed to a pose and its 6 x 6 information,
which is the reprojection error to second order; every turn of the loop linearises anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats
from scipy.spatial.transform import Rotation

from emma.calibrate import noise
from emma.calibrate.closed_form import other_side, solve
from emma.calibrate.joint_track import PLAY
from emma.calibrate.motion import Arm, View, check_motion, hand_poses, readings, spatial_jacobians
from emma.calibrate.pinhole import BoardPose, Intrinsics, board_pose, refine_pose, rigid, skew
from emma.errors import EmmaError

Mount = Literal["hand", "base"]
TURNS = 6
# Prior of the delay between joint states and pictures, s.
DELAY_S = 0.05
CORNER_PX = 0.05
STUDENT = 5.0
START = (2e-3, 2e-3, 2e-3)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns of theta are what: X, Y (6 each), delay, joint offsets, backlash, lens."""

    joints: int
    lens: int

    @property
    def x(self) -> slice:
        return slice(0, 6)

    @property
    def y(self) -> slice:
        return slice(6, 12)

    @property
    def delay(self) -> int:
        return 12

    @property
    def offsets(self) -> np.ndarray:
        """The first joint's offset is part of Y, the last one's of X: only those between can be told apart."""
        return np.arange(13, 13 + max(self.joints - 2, 0))

    @property
    def backlash(self) -> np.ndarray:
        first = 13 + len(self.offsets)
        return np.arange(first, first + self.joints)

    @property
    def k(self) -> np.ndarray:
        first = 13 + len(self.offsets) + self.joints
        return np.arange(first, first + self.lens)

    @property
    def size(self) -> int:
        return 13 + len(self.offsets) + self.joints + self.lens


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """X and Y (4, 4) m; covariance (6, 6) of X: turn (rad) and shift (m) in the camera's frame.

    delay_s, offsets (J,), backlash (J,): with their standard deviations. joint_noise: standard deviation of a joint.
    """

    x: np.ndarray
    y: np.ndarray
    covariance: np.ndarray
    delay_s: tuple[float, float]
    offsets: np.ndarray
    offsets_sd: np.ndarray
    backlash: np.ndarray
    backlash_sd: np.ndarray
    joint_noise: float
    boards: tuple[BoardPose, ...]
    model: noise.LinearModel
    fit: noise.Fit
    corner_px: float

    @property
    def bound_95(self) -> tuple[float, float]:
        """mm and degrees within which X lies with 95 %."""
        return _bound(self.covariance[3:, 3:]) * 1000, float(np.degrees(_bound(self.covariance[:3, :3])))

    @property
    def left(self) -> np.ndarray:
        """(V, 6): what the model does not explain of each view, as turn (rad) and shift (m) in the optical frame."""
        return np.asarray(self.model.residuals - self.model.design @ self.fit.theta)

    def leave_one_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Error at the board's origin (V,) m and turn (V,) rad of each view, predicted from all the others."""
        a, c, s = self.model.design, self.fit.covariance, self.fit.noise
        hat = s - a @ c @ a.swapaxes(1, 2)
        error = (s @ np.linalg.solve(hat, self.left[..., None]))[..., 0]
        place = np.stack([board.camera_from_board[:3, 3] for board in self.boards])
        shift = error[:, 3:] + np.cross(error[:, :3], place)
        return np.linalg.norm(shift, axis=1), np.linalg.norm(error[:, :3], axis=1)

    def surprise(self) -> np.ndarray:
        """(V,) squared Mahalanobis distance of each view from what the others predict; chi-squared with 6 degrees."""
        a, c, s = self.model.design, self.fit.covariance, self.fit.noise * self.fit.weights[:, None, None]
        # A view that counted in full lowered its own error; one that was left out raises what is expected.
        share = self.fit.weights[:, None, None]
        hat = s + (1 - 2 * share) * (a @ c @ a.swapaxes(1, 2))
        left = self.left[..., None]
        return np.asarray((left.swapaxes(1, 2) @ np.linalg.solve(hat, left))[:, 0, 0])


def _bound(covariance: np.ndarray) -> float:
    """Radius of the ball that holds 97.5 % of a Gaussian (two such bounds hold together with 95 %).

    The sum of squares is matched by a scaled chi-squared (Satterthwaite).
    """
    trace, square = float(np.trace(covariance)), float((covariance**2).sum())
    scale, freedom = square / trace, trace**2 / square
    return float(np.sqrt(scale * stats.chi2.ppf(0.975, freedom)))


def estimate(arm: Arm, views: Sequence[View], lens: Intrinsics, mount: Mount) -> Estimate:
    """X, Y and the errors of joints and time. Raises EmmaError for motion that is degenerate."""
    check_motion(hand_poses(arm, views))
    boards = [board_pose(view.corners, lens) for view in views]
    x, y = start(motions(arm, views, mount), np.stack([b.camera_from_board for b in boards]))
    # The view of a plane from afar has two poses; what the others say decides.
    predicted = np.linalg.inv(x) @ motions(arm, views, mount) @ y
    again = [
        refine_pose(view.corners, lens, pose) if pose[2, 3] > 0 else board
        for view, pose, board in zip(views, predicted, boards, strict=True)
    ]
    boards = [b if b.rms_px < 1.5 * a.rms_px + 0.05 else a for a, b in zip(boards, again, strict=True)]
    return refine(arm, views, lens, mount, boards, x, y)


def start(motions: np.ndarray, boards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X and Y by the closed-form solver whose views agree best. Raises EmmaError where none gives an answer."""
    best = None
    for x in solve(motions, boards).values():
        y = other_side(motions, boards, x)
        error = np.linalg.inv(x) @ motions @ y @ np.linalg.inv(boards)
        score = float(np.median(np.linalg.norm(error[:, :3, 3], axis=1)))
        if best is None or score < best[0]:
            best = score, x, y
    if best is None:
        raise EmmaError(
            "no solver finds the camera's place",
            found=f"{len(motions)} views",
            expected="views from which X^-1 G Y can be solved",
            fix="take more views, with turns about two axes",
        )
    return best[1:]


def refine(
    arm: Arm,
    views: Sequence[View],
    lens: Intrinsics,
    mount: Mount,
    boards: Sequence[BoardPose],
    x: np.ndarray,
    y: np.ndarray,
) -> Estimate:
    """The joint refinement from X and Y. Views that do not fit count less (Student's t)."""
    q0 = np.stack([view.joints for view in views])
    layout = Layout(joints=q0.shape[1], lens=0 if lens.covariance is None else len(lens.values))
    corner_px = max(_corner_sigma(boards), CORNER_PX)
    nuisance = np.zeros(layout.size)
    widths, weights, done = START, np.ones(len(views)), None
    for turn in range(TURNS):
        model = _linearise(arm, views, lens, mount, boards, x, y, nuisance, layout, corner_px)
        done = noise.fit(model, widths, weights, steps=60 if turn in (1, TURNS - 1) else 15)
        widths = tuple(done.widths)
        left = model.residuals - model.design @ done.theta
        unweighted = done.noise * weights[:, None, None]
        distance = np.einsum("vi,vij,vj->v", left, np.linalg.inv(unweighted), left)
        weights = np.minimum((STUDENT + 6) / (STUDENT + distance), 1.0)
        step = done.theta
        x = x @ rigid(step[layout.x][:3], step[layout.x][3:])
        y = y @ rigid(step[layout.y][:3], step[layout.y][3:])
        nuisance = np.concatenate([np.zeros(12), step[12:]])
    assert done is not None
    model = _linearise(arm, views, lens, mount, boards, x, y, nuisance, layout, corner_px)
    covariance = done.covariance[layout.x, layout.x]
    sd = np.sqrt(np.diag(done.covariance))
    offsets, offsets_sd = np.zeros(layout.joints), np.zeros(layout.joints)
    if len(layout.offsets):
        offsets[1:-1], offsets_sd[1:-1] = nuisance[layout.offsets], sd[layout.offsets]
    return Estimate(
        x=x,
        y=y,
        covariance=covariance,
        delay_s=(float(nuisance[layout.delay]), float(sd[layout.delay])),
        offsets=offsets,
        offsets_sd=offsets_sd,
        backlash=2 * nuisance[layout.backlash],
        backlash_sd=2 * sd[layout.backlash],
        joint_noise=float(done.widths[0]),
        boards=tuple(boards),
        model=model,
        fit=replace(done, theta=nuisance),
        corner_px=corner_px,
    )


def motions(arm: Arm, views: Sequence[View], mount: Mount) -> np.ndarray:
    """(V, 4, 4): G of every view, as in the model at the top of this file."""
    poses = hand_poses(arm, views)
    return np.linalg.inv(poses) if mount == "hand" else poses


def _corner_sigma(boards: Sequence[BoardPose]) -> float:
    """Standard deviation of a corner's coordinate in pixels: the median over the views."""
    each = [(b.residuals**2).sum() / max(b.residuals.size - 6, 1) for b in boards]
    return float(np.sqrt(np.median(each)))


def adjoint(poses: np.ndarray) -> np.ndarray:
    """(..., 6, 6): twists (turn, shift) through poses (..., 4, 4)."""
    out = np.zeros((*poses.shape[:-2], 6, 6))
    out[..., :3, :3] = out[..., 3:, 3:] = poses[..., :3, :3]
    out[..., 3:, :3] = skew(poses[..., :3, 3]) @ poses[..., :3, :3]
    return out


def twist(poses: np.ndarray) -> np.ndarray:
    """(..., 6): turn and shift of small motions (..., 4, 4)."""
    turn = Rotation.from_matrix(poses[..., :3, :3].reshape(-1, 3, 3)).as_rotvec().reshape(*poses.shape[:-2], 3)
    return np.concatenate([turn, poses[..., :3, 3]], -1)


def _linearise(
    arm: Arm,
    views: Sequence[View],
    lens: Intrinsics,
    mount: Mount,
    boards: Sequence[BoardPose],
    x: np.ndarray,
    y: np.ndarray,
    nuisance: np.ndarray,
    layout: Layout,
    corner_px: float,
) -> noise.LinearModel:
    """Residuals and derivatives at X, Y and the nuisance; theta's nuisance part stays absolute, so priors hold."""
    half_play = nuisance[layout.backlash]
    # Before the first estimate a typical play tells on which side of it a joint stands.
    read = readings(views, nuisance[layout.delay], 2 * half_play if half_play.any() else np.full(layout.joints, PLAY))
    joints = read.joints + half_play * read.sides
    joints[:, 1:-1] += nuisance[layout.offsets]
    hand = arm.poses(joints)
    motions = np.linalg.inv(hand) if mount == "hand" else hand
    predicted = np.linalg.inv(x) @ motions @ y
    seen = np.stack([board.camera_from_board for board in boards])
    by_joint = adjoint(np.linalg.inv(x) @ (motions if mount == "hand" else np.eye(4))) @ spatial_jacobians(arm, joints)
    if mount == "hand":
        by_joint = -by_joint
    design = np.zeros((len(views), 6, layout.size))
    design[:, :, layout.x] = -np.eye(6)
    design[:, :, layout.y] = adjoint(predicted)
    design[:, :, layout.delay] = (by_joint @ read.velocities[..., None])[..., 0]
    design[:, :, layout.offsets] = by_joint[:, :, 1:-1]
    design[:, :, layout.backlash] = by_joint * read.sides[:, None]
    information = np.stack([board.by_pose.T @ board.by_pose for board in boards])
    precision = np.zeros(layout.size)
    precision[layout.delay] = DELAY_S**-2
    if layout.lens:
        # One unit of these columns is one standard deviation of the lens' calibration.
        values, vectors = np.linalg.eigh(_psd(lens.covariance))
        root = vectors * np.sqrt(np.maximum(values, 0))
        by_lens = np.stack([board.by_pose.T @ board.by_lens @ root for board in boards])
        design[:, :, layout.k] = np.linalg.solve(information, by_lens)
        precision[layout.k] = 1.0
    # error + design d = noise: the step that explains the error has the opposite sign; the nuisance stays absolute.
    error = twist(predicted @ np.linalg.inv(seen))
    moved = slice(12, layout.size - layout.lens)
    residuals = -error + design[:, :, moved] @ nuisance[moved]
    return noise.LinearModel(
        residuals=residuals,
        design=design,
        corners=np.linalg.inv(information) * corner_px**2,
        joints=by_joint @ by_joint.swapaxes(1, 2),
        precision=precision,
        groups=(layout.offsets, layout.backlash) if len(layout.offsets) else (layout.backlash,),
    )


def _psd(matrix: np.ndarray | None) -> np.ndarray:
    if matrix is None:
        raise ValueError("no covariance")
    return (matrix + matrix.T) / 2
