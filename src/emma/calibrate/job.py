"""The verbs' work without a command line: from a folder of pictures or a bag to a written calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emma.calibrate.arm import Chain
from emma.calibrate.board import Board
from emma.calibrate.camera_info import check_same, of_message
from emma.calibrate.diagnose import HandEye, calibrate_hand_eye
from emma.calibrate.files import EXTRINSICS, load_intrinsics, mount_of, only_one, save_camera, save_hand_eye
from emma.calibrate.gather import PICTURES, Found, Progress, from_bag, from_pictures
from emma.calibrate.hand_eye import Mount
from emma.calibrate.intrinsics import CameraResult, calibrate_camera
from emma.calibrate.pinhole import Intrinsics
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec


@dataclass(frozen=True, kw_only=True)
class Job:
    """Which camera of which robot, with which board, and where the result goes. source: pictures or a bag.

    mount: where the camera is, None: as calibrated; tool: what carries the camera or the board, None: the only one.
    thin: take views that cover too little; replace: put the result in the place of a better one.
    """

    spec: RobotSpec
    camera: str
    board: Board
    out: Path
    source: Path | None = None
    mount: Mount | None = None
    tool: str | None = None
    thin: bool = False
    replace: bool = False


def gather(
    job: Job, joints: Sequence[str] = (), progress: Progress = print, *, pictures: bool = False, depth: bool = False
) -> Found:
    """The views of the job's source: a folder of pictures, else a bag. pictures, depth: views keep them.

    Raises EmmaError.
    """
    camera = job.spec.camera(job.camera)
    assert job.source is not None
    if job.source.is_dir() and any(f.suffix.lower() in PICTURES for f in job.source.iterdir()):
        found = from_pictures(job.source, job.board, joints, progress, pictures=pictures or depth)
    else:
        found = from_bag(job.source, job.spec, camera, job.board, joints, progress, pictures=pictures, depth=depth)
    if found.size != (camera.width, camera.height):
        raise EmmaError(
            f"the pictures are not those of camera {job.camera}",
            found=f"{found.size[0]} x {found.size[1]}",
            expected=f"{camera.width} x {camera.height}, as in robot.yaml",
            fix="calibrate at the size that the camera publishes, or correct the size in robot.yaml",
        )
    return found


def camera_from(job: Job, found: Found, model: str) -> tuple[CameraResult, Path]:
    """Calibrate the intrinsics from views and write them. Raises EmmaError."""
    with only_one(job.out):
        result = calibrate_camera(found.corners, found.size, model, found.names, thin=job.thin)
        return result, save_camera(job.out, job.camera, result, job.board, replace=job.replace)


def lens_for(job: Job, found: Found) -> tuple[Intrinsics, str]:
    """The lens in force and where it is from: the calibration, else the driver's CameraInfo. Raises EmmaError."""
    published = None if found.info is None else of_message(found.info)
    lens = load_intrinsics(job.out, job.camera, found.size)
    if lens is not None:
        check_same(lens, published, f"{job.camera}.yaml")
        return lens, f"{job.camera}.yaml"
    if published is None:
        raise EmmaError(
            f"the intrinsics of camera {job.camera} are not known",
            found=f"no {job.out / job.camera}.yaml, and no CameraInfo with a focal length",
            expected="a calibrated camera",
            fix=f"run `emma calibrate camera {job.camera}` first",
        )
    return published, "CameraInfo"


def parent_of(job: Job, chain_frame: str, mount: Mount) -> str:
    """The frame that the camera is fixed to."""
    if mount == "base":
        return "base"
    known = mount_of(job.out, job.camera)
    return chain_frame if known is None or known[0] == "base" else known[0]


def mount_for(job: Job) -> Mount:
    """Where the camera is: as the job says, else as `extrinsics.yaml` does. Raises EmmaError."""
    if job.mount is not None:
        return job.mount
    known = mount_of(job.out, job.camera)
    if known is None:
        raise EmmaError(
            f"it is not known where camera {job.camera} is mounted",
            found=f"no entry in {job.out / EXTRINSICS}",
            expected="a camera that is calibrated, or --mount hand, or --mount base",
            fix=f"run `emma calibrate hand-eye {job.camera} --mount hand` (on the hand) or `base` (beside the robot)",
        )
    return "base" if known[0] == "base" else "hand"


def chain_for(job: Job) -> Chain:
    """The arm that moves the camera or the board; a camera keeps the frame that `extrinsics.yaml` names."""
    chain = Chain(job.spec, tool=job.tool)
    parent = parent_of(job, chain.frame, mount_for(job))
    return chain if parent in ("base", chain.frame) else Chain(job.spec, tool=job.tool, frame=parent)


def hand_eye_from(job: Job, found: Found, chain: Chain) -> tuple[HandEye, Path]:
    """Calibrate where the camera is from views with joints and write it. Raises EmmaError."""
    lens, _ = lens_for(job, found)
    mount = mount_for(job)
    with only_one(job.out):
        result = calibrate_hand_eye(chain, found.views, lens, mount, job.board.square_m)
        frame_id = job.spec.camera(job.camera).frame_id or f"{job.camera}_optical_frame"
        parent = parent_of(job, chain.frame, mount)
        path = save_hand_eye(job.out, job.camera, frame_id, parent, result, job.board, replace=job.replace)
    return result, path


def camera_lines(result: CameraResult) -> list[str]:
    """What was found, for a terminal."""
    k = result.lens.matrix
    return [
        *result.coverage.draw(),
        f"focal length {k[0, 0]:.2f}, {k[1, 1]:.2f} px (within {result.focal_95:.2%}, 95 %);"
        f" centre {k[0, 2]:.2f}, {k[1, 2]:.2f} px; {result.lens.model}"
        f" {', '.join(f'{c:.4f}' for c in result.lens.coefficients)}",
        f"error {result.rms_px:.3f} px, on held-out views {result.held_out_px:.3f} px; {len(result.names)} views"
        + (f"; left out: {', '.join(result.outliers)}" if result.outliers else ""),
    ]


def hand_eye_lines(result: HandEye) -> list[str]:
    """What was found, for a terminal."""
    found = result.estimate
    mm, deg = found.bound_95
    place, loo = found.x[:3, 3] * 1000, result.leave_one_out
    spread = ", ".join(f"{name} {mm:.1f} mm {deg:.2f}" for name, (mm, deg) in result.solvers.items())
    axis = np.degrees(_rotation_vector(found.x[:3, :3]))
    return [
        f"camera at ({place[0]:.1f}, {place[1]:.1f}, {place[2]:.1f}) mm, turned by ({axis[0]:.1f}, {axis[1]:.1f},"
        f" {axis[2]:.1f}) degrees; within {mm:.2f} mm and {deg:.3f} degrees (95 %)",
        f"leave one out: {loo[0]:.2f} mm, {loo[1]:.3f} degrees; reprojection {result.rms_px:.2f} px;"
        f" {len(result.names)} views" + (f"; left out: {', '.join(result.outliers)}" if result.outliers else ""),
        f"closed-form solvers, from the result: {spread}",
        *(f"note: {note}" for note in result.notes),
    ]


def _rotation_vector(rotation: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(rotation).as_rotvec())
