"""Hand-eye calibration that names what is wrong: the mount, the board's size, a board that moved, single views."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from emma.calibrate.closed_form import apart, other_side, solve
from emma.calibrate.hand_eye import Estimate, Mount, adjoint, estimate, motions
from emma.calibrate.motion import Arm, View, check_motion, hand_poses
from emma.calibrate.pinhole import Intrinsics, board_pose
from emma.errors import EmmaError

OUTLIER_P = 1e-4
MAX_OUTLIERS = 0.25
# Closed-form solvers further than this from the refined result do not agree with it.
AGREE_MM, AGREE_DEG = 30.0, 4.0
AGREEING = 3
# A result with a wider 95 % bound is not written.
WIDEST_MM, WIDEST_DEG = 10.0, 2.0
SWAPPED_RATIO, SWAPPED_MM = 0.3, 5.0
SCALE, SCALE_SIGMAS = 0.012, 5.0
MOVED_GAIN, MOVED_MM, MOVED_DEG = 60.0, 2.0, 0.3
DELAY_S, SIGMAS = 0.01, 3.0
OFFSET_RAD = 2e-3


@dataclass(frozen=True, kw_only=True)
class HandEye:
    """A calibration that passed. solvers: closed form -> mm and degrees from the result; notes: what to know of it.

    leave_one_out: RMS in mm at the board's origin and in degrees of views predicted from all the others.
    """

    mount: Mount
    estimate: Estimate
    names: tuple[str, ...]
    outliers: tuple[str, ...]
    solvers: dict[str, tuple[float, float]]
    leave_one_out: tuple[float, float]
    rms_px: float
    notes: tuple[str, ...]


def calibrate_hand_eye(arm: Arm, views: Sequence[View], lens: Intrinsics, mount: Mount, square_m: float) -> HandEye:
    """Where the camera is. square_m: the board's square as typed. Raises EmmaError that names what is wrong."""
    check_motion(hand_poses(arm, views))
    _check_mount(arm, views, lens, mount)
    views, outliers = list(views), []
    found = estimate(arm, views, lens, mount)
    _check_board(found, views, square_m)
    limit = stats.chi2.isf(OUTLIER_P / len(views), 6)
    bad = np.flatnonzero(found.surprise() > limit)
    if len(bad):
        outliers = [views[i].name for i in bad]
        if len(bad) > MAX_OUTLIERS * len(views):
            raise EmmaError(
                "too many views contradict each other",
                found=f"{len(bad)} of {len(views)} views: {', '.join(outliers[:8])}",
                expected=f"at most {MAX_OUTLIERS:.0%}",
                fix="check that neither board nor camera moved, and that the joints belong to the pictures",
            )
        views = [view for i, view in enumerate(views) if i not in set(bad)]
        found = estimate(arm, views, lens, mount)
    seen = np.stack([board.camera_from_board for board in found.boards])
    solvers = {name: apart(x, found.x) for name, x in solve(motions(arm, views, mount), seen).items()}
    agree = [name for name, (mm, deg) in solvers.items() if mm < AGREE_MM and deg < AGREE_DEG]
    told = ", ".join(f"{name} {mm:.0f} mm {deg:.1f} deg" for name, (mm, deg) in solvers.items())
    if len(agree) < AGREEING:
        raise EmmaError(
            "the solvers do not agree",
            found=f"from the refined result: {told or 'no solver has an answer'}",
            expected=f"at least {AGREEING} within {AGREE_MM:.0f} mm and {AGREE_DEG:.0f} degrees",
            fix="add poses with larger turns of the wrist about several axes",
        )
    mm, deg = found.bound_95
    if mm > WIDEST_MM or deg > WIDEST_DEG:
        raise EmmaError(
            "the camera's place is not determined well enough",
            found=f"within {mm:.1f} mm and {deg:.2f} degrees (95 %)",
            expected=f"{WIDEST_MM:.0f} mm and {WIDEST_DEG:.0f} degrees",
            fix="take more views, nearer to the board, with larger turns of the wrist",
        )
    shift, turn = found.leave_one_out()
    pixels = _pixel_error(found)
    return HandEye(
        mount=mount,
        estimate=found,
        names=tuple(view.name for view in views),
        outliers=tuple(outliers),
        solvers=solvers,
        leave_one_out=(float(np.sqrt((shift**2).mean())) * 1000, float(np.degrees(np.sqrt((turn**2).mean())))),
        rms_px=pixels,
        notes=tuple(_notes(arm, found, solvers)),
    )


def _pixel_error(found: Estimate) -> float:
    """RMS in pixels between seen corners and those that the model projects."""
    squares = count = 0.0
    for board, left in zip(found.boards, found.left, strict=True):
        shift = (board.by_pose @ left).reshape(-1, 2) + board.residuals
        squares, count = squares + float((shift**2).sum()), count + len(shift)
    return float(np.sqrt(squares / count))


def _notes(arm: Arm, found: Estimate, solvers: dict[str, tuple[float, float]]) -> list[str]:
    notes = [
        f"the solver {name} lies {mm:.0f} mm and {deg:.1f} degrees away"
        for name, (mm, deg) in solvers.items()
        if mm >= AGREE_MM or deg >= AGREE_DEG
    ]
    delay, sd = found.delay_s
    if abs(delay) > max(DELAY_S, SIGMAS * sd):
        late = "later" if delay < 0 else "earlier"
        notes.append(f"pictures are stamped {abs(delay) * 1000:.0f} ms {late} than joints (sd {sd * 1000:.0f} ms)")
    for name, offset, sd in zip(arm.names, found.offsets, found.offsets_sd, strict=True):
        if abs(offset) > max(OFFSET_RAD, SIGMAS * sd):
            notes.append(
                f"joint {name} seems off by {np.degrees(offset):.2f} degrees (sd {np.degrees(sd):.2f}): set its zero"
            )
    for name, play, sd in zip(arm.names, found.backlash, found.backlash_sd, strict=True):
        if play > max(OFFSET_RAD, SIGMAS * sd):
            notes.append(f"joint {name} has a backlash of {np.degrees(play):.2f} degrees (sd {np.degrees(sd):.2f})")
    return notes


def _check_mount(arm: Arm, views: Sequence[View], lens: Intrinsics, mount: Mount) -> None:
    """Raise EmmaError where the other mount explains the views far better."""
    boards = np.stack([board_pose(view.corners, lens).camera_from_board for view in views])

    def score(mount: Mount) -> float:
        moved = motions(arm, views, mount)
        return min(
            (
                float(np.median(np.linalg.norm((moved @ other_side(moved, boards, x) - x @ boards)[:, :3, 3], axis=1)))
                for x in solve(moved, boards).values()
            ),
            default=np.inf,
        )

    other: Mount = "base" if mount == "hand" else "hand"
    mine, swapped = score(mount), score(other)
    if mine > SWAPPED_MM / 1000 and swapped < SWAPPED_RATIO * mine:
        words = {"hand": "on the hand, the board fixed", "base": "fixed, the board on the hand"}
        raise EmmaError(
            "the camera is mounted the other way round",
            found=f"with the camera {words[mount]}: {mine * 1000:.0f} mm error; "
            f"with it {words[other]}: {swapped * 1000:.1f} mm",
            expected=f"a camera that is {words[mount]}",
            fix=f"use --mount {other}; if robot poses come from a file, they may be inverted",
        )


def _check_board(found: Estimate, views: Sequence[View], square_m: float) -> None:
    """Raise EmmaError for a square of another size than typed, or a board (or tripod) that moved in between."""
    boards = np.stack([board.camera_from_board for board in found.boards])
    larger = np.zeros((len(boards), 6, 1))
    larger[:, 3:, 0] = -boards[:, :3, 3]
    theta, sd, _ = _with_columns(found, larger)
    scale = float(theta[0])
    if abs(scale) > max(SCALE, SCALE_SIGMAS * float(sd[0])):
        raise EmmaError(
            "the board's squares are not as large as typed",
            found=f"{square_m * 1000:.2f} mm typed; the arm's motion gives {square_m * (1 + scale) * 1000:.2f} mm"
            f" (sd {square_m * sd[0] * 1000:.2f})",
            expected="the measured edge of one square",
            fix="measure ten squares with a ruler, divide by ten, and put it in square_m of board.yaml",
        )
    shifted = adjoint(boards)
    best = (0.0, 0, np.zeros(6))
    for k in range(4, len(boards) - 3):
        columns = np.where((np.arange(len(boards)) >= k)[:, None, None], shifted, 0.0)
        theta, _, gain = _with_columns(found, columns)
        if gain > best[0]:
            best = gain, k, theta
    gain, k, theta = best
    mm, deg = float(np.linalg.norm(theta[3:])) * 1000, float(np.degrees(np.linalg.norm(theta[:3])))
    if gain > MOVED_GAIN and (mm > MOVED_MM or deg > MOVED_DEG):
        raise EmmaError(
            "the board or the camera moved while views were taken",
            found=f"from {views[k].name} on it lies {mm:.0f} mm and {deg:.1f} degrees elsewhere",
            expected="a board and a camera that are fixed",
            fix=f"fix both, then take all views again, or use only those before {views[k].name}",
        )


def _with_columns(found: Estimate, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """More unknowns (V, 6, m): their values, standard deviations, and the gain in log likelihood x 2.

    The overall size of the noise is left open, since a wrong model inflates it.
    """
    lower = np.linalg.cholesky(found.fit.noise * found.fit.weights[:, None, None])
    parts = np.concatenate([found.model.design, columns, found.model.residuals[..., None]], 2)
    flat = np.linalg.solve(lower, parts).reshape(-1, parts.shape[2])
    count = found.model.design.shape[2]
    prior = np.diag(np.sqrt(found.fit.precision))
    prior = np.concatenate([prior, np.zeros((count, columns.shape[2] + 1))], 1)
    flat = np.concatenate([flat, prior])
    a, r = flat[:, :-1], flat[:, -1]
    scale = np.linalg.norm(a, axis=0)
    full, *_ = np.linalg.lstsq(a / scale, r, rcond=1e-12)
    less, *_ = np.linalg.lstsq(a[:, :count] / scale[:count], r, rcond=1e-12)
    with_them = float(((r - a / scale @ full) ** 2).sum())
    without = float(((r - a[:, :count] / scale[:count] @ less) ** 2).sum())
    freedom = 6 * len(columns) - 12 - columns.shape[2]
    covariance = np.linalg.pinv((a / scale).T @ (a / scale)) * with_them / freedom
    sd = np.sqrt(np.diag(covariance))[count:] / scale[count:]
    return full[count:] / scale[count:], sd, 6 * len(columns) * float(np.log(without / max(with_them, 1e-30)))
