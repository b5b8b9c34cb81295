"""A camera's intrinsics from views of a board. Views that were held out decide whether they hold."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emma.calibrate.coverage import MIN_VIEWS, Coverage, coverage
from emma.calibrate.detect import Corners
from emma.calibrate.pinhole import ESTIMATED, MODELS, BoardPose, Intrinsics, board_pose
from emma.errors import EmmaError

FOLDS = 5
# Above this, the views do not confirm the calibration, whatever the lens: corners are found to 0.1 or 0.2 pixels.
HELD_OUT_PX = 0.7
# Held-out views may be this much worse than those that were used.
HELD_OUT_RATIO = 1.6
OUTLIER = 3.0
OUTLIER_PX = 0.25
MAX_OUTLIERS = 0.2
MAX_STEPS = 60
# Fields of view to begin a fisheye with, rad.
FIELDS = (1.6, 2.2, 2.9)
UNTIL = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, MAX_STEPS, 1e-9)


@dataclass(frozen=True, kw_only=True)
class CameraResult:
    """Intrinsics and what speaks for them.

    rms_px: reprojection error of the views that were used; held_out_px: of views that were left out in turn.
    outliers: names of views that were left out for good; focal_95: 95 % bound of the focal length's error, a share.
    """

    lens: Intrinsics
    rms_px: float
    held_out_px: float
    focal_95: float
    names: tuple[str, ...]
    outliers: tuple[str, ...]
    coverage: Coverage
    poses: tuple[BoardPose, ...]


def calibrate_camera(
    views: Sequence[Corners],
    size: tuple[int, int],
    model: str = "plumb_bob",
    names: Sequence[str] | None = None,
    *,
    thin: bool = False,
) -> CameraResult:
    """The intrinsics of a camera whose pictures have size (width, height).

    thin: take views that cover too little. Raises EmmaError for thin coverage, and where held-out views disagree.
    """
    if model not in MODELS:
        raise EmmaError("unknown lens model", found=model, expected=f"one of {', '.join(MODELS)}")
    names = [f"view {i}" for i in range(len(views))] if names is None else list(names)
    if len(views) < MIN_VIEWS:
        raise EmmaError(
            "too few views of the board",
            found=f"{len(views)} usable views",
            expected=f"at least {MIN_VIEWS}",
            fix="show the board in more places, nearer and further away, tilted in all directions",
        )
    views = list(views)
    outliers: list[str] = []
    while True:
        lens, poses = _fit(views, size, model)
        errors = np.array([pose.rms_px for pose in poses])
        worst, limit = int(errors.argmax()), max(OUTLIER * np.median(errors), OUTLIER_PX)
        if errors[worst] <= limit or len(outliers) >= MAX_OUTLIERS * (len(views) + len(outliers)):
            break
        if len(views) <= MIN_VIEWS:
            break
        outliers.append(names.pop(worst))
        views.pop(worst)
    covered = coverage(views, poses, size)
    if covered.missing and not thin:
        raise EmmaError(
            "the views cover too little",
            found="; ".join(covered.draw()[-1:]) + f"; {covered.filled:.0%} of the picture",
            expected="corners all over the picture, tilts to all four sides, two distances",
            fix="; ".join(covered.missing),
        )
    rms = _rms(poses)
    held_out = _held_out(views, size, model, lens)
    if held_out > max(HELD_OUT_RATIO * rms, OUTLIER_PX) or held_out > HELD_OUT_PX:
        raise EmmaError(
            "views that were held out do not confirm the calibration",
            found=f"{held_out:.2f} px on held-out views, {rms:.2f} px on the others",
            expected=f"at most {min(max(HELD_OUT_RATIO * rms, OUTLIER_PX), HELD_OUT_PX):.2f} px",
            fix="hold the board still and flat; for a wide lens try --model rational_polynomial or equidistant",
        )
    sigma = np.sqrt(np.diag(_known(lens.covariance)))
    focal = float(1.96 * np.max(sigma[:2] / lens.values[:2]))
    return CameraResult(
        lens=lens,
        rms_px=rms,
        held_out_px=held_out,
        focal_95=focal,
        names=tuple(names),
        outliers=tuple(outliers),
        coverage=covered,
        poses=tuple(poses),
    )


def _fit(
    views: Sequence[Corners], size: tuple[int, int], model: str, guess: Intrinsics | None = None
) -> tuple[Intrinsics, list[BoardPose]]:
    """The least squares fit by OpenCV from a guess, with the covariance of its parameters."""
    objects = [view.points.reshape(-1, 1, 3).astype(np.float32) for view in views]
    pixels = [view.pixels.reshape(-1, 1, 2).astype(np.float32) for view in views]
    try:
        if model == "equidistant":
            matrix, k = _fisheye(objects, pixels, size, guess)
        else:
            flags = cv2.CALIB_RATIONAL_MODEL if model == "rational_polynomial" else 0
            begin: tuple[np.ndarray, np.ndarray] = np.eye(3), np.zeros(ESTIMATED[model])
            if guess is not None:
                flags |= cv2.CALIB_USE_INTRINSIC_GUESS
                begin = guess.matrix.copy(), np.array(guess.coefficients)
            _, matrix, k, _, _ = cv2.calibrateCamera(objects, pixels, size, *begin, flags=flags, criteria=UNTIL)
    except cv2.error as error:
        raise EmmaError(
            "the views do not determine this camera",
            found=str(error).splitlines()[0][-160:],
            expected="views of a flat board, tilted in several directions",
            fix="add tilted views, or choose a model with fewer coefficients",
        ) from None
    coefficients = tuple(float(c) for c in k.reshape(-1)[: ESTIMATED[model]])
    bare = Intrinsics(model=model, width=size[0], height=size[1], matrix=matrix, coefficients=coefficients)
    if not np.isfinite(bare.values).all() or not 0.05 * size[0] < matrix[0, 0] < 50 * size[0]:
        raise EmmaError(
            "the views do not determine this camera",
            found=f"focal length {matrix[0, 0]:.1f} px",
            expected=f"{0.05 * size[0]:.0f} to {50 * size[0]:.0f} px",
            fix="tilt the board by 20 to 45 degrees in some views",
        )
    poses = [board_pose(view, bare) for view in views]
    full = Intrinsics(
        model=model,
        width=size[0],
        height=size[1],
        matrix=matrix,
        coefficients=coefficients,
        covariance=_covariance(poses, len(bare.values)),
    )
    return full, poses


def _fisheye(
    objects: list[np.ndarray], pixels: list[np.ndarray], size: tuple[int, int], guess: Intrinsics | None
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and coefficients. From a far guess the optimiser ends elsewhere, so several are tried."""
    flags = cv2.fisheye.CALIB_RECOMPUTE_EXTRINSIC | cv2.fisheye.CALIB_FIX_SKEW | cv2.fisheye.CALIB_USE_INTRINSIC_GUESS
    centre = (size[0] - 1) / 2, (size[1] - 1) / 2
    focals = [size[0] / field for field in FIELDS]
    begins = [np.array([[f, 0, centre[0]], [0, f, centre[1]], [0, 0, 1.0]]) for f in focals]
    if guess is not None:
        begins = [guess.matrix]
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    last: cv2.error | None = None
    for begin in begins:
        k = np.zeros(4) if guess is None else np.array(guess.coefficients)
        double = [o.astype(np.float64) for o in objects], [p.astype(np.float64) for p in pixels]
        try:
            rms, matrix, k, _, _ = cv2.fisheye.calibrate(*double, size, begin.copy(), k, flags=flags, criteria=UNTIL)
        except cv2.error as error:
            last = error
            continue
        if np.isfinite(rms) and (best is None or rms < best[0]):
            best = rms, np.asarray(matrix), np.asarray(k)
    if best is None:
        raise last or ValueError("no guess")
    return best[1:]


def _covariance(poses: Sequence[BoardPose], count: int) -> np.ndarray:
    """(count, count): of the lens' parameters when every board pose is free (the Schur complement of the poses)."""
    normal, squares, observations = np.zeros((count, count)), 0.0, 0
    for pose in poses:
        a, b = pose.by_lens, pose.by_pose
        normal += a.T @ a - (a.T @ b) @ np.linalg.solve(b.T @ b, b.T @ a)
        squares += float((pose.residuals**2).sum())
        observations += a.shape[0]
    freedom = max(observations - 6 * len(poses) - count, 1)
    # Parameters differ by orders of magnitude.
    scale = 1 / np.sqrt(np.maximum(np.diag(normal), 1e-30))
    return np.asarray(
        np.linalg.pinv(normal * np.outer(scale, scale), rcond=1e-14) * np.outer(scale, scale) * squares / freedom
    )


def _held_out(views: Sequence[Corners], size: tuple[int, int], model: str, guess: Intrinsics) -> float:
    """Reprojection error in pixels of every view under a fit that left it out, each fold a share of all views."""
    squares, count = 0.0, 0
    for fold in range(FOLDS):
        kept = [view for i, view in enumerate(views) if i % FOLDS != fold]
        lens, _ = _fit(kept, size, model, guess)
        for view in views[fold::FOLDS]:
            residuals = board_pose(view, lens).residuals
            squares, count = squares + float((residuals**2).sum()), count + len(residuals)
    return float(np.sqrt(squares / count))


def _rms(poses: Sequence[BoardPose]) -> float:
    squares = sum(float((pose.residuals**2).sum()) for pose in poses)
    return float(np.sqrt(squares / sum(len(pose.residuals) for pose in poses)))


def _known(covariance: np.ndarray | None) -> np.ndarray:
    if covariance is None:
        raise ValueError("no covariance")
    return covariance
