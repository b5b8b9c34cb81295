"""A check without a board: the outline of the robot's moving links, as the calibration projects it, over the pictures.

What moved between pictures is compared with what should have moved. The shift that fits best, in pixels, is the error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emma.calibrate.pinhole import Intrinsics
from emma.errors import EmmaError
from emma.gl import mujoco
from emma.robots.kinematic_model import model_file
from emma.robots.spec import RobotSpec

MIN_PICTURES = 5
# Grey levels by which a pixel differs from the scene without the arm.
CHANGED = 18
# Share of the picture's width that a shift is searched for.
REACH = 0.12
# Below this overlap after the best shift the pictures do not show what the model moves.
OVERLAP = 0.25
NEAREST_M = 0.03
CIRCLE = np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 24, endpoint=False)), np.sin(a)], 1)


@dataclass(frozen=True)
class OutlineError:
    """shift_px (2,): where the robot is seen, minus where the calibration has it; mm at the arm's distance.

    overlap: intersection over union of seen and expected motion, as calibrated and after the shift.
    """

    shift_px: np.ndarray
    error_mm: float
    overlap: tuple[float, float]
    picture: np.ndarray

    @property
    def error_px(self) -> float:
        return float(np.linalg.norm(self.shift_px))


class Outline:
    """The moving links of a robot as convex shapes. Not thread-safe."""

    def __init__(self, spec: RobotSpec) -> None:
        """Raises EmmaError where the kinematic model has no shapes for the moving links, or cannot be read."""
        path = model_file(spec)
        try:
            self._model = mujoco.MjModel.from_xml_path(str(path))
        except ValueError as error:
            raise EmmaError(
                f"{path} has no shapes that can be drawn",
                found=str(error).splitlines()[0][:160],
                expected="a URDF or MJCF whose meshes are beside it",
                fix="copy the meshes there, or check with a board",
            ) from None
        self._data = mujoco.MjData(self._model)
        known = {self._model.joint(i).name: i for i in range(self._model.njnt)}
        self._columns = [i for i, name in enumerate(spec.joint_names) if name in known]
        joints = [known[spec.joint_names[i]] for i in self._columns]
        self._qpos = [int(self._model.jnt_qposadr[j]) for j in joints]
        moving = {int(self._model.jnt_bodyid[j]) for j in joints}
        for body in range(1, self._model.nbody):
            if int(self._model.body_parentid[body]) in moving:
                moving.add(body)
        shapes = {g: _vertices(self._model, g) for g in range(self._model.ngeom)}
        self._shapes = {
            g: points
            for g, points in shapes.items()
            if points is not None and int(self._model.geom_bodyid[g]) in moving and self._model.geom_rgba[g, 3] > 0
        }
        self._base = spec.kinematics.base if spec.kinematics is not None else ""
        if not self._shapes:
            raise EmmaError(
                f"{path} has no shapes of the moving links",
                found="no geometry",
                expected="visual or collision shapes",
                fix="use a model with shapes, or check with a board",
            )

    def draw(self, state: np.ndarray, lens: Intrinsics, base_from_camera: np.ndarray) -> tuple[np.ndarray, float]:
        """(H, W) bool: pixels of the moving links at joints (J,), and their mean distance along the axis in m."""
        self._data.qpos[self._qpos] = np.asarray(state, np.float64)[self._columns]
        mujoco.mj_kinematics(self._model, self._data)
        camera = np.linalg.inv(self._world_from_base() @ base_from_camera)
        mask = np.zeros((lens.height, lens.width), np.uint8)
        distances = []
        for geom, points in self._shapes.items():
            world = points @ self._data.geom_xmat[geom].reshape(3, 3).T + self._data.geom_xpos[geom]
            local = world @ camera[:3, :3].T + camera[:3, 3]
            if (local[:, 2] < NEAREST_M).any():
                continue
            pixels = lens.project(local)[0]
            if not np.isfinite(pixels).all() or np.abs(pixels).max() > 20 * lens.width:
                continue
            hull = cv2.convexHull(pixels.astype(np.float32)).reshape(-1, 2)
            cv2.fillConvexPoly(mask, np.rint(hull * 16).astype(np.int32), 1, shift=4)
            distances.append(float(local[:, 2].mean()))
        return mask.astype(bool), float(np.mean(distances)) if distances else 0.0

    def _world_from_base(self) -> np.ndarray:
        pose = np.eye(4)
        if self._base:
            body = self._model.body(self._base).id
            pose[:3, :3], pose[:3, 3] = self._data.xmat[body].reshape(3, 3), self._data.xpos[body]
        return pose

    def compare(
        self, pictures: Sequence[np.ndarray], states: np.ndarray, lens: Intrinsics, base_from_camera: np.ndarray
    ) -> OutlineError:
        """Pictures (H, W) uint8 of a camera that does not move, with the joints (N, J) of each. Raises EmmaError."""
        if len(pictures) < MIN_PICTURES:
            raise EmmaError(
                "too few pictures for a check without a board",
                found=f"{len(pictures)}",
                expected=f"at least {MIN_PICTURES}, with the arm in different poses",
                fix="record the arm moving through the camera's view",
            )
        drawn = [self.draw(state, lens, base_from_camera) for state in states]
        masks = np.stack([mask for mask, _ in drawn])
        expected = masks != (masks.mean(0) > 0.5)
        stack = np.stack([cv2.GaussianBlur(picture, (3, 3), 0) for picture in pictures]).astype(np.int16)
        seen = np.abs(stack - np.median(stack, axis=0).astype(np.int16)) > CHANGED
        shift = _best_shift(seen, expected, round(REACH * lens.width))
        overlap = _overlap(seen, expected, np.zeros(2)), _overlap(seen, expected, shift)
        if overlap[1] < OVERLAP:
            raise EmmaError(
                "the pictures do not show the robot moving as its model does",
                found=f"{overlap[1]:.0%} of seen and expected motion overlap, at best",
                expected=f"{OVERLAP:.0%} and more",
                fix="record the whole arm moving under steady light and nothing else, or check with a board",
            )
        distance = float(np.mean([away for mask, away in drawn if mask.any()] or [0.0]))
        millimetres = float(np.linalg.norm(shift)) * distance / lens.matrix[0, 0] * 1000
        most = int(expected.sum((1, 2)).argmax())
        return OutlineError(shift, millimetres, overlap, _overlay(pictures[most], masks[most], shift))


def _vertices(model: "mujoco.MjModel", geom: int) -> np.ndarray | None:
    """(N, 3) m: points whose convex hull is the shape in its own frame; None for planes and the like."""
    kind, size = mujoco.mjtGeom(int(model.geom_type[geom])), model.geom_size[geom]
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * size
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return np.concatenate(
            [np.column_stack([CIRCLE * size[0], np.full(len(CIRCLE), z)]) for z in (-size[1], size[1])]
        )
    if kind in (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_ELLIPSOID):
        radii = size if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID else np.full(3, size[0])
        heights = np.linspace(-1, 1, 9)
        ball = np.concatenate([np.column_stack([CIRCLE * np.sqrt(1 - z**2), np.full(len(CIRCLE), z)]) for z in heights])
        ball = ball * radii
        if kind != mujoco.mjtGeom.mjGEOM_CAPSULE:
            return ball
        return np.concatenate([ball + np.array([0, 0, z]) for z in (-size[1], size[1])])
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        return np.asarray(model.mesh_vert[first : first + count], np.float64)
    return None


def _best_shift(seen: np.ndarray, expected: np.ndarray, reach: int) -> np.ndarray:
    """(2,) column and row by which the expected motion (N, H, W) is moved to overlap most with the seen one."""
    height, width = seen.shape[1:]
    shape = (cv2.getOptimalDFTSize(height + reach), cv2.getOptimalDFTSize(width + reach))
    a = np.fft.rfft2(seen.astype(np.float32) - seen.mean(), shape)
    b = np.fft.rfft2(expected.astype(np.float32) - expected.mean(), shape)
    together = np.fft.irfft2((a * b.conj()).sum(0), shape)
    rows, columns = np.arange(-reach, reach + 1), np.arange(-reach, reach + 1)
    window = together[np.ix_(rows % shape[0], columns % shape[1])]
    row, column = np.unravel_index(int(window.argmax()), window.shape)
    fine = [
        _peak(window[max(row - 1, 0) : row + 2, column]) if 0 < row < len(rows) - 1 else 0.0,
        _peak(window[row, max(column - 1, 0) : column + 2]) if 0 < column < len(columns) - 1 else 0.0,
    ]
    return np.array([columns[column] + fine[1], rows[row] + fine[0]], np.float64)


def _peak(three: np.ndarray) -> float:
    """Where a parabola through three values at -1, 0, 1 is highest."""
    bend = three[0] - 2 * three[1] + three[2]
    return float(np.clip((three[0] - three[2]) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


def _overlap(seen: np.ndarray, expected: np.ndarray, shift: np.ndarray) -> float:
    column, row = np.rint(shift).astype(int)
    moved = np.roll(expected, (row, column), (1, 2))
    return float((seen & moved).sum() / max((seen | moved).sum(), 1))


def _overlay(picture: np.ndarray, mask: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the calibration's outline in red, and in green where the robot is seen."""
    drawn = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    for colour, by in (((0, 200, 0), shift), ((230, 0, 0), np.zeros(2))):
        moved = cv2.warpAffine(
            mask.astype(np.uint8), np.array([[1.0, 0.0, by[0]], [0.0, 1.0, by[1]]]), mask.shape[::-1]
        )
        outlines, _ = cv2.findContours(moved, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, colour, 1)
    return drawn
