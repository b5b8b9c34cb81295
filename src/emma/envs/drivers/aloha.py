"""Driver of `gym-aloha`: two ViperX arms that hand over a cube. Runs in the package's own interpreter.

The physics, the start of an episode and the judge of success are the package's. This file adds what a driver of a robot
has and the package lacks: pictures of any size, drawn only when asked for, and a scripted demonstration.
"""

from typing import Any

import mujoco
import numpy as np
from gym_aloha.constants import (
    ASSETS_DIR,
    DT,
    JOINTS,
    normalize_puppet_gripper_position,
)
from gym_aloha.env import AlohaEnv

PACKAGE = "gym-aloha"
INSTRUCTION = "hand the red cube to the left arm"
MODEL = ASSETS_DIR / "bimanual_viperx_transfer_cube.xml"
CAMERAS = ("top", "angle", "left_wrist", "right_wrist")
GRIPPERS = [i for i, name in enumerate(JOINTS) if name.endswith("gripper")]
# Joints of the model behind JOINTS: a gripper is its left finger, in m from the middle.
MODEL_JOINTS = [
    f"vx300s_{side}/{name}"
    for side in ("left", "right")
    for name in ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "left_finger")
]
# The point between the fingertips, m along the gripper's x axis.
REACH = 0.13
OPEN, CLOSED = 0.054, 0.021
# How near inverse kinematics must come to a pose, m (and five times that in rad).
NEAR = 1e-3


class Driver:
    """rate_hz: control ticks a second. sizes: camera -> (width, height)."""

    def __init__(self, rate_hz: float, sizes: dict[str, list[int]]) -> None:
        if abs(rate_hz * DT - 1.0) > 1e-6:
            raise ValueError(f"{rate_hz:g} control ticks a second; {PACKAGE} has {1.0 / DT:g}")
        self._env = AlohaEnv("transfer_cube")
        # The package draws three pictures of 640 x 480 a step; here they are not used.
        blank = {"images": {"top": np.zeros(0, np.uint8)}}
        self._env._env.task.get_observation = lambda physics: blank
        self._sizes = sizes
        self._model: mujoco.MjModel | None = None
        self._data: mujoco.MjData | None = None
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self._poses: dict[str, np.ndarray] = {}
        model = self._physics.model.ptr
        self._qpos = np.array([model.joint(name).qposadr[0] for name in MODEL_JOINTS])

    @property
    def _physics(self) -> Any:
        return self._env._env.physics

    def info(self) -> dict[str, Any]:
        """joints in the order of actions; model: the robots' MJCF; cameras: name -> vertical field of view, degrees."""
        model = self._physics.model.ptr
        return {
            "joints": JOINTS,
            "model": str(MODEL),
            "cameras": {name: float(model.camera(name).fovy[0]) for name in CAMERAS},
            "mujoco": mujoco.__version__,
        }

    def reset(self, seed: int) -> dict[str, Any]:
        self._env.reset(seed=seed)
        return {"instruction": INSTRUCTION, **self._outcome(False)}

    def step(self, targets: np.ndarray) -> dict[str, Any]:
        action = targets.copy()
        action[GRIPPERS] = normalize_puppet_gripper_position(targets[GRIPPERS])
        _, _, _, _, info = self._env.step(action)
        return self._outcome(bool(info["is_success"]))

    def _outcome(self, success: bool) -> dict[str, Any]:
        return {"success": success, "object": self._physics.data.qpos[-7:-4].tolist()}

    def state(self) -> np.ndarray:
        """(14,) measured joints, rad, and the grippers' left fingers, m."""
        return np.array(self._physics.data.qpos[self._qpos])

    def look(self, camera: str) -> None:
        """Keep the present poses as the camera's picture; it is drawn when `draw` asks for it."""
        self._poses[camera] = np.array(self._physics.data.qpos)

    def draw(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the moment of the last `look`."""
        if self._model is None:
            self._model = mujoco.MjModel.from_xml_path(str(MODEL))
            self._model.vis.quality.shadowsize = 0
            self._model.vis.global_.offwidth, self._model.vis.global_.offheight = 1920, 1080
            self._data = mujoco.MjData(self._model)
        model, data = self._model, self._data
        assert data is not None
        data.qpos[:] = self._poses[camera]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)
        width, height = self._sizes[camera]
        if (width, height) not in self._renderers:
            self._renderers[width, height] = mujoco.Renderer(model, height, width)
        renderer = self._renderers[width, height]
        renderer.update_scene(data, camera)
        return renderer.render()

    def script(self, seed: int) -> np.ndarray:
        """(T, 14) joint targets, one a control tick: the right arm takes the cube to the middle, the left one takes it.

        Planned from the cube's place at the start of the seed's episode, which is reset in a simulator beside.
        """
        other = Driver(1.0 / DT, {})
        start = (other.reset(seed), other.state())
        cube = np.array([*start[0]["object"][:2], 0.02])
        arms = {side: Arm(other._physics.model.ptr, side, start[1]) for side in ("left", "right")}
        columns = [arms[side].follow(route) for side, route in routes(cube).items()]
        return np.hstack(columns)

    def tools(self, joints: np.ndarray) -> dict[str, np.ndarray]:
        """Tool -> (T, 4, 4) poses of the package's own model at joints (T, 14)."""
        model = self._physics.model.ptr
        data = mujoco.MjData(model)
        poses = {side: np.tile(np.eye(4), (len(joints), 1, 1)) for side in ("left", "right")}
        for i, row in enumerate(joints):
            data.qpos[self._qpos] = row
            mujoco.mj_kinematics(model, data)
            for side, out in poses.items():
                body = model.body(f"vx300s_{side}/gripper_link").id
                out[i, :3, :3], out[i, :3, 3] = data.xmat[body].reshape(3, 3), data.xpos[body]
        return poses

    def close(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()


# One leg of a route: seconds, where the tip goes (m; None: stay), pitch and roll of the gripper (degrees), fingers (m).
Leg = tuple[float, np.ndarray | None, float, float, float]


def routes(cube: np.ndarray) -> dict[str, list[Leg]]:
    """The legs of both arms for a cube at (3,) m, of the same duration in total."""
    up = np.array([0.0, 0.0, 0.1])
    middle = np.array([0.0, 0.5, 0.25])
    aside = np.array([-0.14, 0.0, 0.0])
    right: list[Leg] = [
        (1.6, cube + up, 60.0, 0.0, OPEN),
        (0.9, cube, 60.0, 0.0, OPEN),
        (0.6, None, 60.0, 0.0, CLOSED),
        (1.6, middle, 60.0, 0.0, CLOSED),
        (1.5, None, 60.0, 0.0, CLOSED),
        (0.5, None, 60.0, 0.0, OPEN),
        (1.0, middle - aside, 60.0, 0.0, OPEN),
    ]
    left: list[Leg] = [
        (2.0, middle + aside, 0.0, 90.0, OPEN),
        (2.7, None, 0.0, 90.0, OPEN),
        (0.9, middle - np.array([0.01, 0.0, 0.0]), 0.0, 90.0, OPEN),
        (0.6, None, 0.0, 90.0, CLOSED),
        (0.5, None, 0.0, 90.0, CLOSED),
        (1.0, middle + aside, 0.0, 90.0, CLOSED),
    ]
    return {"left": left, "right": right}


class Arm:
    """One arm's inverse kinematics, by damped least squares."""

    def __init__(self, model: mujoco.MjModel, side: str, state: np.ndarray) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        first = 0 if side == "left" else 7
        names = MODEL_JOINTS[first : first + 6]
        self._qpos = np.array([model.joint(name).qposadr[0] for name in names])
        self._dofs = np.array([model.joint(name).dofadr[0] for name in names])
        self._limits = np.array([model.joint(name).range for name in names])
        self._body = model.body(f"vx300s_{side}/gripper_link").id
        self._joints, self._fingers = state[first : first + 6].copy(), float(state[first + 6])
        # The left arm looks along x, the right one against it.
        self._yaw = 0.0 if side == "left" else 180.0

    def follow(self, legs: list[Leg]) -> np.ndarray:
        """(T, 7) joints and fingers, one row a control tick, along straight lines with smooth starts and stops."""
        rows = []
        position, turn = self._tip()
        for seconds, goal, pitch, roll, fingers in legs:
            end = position if goal is None else goal
            end_turn = _quaternion(self._yaw, pitch, roll)
            ticks = round(seconds / DT)
            for share in _smooth(np.arange(1, ticks + 1) / ticks):
                joints = self._solve(position + share * (end - position), _between(turn, end_turn, share))
                rows.append([*joints, self._fingers + share * (fingers - self._fingers)])
            position, turn, self._fingers = end, end_turn, fingers
        return np.array(rows)

    def _tip(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the point between the fingertips is, m, and the gripper's orientation, w x y z."""
        self._data.qpos[self._qpos] = self._joints
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        turn = self._data.xquat[self._body].copy()
        axis = self._data.xmat[self._body].reshape(3, 3)[:, 0]
        return self._data.xpos[self._body] + REACH * axis, turn

    def _solve(self, position: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """The joints (6,) nearest to the last ones that bring the tip to a pose. Raises ValueError out of reach."""
        jacobian, spin, angle = np.empty((3, self._model.nv)), np.empty((3, self._model.nv)), np.empty(3)
        inverse, error = np.empty(4), np.empty(4)
        for _ in range(60):
            tip, now = self._tip()
            mujoco.mju_negQuat(inverse, now)
            mujoco.mju_mulQuat(error, turn, inverse)
            mujoco.mju_quat2Vel(angle, error, 1.0)
            off = np.concatenate([position - tip, 0.2 * angle])
            if np.abs(off).max() < 1e-4:
                return self._joints
            mujoco.mj_jac(self._model, self._data, jacobian, spin, tip, self._body)
            slopes = np.vstack([jacobian[:, self._dofs], 0.2 * spin[:, self._dofs]])
            change = slopes.T @ np.linalg.solve(slopes @ slopes.T + 1e-6 * np.eye(6), off)
            change *= min(1.0, 0.2 / max(np.abs(change).max(), 1e-9))
            self._joints = np.clip(self._joints + change, *self._limits.T)
        # Near a limit the last tenth of a millimetre takes more steps than it is worth.
        if np.abs(off).max() < NEAR:
            return self._joints
        raise ValueError(f"the tip cannot reach {np.round(position, 3)} m: {np.abs(off).max():.4f} away")


def _smooth(s: np.ndarray) -> np.ndarray:
    """Travelled share of a minimum-jerk motion after the share `s` of its time."""
    return np.asarray(s**3 * (10.0 - 15.0 * s + 6.0 * s**2))


def _quaternion(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """w x y z of a turn by roll about x, then pitch about y, then yaw about z, in degrees."""
    out = np.array([1.0, 0.0, 0.0, 0.0])
    for axis, degrees in ((2, yaw), (1, pitch), (0, roll)):
        part, product = np.empty(4), np.empty(4)
        mujoco.mju_axisAngle2Quat(part, np.eye(3)[axis], np.deg2rad(degrees))
        mujoco.mju_mulQuat(product, out, part)
        out = product
    return out


def _between(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """The orientation a share of the way from `start` to `end` (w x y z), the shorter way."""
    near = end if start @ end >= 0 else -end
    angle = np.arccos(np.clip(start @ near, -1.0, 1.0))
    if angle < 1e-6:
        return near
    return (np.sin((1 - share) * angle) * start + np.sin(share * angle) * near) / np.sin(angle)
