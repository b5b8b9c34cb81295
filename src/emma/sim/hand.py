"""A person at the desk: the tasks' plans carried out by a hand, seen by a head that moves.

The hand grasps tilted and yawed, moves in arcs of its own and faster than the arm. What a tracker would report is exact
here; `emma.bench.hand_files` adds its noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from emma.gl import mujoco
from emma.sim.appearance import Appearance
from emma.sim.arm import HOME_POSITION, START_JITTER
from emma.sim.domains import Domain, load_domain
from emma.sim.expert import minimum_jerk
from emma.sim.hand_model import GOAL, HEAD, HEAD_CAMERA, PALM, build_hand, keypoints
from emma.sim.kinematics import tool_down
from emma.sim.outcome import judge
from emma.sim.renderer import SceneRenderer
from emma.sim.scene import CUBE_HALF, CUBE_YAW, FINGERS, GRIPPER_OPEN
from emma.sim.tasks import DEFAULT, load_task
from emma.sim.tasks.kind import Waypoint

_SCENE, _MOTION, _WORDS, _HEAD = 10, 11, 12, 13
VIDEO_HZ = 30.0
# Yaw and tilt of a person's grasp about the straight-down one, rad, and how much higher an arc rises between two places
# than the arm's straight line, m.
YAW, TILT, ARC = 0.25, 0.20, 0.03
# Head sway: m and rad, and its time constant in s.
SWAY_M, SWAY_RAD, SWAY_S = 0.01, 0.015, 1.0
# How much faster than the arm's plan.
SPEED = 1.6
# A person lets a cube settle for this long (s) before the hand is out of the way.
REST_S = 0.3


@dataclass(frozen=True, kw_only=True)
class HandEpisode:
    """What head camera and an exact tracker give at 30 Hz: points (N, 21, 3) m and camera (N, 4, 4) world_from_camera
    in OpenCV axes, images N of (H, W, 3); tool (N, 4, 4) and opening (N,) m of each finger: the truth."""

    side: str
    instruction: str
    target: str
    seed: int
    times_s: np.ndarray
    points: np.ndarray
    camera: np.ndarray
    intrinsics: np.ndarray
    images: Sequence[np.ndarray]
    tool: np.ndarray
    opening: np.ndarray
    success: bool


@dataclass
class HandSim:
    """One person. size: of the square video; side: left or right; skin: rgb."""

    size: int = 192
    side: str = "right"
    skin: tuple[float, float, float] = (0.80, 0.58, 0.45)
    model: "mujoco.MjModel" = field(init=False)

    def __post_init__(self) -> None:
        self.model = build_hand(self.side, self.skin)
        self._data = mujoco.MjData(self.model)
        self._appearance = Appearance(self.model)
        self._renderer: SceneRenderer | None = None
        mocap = {name: self.model.body(name).mocapid[0] for name in (GOAL, HEAD)}
        self._goal, self._head = mocap[GOAL], mocap[HEAD]
        self._home = (self.model.body(HEAD).pos.copy(), self.model.body(HEAD).quat.copy())
        self._camera = self.model.camera(HEAD_CAMERA).id
        self._palm = self.model.joint(PALM).qposadr[0]
        self._cube = self.model.joint("cube").qposadr[0]
        self._fingers = np.array([self.model.joint(name).qposadr[0] for name in FINGERS])
        self.set_domain("source")

    def set_domain(self, domain: str | Domain) -> None:
        """Change how everything but the hand looks."""
        self._appearance.apply(load_domain(domain) if isinstance(domain, str) else domain)
        if self._renderer is not None:
            self._renderer.upload_texture(self._appearance.texture)

    @property
    def intrinsics(self) -> np.ndarray:
        """(3, 3) in pixels of the video."""
        focal = 0.5 * self.size / np.tan(0.5 * np.deg2rad(self.model.camera(HEAD_CAMERA).fovy[0]))
        middle = 0.5 * (self.size - 1)
        return np.array([[focal, 0.0, middle], [0.0, focal, middle], [0.0, 0.0, 1.0]])

    def episode(self, seed: int, target: str, *, task: str = DEFAULT, instruction: str = "") -> HandEpisode:
        """One try from `seed`; `success` tells whether the cube came to rest where it should."""
        kind = load_task(task)
        scene, motion = np.random.default_rng([seed, _SCENE]), np.random.default_rng([seed, _MOTION])
        cube = (float(scene.uniform(*kind.cube_x)), float(scene.uniform(*kind.cube_y)), float(scene.uniform(*CUBE_YAW)))
        start = HOME_POSITION + scene.uniform(-START_JITTER, START_JITTER)
        facing = _grasp(motion)
        self._place(start, facing, cube)
        plan = kind.plan(target, cube, HOME_POSITION, motion)
        rows = _path(start, facing, plan, motion, 1.0 / self.model.opt.timestep)
        head = _sway(np.random.default_rng([seed, _HEAD]), len(rows[0]), self.model.opt.timestep)
        seen = self._perform(rows, head)
        words = instruction or kind.choose(target, np.random.default_rng([seed, _WORDS]))
        outcome = judge(self.model, self._data, kind.where, target)
        return HandEpisode(
            side=self.side,
            instruction=words,
            target=target,
            seed=seed,
            intrinsics=self.intrinsics,
            success=outcome.success,
            **seen,
        )

    def close(self) -> None:
        """Free the graphics context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _place(self, position: np.ndarray, facing: np.ndarray, cube: tuple[float, float, float]) -> None:
        data = self._data
        mujoco.mj_resetData(self.model, data)
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, facing.ravel())
        data.qpos[self._palm : self._palm + 7] = [*position, *quaternion]
        data.mocap_pos[self._goal], data.mocap_quat[self._goal] = position, quaternion
        data.mocap_pos[self._head], data.mocap_quat[self._head] = self._home
        yaw = cube[2]
        data.qpos[self._cube : self._cube + 7] = [*cube[:2], CUBE_HALF, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        data.qpos[self._fingers] = data.ctrl[0] = GRIPPER_OPEN
        mujoco.mj_forward(self.model, data)

    def _perform(self, rows: tuple[np.ndarray, np.ndarray, np.ndarray], head: np.ndarray) -> dict:
        data, every = self._data, 1.0 / (VIDEO_HZ * self.model.opt.timestep)
        places, turns, openings = rows
        quaternions = Rotation.from_matrix(turns).as_quat(scalar_first=True)
        home = Rotation.from_quat(self._home[1], scalar_first=True)
        looks = (home * Rotation.from_rotvec(head[:, 3:])).as_quat(scalar_first=True)
        kept: dict[str, list] = {key: [] for key in ("points", "camera", "images", "tool", "opening")}
        for step in range(len(places)):
            data.mocap_pos[self._goal], data.mocap_quat[self._goal] = places[step], quaternions[step]
            data.mocap_pos[self._head], data.mocap_quat[self._head] = self._home[0] + head[step, :3], looks[step]
            data.ctrl[0] = openings[step]
            if step >= len(kept["images"]) * every:
                self._look(kept)
            mujoco.mj_step(self.model, data)
        count = len(kept["images"])
        arrays = {key: np.array(values) for key, values in kept.items() if key != "images"}
        return {"times_s": np.arange(count) / VIDEO_HZ, "images": kept["images"], **arrays}

    def _look(self, kept: dict[str, list]) -> None:
        data = self._data
        mujoco.mj_forward(self.model, data)
        tool, camera = np.eye(4), np.eye(4)
        palm = self.model.body(PALM).id
        tool[:3, :3], tool[:3, 3] = data.xmat[palm].reshape(3, 3), data.xpos[palm]
        # MuJoCo's cameras look along -z with y up.
        camera[:3, :3] = data.cam_xmat[self._camera].reshape(3, 3) * [1.0, -1.0, -1.0]
        camera[:3, 3] = data.cam_xpos[self._camera]
        opening = float(data.qpos[self._fingers].mean())
        kept["points"].append(keypoints(opening, self.side) @ tool[:3, :3].T + tool[:3, 3])
        kept["camera"].append(camera)
        kept["tool"].append(tool)
        kept["opening"].append(opening)
        if self._renderer is None:
            self._renderer = SceneRenderer(self.model, self.size, self.size)
        kept["images"].append(self._renderer.color(data, self._camera))


def _grasp(rng: np.random.Generator) -> np.ndarray:
    """(3, 3) a person's way of holding the hand: about straight down, the forearm towards the head."""
    yaw, tilt, roll = rng.uniform(-YAW, YAW), rng.uniform(-TILT, TILT), rng.uniform(-TILT / 2, TILT / 2)
    return np.asarray(tool_down(yaw) @ Rotation.from_euler("yx", [tilt, roll]).as_matrix())


def _path(
    start: np.ndarray, facing: np.ndarray, plan: Sequence[Waypoint], rng: np.random.Generator, rate_hz: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (T, 3), rotations (T, 3, 3) and openings (T,) along the plan, in arcs and with a turning wrist."""
    places, turns, openings = [], [], []
    position, turn, opening = start, Rotation.from_matrix(facing), GRIPPER_OPEN
    for waypoint in plan:
        steps = max(1, round(waypoint.seconds / SPEED * rate_hz))
        if waypoint.opening != opening:
            # A grip needs its time, however fast the hand.
            steps = max(steps, round(waypoint.seconds * rate_hz))
        share = minimum_jerk(np.arange(1, steps + 1) / steps)[:, None]
        far = float(np.linalg.norm((waypoint.position - position)[:2]))
        arc = np.zeros((steps, 3))
        if not waypoint.near and far > 0.03:
            arc[:, 2] = ARC * rng.uniform(0.3, 1.0) * np.sin(np.pi * share[:, 0])
        goal = turn
        if far > 0.03 and not waypoint.near:
            goal = Rotation.from_matrix(_grasp(rng)) if waypoint.opening == opening else turn
        places.append(position + share * (waypoint.position - position) + arc)
        turns.append(Slerp([0.0, 1.0], Rotation.concatenate([turn, goal]))(np.clip(share[:, 0], 0, 1)).as_matrix())
        openings.append(opening + share[:, 0] * (waypoint.opening - opening))
        position, turn, opening = waypoint.position, goal, waypoint.opening
    rest = round(REST_S * rate_hz)
    places.append(np.tile(position, (rest, 1)))
    turns.append(np.tile(turn.as_matrix(), (rest, 1, 1)))
    openings.append(np.full(rest, opening))
    return np.concatenate(places), np.concatenate(turns), np.concatenate(openings)


def _sway(rng: np.random.Generator, steps: int, dt: float) -> np.ndarray:
    """(T, 6) slow motion of the head: m, then rad."""
    from scipy.signal import lfilter

    keep = np.exp(-dt / SWAY_S)
    noise = rng.normal(size=(steps, 6)) * np.sqrt(1 - keep**2)
    slow = lfilter([1.0], [1.0, -keep], lfilter([1 - keep], [1.0, -keep], noise, axis=0), axis=0) * np.sqrt(2.0)
    return np.asarray(slow * np.repeat([SWAY_M, SWAY_RAD], 3))
