"""A calibration rig with known truth: the simulated arm, a camera with a lens, a board, and what is wrong with each."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from emma.calibrate.board import Board
from emma.calibrate.detect import Corners, Detector
from emma.calibrate.hand_eye import Mount
from emma.calibrate.joint_track import Track
from emma.calibrate.motion import View
from emma.calibrate.pinhole import Intrinsics, rigid
from emma.gl import mujoco
from emma.robots.lens import Distortion
from emma.sim.scene import ARM_JOINTS, build_model

BOARD = Board(columns=8, rows=6, square_m=0.03, marker_m=0.0225)
WIDTH, HEIGHT = 640, 480
TEXTURE_PX = 64
SUPERSAMPLING = 2
CANDIDATES = 60_000
SEGMENT_S = 2.0
STATE_HZ = 100.0
SETTLE_S = 0.3


class SimArm:
    """Forward kinematics of the simulated arm's six joints to its hand."""

    names = ARM_JOINTS

    def __init__(self) -> None:
        self._model = build_model()
        self._data = mujoco.MjData(self._model)
        self._qpos = [self._model.joint(name).qposadr[0] for name in ARM_JOINTS]
        self._hand = self._model.body("hand").id
        self.limits = np.array([self._model.joint(name).range for name in ARM_JOINTS])

    def poses(self, joints: np.ndarray) -> np.ndarray:
        """(T, 4, 4) base from hand of joints (T, 6)."""
        poses = np.tile(np.eye(4), (len(joints), 1, 1))
        for pose, values in zip(poses, joints, strict=True):
            self._data.qpos[self._qpos] = values
            mujoco.mj_kinematics(self._model, self._data)
            pose[:3, :3] = self._data.xmat[self._hand].reshape(3, 3)
            pose[:3, 3] = self._data.xpos[self._hand]
        return poses


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What is wrong with a rig. Joints in rad, times in s; corner noise in pixels, light in grey levels.

    joint_noise: of each reading; backlash: the whole play of each joint; delay: pictures are stamped so much too late;
    stray: a picture is taken up to so long before or after the arm stands; exposure: how long a picture is open.
    """

    joint_noise: float = 0.0
    backlash: float = 0.0
    delay: float = 0.0
    stray: float = 0.0
    exposure: float = 0.0
    light: float = 0.0
    grain: float = 0.0


# A servo of 4096 counts; backlash of 0.3 degrees; the delay of a USB camera; a lamp to one side, indoors.
NOISY = Faults(joint_noise=1.5e-3, backlash=5e-3, delay=0.03, stray=0.12, exposure=0.01, light=0.6, grain=4.0)


@dataclass(frozen=True, kw_only=True)
class Rig:
    """One arm, one camera, one board, all known. Poses as in `emma.calibrate.hand_eye`."""

    arm: SimArm
    mount: Mount
    lens: Intrinsics
    x: np.ndarray
    y: np.ndarray
    board: Board = BOARD
    faults: Faults = field(default_factory=Faults)

    def boards(self, joints: np.ndarray) -> np.ndarray:
        """(T, 4, 4) camera from board."""
        hand = self.arm.poses(joints)
        motion = np.linalg.inv(hand) if self.mount == "hand" else hand
        return np.asarray(np.linalg.inv(self.x) @ motion @ self.y)

    @cached_property
    def _camera(self) -> "BoardCamera":
        return BoardCamera(self.lens, self.board)

    def record(self, joints: np.ndarray, rng: np.random.Generator, *, draw: bool = True) -> list[View]:
        """The arm passes through joints (T, 6); one view each, with the rig's faults. draw: pictures and detector."""
        way = Way(joints, self.faults, rng)
        views = []
        for number in range(1, len(joints)):
            time_s = number * SEGMENT_S + rng.uniform(-1, 1) * self.faults.stray
            opened = time_s - self.faults.delay + np.linspace(-0.5, 0.5, 3) * self.faults.exposure
            poses = self.boards(way.links(opened if self.faults.exposure else opened[1:2]))
            corners = (self._camera.picture_corners if draw else self._camera.exact_corners)(poses, self.faults, rng)
            if corners is not None:
                read = way.track.lines(np.array([time_s]))[0][0]
                views.append(
                    View(name=f"view {number:02d}", corners=corners, joints=read, time_s=time_s, track=way.track)
                )
        return views


class Way:
    """The motors' way through waypoints, resting at each, the links behind the backlash, and the encoders' track."""

    def __init__(self, waypoints: np.ndarray, faults: Faults, rng: np.random.Generator) -> None:
        steps = round(SEGMENT_S * STATE_HZ)
        s = np.linspace(0, 1, steps, endpoint=False)[:, None]
        smooth = s**3 * (10 - 15 * s + 6 * s**2)
        parts = [a + smooth * (b - a) for a, b in pairwise(waypoints)]
        motor = np.concatenate([*parts, waypoints[-1] + np.zeros((round(SETTLE_S * STATE_HZ), 1))])
        times = np.arange(len(motor)) / STATE_HZ
        self._link = _play(motor, faults.backlash)
        self.track = Track(times, motor + rng.normal(0, faults.joint_noise, motor.shape))

    def links(self, times_s: np.ndarray) -> np.ndarray:
        """(T, J): where the links really are."""
        return np.stack([np.interp(times_s, self.track.times_s, column) for column in self._link.T], 1)


def _play(motor: np.ndarray, play: float) -> np.ndarray:
    """(T, J): each link follows its motor with `play` between them: it stays until one side of the gap pushes it."""
    link = motor.copy()
    for t in range(1, len(motor)):
        link[t] = np.clip(link[t - 1], motor[t] - play / 2, motor[t] + play / 2)
    return link


class BoardCamera:
    """Draws pictures of a board through a lens, and finds its corners in them."""

    def __init__(self, lens: Intrinsics, board: Board) -> None:
        self.lens, self.board = lens, board
        self._detector = Detector(board)
        self._texture = cv2.copyMakeBorder(
            board.image(TEXTURE_PX), TEXTURE_PX, TEXTURE_PX, TEXTURE_PX, TEXTURE_PX, cv2.BORDER_CONSTANT, value=255
        )
        n = SUPERSAMPLING
        rows, columns = np.mgrid[: lens.height * n, : lens.width * n]
        pixels = (np.stack([columns, rows], -1).reshape(-1, 2) + 0.5) / n - 0.5
        self._rays = Distortion(lens.model, lens.coefficients).rays(pixels, lens.matrix).astype(np.float32)

    def exact_corners(self, poses: np.ndarray, faults: Faults, rng: np.random.Generator) -> Corners | None:
        """Projected corners with noise that stands for the detector's."""
        points = self.board.points
        pixels = np.mean([self.lens.project(points @ p[:3, :3].T + p[:3, 3])[0] for p in poses], axis=0)
        pixels = pixels + rng.normal(0, 0.15 if faults.grain else 0.0, pixels.shape)
        inside = (pixels > 2).all(1) & (pixels < [self.lens.width - 3, self.lens.height - 3]).all(1)
        return Corners(np.flatnonzero(inside), pixels[inside], points[inside]) if inside.sum() >= 8 else None

    def picture_corners(self, poses: np.ndarray, faults: Faults, rng: np.random.Generator) -> Corners | None:
        return self._detector.find(self.picture(poses, faults, rng))

    def picture(self, poses: np.ndarray, faults: Faults, rng: np.random.Generator) -> np.ndarray:
        """(H, W) uint8: the mean over poses (T, 4, 4) camera from board, which blurs a motion."""
        n, size = SUPERSAMPLING, (self.lens.height, self.lens.width)
        total = np.zeros(size, np.float32)
        for pose in poses:
            # A ray meets the board's plane at the coordinates that this matrix gives, up to scale.
            inverse = np.linalg.inv(np.column_stack([pose[:3, 0], pose[:3, 1], pose[:3, 3]])).astype(np.float32)
            at = self._rays @ inverse.T
            scale = TEXTURE_PX / self.board.square_m
            with np.errstate(divide="ignore", invalid="ignore"):
                maps = (at[:, :2] / at[:, 2:] * scale + (TEXTURE_PX - 0.5)).astype(np.float32)
            maps = np.nan_to_num(maps, nan=-1e6).clip(-1e6, 1e6).reshape(size[0] * n, size[1] * n, 2)
            drawn = cv2.remap(self._texture, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR, borderValue=90)
            total += np.asarray(cv2.resize(drawn, size[::-1], interpolation=cv2.INTER_AREA), np.float32)
        picture = 25 + total / len(poses) * 0.78
        if faults.light:
            across = np.linspace(-0.5, 0.5, size[1])[None] * rng.uniform(-1, 1)
            along = np.linspace(-0.5, 0.5, size[0])[:, None] * rng.uniform(-1, 1)
            picture = picture * (1 - faults.light * (0.5 + across + along) / 2)
        picture = picture + rng.normal(0, faults.grain, size)
        return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def lens_of(model: str = "plumb_bob", width: int = WIDTH, height: int = HEIGHT) -> Intrinsics:
    """A lens as cheap cameras have it, of each model."""
    focal = 0.95 * width if model != "equidistant" else 0.45 * width
    matrix = np.array([[focal, 0, width * 0.508], [0, focal * 1.002, height * 0.487], [0, 0, 1.0]])
    coefficients = {
        "plumb_bob": (-0.11, 0.07, 4e-4, -6e-4, 0.0),
        "rational_polynomial": (0.6, -0.25, 3e-4, -2e-4, 0.01, 0.75, -0.2, 0.0),
        "equidistant": (-0.02, 0.008, -0.004, 0.0008),
    }[model]
    return Intrinsics(model=model, width=width, height=height, matrix=matrix, coefficients=coefficients)


def make_rig(arm: SimArm, mount: Mount, rng: np.random.Generator, faults: Faults | None = None) -> Rig:
    """A rig whose camera and board sit a little differently each time."""

    def about(pose: np.ndarray) -> np.ndarray:
        return np.asarray(pose @ rigid(rng.normal(0, 0.06, 3), rng.normal(0, 0.01, 3)))

    facing = Rotation.from_euler("xyz", [180, 0, 90], degrees=True).as_matrix()
    if mount == "hand":
        x = about(rigid(Rotation.from_euler("ZX", [90, 15], degrees=True).as_matrix(), np.array([-0.07, 0.0, 0.0])))
        y = about(rigid(np.eye(3), np.array([0.30, 0.0, 0.0]) - np.array([0.12, 0.09, 0])))
        y = y @ rigid(
            Rotation.from_euler("x", 180, degrees=True).as_matrix(), np.array([0, BOARD.rows * BOARD.square_m, 0])
        )
    else:
        # The camera looks at the arm from the front; the hand holds the board.
        x = about(rigid(Rotation.from_euler("ZX", [90, -110], degrees=True).as_matrix(), np.array([0.95, 0.0, 0.50])))
        y = about(rigid(facing, np.array([0.09, -0.12, 0.05])))
    return Rig(arm=arm, mount=mount, lens=lens_of(), x=x, y=y, faults=faults or Faults())


def waypoints(rig: Rig, count: int, rng: np.random.Generator, candidates: np.ndarray) -> np.ndarray:
    """(count + 1, 6): joints with the board in the picture, tilted and turned, from candidates (N, 6)."""
    chosen: list[np.ndarray] = []
    for joints in candidates[rng.permutation(len(candidates))]:
        pose = rig.boards(joints[None])[0]
        if _well_seen(pose, rig):
            chosen.append(joints)
            if len(chosen) > count:
                break
    return np.stack(chosen)


def candidates(arm: SimArm, seed: int = 0, number: int = CANDIDATES) -> np.ndarray:
    """(N, 6) joints all over the arm's range."""
    rng = np.random.default_rng(seed)
    middle, half = arm.limits.mean(1), np.ptp(arm.limits, axis=1) / 2
    return np.asarray(middle + rng.uniform(-0.8, 0.8, (number, len(middle))) * half)


def _well_seen(pose: np.ndarray, rig: Rig) -> bool:
    centre = pose[:3, :3] @ rig.board.centre + pose[:3, 3]
    if not 0.18 < centre[2] < 0.75 or abs(pose[2, 2]) < np.cos(np.radians(50)) or pose[2, 2] < 0:
        return False
    pixels = rig.lens.project(rig.board.points @ pose[:3, :3].T + pose[:3, 3])[0]
    inside = (pixels > 4).all(1) & (pixels < [rig.lens.width - 5, rig.lens.height - 5]).all(1)
    return bool(inside.mean() > 0.8)


def camera_poses(rig: Rig, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 4, 4) camera from board as a person shows it: everywhere, tilted to all sides, near and far."""
    poses: list[np.ndarray] = []
    while len(poses) < count:
        distance = rng.uniform(0.22, 0.6) * rig.lens.matrix[0, 0] / 600
        tilt = rng.uniform(5, 45)
        axis = rng.uniform(0, 2 * np.pi)
        turn = Rotation.from_euler("z", rng.uniform(-30, 30), degrees=True)
        lean = Rotation.from_rotvec(np.radians(tilt) * np.array([np.cos(axis), np.sin(axis), 0]))
        ray = np.array([rng.uniform(0, rig.lens.width), rng.uniform(0, rig.lens.height)])
        direction = rig.lens.distortion.rays(ray[None], rig.lens.matrix)[0]
        pose = rigid((lean * turn).as_matrix(), direction * distance)
        pose[:3, 3] -= pose[:3, :3] @ rig.board.centre
        pixels = rig.lens.project(rig.board.points @ pose[:3, :3].T + pose[:3, 3])[0]
        inside = (pixels > 4).all(1) & (pixels < [rig.lens.width - 5, rig.lens.height - 5]).all(1)
        if inside.mean() > 0.5:
            poses.append(pose)
    return np.stack(poses)


def without_faults(rig: Rig) -> Rig:
    return replace(rig, faults=Faults())


def seen_corners(rig: Rig, poses: Sequence[np.ndarray], rng: np.random.Generator) -> list[Corners]:
    """Corners in drawn pictures of poses (4, 4), the rig's light and grain included."""
    camera = BoardCamera(rig.lens, rig.board)
    found = [camera.picture_corners(pose[None], rig.faults, rng) for pose in poses]
    return [corners for corners in found if corners is not None]
