"""DeskArm: the simulated robot that every part of the stack drives, in-process and behind the sim node."""

from collections.abc import Iterable, Sequence

import numpy as np

from emma.errors import EmmaError
from emma.gl import mujoco
from emma.robots.spec import RobotSpec
from emma.sim.appearance import Appearance
from emma.sim.camera_places import CameraPlaces
from emma.sim.domains import Domain, load_domain
from emma.sim.kinematics import Kinematics, tool_down
from emma.sim.outcome import Outcome, judge
from emma.sim.renderer import SceneRenderer
from emma.sim.scene import (
    ARM_JOINTS,
    CUBE_HALF,
    CUBE_YAW,
    FINGERS,
    GRIPPER_OPEN,
    TARGETS,
    build_model,
    class_of_geom,
)
from emma.sim.simulator import Script, pinhole, takes_picture
from emma.sim.task import Task
from emma.sim.tasks import DEFAULT, load_task

# Where the tool waits between tasks (m), how far a start may be from it, and joints near it from which IK starts (rad).
HOME_POSITION = np.array([0.22, 0.0, 0.20])
START_JITTER = np.array([0.02, 0.03, 0.02])
_HOME_GUESS = np.array([0.0, -0.2, 2.2, 0.0, 1.1, 0.0])

# Independent random streams of one seed, so that the same seed gives the same cube for either target.
_SCENE, _TARGET, _WORDS = 0, 1, 2


class DeskArm:
    """A desk arm in MuJoCo. State and commands are (7,): six joint angles in rad, then the finger opening in m.

    Time advances only through `step`, by one control tick. Cameras take a picture every few ticks (their `rate_hz`);
    `render` and `depth` give the latest one, drawn only when asked for. Not thread-safe.
    """

    def __init__(
        self,
        spec: RobotSpec,
        *,
        cameras: Iterable[str] | None = None,
        domain: str | Domain = "source",
        seed: int = 0,
        task: str = DEFAULT,
    ) -> None:
        self.spec = spec
        self._kind = load_task(task)
        self.cameras = tuple(spec.camera_names if cameras is None else (spec.camera(name).name for name in cameras))
        self.model = build_model()
        self.kinematics = Kinematics(self.model)
        self._check_spec()
        self._data = mujoco.MjData(self.model)
        # Holds the poses of the moment a picture was taken; rendering never touches the physics.
        self._view = mujoco.MjData(self.model)
        self._substeps = round(1.0 / spec.control_rate_hz / self.model.opt.timestep)
        # Ticks between two pictures; 1.67 (30 Hz at 50 ticks/s) means one or two, right on average.
        self._period = {name: max(1.0, spec.control_rate_hz / spec.camera(name).rate_hz) for name in self.cameras}
        self._qpos = np.array([self.model.joint(name).qposadr[0] for name in ARM_JOINTS])
        self._finger_qpos = np.array([self.model.joint(name).qposadr[0] for name in FINGERS])
        self._cube_qpos = self.model.joint("cube").qposadr[0] + np.arange(7)
        self._class_of_geom = class_of_geom(self.model)
        self._appearance = Appearance(self.model)
        self._places = CameraPlaces(self.model)
        self._renderers: dict[tuple[int, int], SceneRenderer] = {}
        self._poses: dict[str, tuple[int, np.ndarray]] = {}
        # What has been drawn of the latest pictures: (camera, "color" | "depth" | "classes").
        self._drawn: dict[tuple[str, str], np.ndarray] = {}
        self.home = np.append(self.kinematics.inverse(HOME_POSITION, tool_down(), _HOME_GUESS), GRIPPER_OPEN)
        self.tick = 0
        self._seed = seed
        self.set_domain(domain)
        self.task = self.reset(seed)

    def reset(self, seed: int, target: str | None = None, *, held_out_words: bool = False) -> Task:
        """Start over. `seed` decides the arm's start, the cube's pose, the words and, if none is given, the target."""
        if target is not None and target not in TARGETS:
            raise EmmaError(f"unknown target '{target}'", found=target, expected=f"one of {', '.join(TARGETS)}")
        if target is None:
            target = TARGETS[int(np.random.default_rng([seed, _TARGET]).integers(len(TARGETS)))]
        self._seed = seed
        self._places.apply(self.domain, seed)
        rng = np.random.default_rng([seed, _SCENE])
        kind = self._kind
        cube = (float(rng.uniform(*kind.cube_x)), float(rng.uniform(*kind.cube_y)), float(rng.uniform(*CUBE_YAW)))
        start = HOME_POSITION + rng.uniform(-START_JITTER, START_JITTER)
        joints = self.kinematics.inverse(start, tool_down(), self.home[:6])

        yaw = cube[2]
        self.place(np.append(joints, GRIPPER_OPEN), [*cube[:2], CUBE_HALF, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
        words = kind.choose(target, np.random.default_rng([seed, _WORDS]), held_out=held_out_words)
        self.task = Task(seed=seed, target=target, instruction=words, cube_pose=cube, kind=kind.name)
        return self.task

    def set_task(self, name: str) -> None:
        """Ask for another kind of task (`emma.sim.tasks`) from the next reset on."""
        self._kind = load_task(name)

    def place(self, state: np.ndarray, cube: Sequence[float] | np.ndarray) -> None:
        """Put everything at rest, now and at tick 0: joints (7,), cube (7,) x, y, z in m and quaternion w, x, y, z."""
        data = self._data
        mujoco.mj_resetData(self.model, data)
        data.qpos[self._qpos] = state[:6]
        data.qpos[self._finger_qpos] = state[6]
        data.qpos[self._cube_qpos] = cube
        data.ctrl[:] = state
        mujoco.mj_forward(self.model, data)
        self.tick = 0
        self._take_pictures()

    def step(self, command: np.ndarray) -> None:
        """Hold the joint targets (7,) for one control tick. Raises EmmaError if they are not seven finite numbers."""
        values = np.asarray(command, dtype=np.float64)
        if values.shape != (self.model.nu,) or not np.isfinite(values).all():
            raise EmmaError("bad command", found=repr(command), expected=f"{self.model.nu} finite joint targets")
        self._data.ctrl[:] = values
        mujoco.mj_step(self.model, self._data, self._substeps)
        self.tick += 1
        self._take_pictures()

    @property
    def time_s(self) -> float:
        """Seconds since the reset."""
        return self.tick / self.spec.control_rate_hz

    @property
    def stamp_ns(self) -> int:
        """Nanoseconds since the reset."""
        return round(self.tick * 1_000_000_000 / self.spec.control_rate_hz)

    def state(self) -> np.ndarray:
        """(7,) float32: the joints as measured now."""
        return np.append(self._data.qpos[self._qpos], self._data.qpos[self._finger_qpos[0]]).astype(np.float32)

    def script(self, *, noise: float = 0.0) -> Script:
        """The expert's demonstration of the task from here on (`emma.sim.expert`)."""
        from emma.sim.expert import Expert  # it is written in terms of this class

        return Expert(self, noise=noise)

    def outcome(self) -> Outcome:
        """Where the cube is now and whether that is what the task asks for."""
        return judge(self.model, self._data, load_task(self.task.kind).where, self.task.target)

    def render(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the camera's latest picture. Read-only: copy before writing to it."""
        if (camera, "color") not in self._drawn:
            view = self._at_picture(camera)
            self._keep(camera, "color", self._renderer(camera).color(view, self.model.camera(camera).id))
        return self._drawn[camera, "color"]

    def depth(self, camera: str) -> np.ndarray:
        """(H, W) uint16: distance along the optical axis in mm in the camera's latest picture. Read-only."""
        self._draw_depth(camera)
        return self._drawn[camera, "depth"]

    def segmentation(self, camera: str) -> np.ndarray:
        """(H, W) uint8: class ids (`scene.CLASSES`) in the camera's latest picture. Read-only."""
        self._draw_depth(camera)
        return self._drawn[camera, "classes"]

    def picture_tick(self, camera: str) -> int:
        """The tick at which the camera took its latest picture."""
        return self._poses[self._known(camera)][0]

    def camera_matrix(self, camera: str) -> np.ndarray:
        """(3, 3) pinhole matrix in pixels, pixel centres at whole numbers (as in sensor_msgs/CameraInfo)."""
        size = self.spec.camera(self._known(camera))
        return pinhole(size.width, size.height, float(self.model.camera(camera).fovy[0]))

    def extrinsics(self, camera: str) -> np.ndarray:
        """(4, 4) optical frame (x right, y down, z forward) to world at the camera's latest picture."""
        view = self._at_picture(camera)
        index = self.model.camera(camera).id
        pose = np.eye(4)
        # MuJoCo's cameras look along -z with y up.
        pose[:3, :3] = view.cam_xmat[index].reshape(3, 3) * [1.0, -1.0, -1.0]
        pose[:3, 3] = view.cam_xpos[index]
        return pose

    def set_domain(self, domain: str | Domain) -> None:
        """Change how everything looks, now; nothing moves but the cameras of a domain that says so."""
        self.domain = load_domain(domain) if isinstance(domain, str) else domain
        self._appearance.apply(self.domain)
        self._places.apply(self.domain, self._seed)
        self._drawn.clear()
        for renderer in self._renderers.values():
            renderer.upload_texture(self._appearance.texture)

    def close(self) -> None:
        """Free the graphics contexts."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def __enter__(self) -> "DeskArm":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_pictures(self) -> None:
        pose = None
        for camera, period in self._period.items():
            if takes_picture(self.tick, period):
                pose = self._data.qpos.copy() if pose is None else pose
                self._poses[camera] = (self.tick, pose)
                for kind in ("color", "depth", "classes"):
                    self._drawn.pop((camera, kind), None)

    def _draw_depth(self, camera: str) -> None:
        if (camera, "depth") not in self._drawn:
            view = self._at_picture(camera)
            depth, geoms = self._renderer(camera).depth_geoms(view, self.model.camera(camera).id)
            self._keep(camera, "depth", depth)
            self._keep(camera, "classes", np.where(geoms < 0, 0, self._class_of_geom[geoms]).astype(np.uint8))

    def _keep(self, camera: str, kind: str, image: np.ndarray) -> None:
        image.flags.writeable = False
        self._drawn[camera, kind] = image

    def _at_picture(self, camera: str) -> "mujoco.MjData":
        self._view.qpos[:] = self._poses[self._known(camera)][1]
        mujoco.mj_kinematics(self.model, self._view)
        mujoco.mj_comPos(self.model, self._view)
        mujoco.mj_camlight(self.model, self._view)
        return self._view

    def _renderer(self, camera: str) -> SceneRenderer:
        size = self.spec.camera(camera)
        key = (size.width, size.height)
        if key not in self._renderers:
            self._renderers[key] = SceneRenderer(self.model, *key)
        return self._renderers[key]

    def _known(self, camera: str) -> str:
        if camera not in self.cameras:
            raise EmmaError(f"this simulator has no camera '{camera}'", found=camera, expected=", ".join(self.cameras))
        return camera

    def _check_spec(self) -> None:
        joints = (*ARM_JOINTS, "gripper")
        if self.spec.joint_names != joints:
            raise EmmaError(
                "the simulator is the desk arm, not this robot",
                found=f"{self.spec.name}: {', '.join(self.spec.joint_names)}",
                expected=f"joints {', '.join(joints)}",
                fix=f"correct the joints or the simulator in {self.spec.folder / 'robot.yaml'}",
            )
        there = [self.model.camera(i).name for i in range(self.model.ncam)]
        missing = sorted(set(self.cameras) - set(there))
        if missing:
            raise EmmaError(
                "the desk has no such camera", found=", ".join(missing), expected=f"some of {', '.join(there)}"
            )
        ticks = 1.0 / self.spec.control_rate_hz / self.model.opt.timestep
        if abs(ticks - round(ticks)) > 1e-6 or round(ticks) < 1:
            raise EmmaError(
                "control_rate_hz does not fit the physics",
                found=self.spec.control_rate_hz,
                expected=f"a tick of whole multiples of {self.model.opt.timestep} s",
            )
